"""The input of a batch job: Parquet files of interactions or of one row per user, read as chunks of histories.

Columns are sorted and split as arrays, never row by row: a million users' rows take seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import BadRowError, BadValueError, ConfigError, DataError
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.data.blocks import read_blocks, read_ids, read_numbers
from zsrec.data.history import Turn
from zsrec.data.sorted_rows import Table
from zsrec.data.tables import Columns, check_columns, parquet_batches
from zsrec.data.values import EMPTY
from zsrec.recommender.conversation import as_turns
from zsrec.serving.batch_rows import arrow

MAX_MALFORMED = 0.01
"""The largest share of rows that may be skipped."""
_TURNS = 'a list of {"role": "user" or "assistant", "text": "…"}, oldest first, or the same as JSON text'


@dataclass(frozen=True)
class Input:
    """Where the users come from.

    The item column decides the layout: with one item per row, rows are interactions, which are sorted by time;
    with a list per row, a row is a user, and the list is the history, oldest first.

    Attributes:
        path: A .parquet file, or a folder with some at any depth; names that start with "_" or "." are skipped.
        columns: The names of its columns. `time` is read with one item per row only: a timestamp, a date or a
            number. `rating` is a number, or a list of numbers as long as the item list.
        conversation: The column of conversations, with one row per user: a list of structs with role and
            text, oldest first, or the same as JSON text; a null is none.
    """

    path: Path
    columns: Columns = field(default_factory=Columns)
    conversation: str | None = None

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
    bad_users: int = 0
    first_bad: str = ""
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
            (self.bad_users, f"users have a value that is not valid ({self.first_bad}); their answer is an error"),
        ):
            if count:
                notes.append(f"{count:,} {what}")
        return tuple(notes)


class Part(NamedTuple):
    """Users with their histories: `items[starts[n]:starts[n + 1]]` are user n's, oldest first; so are ratings.

    `bad` are the users whose row has a value that is not valid. A conversation is a text of `as_text`.
    """

    users: Any
    starts: NDArray[np.int64]
    items: Any
    ratings: Any
    bad: frozenset[str] = frozenset()
    conversations: Any = None


class _Problems:
    """The rows that are skipped, and the users with a value that is not valid."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self._first: BadRowError | None = None
        self.users: dict[str, BadValueError] = {}

    @property
    def bad(self) -> frozenset[str]:
        return frozenset(self.users)

    def add(self, error: BadRowError) -> None:
        if isinstance(error, BadValueError) and error.user is not None and not error.is_empty:
            self.users.setdefault(error.user, error)
        else:
            self.counts.malformed += 1
            self._first = self._first or error

    def check(self, known: Collection[str]) -> frozenset[str]:
        """Return the users whose values are not valid; raise if there are no rows, or too many are wrong."""
        counts = self.counts
        if not counts.rows:
            raise DataError("the input has no rows", hint="check --input")
        if counts.malformed + counts.duplicates > MAX_MALFORMED * counts.rows:
            raise BadRowError(
                f"{counts.malformed:,} of {counts.rows:,} rows lack a user or an item (or ratings of its length), "
                f"{counts.duplicates:,} repeat a user",
                path=None if self._first is None else self._first.path,
                line=None if self._first is None else self._first.line,
                hint=f"at most {MAX_MALFORMED:.0%} of the rows may be skipped: check the columns' names",
            )
        if self.users:
            first = next(iter(self.users.values()))
            if len(self.users) == len({*self.users, *known}):
                raise first  # nobody is left
            counts.bad_users, counts.first_bad = len(self.users), first.message
        return self.bad


def read_parts(source: Input, size: int, counts: Counts) -> Iterator[Part]:
    """The users in chunks of `size` (the last may be smaller), in the order of their first row; fills `counts`."""
    pa = arrow()
    files = source.files()
    by_default = "interactions" if source.conversation is None else "lists"
    kinds = {kind for path in files if (kind := _layout(path, source))} or {by_default}
    if len(kinds) > 1:
        raise DataError("some files have lists of items and some single ones", path=source.path)
    try:
        if kinds == {"lists"}:
            counts.layout = "lists"
            yield from _by_user(files, source, size, counts)
        else:
            if source.conversation is not None:
                raise DataError(
                    "a conversation needs one row per user, and these rows are interactions",
                    path=source.path,
                    hint="give the items as a list per user (it may be empty)",
                )
            yield from _by_interaction(files, source, size, counts)
    except pa.ArrowException as error:
        raise DataError(f"cannot be read: {error}", path=source.path) from None


