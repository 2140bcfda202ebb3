"""Interactions from a table file, with every odd row counted."""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from zsrec.candidates.ids import Ids
from zsrec.candidates.interactions import Arrays, Interactions
from zsrec.errors import BadRowError, DataError
from zsrec.interactions import Columns
from zsrec.tables import read_rows

MOST_UNKNOWN = 0.05


@dataclass(frozen=True)
class Reading:
    """Interactions and what was passed over on the way.

    Attributes:
        interactions: What was read.
        rows: Rows of the file, without its header.
        unknown: Rows whose item is not in the catalog; they are left out.
        first_unknown: The line and the item of the first of them.
        repeated: Rows that repeat a pair of user and item; the first contact by time counts.
    """

    interactions: Interactions
    rows: int
    unknown: int = 0
    first_unknown: tuple[int, str] | None = None
    repeated: int = 0


def read_interactions(
    path: str | Path,
    *,
    columns: Columns | None = None,
    catalog: Ids | None = None,
    most_unknown: float = MOST_UNKNOWN,
    encoding: str = "utf-8",
) -> Reading:
    """Reads a table of interactions.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        columns: The names of its columns; MovieLens' by default. Ratings are not used: any contact counts.
        catalog: The items that may occur. None takes the items as they come.
        most_unknown: The largest share of rows whose item is not in `catalog`, in [0, 1].
        encoding: Of text formats.

    Raises:
        DataError: With file and line: no such file, a missing column, an empty id, a time that is none; or more
            than `most_unknown` of the rows name items that the catalog lacks.
    """
    columns = columns or Columns()
    named = [name for name in (columns.user, columns.item, columns.time) if name]
    users, items = _Coder(), _Coder(catalog)
    user_codes, item_codes, times = array("i"), array("i"), array("d")
    rows = unknown = 0
    first_unknown: tuple[int, str] | None = None
    for line, row in read_rows(path, columns=named, encoding=encoding):
        rows += 1
        try:
            user, item = users.code(row[columns.user]), items.code(row[columns.item])
        except ValueError:
            raise BadRowError(
                "the user or the item is empty", path=path, line=line, hint="every row needs both ids"
            ) from None
        time = 0.0 if columns.time is None else _seconds(row[columns.time], columns.time, path, line)
        if user is None or item is None:  # users are open, so it is the item
            unknown += 1
            first_unknown = first_unknown or (line, str(row[columns.item]))
            continue
        user_codes.append(user)
        item_codes.append(item)
        times.append(time)
    if first_unknown and unknown > most_unknown * rows:
        raise DataError(
            f"{unknown:,} of {rows:,} rows name items that are not in the catalog, the first {first_unknown[1]!r}",
            path=path,
            line=first_unknown[0],
            hint=f"at most {most_unknown:.0%} are passed over: check the catalog and the name of the item column",
        )
    arrays = Arrays(np.array(user_codes), np.array(item_codes), np.array(times))
    read = Interactions(users.ids(), catalog or items.ids(), arrays)
    return Reading(read, rows, unknown, first_unknown, repeated=len(times) - len(read))


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
            raise ValueError
        code = self._by_id.setdefault(one, len(self._by_id)) if self._open else self._by_id.get(one)
        if isinstance(value, Hashable):
            self._by_value[value] = code
        return code

    def ids(self) -> Ids:
        return Ids(self._by_id)


def _seconds(value: Any, column: str, path: str | Path, line: int) -> float:  # noqa: ANN401
    try:
        seconds = _moment(value).timestamp() if isinstance(value, datetime) else float(value)
    except (TypeError, ValueError):
        try:
            seconds = _moment(datetime.fromisoformat(str(value).strip())).timestamp()
        except (ValueError, OverflowError):
            seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    raise BadRowError(
        f"column {column!r}: {value!r} is no time",
        path=path,
        line=line,
        hint="write seconds since 1970 or ISO 8601",
    )


def _moment(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
