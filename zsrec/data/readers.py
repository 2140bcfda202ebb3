"""Readers of interaction tables: histories by user, interactions by column, one target per user."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import BadRowError, BadValueError, DataError
from zsrec.data.blocks import Block, Coded, in_seconds, read_blocks
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Arrays, Codes, Ids, Interactions
from zsrec.data.tables import Columns as Columns
from zsrec.data.tables import Layout

MAX_UNKNOWN = 0.05
MAX_MALFORMED = 0.01


def read_histories(
    path: str | Path,
    *,
    columns: Columns | None = None,
    users: Collection[str] | None = None,
    liked_from: float | None = None,
    disliked_to: float | None = None,
    encoding: str = "utf-8",
    layout: Layout | None = None,
    errors: dict[str, BadValueError] | None = None,
) -> dict[str, History]:
    """Read every user's history, each in the order of time.

    Events of one user at the same time keep the file's order: times tie often (almost half of ML-1M's do), and an
    order by item id would leak into an evaluation. Events without a time come first.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        columns: The names of its columns; MovieLens' by default.
        users: Only these users; all by default.
        liked_from: Ratings of at least this are `liked`.
        disliked_to: Ratings of at most this are `disliked`. Ratings between the two are `seen`.
        encoding: Of text formats.
        layout: The format of a text table, instead of the suffix.
        errors: Filled with the first error of each user who has a value that is not valid; such users are left out
            of the result. None raises the first error of all.

    Returns:
        Histories by user id, users in the order in which the file first names them.

    Raises:
        DataError: With file and line: a missing column, an empty user, a value that is no id, time or number.
    """
    columns = columns or Columns()
    table, path = Table(), Path(path)

    def on_bad(error: BadRowError) -> None:
        if errors is None or not isinstance(error, BadValueError) or error.user is None:
            raise error
        errors.setdefault(error.user, error)

    for block in read_blocks(path, columns, encoding=encoding, layout=layout, on_bad=on_bad):
        table.add(block)
    sorted_rows = table.by_user(path, columns.time)
    wanted = None if users is None else frozenset(users)
    histories = {}
    for code, user in enumerate(sorted_rows.users):
        rows = slice(*sorted_rows.starts[code : code + 2].tolist())
        if rows.start == rows.stop or user in (errors or ()) or (wanted is not None and user not in wanted):
            continue
        events = tuple(
            Event(
                item=sorted_rows.item_ids[item],
                by="id",
                time=None if time != time else datetime.fromtimestamp(time, UTC),
                rating=rating if rating == rating else None,
                feedback=feedback_of(rating, liked_from, disliked_to),
            )
            for item, time, rating in zip(
                sorted_rows.items[rows].tolist(),
                sorted_rows.times[rows].tolist(),
                sorted_rows.ratings[rows].tolist(),
                strict=True,
            )
        )
        histories[user] = History(user=user, events=events)
    return histories


def feedback_of(rating: float | None, liked_from: float | None, disliked_to: float | None) -> Feedback:
    """Return what a rating says: "seen" if there is none (None or NaN), and between the two limits."""
    if rating is not None and liked_from is not None and rating >= liked_from:
        return Feedback.LIKED
    if rating is not None and disliked_to is not None and rating <= disliked_to:
        return Feedback.DISLIKED
    return Feedback.SEEN


@dataclass(frozen=True)
class ReadResult:
    """Interactions, and what was left out of them."""

    interactions: Interactions
    rows: int
    unknown: int = 0
    first_unknown: tuple[int, str] | None = None
    repeated: int = 0
    malformed: int = 0
    first_malformed: tuple[int, str] | None = None
    time_unit: str = "s"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read and what was left out, in plain words."""
        notes = [f"{len(self.interactions):,} interactions read from {self.rows:,} rows"]
        if self.first_malformed is not None:
            line, wrong = self.first_malformed
            notes.append(f"{self.malformed:,} rows cannot be read (line {line:,}: {wrong}); left out")
        if self.first_unknown is not None:
            line, item = self.first_unknown
            notes.append(
                f"{self.unknown:,} rows name items that the catalog lacks (line {line:,}: {item!r}); left out"
            )
        if self.repeated:
            notes.append(f"{self.repeated:,} rows repeat a user and an item; the first contact counts")
        if self.time_unit != "s":
            notes.append(f"times are too large for seconds and were read as {self.time_unit}")
        return tuple(notes)


