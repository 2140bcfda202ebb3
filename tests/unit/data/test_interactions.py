from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import BadRowError, ConfigError, DataError, MissingColumnError
from zsrec.data.history import Event, History
from zsrec.data.interactions import Arrays, Contact, Csr, Ids, Interactions
from zsrec.data.readers import Columns, read_interactions

PLAIN = Columns(user="user", item="item", time="timestamp", rating=None)
contacts = st.lists(
    st.builds(
        Contact,
        user=st.sampled_from(["a", "b", "c", "d"]),
        item=st.sampled_from(["1", "2", "3", "4", "5"]),
        time=st.integers(0, 9).map(float),
    ),
    max_size=40,
)


def pairs(known: Interactions) -> dict[tuple[str, str], float]:
    user, item, time = known.columns
    return {(known.users[u], known.items[i]): t for u, i, t in zip(user, item, time.tolist(), strict=True)}


def first_times(rows: list[Contact]) -> dict[tuple[str, str], float]:
    times: dict[tuple[str, str], float] = {}
    for row in rows:
        times[row.user, row.item] = min(row.time, times.get((row.user, row.item), row.time))
    return times


@settings(deadline=None)
@given(contacts)
def test_a_pair_counts_once_at_its_first_time(rows: list[Contact]) -> None:
    known = Interactions.from_contacts(rows)
    assert pairs(known) == first_times(rows)
    assert len(known) == len(known.columns.user)


@settings(deadline=None)
@given(contacts, st.integers(1, 5))
def test_growing_step_by_step_equals_reading_at_once(rows: list[Contact], step: int) -> None:
    rows = sorted(rows, key=lambda row: row.time)  # contacts come as time goes on
    grown = Interactions.from_contacts(rows[:1], catalog=Ids("12345"))
    for start in range(1, len(rows), step):
        grown = grown.extended(rows[start : start + step])
    whole = Interactions.from_contacts(rows, catalog=Ids("12345"))
    assert pairs(grown) == pairs(whole)
    assert grown.users_per_item.tolist() == whole.users_per_item.tolist()
    assert grown.items_per_user.tolist() == whole.items_per_user.tolist()
    for name in "abcd":
        user = whole.users.code(name)
        if user is not None:
            assert sorted(grown.items_of(user)) == sorted(whole.items_of(user))
    for item in range(5):
        assert sorted(grown.users_of(item)) == sorted(whole.users_of(item))


def test_extending_leaves_the_old_one_alone_and_takes_new_items_and_users() -> None:
    old = Interactions.from_contacts([Contact("a", "1", 5.0)])
    new = old.extended([Contact("b", "2", 6.0), Contact("a", "1", 1.0)])
    assert pairs(old) == {("a", "1"): 5.0}
    assert pairs(new) == {("a", "1"): 5.0, ("b", "2"): 6.0}
    assert list(new.items.ids) == ["1", "2"]
    longer = old.extended([], items=Ids(["1", "x"]))
    assert longer.users_per_item.tolist() == [1, 0]
    with pytest.raises(ConfigError, match="do not begin"):
        old.extended([], items=Ids(["x", "1"]))


def test_segments_stay_few() -> None:
    known = Interactions.from_contacts([Contact("a", "0", 0.0)])
    for event in range(1, 300):
        known = known.extended([Contact(f"u{event % 7}", str(event), float(event))])
    assert len(known) == 300
    assert len(known.items_by_user) <= 9


def test_before_and_where() -> None:
    known = Interactions.from_contacts([Contact("a", "1", 1.0), Contact("a", "2", 2.0), Contact("b", "1", 3.0)])
    assert pairs(known.before(2.0)) == {("a", "1"): 1.0}
    assert len(known.before(0.0)) == 0
    assert pairs(known.where(known.columns.time > 2.5)) == {("b", "1"): 3.0}


def test_items_of_a_user_are_oldest_first() -> None:
    known = Interactions.from_arrays("aaab", ["9", "7", "8", "7"], [3, 1, 2, 0])
    assert [known.items[code] for code in known.items_of(0)] == ["7", "8", "9"]
    assert [known.users[code] for code in known.users_of(known.items.code("7") or 0)] == ["b", "a"]