def _layout(path: Path, source: Input) -> str | None:
    """Return "lists" or "interactions"; None for a file whose item column is empty."""
    pa, columns = arrow(), source.columns
    try:
        found = pa.parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a Parquet file: {error}", path=path, hint="write the file again") from None
    check_columns(path, None, found.names, {columns.user: "columns", columns.item: "columns"})
    kind = found.field(columns.item).type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    needed = columns.model_copy(update={"time": None}) if lists else columns
    check_columns(path, None, found.names, needed.present, "leave time or rating empty if absent")
    check_columns(path, None, found.names, {source.conversation: "conversation"} if source.conversation else {})
    return "lists" if lists else None if pa.types.is_null(kind) else "interactions"


def _by_interaction(files: tuple[Path, ...], source: Input, size: int, counts: Counts) -> Iterator[Part]:
    pa = arrow()
    table, problems = Table(), _Problems(counts)

    def on_bad(error: BadRowError) -> None:
        counts.rows += 1
        problems.add(error)

    for path in files:
        for block in read_blocks(path, source.columns, on_bad=on_bad):
            counts.rows += len(block.lines)
            table.add(block)
    bad = problems.check(table.users)
    for user in bad:  # also those of whom no row is left
        table.users.setdefault(user, len(table.users))
    rows = table.by_user(source.path, source.columns.time)
    users, items = pa.array(rows.users, pa.string()), pa.array(rows.item_ids, pa.string())
    ratings = pa.array(rows.ratings, from_pandas=True)  # NaN is null
    counts.users = len(users)
    for begin in range(0, len(users), size):
        starts = rows.starts[begin : min(begin + size, len(users)) + 1]
        these = slice(*starts[[0, -1]].tolist())
        yield Part(
            users[begin : begin + size],
            starts - starts[0],
            items.take(pa.array(rows.items[these])),
            None if source.columns.rating is None else ratings[these],
            bad,
        )


def _by_user(files: tuple[Path, ...], source: Input, size: int, counts: Counts) -> Iterator[Part]:
    pa = arrow()
    columns = source.columns.model_copy(update={"time": None})
    talk = [] if source.conversation is None else [source.conversation]
    problems, known = _Problems(counts), set[str]()
    waiting = None
    for path in files:
        line = 1
        for batch in parquet_batches(path, [*columns.present, *talk], only=True):
            names, kept = _first_rows(path, line, batch, columns, known, problems)
            counts.rows += len(batch)
            line += len(batch)
            rows = _lists(path, names, kept, columns, problems)
            for column in talk:
                rows = rows.append_column("conversation", _conversations(path, names, kept[column], problems))
            waiting = rows if waiting is None else pa.concat_tables([waiting, rows])
            while len(waiting) >= size:
                yield _part(waiting.slice(0, size), columns.rating is not None, problems)
                waiting = waiting.slice(size)
    problems.check(known)
    if waiting is not None and len(waiting):
        yield _part(waiting, columns.rating is not None, problems)


def _first_rows(
    path: Path,
    line: int,
    batch: Any,  # noqa: ANN401
    columns: Columns,
    known: set[str],
    problems: _Problems,
) -> tuple[list[tuple[int, str]], Any]:
    """Return the first row of every new user, as (line, user) and as an Arrow batch."""
    users, wrong = read_ids(batch[columns.user])
    unequal = np.zeros(len(batch), dtype=bool)
    if columns.rating is not None:
        unequal = _lengths(batch[columns.item]) != _lengths(batch[columns.rating])
    names, keep = list[tuple[int, str]](), np.zeros(len(batch), dtype=bool)
    for row, place in enumerate(users.places.tolist()):
        if place < 0:
            problem = f"column {columns.user!r} {wrong[row]}"
        elif (user := users.values[place]) in known:
            problems.counts.duplicates += 1
            continue
        else:
            known.add(user)
            problem = f"column {columns.rating!r} is not as long as {columns.item!r}" if unequal[row] else ""
        if problem:
            problems.add(BadRowError(problem, path=path, line=line + row))
        else:
            keep[row] = True
            names.append((line + row, user))
    others = [name for name in batch.schema.names if name != columns.user]  # a view of text cannot be filtered
    return names, batch.select(others).filter(arrow().array(keep))


