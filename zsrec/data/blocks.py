"""Tables of interactions by column, in blocks: the one reader behind histories, interactions, targets and batches.

Every format ends in the same blocks under the same rule for ids and times (`zsrec.data.values`). Parquet and clean
text tables are read by pyarrow; a block of text with anything odd in it is read again row by row.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import BadRowError, BadValueError, DataError
from zsrec.data.tables import (
    UNIT,
    Columns,
    Layout,
    OnBad,
    Row,
    check_columns,
    complain,
    parquet_batches,
    read_lines,
    read_rows,
    suffix_layout,
    table_kind,
    undecodable,
)
from zsrec.data.values import EMPTY, as_id, as_number, as_time, unit_of

SIZE = 1 << 25
ENCODINGS = ("utf-8", "utf8", "utf-8-sig", "ascii", "latin-1", "latin1", "iso-8859-1", "cp1252")
_ROWS = 1 << 16
_EARLIEST = -62_135_596_800.0  # the year 1
_QUOTED = re.compile(r'"[^"]*"')
_BOM = b"\xef\xbb\xbf"


class Coded(NamedTuple):
    """A column of ids: its distinct values, and the index of each row's value among them; shape (rows,)."""

    values: Sequence[str]
    places: NDArray[np.int32]


class Block(NamedTuple):
    """A block of valid rows."""

    lines: NDArray[np.int64]
    users: Coded
    items: Coded
    times: NDArray[np.float64]
    ratings: NDArray[np.float64]
    numeric_times: int


def read_blocks(
    path: Path,
    names: Columns,
    *,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    layout: Layout | None = None,
    needs_time: bool = False,
    on_bad: OnBad | None = None,
    size: int = SIZE,
) -> Iterator[Block]:
    """Yield the rows of a table in the file's order; arguments and errors as in `zsrec.data.tables.read_rows`.

    With `needs_time`, a row without a time is a bad one. A block of text has about `size` bytes.
    """
    bad: list[BadRowError] = []

    def report() -> None:
        for error in sorted(bad, key=lambda error: error.line or 0):
            complain(error, on_bad)
        bad.clear()

    for lines, columns in _raw_blocks(path, names, encoding, delimiter, layout, size, bad.append):
        block = check_block(path, names, lines, columns, needs_time, bad.append)
        report()
        yield block
    report()


_Raw = tuple[NDArray[np.int64], list[Any]]  # lines, and the columns of `names.present` as Arrow arrays or lists


def _raw_blocks(
    path: Path,
    names: Columns,
    encoding: str,
    delimiter: str | None,
    layout: Layout | None,
    size: int,
    on_bad: OnBad,
) -> Iterator[_Raw]:
    kind = table_kind(path, layout)
    if kind == "parquet":
        line = 1
        for batch in parquet_batches(path, names.present, only=True):
            yield np.arange(line, line + len(batch)), [batch[name] for name in names.present]
            line += len(batch)
    elif kind == "jsonl" or not is_fast(encoding) or _is_small(path):
        rows = read_rows(
            path, columns=names.present, encoding=encoding, delimiter=delimiter, layout=layout, on_bad=on_bad
        )
        yield from _by_column(rows, names)
    else:
        try:
            yield from _text_blocks(path, layout or suffix_layout(path, delimiter), names, encoding, size, on_bad)
        except UnicodeError as error:
            raise undecodable(path, encoding, error) from None


def _by_column(rows: Iterator[Row], names: Columns) -> Iterator[_Raw]:
    while True:
        lines: list[int] = []
        columns: list[list[Any]] = [[] for _ in names.present]
        for line, row in islice(rows, _ROWS):
            lines.append(line)
            for values, name in zip(columns, names.present, strict=True):
                values.append(row[name])
        if not lines:
            return
        yield np.array(lines), columns


def check_block(
    path: Path, names: Columns, lines: NDArray[np.int64], columns: list[Any], needs_time: bool, on_bad: OnBad
) -> Block:
    """Return the valid rows of columns as they are in the file."""
    wrong: dict[int, str] = {}  # by row: what is wrong, in the first column where something is
    raw = dict(zip(names.present, columns, strict=True))

    def note(name: str, found: Mapping[int, str]) -> None:
        for row, problem in found.items():
            wrong.setdefault(row, f"column {name!r} {problem}")

    times = ratings = np.full(len(lines), np.nan)
    is_number = np.zeros(len(lines), dtype=bool)
    if names.time is not None:
        times, is_number, problems = _times(raw[names.time])
        note(names.time, problems)
        if needs_time:
            note(names.time, dict.fromkeys(np.flatnonzero(np.isnan(times)).tolist(), EMPTY))
    users, problems = read_ids(raw[names.user])
    note(names.user, problems)
    items, problems = read_ids(raw[names.item])
    note(names.item, problems)
    if names.rating is not None:
        ratings, problems = read_numbers(raw[names.rating])
        note(names.rating, problems)
    hint = "every row needs a user, an item and, with a time column, seconds since 1970 or ISO 8601"
    for row, problem in wrong.items():
        error = BadValueError(problem, path=path, line=int(lines[row]), hint=hint)
        error.user = None if users.places[row] < 0 else users.values[users.places[row]]
        error.is_empty = problem.endswith(EMPTY)
        on_bad(error)
    good = np.ones(len(lines), dtype=bool)
    good[list(wrong)] = False
    numeric = int(np.count_nonzero(is_number[good]))
    return Block(lines[good], _used(users, good), _used(items, good), times[good], ratings[good], numeric)


