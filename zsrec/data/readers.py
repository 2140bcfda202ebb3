"""Histories from a table of interactions (user, item, time, rating)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from zsrec.core.errors import BadRowError, DataError
from zsrec.core.types import Frozen
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Arrays, Codes, Ids, Interactions
from zsrec.data.tables import (
    SUFFIXES,
    Block,
    Coded,
    Layout,
    Row,
    is_fast,
    read_blocks,
    read_rows,
    suffix_layout,
    undecodable,
)


class Columns(Frozen):
    """The names of an interactions table's columns; the defaults are MovieLens'.

    Attributes:
        user: The user's id.
        item: The item's id, as in the catalog.
        time: Seconds since 1970 or ISO 8601; None where the table has no times.
        rating: A number; None where the table has no ratings.
    """

    user: str = "userId"
    item: str = "movieId"
    time: str | None = "timestamp"
    rating: str | None = "rating"


def read_histories(
    path: str | Path,
    *,
    columns: Columns | None = None,
    users: Collection[str] | None = None,
    liked_from: float | None = None,
    disliked_to: float | None = None,
    encoding: str = "utf-8",
    layout: Layout | None = None,
) -> dict[str, History]:
    """Reads every user's history, each in the order of time.

    Events of one user at the same time keep the file's order: times tie often (almost half of ML-1M's do),
    and an order by item id would leak into an evaluation.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        columns: The names of its columns; MovieLens' by default.
        users: Only these users; all of them by default.
        liked_from: Ratings of at least this are `liked`.
        disliked_to: Ratings of at most this are `disliked`. Ratings between the two are `seen`.
        encoding: Of text formats.
        layout: How a text table is written, where its suffix does not tell.

    Returns:
        Histories by user id, users in the order in which the file first names them.

    Raises:
        DataError: With file and line: a missing column, an empty id, a time or rating that is no number.
    """
    columns = columns or Columns()
    named = [name for name in (columns.user, columns.item, columns.time, columns.rating) if name]
    wanted = None if users is None else frozenset(users)
    events: dict[str, list[Event]] = {}
    for line, row in read_rows(path, columns=named, encoding=encoding, layout=layout):
        user, item = str(row[columns.user]).strip(), str(row[columns.item]).strip()
        if not user or not item:
            raise BadRowError(
                "the user or the item is empty", path=path, line=line, hint="every row needs both ids"
            )
        if wanted is not None and user not in wanted:
            continue
        rating = None if columns.rating is None else _number(row[columns.rating], columns.rating, path, line)
        event = Event(
            item=item,
            by="id",
            time=None if columns.time is None else _time(row[columns.time], columns.time, path, line),
            rating=rating,
            feedback=feedback_of(rating, liked_from, disliked_to),
        )
        events.setdefault(user, []).append(event)
    return {user: History(user=user, events=tuple(_by_time(mine))) for user, mine in events.items()}


def _by_time(events: list[Event]) -> list[Event]:
    start = datetime.min.replace(tzinfo=UTC)
    return sorted(events, key=lambda event: event.time or start)  # stable: ties keep the file's order


def feedback_of(rating: float | None, liked_from: float | None, disliked_to: float | None) -> Feedback:
    """What a rating says; "seen" where there is none, and between the two limits.

    Args:
        rating: On the data set's own scale.
        liked_from: Ratings of at least this are `liked`; None for none.
        disliked_to: Ratings of at most this are `disliked`; None for none.
    """
    if rating is not None and liked_from is not None and rating >= liked_from:
        return Feedback.LIKED
    if rating is not None and disliked_to is not None and rating <= disliked_to:
        return Feedback.DISLIKED
    return Feedback.SEEN


def _number(value: Any, column: str, path: str | Path, line: int) -> float | None:  # noqa: ANN401
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadRowError(
            f"column {column!r}: {value!r} is no number", path=path, line=line, hint="leave it empty if unknown"
        ) from None


def _time(value: Any, column: str, path: str | Path, line: int) -> datetime | None:  # noqa: ANN401
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(float(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        pass
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadRowError(
            f"column {column!r}: {value!r} is no time",
            path=path,
            line=line,
            hint="write seconds since 1970 or ISO 8601",
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


MOST_UNKNOWN = 0.05
MOST_MALFORMED = 0.01


@dataclass(frozen=True)
class Reading:
    """Interactions and what was passed over on the way.

    Attributes:
        interactions: What was read.
        rows: Rows of the file, without its header, malformed ones included.
        unknown: Rows whose item is not in the catalog; they are left out.
        first_unknown: The line and the item of the first of them.
        repeated: Rows that repeat a pair of user and item; the first contact by time counts.
        malformed: Rows that cannot be read (a field too few, an empty id, a time that is none); they are left out.
        first_malformed: The line of the first of them and what is wrong there.
    """

    interactions: Interactions
    rows: int
    unknown: int = 0
    first_unknown: tuple[int, str] | None = None
    repeated: int = 0
    malformed: int = 0
    first_malformed: tuple[int, str] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read and what was passed over, in plain words."""
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
        return tuple(notes)


