"""Histories from a table of interactions (user, item, time, rating)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zsrec.errors import BadRowError
from zsrec.tables import Layout, read_rows
from zsrec.types import Event, Feedback, Frozen, History


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
