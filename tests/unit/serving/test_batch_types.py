"""The rule for ids and times in a batch job's input: a bad value is its user's error, and the others are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.test_type_rule import ARROW, ARROW_TIMES, ORDER, TIMES, VALUES, rows_at
from zsrec.core.errors import BadRowError, BadValueError, DataError
from zsrec.data.readers import Columns
from zsrec.serving.batch_input import Counts, Input, read_parts

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FLAT = Columns(user="user", item="item", time="time", rating=None)
LISTS = Columns(user="user", item="item", time=None, rating=None)
EMPTY = ("null", "NaN", "empty text", "blanks alone", "no bytes", "a null column")


def read(source: Input) -> tuple[dict[str, list[str]], frozenset[str], Counts]:
    counts = Counts()
    (part,) = read_parts(source, 100, counts)
    items, users = part.items.to_pylist(), part.users.to_pylist()
    return {u: items[part.starts[n] : part.starts[n + 1]] for n, u in enumerate(users)}, part.bad, counts


def column(name: str) -> tuple[Any, str | None]:
    if name in ARROW:
        return ARROW[name]
    value, outcome = VALUES[name]
    return pa.array([value]), outcome


def stored(path: Path, name: str, *, lists: bool) -> str | None:
    """A folder with the odd value in one file of a type of its own, and good rows of other users in another."""
    odd, outcome = column(name)
    items, good = odd, pa.array(["i"])
    if lists:
        items, good = pa.LargeListArray.from_arrays([0, 1], odd), pa.array([["i"]])
    pq.write_table(pa.table({"user": ["odd"], "item": items, "time": [5]}), path / "a.parquet")
    pq.write_table(pa.table({"user": ["good"], "item": good, "time": [5]}), path / "b.parquet")
    return outcome


def is_list(name: str) -> bool:
    return "list" in name


@pytest.mark.parametrize("name", [name for name in [*VALUES, *ARROW] if not is_list(name)])
def test_items_one_per_row(tmp_path: Path, name: str) -> None:
    outcome = stored(tmp_path, name, lists=False)
    if name in EMPTY:
        with pytest.raises(BadRowError, match="1 of 2 rows lack a user or an item"):
            read(Input(tmp_path, FLAT))
        return
    found, bad, counts = read(Input(tmp_path, FLAT))
    assert found == ({"odd": [outcome], "good": ["i"]} if outcome else {"good": ["i"], "odd": []})
    assert bad == (set() if outcome else {"odd"})
    assert counts.bad_users == len(bad)
    if not outcome:
        assert any(
            "1 users have a value that is not valid" in note and "a.parquet:1" in note for note in counts.notes
        )


@pytest.mark.parametrize("name", [name for name in [*VALUES, *ARROW] if name != "a text view"])  # Arrow cannot
def test_items_in_lists(tmp_path: Path, name: str) -> None:
    outcome = stored(tmp_path, name, lists=True)
    found, bad, counts = read(Input(tmp_path, LISTS))
    assert found == {"odd": [outcome] if outcome else [], "good": ["i"]}
    assert bad == (set() if outcome or name in EMPTY else {"odd"})
    assert counts.empty_items == (name in EMPTY)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("name", [*VALUES, *ARROW])
def test_users(tmp_path: Path, name: str, lists: bool) -> None:
    odd, outcome = column(name)
    item = pa.array([["i"]]) if lists else pa.array(["i"])
    pq.write_table(pa.table({"user": odd, "item": item, "time": [5]}), tmp_path / "t.parquet")
    if outcome is not None:
        assert read(Input(tmp_path, LISTS if lists else FLAT))[0] == {outcome: ["i"]}
        return
    with pytest.raises(BadRowError, match=r"t\.parquet:1: 1 of 1 rows"):
        read(Input(tmp_path, LISTS if lists else FLAT))


@pytest.mark.parametrize("name", [*TIMES, *ARROW_TIMES])
def test_times(tmp_path: Path, name: str) -> None:
    rows = pa.Table.from_pylist(rows_at(TIMES.get(name) or [0] * 5))
    if name in ARROW_TIMES:
        rows = rows.set_column(2, "time", ARROW_TIMES[name])
    pq.write_table(rows, tmp_path / "t.parquet")
    assert read(Input(tmp_path, FLAT))[0] == {"u": ORDER}


def test_parts_of_other_types_are_read_together(tmp_path: Path) -> None:
    def part(name: str, **columns: Any) -> None:
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")

    part("a", user=["u"], item=["1"], time=pa.array([3], pa.timestamp("s")))
    part("b", user=pa.array([b"u"]), item=pa.array([2]), time=pa.array([2], pa.timestamp("ns", "UTC")))
    part("c", user=pa.array(["u"]).dictionary_encode(), item=pa.array([3.0]), time=pa.nulls(1))
    assert read(Input(tmp_path, FLAT))[0] == {"u": ["3", "2", "1"]}
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    part("a", user=["u"], item=pa.array([["1"]]))
    part("b", user=[7], item=pa.array([[2]], pa.large_list(pa.int64())))
    part("c", user=["w"], item=pa.nulls(1))
    part("d", user=["x"], item=pa.array([[]], pa.list_(pa.null())))
    assert read(Input(tmp_path, LISTS))[0] == {"u": ["1"], "7": ["2"], "w": [], "x": []}


def test_ratings_that_are_no_numbers_are_the_users_error(tmp_path: Path) -> None:
    rows = {"user": ["a", "b"], "item": [["1"], ["2"]], "rating": pa.array([["good"], ["4.5"]])}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    found, bad, _ = read(Input(tmp_path, LISTS.model_copy(update={"rating": "rating"})))
    assert (found, bad) == ({"a": ["1"], "b": ["2"]}, {"a"})


def test_nothing_is_read_where_every_user_is_bad(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["a", "b"], "item": [1.5, 2.5], "time": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(BadValueError, match=r"t\.parquet:1: column 'item' is 1\.5, expected text"):
        read(Input(tmp_path, FLAT))


def test_a_corrupt_page_is_named(tmp_path: Path) -> None:
    rows = pa.table({"user": [f"u{n}" for n in range(3000)], "item": ["i"] * 3000, "time": list(range(3000))})
    pq.write_table(rows, tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[100:4000] = b"\xff" * 3900
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: not a Parquet file"):
        read(Input(tmp_path, FLAT))