def read_ids(column: Any) -> tuple[Coded, dict[int, str]]:  # noqa: ANN401
    """Return a column (an Arrow array or a list) as ids, and what is wrong by row."""
    values, places = _distinct(column)
    ids: dict[str, int] = {}
    codes = np.full(len(values) + 1, -1, dtype=np.int32)  # the last one is null's
    problems = {len(values): EMPTY}
    for place, value in enumerate(values):
        try:
            codes[place] = ids.setdefault(as_id(value), len(ids))
        except ValueError as error:
            problems[place] = str(error)
    found = codes[places]
    return Coded(list(ids), found), {row: problems[places[row]] for row in np.flatnonzero(found < 0).tolist()}


def _times(column: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_], dict[int, str]]:  # noqa: ANN401
    """Return a column of times, which of them are plain numbers, and what is wrong by row."""
    if not isinstance(column, list):
        import pyarrow as pa

        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_timestamp(column.type):
            ticks = column.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            scale = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[column.type.unit]
            return ticks / scale, np.zeros(len(ticks), dtype=bool), {}
    dated, has_dates = np.zeros(len(column), dtype=bool), False

    def read(value: Any) -> float | None:  # noqa: ANN401
        nonlocal has_dates
        seconds, is_number = as_time(value)
        has_dates |= seconds is not None and not is_number
        return seconds

    times, problems = read_numbers(column, read)
    if has_dates:
        dated = read_numbers(column, lambda value: float(not as_time(value)[1]))[0] == 1.0
    return times, ~np.isnan(times) & ~dated, problems


def read_numbers(
    column: Any,  # noqa: ANN401
    read: Callable[[Any], float | None] = as_number,
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Return a column of numbers, NaN where absent, and what is wrong by row."""
    if (numbers := _as_floats(column)) is not None:
        infinite = np.flatnonzero(np.isinf(numbers)).tolist()
        return numbers, {row: f"is {numbers[row]}, expected a finite number" for row in infinite}
    values, places = _distinct(column)
    found = np.full(len(values) + 1, np.nan)
    problems: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            number = read(value)
        except ValueError as error:
            problems[place] = str(error)
        else:
            found[place] = np.nan if number is None else number
    bad = np.flatnonzero(np.isin(places, list(problems))).tolist() if problems else []
    return found[places], {row: problems[places[row]] for row in bad}


def _distinct(column: Any) -> tuple[Sequence[Any], NDArray[np.int32]]:  # noqa: ANN401
    """Return a column's distinct values, and each row's index among them; Arrow's null is beyond the values."""
    if isinstance(column, list):
        index: dict[Any, int] = {}
        try:
            if set(map(type, column)) <= {str}:
                places = [index.setdefault(value, len(index)) for value in column]
                return list(index), np.array(places, dtype=np.int32)
            places = [index.setdefault((type(value), value), len(index)) for value in column]  # 1 is not True
            return [value for _, value in index], np.array(places, dtype=np.int32)
        except TypeError:  # lists and objects
            return column, np.arange(len(column), dtype=np.int32)
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        try:
            column = column.dictionary_encode()
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError):  # lists and objects
            return _distinct(column.to_pylist())
    values = column.dictionary.to_pylist()
    indices = column.indices.fill_null(len(values)) if column.null_count else column.indices
    return values, indices.to_numpy(zero_copy_only=False).astype(np.int32)