def _lists(
    path: Path,
    names: list[tuple[int, str]],
    batch: Any,  # noqa: ANN401
    columns: Columns,
    problems: _Problems,
) -> Any:  # noqa: ANN401
    """Return users, items and ratings as an Arrow table, without entries that name no item."""
    pa = arrow()
    items, wrong = read_ids(_entries(batch[columns.item]))
    row_of = np.repeat(np.arange(len(names)), _lengths(batch[columns.item]))
    ratings, wrong_ratings = np.full(len(row_of), np.nan), dict[int, str]()
    if columns.rating is not None:
        ratings, wrong_ratings = read_numbers(_entries(batch[columns.rating]))
    for column, found in ((columns.item, wrong), (columns.rating, wrong_ratings)):
        for entry, problem in found.items():
            line, user = names[row_of[entry]]
            error = BadValueError(f"column {column!r}: an entry {problem}", path=path, line=line)
            if problem == EMPTY:
                problems.counts.empty_items += 1
            else:
                error.user = user
                problems.add(error)
    good = items.places >= 0
    lengths = np.bincount(row_of[good], minlength=len(names))
    starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    problems.counts.users += len(names)
    problems.counts.empty_histories += int((lengths == 0).sum())
    texts = pa.array(items.values, pa.string()).take(pa.array(items.places[good]))
    return pa.table(
        {
            "user": pa.array([user for _, user in names], pa.string()),
            "items": pa.LargeListArray.from_arrays(starts, texts),
            "ratings": pa.LargeListArray.from_arrays(starts, pa.array(ratings[good], from_pandas=True)),
        }
    )


def _part(rows: Any, has_ratings: bool, problems: _Problems) -> Part:  # noqa: ANN401
    rows = rows.combine_chunks()
    users, items, ratings = (rows[name].combine_chunks() for name in ("user", "items", "ratings"))
    starts = np.concatenate([[0], np.cumsum(_lengths(items))])
    talk = rows["conversation"].combine_chunks() if "conversation" in rows.column_names else None
    return Part(users, starts, items.flatten(), ratings.flatten() if has_ratings else None, problems.bad, talk)


def _conversations(path: Path, names: list[tuple[int, str]], column: Any, problems: _Problems) -> Any:  # noqa: ANN401
    """Return each user's conversation as a text; null where there is none or it is not valid."""
    texts: list[str | None] = []
    for (line, user), value in zip(names, column.to_pylist(), strict=True):
        texts.append(None)
        try:
            texts[-1] = as_text(value)
        except ConfigError as wrong:
            error = BadValueError(wrong.message, path=path, line=line, hint=wrong.hint)
            error.user = user
            problems.add(error)
    return arrow().array(texts, arrow().string())


def as_text(value: object) -> str | None:
    """A conversation of the input as JSON text; None for an empty one.

    Raises:
        ConfigError: It is no list of turns.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = read_json(value)
        except DuplicateKeyError:
            raise ConfigError("a turn of the conversation has a key twice", hint=_TURNS) from None
        except (ValueError, RecursionError):
            raise ConfigError("the conversation is no JSON", hint=_TURNS) from None
    if not value or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, list):
        raise ConfigError("the conversation is no list of turns", hint=_TURNS)
    return json.dumps([(turn.role, turn.text) for turn in as_turns(value)], ensure_ascii=False)


def turns_of(text: str | None) -> tuple[Turn, ...]:
    """The turns of a text of `as_text`."""
    return as_turns(json.loads(text)) if text else ()


def _entries(lists: Any) -> Any:  # noqa: ANN401
    """Return the entries of all lists of an Arrow column."""
    pa = arrow()
    return pa.nulls(0) if pa.types.is_null(lists.type) else lists.flatten()


def _lengths(lists: Any) -> NDArray[np.int64]:  # noqa: ANN401
    """Return the lengths of the lists of an Arrow column; a null is an empty one."""
    import pyarrow.compute as pc

    if arrow().types.is_null(lists.type):
        return np.zeros(len(lists), dtype=np.int64)
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0), dtype=np.int64)


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
