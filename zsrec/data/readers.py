"""Readers of interaction tables: histories by user, interactions by column, one target per user."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zsrec.core.errors import BadRowError, BadValueError, DataError
from zsrec.data.blocks import read_blocks
from zsrec.data.history import History, histories_of
from zsrec.data.interactions import Arrays, Ids, Interactions
from zsrec.data.sorted_rows import Table
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
    delimiter: str | None = None,
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
        delimiter: Of CSV; by default the suffix decides.
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

    for block in read_blocks(path, columns, encoding=encoding, delimiter=delimiter, layout=layout, on_bad=on_bad):
        table.add(block)
    histories = histories_of(table.by_user(path, columns.time), liked_from, disliked_to)
    unwanted = set(errors or ()) | (set() if users is None else histories.keys() - set(users))
    return {user: history for user, history in histories.items() if user not in unwanted}


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
    delimiter: str | None = None,
    layout: Layout | None = None,
) -> ReadResult:
    """Read a table of interactions.

    With pyarrow, text tables without quotes are read at about a million rows per second; without it, or with
    quotes, the same result takes about ten times as long.
    """
    columns, path = columns or Columns(), Path(path)
    table, bad = Table(None if catalog is None else catalog.ids, ratings=False), list[BadRowError]()
    rows = unknown = 0
    first_unknown: tuple[int, str] | None = None
    blocks = read_blocks(
        path,
        columns.model_copy(update={"rating": None}),
        encoding=encoding,
        delimiter=delimiter,
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
    arrays = Arrays(user_codes, item_codes, np.nan_to_num(times, copy=False, nan=0.0))
    read = Interactions(Ids(table.users), catalog or Ids(table.items), arrays)
    first_bad = (bad[0].line or 0, _problem(bad[0])) if bad else None
    return ReadResult(read, rows, unknown, first_unknown, len(arrays.time) - len(read), len(bad), first_bad, unit)


def _problem(error: BadRowError) -> str:
    """Return what is wrong without the place."""
    return error.message.removeprefix(f"{error.path}:{error.line}: ")


def read_targets(
    path: str | Path,
    catalog: Ids,
    *,
    user: str = "user",
    item: str = "item",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> dict[str, str]:
    """Read one target item per user."""
    targets: dict[str, str] = {}
    columns = Columns(user=user, item=item, time=None, rating=None)
    for block in read_blocks(Path(path), columns, encoding=encoding, delimiter=delimiter):
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
