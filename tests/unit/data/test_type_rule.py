"""One rule for ids and times: odd values, each in every reader, with the one right outcome."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.readers import Columns, read_histories, read_interactions, read_targets

pa = pytest.importorskip("pyarrow", reason="pip install 'zsrec[parquet]'")
pq = pytest.importorskip("pyarrow.parquet")

NAMES = Columns(user="user", item="item", time="time", rating=None)
REFUSED = None

# A value as Python, JSON or Parquet holds it, and the id that it is.
VALUES: dict[str, tuple[Any, str | None]] = {
    "text": ("m1", "m1"),
    "zeros in front": ("007", "007"),
    "a fraction's text": ("1.0", "1.0"),
    "blanks around": (" 7 ", "7"),
    "a tab behind": ("7\t", "7"),
    "blanks inside": ("a b", "a b"),
    "accents": ("é", "é"),
    "another script": ("東京", "東京"),
    "an emoji": ("🎬", "🎬"),
    "the text null": ("null", "null"),
    "the text None": ("None", "None"),
    "the text nan": ("nan", "nan"),
    "the text NA": ("NA", "NA"),
    "the text true": ("true", "true"),
    "a comma": ("a,b", "a,b"),
    "a quote": ('say "hi"', 'say "hi"'),
    "zero": (0, "0"),
    "a whole number": (7, "7"),
    "a negative number": (-1, "-1"),
    "a large number": (2**40, "1099511627776"),
    "the largest int64": (2**63 - 1, "9223372036854775807"),
    "an integral float": (1.0, "1"),
    "zero as float": (0.0, "0"),
    "minus zero": (-0.0, "0"),
    "a large integral float": (1e15, "1000000000000000"),
    "the largest exact float": (float(2**53 - 1), "9007199254740991"),
    "bytes": (b"m1", "m1"),
    "bytes beyond ASCII": ("é".encode(), "é"),
    "a whole decimal": (Decimal("3"), "3"),
    "a decimal with zeros": (Decimal("3.00"), "3"),
    "an inexact float": (float(2**53), REFUSED),
    "a fraction": (1.5, REFUSED),
    "a small fraction": (1e-9, REFUSED),
    "infinity": (float("inf"), REFUSED),
    "minus infinity": (float("-inf"), REFUSED),
    "NaN": (float("nan"), REFUSED),
    "null": (None, REFUSED),
    "true": (True, REFUSED),
    "false": (False, REFUSED),
    "empty text": ("", REFUSED),
    "blanks alone": ("  ", REFUSED),
    "no bytes": (b"", REFUSED),
    "bytes that are no text": (b"\xff\xfe", REFUSED),
    "a list": ([1], REFUSED),
    "an empty list": ([], REFUSED),
    "an object": ({"$oid": "5f"}, REFUSED),
    "a decimal fraction": (Decimal("3.5"), REFUSED),
    "a date": (date(2020, 1, 1), REFUSED),
    "a datetime": (datetime(2020, 1, 1, tzinfo=UTC), REFUSED),
}
# Values that only Python has.
PYTHON: dict[str, tuple[Any, str | None]] = {
    "numpy int": (np.int64(7), "7"),
    "numpy unsigned": (np.uint64(2**64 - 1), "18446744073709551615"),
    "numpy integral float": (np.float32(1.0), "1"),
    "numpy text": (np.str_("a"), "a"),
    "numpy bytes": (np.bytes_(b"a"), "a"),
    "an array without dimensions": (np.array(5), "5"),
    "a very large int": (2**70, str(2**70)),
    "numpy fraction": (np.float64(1.5), REFUSED),
    "numpy NaN": (np.float32("nan"), REFUSED),
    "numpy bool": (np.bool_(True), REFUSED),
    "an array": (np.array([5]), REFUSED),
    "a tuple": ((1,), REFUSED),
    "a range": (range(3), REFUSED),
    "a UUID": (uuid.UUID(int=5), REFUSED),
    "a complex number": (1 + 0j, REFUSED),
    "an instance": (object(), REFUSED),
    "a class": (int, REFUSED),
}
# Arrow types that hold a value in another way.
ARROW: dict[str, tuple[Any, str | None]] = {
    "large text": (pa.array(["m1"], pa.large_string()), "m1"),
    "a text view": (pa.array(["m1"], pa.string_view()), "m1"),
    "a dictionary of texts": (pa.array(["m1"]).dictionary_encode(), "m1"),
    "a dictionary of numbers": (pa.array([7]).dictionary_encode(), "7"),
    "a dictionary of fractions": (pa.array([1.5]).dictionary_encode(), REFUSED),
    "large bytes": (pa.array([b"m1"], pa.large_binary()), "m1"),
    "bytes of a fixed size": (pa.array([b"m1"], pa.binary(2)), "m1"),
    "int8": (pa.array([7], pa.int8()), "7"),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    "float32": (pa.array([7], pa.float32()), "7"),
    "half a float": (pa.array(np.array([7], np.float16)), "7"),
    "a null column": (pa.nulls(1), REFUSED),
    "a large list": (pa.array([[1]], pa.large_list(pa.int64())), REFUSED),
    "a time of day": (pa.array([1], pa.time32("s")), REFUSED),
    "a duration": (pa.array([1], pa.duration("s")), REFUSED),
    "a map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), REFUSED),
}


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path.with_suffix(".csv")


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path.with_suffix(".jsonl")


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


# Each reader gets rows with "user", "item", "time" and "title", and returns the (user, item) of every row.


def by_histories(path: Path) -> list[tuple[str, str]]:
    read = read_histories(path, columns=NAMES)
    return [(user, event.item) for user, history in read.items() for event in history.events]


def by_interactions(path: Path) -> list[tuple[str, str]]:
    known = read_interactions(path, columns=NAMES, max_malformed=0).interactions
    return [(known.users[u], known.items[i]) for u, i, _ in zip(*known.columns, strict=True)]


def by_targets(path: Path) -> list[tuple[str, str]]:
    known = [item for _, item in by_histories(path)]
    return list(read_targets(path, Ids(known)).items())


def by_catalog(path: Path) -> list[tuple[str, str]]:
    users = Catalog.from_file(path, id="user")
    return list(zip(users.ids, Catalog.from_file(path, id="item").ids, strict=True))


def python_catalog(user: object, item: object) -> list[tuple[str, str]]:
    first, second = Catalog([user], ["t"]), Catalog.from_items([{"id": item, "title": "t"}])  # type: ignore[list-item]
    return [(first.ids[0], second.ids[0])]


def python_interactions(user: object, item: object) -> list[tuple[str, str]]:
    known = Interactions.from_arrays([user], [item], [0])  # type: ignore[list-item]
    return [(known.users[0], known.items[0])]


def python_extended(user: object, item: object) -> list[tuple[str, str]]:
    known = Interactions.from_contacts([]).extended([(user, item, 0.0)])  # type: ignore[list-item]
    return [(known.users[0], known.items[0])]


def python_history(user: object, item: object) -> list[tuple[str, str]]:
    return [(History.of(user).events[0].item, History().with_events([item]).events[0].item)]  # type: ignore[arg-type, list-item]


FILES = [by_histories, by_interactions, by_targets, by_catalog]
CALLS = [python_catalog, python_interactions, python_extended, python_history]
Pairs = list[tuple[str, str]]
Reader = Callable[[Path], Pairs]
Call = Callable[[object, object], Pairs]


def check(
    read: Callable[[], list[tuple[str, str]]], expected: list[tuple[str, str]] | None, line: int | None
) -> None:
    if expected is not None:
        assert read() == expected
        return
    with pytest.raises((BadRowError, ConfigError)) as caught:
        read()
    if line is not None:
        assert isinstance(caught.value, DataError)
        assert caught.value.line == line
    assert caught.value.hint
    assert len(caught.value.message) < 400


def written(value: object, place: str, end: int) -> list[dict[str, Any]]:
    """A table whose last row holds a value as its user or item."""
    rows = [{"user": "u", "item": "i", "time": 5, "title": "t"}] * end
    return [*rows, {"user": "v", "item": "j", "time": 6, "title": "s"} | {place: value}]


def expect(value_id: str | None, place: str) -> list[tuple[str, str]] | None:
    if value_id is None:
        return None
    last = {"user": "v", "item": "j"} | {place: value_id}
    return [(last["user"], last["item"])]


@pytest.mark.parametrize("place", ["user", "item"])
@pytest.mark.parametrize("read", FILES)
@pytest.mark.parametrize("name", [name for name, (value, _) in VALUES.items() if isinstance(value, str)])
def test_text_in_csv(tmp_path: Path, name: str, read: Reader, place: str) -> None:
    value, outcome = VALUES[name]
    path = as_csv(tmp_path / "t", written(value, place, 0))
    check(lambda: read(path), expect(outcome, place), 2)


def is_json(value: object) -> bool:
    return not isinstance(value, bytes | Decimal | date)


@pytest.mark.parametrize("place", ["user", "item"])
@pytest.mark.parametrize("read", FILES)
@pytest.mark.parametrize("name", [name for name, (value, _) in VALUES.items() if is_json(value)])
def test_values_in_jsonl(tmp_path: Path, name: str, read: Reader, place: str) -> None:
    value, outcome = VALUES[name]
    path = as_jsonl(tmp_path / "t", written(value, place, 0))
    check(lambda: read(path), expect(outcome, place), 1)


@pytest.mark.parametrize("place", ["user", "item"])
@pytest.mark.parametrize("read", FILES)
@pytest.mark.parametrize("name", VALUES)
def test_values_in_parquet(tmp_path: Path, name: str, read: Reader, place: str) -> None:
    value, outcome = VALUES[name]
    path = as_parquet(tmp_path / "t", written(value, place, 0))
    check(lambda: read(path), expect(outcome, place), 1)


@pytest.mark.parametrize("read", FILES)
@pytest.mark.parametrize("name", ARROW)
def test_types_of_parquet(tmp_path: Path, name: str, read: Reader) -> None:
    column, outcome = ARROW[name]
    columns = {"user": column, "item": pa.array(["j"]), "time": pa.array([5]), "title": pa.array(["t"])}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    check(lambda: read(tmp_path / "t.parquet"), expect(outcome, "user"), 1)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", [*VALUES, *PYTHON])
def test_values_in_calls(name: str, call: Call) -> None:
    value, outcome = (VALUES | PYTHON)[name]
    check(lambda: call(value, "j"), expect(outcome, "user") and [(outcome or "", "j")], None)
    check(lambda: call("v", value), expect(outcome, "user") and [("v", outcome or "")], None)


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
def test_the_row_is_named(tmp_path: Path, write: Callable[[Path, list[dict[str, Any]]], Path]) -> None:
    path = write(tmp_path / "t", written("", "item", 40))
    line = 42 if path.suffix == ".csv" else 41
    with pytest.raises(BadRowError, match="column 'item' is empty") as caught:
        read_histories(path, columns=NAMES)
    assert caught.value.line == line
    with pytest.raises(BadRowError, match="column 'item' is empty; 1 of 41 rows") as caught:
        read_interactions(path, columns=NAMES)
    assert caught.value.line == line


# -- times --------------------------------------------------------------------------------------------

BASE = 1_577_836_800  # 2020-01-01
OFFSETS = [30, 10, 20, 86_400, 40]
ORDER = ["i1", "i2", "i0", "i4", "i3"]
MOMENTS = [datetime.fromtimestamp(BASE + offset, UTC) for offset in OFFSETS]
TIMES: dict[str, list[Any]] = {
    "seconds": [BASE + offset for offset in OFFSETS],
    "seconds as floats": [BASE + offset + 0.5 for offset in OFFSETS],
    "milliseconds": [(BASE + offset) * 10**3 for offset in OFFSETS],
    "microseconds": [(BASE + offset) * 10**6 for offset in OFFSETS],
    "nanoseconds": [(BASE + offset) * 10**9 for offset in OFFSETS],
    "seconds as text": [f" {BASE + offset} " for offset in OFFSETS],
    "milliseconds as text": [str((BASE + offset) * 10**3) for offset in OFFSETS],
    "ISO 8601": [one.isoformat() for one in MOMENTS],
    "ISO 8601 with Z": [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in MOMENTS],
    "ISO 8601 without a zone": [one.strftime("%Y-%m-%dT%H:%M:%S") for one in MOMENTS],
    "with a blank": [one.strftime("%Y-%m-%d %H:%M:%S") for one in MOMENTS],
    "with blanks around": [one.strftime("  %Y-%m-%d %H:%M:%S ") for one in MOMENTS],
    "with a fraction": [one.strftime("%Y-%m-%d %H:%M:%S.250") for one in MOMENTS],
    "in several zones": [
        one.astimezone(datetime.strptime(zone, "%z").tzinfo).isoformat()
        for one, zone in zip(MOMENTS, ["+0200", "-0500", "+0000", "+0530", "-0100"], strict=True)
    ],
}
ARROW_TIMES = {
    f"{unit} {zone or 'without a zone'}": pa.array(MOMENTS, pa.timestamp("us", "UTC")).cast(
        pa.timestamp(unit, zone)
    )
    for unit in ("s", "ms", "us", "ns")
    for zone in (None, "UTC", "+02:00")
} | {
    "a decimal": pa.array([Decimal(BASE + offset) for offset in OFFSETS]),
    "a dictionary of dates": pa.array([one.isoformat() for one in MOMENTS]).dictionary_encode(),
    "int32": pa.array([BASE + offset for offset in OFFSETS], pa.int32()),
}


def orders(path: Path) -> list[list[str]]:
    history = read_histories(path, columns=NAMES)["u"]
    known = read_interactions(path, columns=NAMES).interactions
    return [[event.item for event in history.events], [known.items[item] for item in known.items_of(0)]]


def rows_at(times: list[Any]) -> list[dict[str, Any]]:
    return [{"user": "u", "item": f"i{n}", "time": time} for n, time in enumerate(times)]


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
@pytest.mark.parametrize("name", TIMES)
def test_times_give_one_order(
    tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, Any]]], Path]
) -> None:
    path = write(tmp_path / "t", rows_at(TIMES[name]))
    assert orders(path) == [ORDER, ORDER]
    assert [
        int(event.time.timestamp()) - BASE
        for event in read_histories(path, columns=NAMES)["u"].events
        if event.time
    ] == sorted(OFFSETS)


@pytest.mark.parametrize("name", ARROW_TIMES)
def test_times_of_arrow_give_one_order(tmp_path: Path, name: str) -> None:
    rows = pa.table({"user": ["u"] * 5, "item": [f"i{n}" for n in range(5)], "time": ARROW_TIMES[name]})
    pq.write_table(rows, tmp_path / "t.parquet")
    assert orders(tmp_path / "t.parquet") == [ORDER, ORDER]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_of_arrow_give_one_order(tmp_path: Path, kind: Any) -> None:
    days = pa.array([date(2020, 1, 3), date(2020, 1, 1), date(2020, 1, 2)]).cast(kind)
    pq.write_table(pa.table({"user": ["u"] * 3, "item": ["a", "b", "c"], "time": days}), tmp_path / "t.parquet")
    assert orders(tmp_path / "t.parquet") == [["b", "c", "a"]] * 2


@pytest.mark.parametrize("time", [True, "noon", float("inf"), "inf", "nan", [5], {"$date": 5}, "1e999"])
def test_what_is_no_time_is_refused(tmp_path: Path, time: object) -> None:
    path = as_jsonl(tmp_path / "t", rows_at([5, time]))
    for read in (by_histories, by_interactions):
        with pytest.raises(BadRowError, match="column 'time' is ") as caught:
            read(path)
        assert caught.value.line == 2


@pytest.mark.parametrize(
    ("times", "match"),
    [
        ([5, 10**21], "column 'time': 1000000000000000000000 ns since 1970 is not between"),
        ([-(7 * 10**10), 5], "column 'time': -70000000000 s since 1970 is not between"),
        (["2020-01-01", 10**12], "dates are mixed with 1000000000000, .* would be ms"),
    ],
)
def test_times_of_no_unit_are_refused_with_the_value(tmp_path: Path, times: list[Any], match: str) -> None:
    path = as_jsonl(tmp_path / "t", rows_at(times))
    for read in (by_histories, by_interactions):
        with pytest.raises(DataError, match=match):
            read(path)


def test_a_unit_that_was_guessed_is_said(tmp_path: Path) -> None:
    read = read_interactions(as_csv(tmp_path / "t", rows_at(TIMES["milliseconds"])), columns=NAMES)
    assert read.time_unit == "ms"
    assert any("too large for seconds and were read as ms" in note for note in read.notes)
    assert read.interactions.columns.time.max() == BASE + max(OFFSETS)


def test_far_dates_stay_dates(tmp_path: Path) -> None:
    path = as_jsonl(tmp_path / "t", rows_at(["9999-12-31", "0001-01-02"]))
    assert orders(path) == [["i1", "i0"]] * 2


# -- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("read", FILES)
def test_line_ends_and_marks(tmp_path: Path, read: Reader, mark: bytes, end: str) -> None:
    lines = ["user,item,time,title", "u,i,5,t", "v,j,6,s", ""]
    (tmp_path / "t.csv").write_bytes(mark + end.join(lines).encode())
    assert read(tmp_path / "t.csv") == [("u", "i"), ("v", "j")]
    objects = [json.dumps({"user": u, "item": i, "time": 5, "title": "t"}) for u, i in ("ui", "vj")]
    (tmp_path / "t.jsonl").write_bytes(mark + end.join([*objects, ""]).encode())
    assert read(tmp_path / "t.jsonl") == [("u", "i"), ("v", "j")]


@pytest.mark.parametrize("read", FILES)
def test_a_needed_column_twice_is_refused(tmp_path: Path, read: Reader) -> None:
    (tmp_path / "t.csv").write_text("user,item,item,time,title\nu,i,j,5,t\n")
    (tmp_path / "t.jsonl").write_text('{"user": "u", "item": "i", "item": "j", "time": 5, "title": "t"}\n')
    columns = [pa.array(["u"]), pa.array(["i"]), pa.array(["j"]), pa.array([5]), pa.array(["t"])]
    pq.write_table(pa.table(columns, names=["user", "item", "item", "time", "title"]), tmp_path / "t.parquet")
    for suffix in ("csv", "jsonl", "parquet"):
        with pytest.raises(DataError, match="the column 'item' appears twice"):
            read(tmp_path / f"t.{suffix}")


def test_a_name_in_a_value_is_no_second_column(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"user": "item", "item": "user", "time": 5}\n')
    assert by_histories(tmp_path / "t.jsonl") == [("item", "user")]


@pytest.mark.parametrize("read", FILES)
def test_a_corrupt_parquet_file_is_named(tmp_path: Path, read: Reader) -> None:
    rows = [{"user": f"u{n}", "item": f"i{n}", "time": n, "title": "t"} for n in range(2000)]
    path = as_parquet(tmp_path / "t", rows)
    content = bytearray(path.read_bytes())
    content[200:3000] = b"\xff" * 2800
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: ") as caught:
        read(path)
    assert caught.value.hint


# -- any two readers agree ----------------------------------------------------------------------------

ids = st.one_of(st.integers(-5, 5), st.text("ab01 .é", max_size=3), st.sampled_from(["007", "1.0", "nan", "None"]))
whole = st.integers(0, 8 * 10**9)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(ids, ids, whole), min_size=1, max_size=12), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_readers_of_the_same_content_agree(
    tmp_path_factory: pytest.TempPathFactory, content: list[tuple[Any, Any, int]], unit: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    texts = [{"user": str(u), "item": str(i), "time": (t + 10**9) * unit} for u, i, t in content]
    typed = [{"user": u, "item": i, "time": (t + 10**9) * unit} for u, i, t in content]
    paths = [as_csv(folder / "a", texts), as_jsonl(folder / "a", typed), as_parquet(folder / "a", texts)]
    found = [outcome(path) for path in paths]
    assert found[0] == found[1] == found[2]
    if not isinstance(found[0], type):
        rows = [(row["user"], row["item"], row["time"] / unit) for row in typed]
        called = Interactions.from_contacts(rows)  # type: ignore[arg-type]
        # A time in nanoseconds has more digits than a float, whoever divides it.
        assert shown(called) == [(user, item, pytest.approx(time, abs=1e-5)) for user, item, time in found[0][0]]


def outcome(path: Path) -> Any:
    try:
        known = read_interactions(path, columns=NAMES, max_malformed=0).interactions
    except DataError as error:
        with pytest.raises(type(error)):
            read_histories(path, columns=NAMES)
        return type(error)
    histories = read_histories(path, columns=NAMES)
    for user, history in histories.items():
        firsts = list(dict.fromkeys(event.item for event in history.events))
        code = known.users.code(user)
        assert code is not None
        assert [known.items[item] for item in known.items_of(code)] == firsts
    return shown(known), {user: [event.item for event in one.events] for user, one in histories.items()}


def shown(known: Interactions) -> Any:
    user, item, time = known.columns
    rows = zip(user.tolist(), item.tolist(), time.tolist(), strict=True)
    return sorted((known.users[u], known.items[i], t) for u, i, t in rows)