def read_interactions(
    path: str | Path,
    *,
    columns: Columns | None = None,
    catalog: Ids | None = None,
    most_unknown: float = MOST_UNKNOWN,
    most_malformed: float = MOST_MALFORMED,
    encoding: str = "utf-8",
    layout: Layout | None = None,
) -> Reading:
    """Reads a table of interactions.

    With pyarrow, text tables without quotes are read at some million rows a second; without it, or with quotes or
    times in ISO 8601, the same result takes about ten times as long.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file; any text table with a `layout`.
        columns: The names of its columns; MovieLens' by default. Ratings are not used: any contact counts.
        catalog: The items that may occur. None takes the items as they come.
        most_unknown: The largest share of rows whose item is not in `catalog`, in [0, 1].
        most_malformed: The largest share of rows that cannot be read, in [0, 1].
        encoding: Of text formats.
        layout: How a text table is written, where its suffix does not tell.

    Raises:
        DataError: With file and line: no such file, a missing column, a broken quote, bytes in another encoding;
            more than `most_malformed` of the rows cannot be read (`BadRowError` of the first one); or more than
            `most_unknown` of the rows name items that the catalog lacks.
    """
    columns, path = columns or Columns(), Path(path)
    named = [name for name in (columns.user, columns.item, columns.time) if name]
    gathered = _Gathered(path, columns, catalog)
    is_text = layout is not None or SUFFIXES.get(path.suffix.lower()) in ("csv", "tsv")
    if is_text and path.is_file() and is_fast(encoding):
        blocks = read_blocks(
            path,
            layout or suffix_layout(path),
            texts=(columns.user, columns.item),
            number=columns.time,
            encoding=encoding,
            on_bad=gathered.bad,
        )
        try:
            for block in blocks:
                gathered.add(block)
        except UnicodeDecodeError as error:
            raise undecodable(path, encoding, error) from None
    else:
        gathered.add(read_rows(path, columns=named, encoding=encoding, layout=layout, on_bad=gathered.bad))
    return gathered.reading(most_unknown, most_malformed)


class _Gathered:
    """What was read so far."""

    def __init__(self, path: Path, columns: Columns, catalog: Ids | None) -> None:
        self._path, self._columns, self._catalog = path, columns, catalog
        self._users, self._items = _Coder(), _Coder(catalog)
        self._parts: list[Arrays] = []
        self._rows = self._unknown = self._malformed = 0
        self._first_unknown: tuple[int, str] | None = None
        self._first_bad: BadRowError | None = None

    def bad(self, error: BadRowError) -> None:
        """Counts a row that cannot be read."""
        self._rows += 1
        self._malformed += 1
        self._first_bad = self._first_bad or error

    def add(self, rows: Block | Iterable[Row]) -> None:
        """Takes a block of rows."""
        if isinstance(rows, Block):
            self._add_block(rows)
        else:
            self._add_rows(rows)

    def _add_block(self, block: Block) -> None:
        users = self._codes(self._users, block.texts[self._columns.user])
        coded = block.texts[self._columns.item]
        items = self._codes(self._items, coded)
        times = np.zeros(len(users)) if block.numbers is None else block.numbers
        self._rows += len(users)
        unknown = np.flatnonzero(items < 0)
        if len(unknown):
            first = int(unknown[0])
            self._saw_unknown(block.first_line + first, coded.values[coded.places[first]], len(unknown))
        known = items >= 0
        self._parts.append(Arrays(users[known], items[known], times[known]))

    @staticmethod
    def _codes(coder: _Coder, column: Coded) -> Codes:
        codes = [coder.code(value) for value in column.values]
        return np.array([-1 if code is None else code for code in codes], dtype=np.int32)[column.places]

    def _add_rows(self, rows: Iterable[Row]) -> None:
        user_codes, item_codes, times = array("i"), array("i"), array("d")
        for line, row in rows:
            try:
                time = self._time(row)
                user, item = self._users.code(row[self._columns.user]), self._items.code(row[self._columns.item])
            except ValueError as error:
                hint = "every row needs a user, an item and a time in seconds since 1970 or ISO 8601"
                self.bad(BadRowError(str(error), path=self._path, line=line, hint=hint))
                continue
            self._rows += 1
            if user is None or item is None:  # users are open, so it is the item
                self._saw_unknown(line, str(row[self._columns.item]), 1)
                continue
            user_codes.append(user)
            item_codes.append(item)
            times.append(time)
        self._parts.append(
            Arrays(
                np.array(user_codes, dtype=np.int32), np.array(item_codes, dtype=np.int32), np.array(times, float)
            )
        )

    def _time(self, row: Mapping[str, Any]) -> float:
        column = self._columns.time
        return 0.0 if column is None else _seconds(row[column], column)

    def _saw_unknown(self, line: int, item: str, count: int) -> None:
        self._unknown += count
        self._first_unknown = self._first_unknown or (line, item)

    def reading(self, most_unknown: float, most_malformed: float) -> Reading:
        """Everything read, if there was not too much to complain about."""
        rows, bad, first = self._rows, self._malformed, self._first_unknown
        if self._first_bad is not None and bad > most_malformed * rows:
            raise BadRowError(
                f"{_wrong(self._first_bad)}; {bad:,} of {rows:,} rows cannot be read",
                path=self._path,
                line=self._first_bad.line,
                hint=f"{self._first_bad.hint}; at most {most_malformed:.1%} of the rows are passed over",
            )
        if first and self._unknown > most_unknown * rows:
            raise DataError(
                f"{self._unknown:,} of {rows:,} rows name items that are not in the catalog, "
                f"the first {first[1]!r}",
                path=self._path,
                line=first[0],
                hint=f"at most {most_unknown:.0%} are passed over: check the catalog and the item column's name",
            )
        arrays = Arrays.joined(self._parts) if self._parts else Arrays.joined([_NOTHING])
        self._parts.clear()
        read = Interactions(self._users.ids(), self._catalog or self._items.ids(), arrays)
        malformed = None if self._first_bad is None else (self._first_bad.line or 0, _wrong(self._first_bad))
        return Reading(read, rows, self._unknown, first, len(arrays.time) - len(read), bad, malformed)