def read_interactions(
    path: str | Path,
    *,
    columns: Columns | None = None,
    catalog: Ids | None = None,
    max_unknown: float = MAX_UNKNOWN,
    max_malformed: float = MAX_MALFORMED,
    encoding: str = "utf-8",
    layout: Layout | None = None,
) -> ReadResult:
    """Read a table of interactions.

    With pyarrow, text tables without quotes are read at about a million rows per second; without it, or with
    quotes, the same result takes about ten times as long.
    """
    columns, path = columns or Columns(), Path(path)
    table, bad = Table(catalog), list[BadRowError]()
    rows = unknown = 0
    first_unknown: tuple[int, str] | None = None
    blocks = read_blocks(
        path,
        columns.model_copy(update={"rating": None}),
        encoding=encoding,
        layout=layout,
        needs_time=columns.time is not None,
        on_bad=bad.append,
    )
    for block in blocks:
        rows += len(block.lines)
        missing = table.add(block)
        if len(missing) and first_unknown is None:
            first = int(missing[0])
            first_unknown = int(block.lines[first]), block.items.values[block.items.places[first]]
        unknown += len(missing)
    rows += len(bad)
    if bad and len(bad) > max_malformed * rows:
        raise BadRowError(
            f"{_problem(bad[0])}; {len(bad):,} of {rows:,} rows cannot be read",
            path=path,
            line=bad[0].line,
            hint=f"{bad[0].hint}; at most {max_malformed:.1%} of the rows may be left out",
        )
    if first_unknown and unknown > max_unknown * rows:
        raise DataError(
            f"{unknown:,} of {rows:,} rows name items that are not in the catalog, the first {first_unknown[1]!r}",
            path=path,
            line=first_unknown[0],
            hint=f"at most {max_unknown:.0%} may be left out: check the catalog and the item column's name",
        )
    user_codes, item_codes, times, _ = table.columns()
    times, unit = table.in_seconds(times, path, columns.time)
    arrays = Arrays(user_codes, item_codes, np.nan_to_num(times, nan=0.0))
    read = Interactions(Ids(table.users), catalog or Ids(table.items), arrays)
    first_bad = (bad[0].line or 0, _problem(bad[0])) if bad else None
    return ReadResult(read, rows, unknown, first_unknown, len(arrays.time) - len(read), len(bad), first_bad, unit)


def _problem(error: BadRowError) -> str:
    """Return what is wrong without the place."""
    return error.message.removeprefix(f"{error.path}:{error.line}: ")


def read_targets(path: str | Path, catalog: Ids, *, user: str = "user", item: str = "item") -> dict[str, str]:
    """Read one target item per user."""
    targets: dict[str, str] = {}
    for block in read_blocks(Path(path), Columns(user=user, item=item, time=None, rating=None)):
        for line, one, place in zip(block.lines, block.users.places, block.items.places, strict=True):
            name, target = block.users.values[one], block.items.values[place]
            if name in targets:
                wrong, hint = f"the user {name!r} has a target already", "keep one row per user"
            elif target not in catalog:
                wrong = f"the item {target!r} is not in the catalog"
                hint = "add it to the catalog, or leave the target out"
            else:
                targets[name] = target
                continue
            raise BadRowError(wrong, path=path, line=int(line), hint=hint)
    return targets


class SortedRows(NamedTuple):
    """Rows by user and time: `items[starts[n]:starts[n + 1]]` are the codes of user n's items, oldest first."""

    users: list[str]
    item_ids: list[str]
    starts: NDArray[np.int64]
    items: Codes
    times: NDArray[np.float64]
    ratings: NDArray[np.float64]


class Table:
    """The columns of a table while its blocks are read; with `known` items, rows of other items are left out."""

    def __init__(self, known: Ids | None = None) -> None:
        self._open = known is None
        self.users: dict[str, int] = {}
        self.items = {} if known is None else {one: code for code, one in enumerate(known.ids)}
        self.has_numbers = self.has_dates = False  # among the times
        self._parts: list[tuple[Codes, Codes, NDArray[np.float64], NDArray[np.float64]]] = []

    def add(self, block: Block) -> NDArray[np.int64]:
        """Add a block's rows; return the indices of those whose item is unknown."""
        user_codes = _codes(self.users, block.users, extend=True)
        item_codes = _codes(self.items, block.items, extend=self._open)
        known = item_codes >= 0
        self._parts.append((user_codes[known], item_codes[known], block.times[known], block.ratings[known]))
        self.has_numbers |= block.numeric_times > 0
        self.has_dates |= block.numeric_times < int(np.count_nonzero(~np.isnan(block.times)))
        return np.flatnonzero(~known)

    def columns(self) -> tuple[Codes, Codes, NDArray[np.float64], NDArray[np.float64]]:
        """Return users, items, times and ratings, and forget the blocks."""
        empty = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0), np.zeros(0))
        columns = [np.concatenate(column) for column in zip(*(self._parts or [empty]), strict=True)]
        self._parts.clear()
        return columns[0], columns[1], columns[2], columns[3]

    def by_user(self, path: Path, time_column: str | None) -> SortedRows:
        """Return the rows by user and time; times that tie keep the file's order, absent ones come first."""
        users, items, times, ratings = self.columns()
        times, _ = self.in_seconds(times, path, time_column)
        order = np.lexsort((np.nan_to_num(times, nan=-np.inf), users))
        starts = np.searchsorted(users[order], np.arange(len(self.users) + 1))
        return SortedRows(list(self.users), list(self.items), starts, items[order], times[order], ratings[order])

    def in_seconds(
        self, times: NDArray[np.float64], path: str | Path, column: str | None
    ) -> tuple[NDArray[np.float64], str]:
        """Return times in seconds, and the unit of the file's (`zsrec.data.blocks.in_seconds`)."""
        if not self.has_numbers:
            return times, "s"
        return in_seconds(times, path, column or "", mixed=self.has_dates)


def _codes(known: dict[str, int], column: Coded, *, extend: bool) -> Codes:
    if extend:
        codes = [known.setdefault(one, len(known)) for one in column.values]
    else:
        codes = [known.get(one, -1) for one in column.values]
    return np.array(codes, dtype=np.int32)[column.places]