def _as_floats(column: Any) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Return a column in which every value is a number as floats; None for any other."""
    if isinstance(column, list):
        if len(kinds := set(map(type, column))) == 1 and kinds <= {str, int, float}:
            try:
                numbers = np.array(list(map(float, column)))
            except (ValueError, OverflowError):
                return None
            return numbers if kinds == {float} or np.isfinite(numbers).all() else None
        return None
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.cast(pa.float64(), safe=False), dtype=np.float64)
    return None


def _used(column: Coded, rows: NDArray[np.bool_]) -> Coded:
    """Return the ids of some rows, without values that no row has."""
    if rows.all():
        return column
    places, codes = np.unique(column.places[rows], return_inverse=True)
    return Coded([column.values[place] for place in places.tolist()], codes.astype(np.int32))


def in_seconds(
    times: NDArray[np.float64], path: str | Path, column: str, *, mixed: bool
) -> tuple[NDArray[np.float64], str]:
    """Return a column of numeric times in seconds since 1970, and the unit that its largest one shows it to be in.

    The whole column has one unit, so its order stays. `mixed` columns hold dates too, which leaves only seconds;
    NaN is absent.
    """
    low, high = (float(reduce(times)) if len(times) else np.nan for reduce in (np.fmin.reduce, np.fmax.reduce))
    largest = 0.0 if np.isnan(low) else max(high, low, key=abs)
    unit, scale = unit_of(largest)
    if mixed and unit != "s":
        problem = f"dates are mixed with {largest:.0f}, which is too large for seconds and would be {unit}"
    elif not unit or low / scale < _EARLIEST:
        problem = f"{largest:.0f} {unit or 'ns'} since 1970 is not between the years 1 and 9999"
    else:
        return (times if scale == 1 else times / scale), unit
    hint = "write seconds, milliseconds, microseconds or nanoseconds since 1970, or ISO 8601"
    raise DataError(f"column {column!r}: {problem}", path=path, hint=hint)


def _is_small(path: Path) -> bool:
    """Return whether a file is read sooner than pyarrow is imported."""
    return "pyarrow" not in sys.modules and path.stat().st_size < 1 << 20


def is_fast(encoding: str) -> bool:
    """Return whether pyarrow can read text: it is installed, and byte 0x0A is always a line's end."""
    try:
        import pyarrow.csv  # noqa: F401
    except ImportError:
        return False
    return encoding.lower().replace("_", "-") in ENCODINGS


def _text_blocks(
    path: Path, layout: Layout, names: Columns, encoding: str, size: int, on_bad: OnBad
) -> Iterator[_Raw]:
    """Yield the columns of clean blocks as pyarrow reads them, and those of the others row by row."""
    columns = names.present
    line = 1
    with path.open("rb") as file:
        if not (encoding.lower().startswith("utf") and file.read(len(_BOM)) == _BOM):
            file.seek(0)
        while True:
            start = file.tell()
            block = file.readline() if layout.header is None else file.read(size) + file.readline()
            if not block and layout.header is not None:
                return
            is_header = layout.header is None
            if not block or (is_header and b"\r" in block.rstrip(b"\r\n")) or _may_hold_line_breaks(block, layout):
                file.seek(start)
                rest = io.TextIOWrapper(file, encoding, newline="")
                rows = read_lines(rest, layout, path=path, columns=columns, first_line=line, on_bad=on_bad)
                yield from _by_column(rows, names)
                return
            if layout.header is None:
                header = block.decode(encoding).strip("\r\n").split(layout.delimiter)
                layout = layout._replace(header=tuple(name.strip().strip('"').strip() for name in header))
                check_columns(path, line, layout.header or (), columns)
            elif clean := _clean(block, layout, line, names, encoding):
                yield clean
            else:
                lines = io.StringIO(block.decode(encoding), newline="")
                rows = read_lines(lines, layout, path=path, columns=columns, first_line=line, on_bad=on_bad)
                yield from _by_column(rows, names)
            line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def _may_hold_line_breaks(block: bytes, layout: Layout) -> bool:
    """Return whether a quoted field may span lines; names in a header between quotes do not."""
    if not layout.quotes:
        return False
    if layout.header is not None:
        return b'"' in block
    names = block.decode("latin-1").strip("\r\n").split(layout.delimiter)
    return any('"' in name and not _QUOTED.fullmatch(name) for name in names)


def _clean(block: bytes, layout: Layout, line: int, names: Columns, encoding: str) -> _Raw | None:
    """Return a block's columns as pyarrow reads them; None if its rows are not one clean line each."""
    import pyarrow
    from pyarrow import csv

    if block.count(b"\r") != block.count(b"\r\n"):
        return None  # lines would be counted wrong
    if not encoding.lower().startswith("utf"):
        block = block.decode(encoding).encode()
    if len(layout.delimiter) > 1:
        block = block.replace(layout.delimiter.encode(), UNIT.encode())
    numbers = [name for name in (names.time, names.rating) if name is not None]
    for kind in (pyarrow.float64(), pyarrow.string()):  # text only where something is no number: a date, "", "nan"
        ids = dict.fromkeys((names.user, names.item), pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
        types = ids | dict.fromkeys(numbers, kind)
        try:
            table = csv.read_csv(
                pyarrow.BufferReader(block),
                csv.ReadOptions(column_names=layout.header, block_size=len(block) + 1),
                csv.ParseOptions(
                    delimiter=UNIT if len(layout.delimiter) > 1 else layout.delimiter,
                    quote_char=False,
                    newlines_in_values=False,
                ),
                csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
            ).combine_chunks()
        except pyarrow.ArrowException:
            continue
        if len(table) != block.count(b"\n") + (not block.endswith(b"\n")):
            return None  # an empty line, or another line end: lines would be counted wrong
        columns = [table[name].combine_chunks() for name in names.present]
        if kind == pyarrow.string() or all(np.isfinite(column).all() for column in columns[2:]):
            return np.arange(line, line + len(table)), columns
    return None
