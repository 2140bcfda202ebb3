"""The input of a batch job: Parquet files of interactions or of one row per user, read as chunks of histories.

Columns are sorted and split as arrays, never row by row: a million users' rows take seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.data.readers import Columns
from zsrec.data.tables import check_columns
from zsrec.serving.batch_rows import arrow

MOST_MALFORMED = 0.01
"""The largest share of rows that may be skipped."""

_BATCH = 1 << 16


@dataclass(frozen=True)
class Input:
    """Where the users come from.

    The item column decides the layout: with one item per row, rows are interactions, which are sorted by time;
    with a list per row, a row is a user, and the list is the history, oldest first.

    Attributes:
        path: A .parquet file, or a folder with some at any depth; names that start with "_" or "." are skipped.
        columns: The names of its columns. `time` is read with one item per row only: a timestamp, a date or a
            number. `rating` is a number, or a list of numbers as long as the item list.
    """

    path: Path
    columns: Columns = field(default_factory=Columns)

    def files(self) -> tuple[Path, ...]:
        """The files, sorted by name; `DataError` where there is none."""
        if self.path.is_file():
            return (self.path,)
        found = [
            path for path in sorted(self.path.rglob("*.parquet"))
            if not any(part[0] in "_." for part in path.relative_to(self.path).parts)
        ]  # fmt: skip
        if not found:
            raise DataError("no Parquet file", path=self.path, hint="name a .parquet file or a folder with some")
        return tuple(found)

    def fingerprint(self) -> dict[str, str]:
        """A hash of every file's size and footer, by name: cheap, and other data have another footer."""
        return {
            str(path.relative_to(self.path)) if path != self.path else path.name: _footer(path)
            for path in self.files()
        }


@dataclass
class Counts:
    """What was read, and what was skipped."""

    rows: int = 0
    users: int = 0
    malformed: int = 0
    duplicates: int = 0
    empty_items: int = 0
    empty_histories: int = 0
    layout: str = "interactions"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read and skipped, as sentences."""
        notes = [f"{self.users:,} users read from {self.rows:,} rows ({self.layout})"]
        for count, what in (
            (self.malformed, "rows without a user or an item were left out"),
            (self.duplicates, "rows repeat a user; the first one counts"),
            (self.empty_items, "entries of histories name no item; left out"),
            (self.empty_histories, "users have an empty history"),
        ):
            if count:
                notes.append(f"{count:,} {what}")
        return tuple(notes)


class Part(NamedTuple):
    """Users with their histories: `items[starts[n]:starts[n + 1]]` are user n's, oldest first; so are ratings."""

    users: Any
    starts: NDArray[np.int64]
    items: Any
    ratings: Any


def read_parts(source: Input, size: int, counts: Counts) -> Iterator[Part]:
    """The users in chunks of `size` (the last may be smaller), in the order of their first row; fills `counts`."""
    pa = arrow()
    files = source.files()
    kinds = {_layout(path, source.columns) for path in files}
    if len(kinds) > 1:
        raise DataError("some files have lists of items and some single ones", path=source.path)
    try:
        if kinds == {"lists"}:
            counts.layout = "lists"
            yield from _by_user(files, source.columns, size, counts)
        else:
            yield from _by_interaction(files, source.columns, size, counts)
    except pa.ArrowException as error:
        raise DataError(f"cannot be read: {error}", path=source.path) from None


def _layout(path: Path, columns: Columns) -> str:
    pa = arrow()
    found = _schema(path)
    check_columns(path, None, found.names, (columns.user, columns.item))
    kind = found.field(columns.item).type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    needed = [name for name in (None if lists else columns.time, columns.rating) if name is not None]
    check_columns(path, None, found.names, needed, "leave time or rating empty in --columns if absent")
    if not lists and columns.time is not None:
        time = found.field(columns.time).type
        fits = pa.types.is_temporal(time) or pa.types.is_integer(time) or pa.types.is_floating(time)
        if not fits or pa.types.is_time(time):
            raise DataError(
                f"column {columns.time!r} is {time}, not a time",
                path=path,
                hint="store timestamps, dates or numbers",
            )
    return "lists" if lists else "interactions"


