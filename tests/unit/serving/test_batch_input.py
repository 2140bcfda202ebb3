"""The input of a batch job: two layouts, chunks, and rows that are passed over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from zsrec.core.errors import BadRowError, DataError, MissingColumnError
from zsrec.data.readers import Columns, read_histories
from zsrec.data.tables import read_rows
from zsrec.serving.batch_input import Counts, Input, read_parts

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FLAT = Columns(user="user", item="item", time="timestamp", rating=None)
LISTS = Columns(user="user", item="history", time=None, rating=None)


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def read(source: Input, size: int = 2) -> tuple[list[dict[str, list[str]]], Counts]:
    counts = Counts()
    chunks = []
    for part in read_parts(source, size, counts):
        items = part.items.to_pylist()
        chunks.append(
            {user: items[part.starts[n] : part.starts[n + 1]] for n, user in enumerate(part.users.to_pylist())}
        )
    return chunks, counts


def test_interactions_are_sorted_by_time_and_cut_into_chunks(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet",
        user=["b", "a", "b", "c", "a", "b"],
        item=[1, 2, 3, 4, 5, 6],
        timestamp=[30, 2, 10, 1, 1, 10],
    )
    chunks, counts = read(Input(path, FLAT))
    # Users as they first come; ties keep the file's order; numbers become text.
    assert chunks == [{"b": ["3", "6", "1"], "a": ["5", "2"]}, {"c": ["4"]}]
    assert (counts.rows, counts.users, counts.layout) == (6, 3, "interactions")
    assert counts.notes == ("3 users read from 6 rows (interactions)",)


def test_the_order_is_that_of_read_histories(tmp_path: Path) -> None:
    rows = [(f"u{n * 7 % 5}", str(n * 13 % 11), 1000 + n * 5 % 4, float(n % 5 + 1)) for n in range(60)]
    columns = dict(zip(("user", "item", "timestamp", "rating"), map(list, zip(*rows, strict=True)), strict=True))
    path = write(tmp_path / "x.parquet", **columns)
    named = Columns(user="user", item="item", time="timestamp", rating="rating")
    expected = {
        user: [(event.item, event.rating) for event in history.events]
        for user, history in read_histories(path, columns=named).items()
    }
    (part,) = read_parts(Input(path, named), 100, Counts())
    pairs = list(zip(part.items.to_pylist(), part.ratings.to_pylist(), strict=True))
    users = part.users.to_pylist()
    assert {user: pairs[part.starts[n] : part.starts[n + 1]] for n, user in enumerate(users)} == expected
    assert users == list(expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_may_be_timestamps(tmp_path: Path, unit: str) -> None:
    times = pa.array(
        [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp(unit, "UTC")
    )
    path = write(tmp_path / "x.parquet", user=["a", "a"], item=["new", "old"], timestamp=times)
    assert read(Input(path, FLAT))[0] == [{"a": ["old", "new"]}]


def test_a_missing_time_is_the_earliest(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", user=["a"] * 3, item=["x", "y", "z"], timestamp=[2.0, None, 1.0])
    assert read(Input(path, FLAT))[0] == [{"a": ["y", "z", "x"]}]


def test_a_folder_is_read_in_the_order_of_names_without_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "_old").mkdir()
    for name, user in (("b", "2"), ("a", "1"), ("_old/c", "3")):
        write(tmp_path / f"{name}.parquet", user=[user], item=["x"], timestamp=[1])
    assert read(Input(tmp_path, FLAT))[0] == [{"1": ["x"], "2": ["x"]}]


def test_one_row_a_user(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet", user=["a", "b", "c", "d"], history=[["1", " 2 "], [], None, ["3", None, ""]]
    )
    chunks, counts = read(Input(path, LISTS), size=3)
    assert chunks == [{"a": ["1", "2"], "b": [], "c": []}, {"d": ["3"]}]
    assert (counts.users, counts.empty_items, counts.empty_histories, counts.layout) == (4, 2, 2, "lists")


def test_duplicate_users_count_once_and_malformed_rows_are_counted(tmp_path: Path) -> None:
    users = [f"u{n}" for n in range(300)]
    users[100], users[200] = "u7", ""
    path = write(tmp_path / "x.parquet", user=users, history=[[str(n)] for n in range(300)])
    chunks, counts = read(Input(path, LISTS), size=1000)
    assert chunks[0]["u7"] == ["7"]  # the first one counts
    assert (len(chunks[0]), counts.duplicates, counts.malformed, counts.users) == (298, 1, 1, 298)
    assert "1 rows repeat a user; the first one counts" in counts.notes


def test_too_many_malformed_rows_are_refused_with_the_place(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", user=["a", None, "b"], item=["1", "2", None], timestamp=[1, 2, 3])
    with pytest.raises(BadRowError, match=r"x\.parquet:2: 2 of 3 rows"):
        read(Input(path, FLAT))
    path = write(tmp_path / "y.parquet", user=["a", "a"], history=[["1"], ["2"]])
    with pytest.raises(BadRowError, match="1 repeat a user"):
        read(Input(path, LISTS))


def test_a_few_malformed_interactions_are_passed_over(tmp_path: Path) -> None:
    items = [str(n) for n in range(200)]
    items[50] = " "
    path = write(tmp_path / "x.parquet", user=["a"] * 200, item=items, timestamp=list(range(200)))
    chunks, counts = read(Input(path, FLAT))
    assert len(chunks[0]["a"]) == 199
    assert counts.malformed == 1


def test_ratings_of_another_length_are_malformed(tmp_path: Path) -> None:
    columns = Columns(user="user", item="history", time=None, rating="ratings")
    users = [f"u{n}" for n in range(200)]
    ratings = [[5.0]] * 199 + [[5.0, 1.0]]
    path = write(tmp_path / "x.parquet", user=users, history=[["1"]] * 200, ratings=ratings)
    chunks, counts = read(Input(path, columns), size=1000)
    assert (len(chunks[0]), counts.malformed) == (199, 1)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", user=["a"], item=["1"], timestamp=["yesterday"])
    with pytest.raises(DataError, match="'timestamp' is 'yesterday', expected a time"):
        read(Input(path, FLAT))
    with pytest.raises(MissingColumnError, match=r"no column 'rating'(.|\n)*leave time or rating empty"):
        read(Input(path, Columns(user="user", item="item", time=None, rating="rating")))
    with pytest.raises(MissingColumnError, match="no column 'movieId'") as missing:
        read(Input(path, Columns(user="user")))
    with pytest.raises(MissingColumnError) as of_a_table:
        next(read_rows(path, columns=Columns(user="user").present))
    assert str(missing.value) == str(of_a_table.value)  # one fault, one sentence
    (tmp_path / "bad.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match="not a Parquet file"):
        read(Input(tmp_path / "bad.parquet", FLAT))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no Parquet file"):
        read(Input(tmp_path / "empty", FLAT))
    write(tmp_path / "none.parquet", user=pa.array([], pa.string()), item=pa.array([], pa.string()),
          timestamp=pa.array([], pa.int64()))  # fmt: skip
    with pytest.raises(DataError, match="no rows"):
        read(Input(tmp_path / "none.parquet", FLAT))


def test_other_data_have_another_fingerprint(tmp_path: Path) -> None:
    source = Input(tmp_path, FLAT)
    write(tmp_path / "x.parquet", user=["a"], item=["1"], timestamp=[1])
    first = source.fingerprint()
    write(tmp_path / "x.parquet", user=["a"], item=["1"], timestamp=[1])
    assert source.fingerprint() == first
    write(tmp_path / "x.parquet", user=["a"], item=["2"], timestamp=[1])
    assert source.fingerprint() != first
