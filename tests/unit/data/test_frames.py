"""DataFrames of pandas, polars and pyarrow, in and out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, send
from tests.unit.fakes import FakeLLM
from zsrec import Catalog, History, Recommender, read_histories
from zsrec.core.errors import BadRowError, ConfigError, DataError, MissingColumnError, MissingExtraError
from zsrec.core.types import Recommendations
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.readers import Columns, read_interactions

pytest.importorskip("narwhals", reason="pip install 'zsrec[frames]'")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

Make = Callable[[dict[str, list[Any]]], Any]
MAKERS: list[Make] = [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table]
LIBRARIES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}
NAMES = Columns(user="user", item="item", time="time", rating=None)
every = pytest.mark.parametrize("make", MAKERS, ids=["pandas", "polars", "polars lazy", "pyarrow"])


@every
def test_a_catalog(make: Make) -> None:
    frame = make({"movieId": [1, 2], "title": ["Heat (1995)", "Ronin (1998)"], "year": [1995, None]})
    catalog = Catalog.from_frame(frame, id="movieId", domain="movies")
    assert (list(catalog.ids), list(catalog.titles), catalog.domain) == (
        ["1", "2"],
        ["Heat (1995)", "Ronin (1998)"],
        "movies",
    )
    assert (catalog["1"].attributes, catalog["2"].attributes) == ({"year": 1995}, {})


@every
def test_interactions_and_histories_as_from_a_file(make: Make, test_data: Path) -> None:
    path = test_data / "ml-latest-small" / "ratings.csv"
    table = pd.read_csv(path).head(3000)
    frame = make({name: table[name].tolist() for name in table.columns})
    known = Interactions.from_frame(frame)
    assert (len(known), len(known.users)) == (3000, table["userId"].nunique())
    assert list(known.users.ids) == [str(one) for one in table["userId"].unique()]
    assert known.columns.time.max() == table["timestamp"].max()
    expected = read_histories(path, liked_from=4, disliked_to=2)
    found = History.from_frame(frame, liked_from=4, disliked_to=2)
    for user, history in list(found.items())[:-1]:  # the last one is cut
        assert history == expected[user]


@every
def test_the_catalogs_codes_stay(make: Make) -> None:
    frame = make({"user": ["u", "u"], "item": ["b", "x"], "time": [1, 2]})
    known = Interactions.from_frame(frame, NAMES, catalog=Ids(["a", "b"]))
    assert list(known.items.ids) == ["a", "b", "x"]
    assert [known.items[code] for code in known.items_of(0)] == ["b", "x"]


@every
def test_a_bad_value_names_its_row_and_column(make: Make) -> None:
    frame = make({"user": ["u", "u"], "item": [1.0, 1.5], "time": [1, 2]})
    for read in (Interactions.from_frame, History.from_frame):
        with pytest.raises(BadRowError, match=r"DataFrame:2: column 'item' is 1\.5"):
            read(frame, NAMES)
    with pytest.raises(MissingColumnError, match="DataFrame: no column 'userId'"):
        History.from_frame(frame)
    with pytest.raises(BadRowError, match="DataFrame:2: the title is empty"):
        Catalog.from_frame(make({"id": ["1", "2"], "title": ["a", None]}))


def test_numbers_times_and_nulls_of_each_library() -> None:
    times = pd.to_datetime(["2020-01-02", "2020-01-01"])
    frames = [
        pd.DataFrame({"user": ["u", "u"], "item": pd.array([2, 1], dtype="Int64"), "time": times}),
        pd.DataFrame({"user": pd.Categorical(["u", "u"]), "item": [2.0, 1.0], "time": times.tz_localize("UTC")}),
        pl.DataFrame({"user": ["u", "u"], "item": ["2", "1"], "time": times.to_list()}),
        pl.DataFrame({"user": [b"u", b"u"], "item": [2, 1], "time": [2 * 10**12, 10**12]}),
        pa.table({"user": pa.array(["u", "u"]).dictionary_encode(), "item": [2, 1], "time": pa.array(times)}),
        pd.DataFrame({"user": ["u", "u"], "item": np.array([2, 1], np.uint8), "time": [None, None]}),
    ]
    for frame in frames:
        history = History.from_frame(frame, NAMES)["u"]
        assert sorted(event.item for event in history.events) == ["1", "2"]
        if history.events[0].time is not None:
            assert [event.item for event in history.events] == ["1", "2"]
    empty = pd.DataFrame({"user": pd.array(["u", None], dtype="string"), "item": [1, 2], "time": [1, 2]})
    with pytest.raises(BadRowError, match="DataFrame:2: column 'user' is empty"):
        History.from_frame(empty, NAMES)


def test_what_is_no_frame_is_refused() -> None:
    for value in ([1], "frame", None, np.zeros(3)):
        with pytest.raises(ConfigError, match="expected a DataFrame, found"):
            Catalog.from_frame(value)
    twice = pd.DataFrame([["1", "2", "a"]], columns=["id", "id", "title"])
    with pytest.raises(DataError, match="DataFrame"):
        Catalog.from_frame(twice)


def recommendations(films: Catalog) -> Recommendations:
    with Recommender(films, llm=FakeLLM("1. Ronin - quiet\n2. <b>Thief</b>\n3. Solaris")) as rec:
        return rec.recommend(["Heat"], 3)


@pytest.mark.parametrize("library", LIBRARIES)
def test_results_as_a_frame(films: Catalog, library: Any) -> None:
    found = recommendations(films)
    frame = found.to_frame(library)
    assert isinstance(frame, LIBRARIES[library])
    rows = (
        frame.to_dict("records")
        if library == "pandas"
        else frame.to_dicts()
        if library == "polars"
        else frame.to_pylist()
    )
    assert [(row["rank"], row["id"], row["title"]) for row in rows] == [
        (one.rank, one.item.id, one.item.title) for one in found
    ]
    assert list(rows[0]) == list(found.to_dicts()[0])
    assert rows[0]["method"] == "exact"


def test_results_in_other_forms(films: Catalog) -> None:
    found = recommendations(films)
    assert found.ids == tuple(one.item.id for one in found)
    assert found.titles[0] == "Ronin (1998)"
    assert found.to_dicts()[0]["reason"] == found[0].reason
    assert (
        repr(found)
        == str(found)
        == f"Recommendations({len(found)} by {found.trace.template}: 'Ronin (1998)', …; left out: 1 ambiguous)"
    )
    assert len(repr(found).splitlines()) == 1
    assert type(found.to_frame()) is pd.DataFrame
    empty = Recommendations(items=(), trace=found.trace)
    assert (repr(empty), empty.ids) == (f"Recommendations(0 by {found.trace.template}; left out: 1 ambiguous)", ())
    assert len(empty.to_frame("polars")) == 0
    types = [pl.Int64, pl.String, pl.String, pl.Float64, pl.String, pl.String, pl.String, pl.Float64]
    assert empty.to_frame("polars").dtypes == found.to_frame("polars").dtypes == types


def test_what_was_left_out_is_counted_and_shown_where_the_list_is(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("1. Ronin\n2. Nowhere\n3. Heat\n4. Solaris\n5. Nobody")) as rec:
        found = rec.recommend(["Heat"], 3)
    assert found.left_out == {"not_in_catalog": 2, "ambiguous": 1, "seen": 1}
    shown = f"Recommendations(1 by {found.trace.template}: 'Ronin (1998)'; left out: "
    assert repr(found) == f"{shown}2 not in catalog, 1 ambiguous, 1 seen)"
    assert "left out: 2 not in catalog" in found._repr_html_()


def test_html_is_a_small_table_of_escaped_text(films: Catalog) -> None:
    hostile = films.extended([{"id": "h", "title": "<script>alert(1)</script>\u202e"}])
    with Recommender(hostile, llm=FakeLLM("1. Ronin - it is <b>quiet</b>"), popularity=["h"]) as rec:
        page = rec.recommend(["Heat"], 2, fill="popularity")._repr_html_()
    assert "<th>rank</th><th>title</th><th>why</th><th>how matched</th>" in page
    assert "<td>1</td><td>Ronin (1998)</td>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd" in page
    assert "<script>" not in page
    assert "<b>" not in page


def test_without_the_extra(films: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recommendations(films)
    with pytest.raises(ConfigError, match="unknown DataFrame library 'excel'"):
        found.to_frame("excel")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(MissingExtraError, match="extra 'frames'"):
        found.to_frame()
    with pytest.raises(MissingExtraError, match="extra 'frames'"):
        Catalog.from_frame(pd.DataFrame())
    assert found.to_dicts()


def test_times_of_another_unit(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": ["u", "u"], "item": ["a", "b"], "time": [1_577_836_800_000, 1_577_836_700_000]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = read_interactions(tmp_path / "t.csv", columns=NAMES).interactions
    assert Interactions.from_frame(frame, NAMES).columns.time.tolist() == read.columns.time.tolist()


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_documentation_run(
    number: int, test_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", (REPO / "docs/dataframes.md").read_text("utf-8"), re.DOTALL)
    assert len(examples) == 3
    monkeypatch.chdir(test_data / "ml-latest-small")
    answer = completion("1. Casino (1995)\n2. Se7en (1995)\n3. Fargo (1996)\n4. Toy Story (1995)")
    with ScriptedServer(lambda handler, _: send(handler, answer)) as server:
        monkeypatch.setenv("ZSREC_BASE_URL", server.base_url)
        exec(compile(examples[number], "docs/dataframes.md", "exec"), {})
    assert "Casino (1995)" in capsys.readouterr().out or number == 2


def test_an_empty_list_points_to_its_notes(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("I cannot say.")) as rec:
        found = rec.recommend(["Heat"], 3)
    assert repr(found) == f"Recommendations(0 by {found.trace.template}; see trace.notes)"
    assert "the answer gave 0 of the 3 items asked for" in found.trace.notes