def _schema(path: Path) -> Any:  # noqa: ANN401
    pa = arrow()
    try:
        return pa.parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a Parquet file: {error}", path=path) from None


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    with arrow().parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=_BATCH, columns=columns)


def _text(column: Any) -> Any:  # noqa: ANN401
    """A column as text without blanks around it; null where nothing is left."""
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column.cast(arrow().string()))
    return pc.if_else(pc.equal(column, ""), None, column)


def _by_interaction(files: tuple[Path, ...], columns: Columns, size: int, counts: Counts) -> Iterator[Part]:
    pa = arrow()
    import pyarrow.compute as pc

    named = [name for name in (columns.user, columns.item, columns.time, columns.rating) if name]
    users, items, times, ratings = [], [], [], []
    first_bad: tuple[Path, int] | None = None
    for path in files:
        row = 0
        for batch in _batches(path, named):
            user, item = _text(batch[columns.user]), _text(batch[columns.item])
            good = pc.and_(user.is_valid(), item.is_valid())
            bad = len(batch) - (pc.sum(good).as_py() or 0)
            if bad and first_bad is None:
                first_bad = (path, row + pc.index(good, False).as_py() + 1)
            counts.rows += len(batch)
            counts.malformed += bad
            row += len(batch)
            users.append(user.filter(good).dictionary_encode())
            items.append(item.filter(good).dictionary_encode())
            if columns.time:
                times.append(_moments(batch[columns.time]).filter(good))
            if columns.rating:
                ratings.append(batch[columns.rating].cast(pa.float64()).filter(good))
    _check(counts, first_bad)
    user_codes, user_ids = _coded(users)
    item_codes, item_ids = _coded(items)
    # The order of time; ties keep the file's order, and a missing time counts as the earliest.
    time = _numbers(times)
    keys = (user_codes,) if time is None else (np.nan_to_num(time, nan=-np.inf, posinf=np.inf), user_codes)
    order = np.lexsort(keys)
    starts = np.searchsorted(user_codes[order], np.arange(len(user_ids) + 1))
    rating = pa.chunked_array(ratings, pa.float64()).combine_chunks() if ratings else None
    counts.users = len(user_ids)
    for begin in range(0, len(user_ids), size):
        end = min(begin + size, len(user_ids))
        rows = order[starts[begin] : starts[end]]
        yield Part(
            user_ids[begin:end],
            starts[begin : end + 1] - starts[begin],
            item_ids.take(pa.array(item_codes[rows])),
            None if rating is None else rating.take(pa.array(rows)),
        )


def _moments(column: Any) -> Any:  # noqa: ANN401
    """Times as numbers in the same order."""
    pa = arrow()
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None))).cast(pa.int64())
    return column.cast(pa.float64())


def _coded(parts: list[Any]) -> tuple[NDArray[np.int64], Any]:
    """The codes of a column and their values, numbered by first occurrence."""
    pa = arrow()
    if not parts:
        return np.zeros(0, np.int64), pa.array([], pa.string())
    whole = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # pyarrow before 25 where there are no rows at all
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    return whole.indices.to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary


def _numbers(parts: list[Any]) -> NDArray[np.float64] | None:
    if not parts:
        return None
    return np.concatenate([part.to_numpy(zero_copy_only=False).astype(np.float64) for part in parts])