def test_from_histories_keeps_the_order_of_events_without_times() -> None:
    history = History(
        events=(
            Event(item="2", by="id", time=datetime(2020, 1, 1, tzinfo=UTC)),
            Event(item="1", by="id"),
            Event(item="Heat", by="title"),
            Event(item="3", by="either"),
        )
    )
    known = Interactions.from_histories({"u": history})
    assert [known.items[code] for code in known.items_of(0)] == ["2", "1", "3"]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (Arrays(np.array([0], np.int32), np.array([0, 0], np.int32), np.zeros(1)), "different lengths"),
        (Arrays(np.array([1], np.int32), np.array([0], np.int32), np.zeros(1)), "code of a user"),
        (Arrays(np.array([0], np.int32), np.array([-1], np.int32), np.zeros(1)), "code of a item"),
        (Arrays(np.array([0], np.int32), np.array([0], np.int32), np.array([np.nan])), "not finite"),
    ],
)
def test_wrong_columns_are_refused(columns: Arrays, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Interactions(Ids("a"), Ids("1"), columns)


def test_csr_gathers_rows_that_are_there_and_those_that_are_not() -> None:
    table, _ = Csr.build(np.array([5, 2, 5], np.int32), np.array([7, 8, 9], np.int32))
    assert table.row(5).tolist() == [7, 9]
    assert table.row(3).tolist() == []
    values, lengths = table.gather(np.array([9, 5, 0, 2], np.int32))
    assert (values.tolist(), lengths.tolist()) == ([7, 9, 8], [0, 2, 0, 1])
    empty, _ = Csr.build(np.zeros(0, np.int32), np.zeros(0, np.int32))
    assert empty.gather(np.array([1], np.int32)).lengths.tolist() == [0]


def test_ids_hash_by_text_and_seed_only() -> None:
    one, other = Ids(["a", "b", "\ud800"]), Ids(["b", "a"])
    assert one.hashes([0]) == other.hashes([1])
    assert one.hashes([0], seed=1) != one.hashes([0], seed=2)
    assert len(set(one.hashes(range(3)).tolist())) == 3


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_reading_counts_what_it_passes_over(tmp_path: Path) -> None:
    rows = "".join(f"u{n},1,{n}\n" for n in range(40))
    path = write(
        tmp_path / "i.csv", f"user,item,timestamp\n{rows}u1, 1 ,99\nu1,gone,5\nu2,2,2020-01-01T00:00:00Z\n"
    )
    read = read_interactions(path, columns=PLAIN, catalog=Ids(["1", "2"]))
    assert (read.rows, read.unknown, read.first_unknown, read.repeated) == (43, 1, (43, "gone"), 1)
    assert pairs(read.interactions)["u2", "2"] == 1577836800.0
    assert len(read_interactions(path, columns=PLAIN).interactions.items) == 3


def test_reading_stops_where_too_much_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", "user,item,timestamp\na,1,1\na,x,2\nb,y,3\n")
    with pytest.raises(DataError, match=r"i\.csv:3: 2 of 3 rows .* the first 'x'"):
        read_interactions(path, columns=PLAIN, catalog=Ids(["1"]))
    assert len(read_interactions(path, columns=PLAIN, catalog=Ids(["1"]), max_unknown=1.0).interactions) == 1


@pytest.mark.parametrize("row", ["a,1,noon", "a,1,", "a,1,nan", "a,1,inf", ",1,3", "a, ,3"])
def test_a_malformed_row_is_named_by_line(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "i.csv", f"user,item,timestamp\na,2,1\n{row}\n")
    with pytest.raises(BadRowError, match=r"i\.csv:3: ") as error:
        read_interactions(path, columns=PLAIN)
    assert error.value.hint


def test_reading_json_takes_numbers_as_ids_and_no_times(tmp_path: Path) -> None:
    path = write(
        tmp_path / "i.jsonl", '{"user": 7, "item": 1}\n{"user": "7", "item": "1"}\n{"user": 8, "item": 1}\n'
    )
    read = read_interactions(path, columns=Columns(user="user", item="item", time=None, rating=None))
    assert pairs(read.interactions) == {("7", "1"): 0.0, ("8", "1"): 0.0}
    with pytest.raises(MissingColumnError):
        read_interactions(path, columns=PLAIN)


def test_movielens_reads_whole(test_data: Path) -> None:
    read = read_interactions(test_data / "ml-latest-small" / "ratings.csv")
    assert len(read.interactions) == read.rows - read.repeated
    assert (read.rows, read.unknown) == (100_836, 0)