_NOTHING = Arrays(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))


def _wrong(error: BadRowError) -> str:
    """What is wrong, without the place."""
    return error.message.removeprefix(f"{error.path}:{error.line}: ")


class _Coder:
    """Codes of a column's values as they stand in the file: a value is cleaned once, not once a row.

    Args:
        known: The only ids that get codes; None gives every id one.
    """

    def __init__(self, known: Ids | None = None) -> None:
        self._open = known is None
        self._by_id = {} if known is None else {one: code for code, one in enumerate(known.ids)}
        self._by_value: dict[Hashable, int | None] = {}

    def code(self, value: Any) -> int | None:  # noqa: ANN401
        """The code of a value; None where its id is unknown.

        Raises:
            ValueError: The value is empty.
        """
        try:
            return self._by_value[value]
        except (KeyError, TypeError):  # TypeError: a list or an object in JSON
            one = "" if value is None else str(value).strip()
        if not one:
            raise ValueError("the user or the item is empty")
        code = self._by_id.setdefault(one, len(self._by_id)) if self._open else self._by_id.get(one)
        if isinstance(value, Hashable):
            self._by_value[value] = code
        return code

    def ids(self) -> Ids:
        return Ids(self._by_id)


def _seconds(value: Any, column: str) -> float:  # noqa: ANN401
    try:
        seconds = _moment(value).timestamp() if isinstance(value, datetime) else float(value)
    except (TypeError, ValueError):
        try:
            seconds = _moment(datetime.fromisoformat(str(value).strip())).timestamp()
        except (ValueError, OverflowError):
            seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    raise ValueError(f"column {column!r}: {value!r} is no time")


def _moment(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_targets(path: str | Path, catalog: Ids, *, user: str = "user", item: str = "item") -> dict[str, str]:
    """Reads one target a user.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        catalog: The items that may be targets: what the catalog lacks can never be found.
        user: The column of user ids.
        item: The column of item ids.

    Raises:
        DataError: With file and line: a missing column, an empty id, a user's second target, an unknown item.
    """
    targets: dict[str, str] = {}
    for line, row in read_rows(path, columns=(user, item)):
        one, target = (str("" if row[name] is None else row[name]).strip() for name in (user, item))
        if not one or not target:
            raise BadRowError("an empty user or item", path=path, line=line, hint="every row needs both ids")
        if one in targets:
            raise BadRowError(f"the user {one!r} has a target already", path=path, line=line, hint="one a user")
        if target not in catalog:
            raise BadRowError(
                f"the item {target!r} is not in the catalog",
                path=path,
                line=line,
                hint="add it to the catalog, or leave the target out",
            )
        targets[one] = target
    return targets