def _by_user(files: tuple[Path, ...], columns: Columns, size: int, counts: Counts) -> Iterator[Part]:
    pa = arrow()
    import pyarrow.compute as pc

    named = [name for name in (columns.user, columns.item, columns.rating) if name]
    keep = _first_rows(files, columns.user, counts)
    first_bad: tuple[Path, int] | None = None
    done = 0
    waiting: list[Any] = []
    for path in files:
        row = 0
        for batch in _batches(path, named):
            kept = keep[done : done + len(batch)].copy()
            bad = ~_text(batch[columns.user]).is_valid().to_numpy(zero_copy_only=False)
            if columns.rating:
                lengths = [pc.fill_null(pc.list_value_length(batch[name]), 0) for name in named[1:]]
                other = pc.not_equal(*lengths).to_numpy(zero_copy_only=False)
                bad |= other & kept
                kept &= ~other
            if bad.any() and first_bad is None:
                first_bad = (path, row + int(np.argmax(bad)) + 1)
            counts.malformed += int(bad.sum())
            done += len(batch)
            row += len(batch)
            waiting.append(pa.table(batch.filter(pa.array(kept)).select(named)))
            if sum(map(len, waiting)) >= size:
                whole = pa.concat_tables(waiting)
                full = len(whole) - len(whole) % size
                for begin in range(0, full, size):
                    yield _lists(whole.slice(begin, size), columns, counts)
                waiting = [whole.slice(full)]
    _check(counts, first_bad)
    if waiting and len(rest := pa.concat_tables(waiting)):
        yield _lists(rest, columns, counts)


def _first_rows(files: tuple[Path, ...], user: str, counts: Counts) -> NDArray[np.bool_]:
    """Which rows, over all files, are the first one of their user."""
    users = [_text(batch[user]).dictionary_encode() for path in files for batch in _batches(path, [user])]
    counts.rows = sum(map(len, users))
    keep = np.zeros(counts.rows, dtype=bool)
    valid = np.concatenate([one.is_valid().to_numpy(zero_copy_only=False) for one in users] or [keep])
    codes, _ = _coded([one.filter(one.is_valid()) for one in users])
    places = np.flatnonzero(valid)
    _, firsts = np.unique(codes, return_index=True)
    keep[places[firsts]] = True
    counts.duplicates = len(codes) - len(firsts)
    return keep


def _lists(rows: Any, columns: Columns, counts: Counts) -> Part:  # noqa: ANN401
    pa = arrow()
    import pyarrow.compute as pc

    rows = rows.combine_chunks()
    users, lists = _text(rows[columns.user]).combine_chunks(), rows[columns.item]
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    items = _text(pc.list_flatten(lists))
    ratings = None if columns.rating is None else pc.list_flatten(rows[columns.rating]).cast(pa.float64())
    good = items.is_valid()
    mask = good.to_numpy() if len(items) else np.zeros(0, bool)
    before = np.concatenate([[0], np.cumsum(mask)])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    starts = before[ends].astype(np.int64)
    counts.users += len(users)
    counts.empty_items += int(len(mask) - mask.sum())
    counts.empty_histories += int((np.diff(starts) == 0).sum())
    return Part(
        users, starts, items.filter(good).combine_chunks(),
        None if ratings is None else ratings.filter(good).combine_chunks(),
    )  # fmt: skip


def _check(counts: Counts, first_bad: tuple[Path, int] | None) -> None:
    if not counts.rows:
        raise DataError("the input has no rows", hint="check --input")
    skipped = counts.malformed + counts.duplicates
    if skipped > MOST_MALFORMED * counts.rows:
        path, line = first_bad or (None, None)
        raise BadRowError(
            f"{counts.malformed:,} of {counts.rows:,} rows lack a user or an item (or ratings of its length), "
            f"{counts.duplicates:,} repeat a user",
            path=path,
            line=line,
            hint=f"at most {MOST_MALFORMED:.0%} of the rows may be skipped: check the columns' names",
        )


def _footer(path: Path) -> str:
    """A hash of a Parquet file's size and footer, which says where all values lie and what they span."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            end = file.read(8)
            length = int.from_bytes(end[:4], "little")
            if end[4:] != b"PAR1" or length + 8 > size:
                raise DataError("not a Parquet file", path=path, hint="--input reads Parquet only")
            file.seek(size - 8 - length)
            return hashlib.sha256(size.to_bytes(8, "little") + file.read(length)).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint="check --input") from error
