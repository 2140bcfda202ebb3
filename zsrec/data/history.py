"""A user's history: events with items, and the user's own words."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_core import core_schema

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen, Item, Recommendation
from zsrec.data.frames import FRAME, frame_block
from zsrec.data.sorted_rows import SortedRows, Table
from zsrec.data.tables import Columns
from zsrec.data.values import as_id, as_moment, as_number, shown

MAX_CRITIQUE = 2000
"""Characters of a critique, as many as a prompt shows of a text."""


class Feedback(StrEnum):
    """What the user thought of an item; `SEEN` if only the contact is known."""

    SEEN = "seen"
    LIKED = "liked"
    DISLIKED = "disliked"
    SKIPPED = "skipped"


class _Rule:
    """A field's check in pydantic's own code for the usual values, and in `read` for all others."""

    def __init__(
        self, usual: core_schema.CoreSchema, read: Callable[[Any], object], *others: core_schema.CoreSchema
    ) -> None:
        self._usual, self._read = usual, read
        self._documented = core_schema.union_schema([usual, *others]) if others else usual

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> core_schema.CoreSchema:
        other = core_schema.no_info_plain_validator_function(self._read)
        return core_schema.union_schema([self._usual, other], mode="left_to_right")

    def __get_pydantic_json_schema__(self, schema: object, handler: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        return handler(self._documented)


def _as_rating(value: Any) -> float | None:  # noqa: ANN401
    if isinstance(value, str):
        raise ValueError(f"is {shown(value)}, expected a number")  # noqa: TRY004  (pydantic)
    return as_number(value)


Id = Annotated[str, _Rule(core_schema.str_schema(strict=True, strip_whitespace=True, min_length=1), as_id)]
Time = Annotated[
    datetime | None,
    _Rule(
        core_schema.nullable_schema(core_schema.datetime_schema(strict=True, tz_constraint="aware")),
        as_moment,
        core_schema.float_schema(),  # seconds, milliseconds, …
    ),
]
Rating = Annotated[
    float | None,
    _Rule(core_schema.nullable_schema(core_schema.float_schema(strict=True, allow_inf_nan=False)), _as_rating),
]


class Event(Frozen):
    """One contact of a user with an item.

    Attributes:
        item: A catalog id or a title, see `by`.
        by: How to read `item`: as an "id", a "title", or "either" (an id if the catalog has it, else a title).
        time: When it happened; None if unknown. Histories keep the caller's order either way.
        rating: The user's rating on the data set's own scale; None if there is none.
        feedback: What the user thought of it.
    """

    item: Id
    by: Literal["id", "title", "either"] = "either"
    time: Time = None
    rating: Rating = None
    feedback: Feedback = Feedback.SEEN


class Critique(Frozen):
    """What the user said about the items before: "like these but less violent"."""

    text: str
    after: int = Field(default=0, ge=0)


class Turn(Frozen):
    """One turn of a conversation between the user and an assistant."""

    role: Literal["user", "assistant"]
    text: str


ItemLike = str | int | Event | Item | Recommendation
"""An id or a title (a whole number is an id), an event, or an item of the catalog."""


def _renamed(old: str, new: str) -> Callable[..., History]:
    def method(self: History, *arguments: Any) -> History:  # noqa: ANN401
        warnings.warn(f"History.{old} is History.{new} now", DeprecationWarning, stacklevel=2)
        history: History = getattr(self, new)(*arguments)
        return history

    return method


class History(Frozen):
    """A user's events, oldest first, and what the user said in between.

    Attributes:
        events: The events in order; the last one is the newest.
        user: The user's id, for the caller; it is never sent to the model.
        critiques: What the user said, oldest first. Prompts show it at its place among the events; of the
            retrievers, those that compare words read it.
        shown: Ids of items that were recommended before and are not recommended again. They say nothing about the
            user's taste (an item that the user rejected is `skipped`).
    """

    events: tuple[Event, ...] = ()
    user: str | None = None
    critiques: tuple[Critique, ...] = ()
    shown: tuple[str, ...] = ()

    @field_validator("events", mode="before")
    @classmethod
    def _events(cls, value: object) -> object:
        return as_events(value)

    @classmethod
    def of(cls, *items: ItemLike, user: str | None = None) -> Self:
        """Build a history from ids or titles, oldest first."""
        return cls(user=user).with_events(items, Feedback.SEEN)

    @classmethod
    def from_frame(
        cls,
        frame: Any,  # noqa: ANN401  (pandas, polars or pyarrow)
        columns: Columns | None = None,
        *,
        liked_from: float | None = None,
        disliked_to: float | None = None,
    ) -> dict[str, History]:
        """Build every user's history from a DataFrame of pandas, polars or pyarrow; as `zsrec.read_histories`.

        Args:
            frame: One row per event.
            columns: The names of its columns; MovieLens' by default.
            liked_from: Ratings of at least this are `liked`.
            disliked_to: Ratings of at most this are `disliked`.

        Raises:
            DataError: A column is missing, or a value is not valid; the line is the row's number, from 1.
            MissingExtraError: narwhals is not installed.
        """
        columns, table = columns or Columns(), Table()
        table.add(frame_block(frame, columns))
        return histories_of(table.by_user(Path(FRAME), columns.time), liked_from, disliked_to)

    def like(self, *items: ItemLike) -> Self:
        """Return this history with `items` liked at its end."""
        return self.with_events(items, Feedback.LIKED)

    def dislike(self, *items: ItemLike) -> Self:
        """Return this history with `items` disliked at its end."""
        return self.with_events(items, Feedback.DISLIKED)

    def skip(self, *items: ItemLike) -> Self:
        """Return this history with `items` at its end that the user saw and rejected."""
        return self.with_events(items, Feedback.SKIPPED)

    def say(self, text: str) -> Self:
        """Return this history with the user's words at its end, for example "like these but less violent".

        Raises:
            ConfigError: `text` is empty, or longer than the 2,000 characters that a prompt shows.
        """
        words = text.strip()
        if not 0 < len(words) <= MAX_CRITIQUE:
            raise ConfigError(
                f"what the user said has {len(words):,} characters", hint=f"use 1 to {MAX_CRITIQUE:,} characters"
            )
        critique = Critique(text=words, after=len(self.events))
        return self.model_copy(update={"critiques": (*self.critiques, critique)})

    def show(self, ids: Iterable[str]) -> Self:
        """Return this history with items that were recommended and are not to be recommended again."""
        return self.model_copy(update={"shown": tuple(dict.fromkeys((*self.shown, *ids)))})

    def with_events(self, items: Iterable[ItemLike], feedback: Feedback = Feedback.SEEN) -> Self:
        """Return this history with more events at its end; ids and titles become events with `feedback`.

        Raises:
            ConfigError: `items` is no ordered collection, or one of them is no item; the message names its place.
        """
        try:
            new = as_events(items, feedback)
        except ValueError as error:
            raise ConfigError(
                str(error), hint='pass a list of ids, titles or events, for example ["Heat"]'
            ) from None
        return self.model_copy(update={"events": self.events + new})

    def __len__(self) -> int:
        return len(self.events)

    # The names of 0.1, until the next version.
    liked: ClassVar[Callable[..., Any]] = _renamed("liked", "like")
    disliked: ClassVar[Callable[..., Any]] = _renamed("disliked", "dislike")
    skipped: ClassVar[Callable[..., Any]] = _renamed("skipped", "skip")
    said: ClassVar[Callable[..., Any]] = _renamed("said", "say")
    showed: ClassVar[Callable[..., Any]] = _renamed("showed", "show")


def as_events(items: object, feedback: Feedback = Feedback.SEEN) -> tuple[Event, ...]:
    """Return items as events: ids and titles become events with `feedback`.

    Raises:
        ValueError: `items` is no ordered collection, or an item is not valid; with its place, from 1.
    """
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping | Set):
        raise ValueError(f"a history needs a list of items, found {shown(items)}")  # noqa: TRY004  (pydantic)
    events = []
    for place, item in enumerate(items, start=1):
        try:
            events.append(_as_event(item, feedback))
        except ValidationError as error:
            first = error.errors()[-1]
            field = ".".join(map(str, first["loc"])) or "value"
            raise ValueError(f"event {place} of the history: {field} {first['msg']}") from None
        except ValueError as error:
            raise ValueError(f"event {place} of the history {error}") from None
    return tuple(events)


def _as_event(item: object, feedback: Feedback) -> Event:
    if isinstance(item, Event):
        return item
    if isinstance(item, Mapping):
        return Event(**item)
    if isinstance(item, Item | Recommendation):
        item = item.item if isinstance(item, Recommendation) else item
        return Event(item=item.id, by="id", feedback=feedback)
    return Event(item=as_id(item), feedback=feedback)


def histories_of(
    rows: SortedRows, liked_from: float | None = None, disliked_to: float | None = None
) -> dict[str, History]:
    """Return the history of each user who has rows."""
    histories = {}
    for code, user in enumerate(rows.users):
        mine = slice(*rows.starts[code : code + 2].tolist())
        columns = (rows.items[mine].tolist(), rows.times[mine].tolist(), rows.ratings[mine].tolist())
        events = tuple(
            Event(
                item=rows.item_ids[item],
                by="id",
                time=None if time != time else datetime.fromtimestamp(time, UTC),
                rating=rating if rating == rating else None,
                feedback=feedback_of(rating, liked_from, disliked_to),
            )
            for item, time, rating in zip(*columns, strict=True)
        )
        if events:
            histories[user] = History(user=user, events=events)
    return histories


def feedback_of(rating: float | None, liked_from: float | None, disliked_to: float | None) -> Feedback:
    """Return what a rating says: "seen" if there is none (None or NaN), and between the two limits."""
    if rating is not None and liked_from is not None and rating >= liked_from:
        return Feedback.LIKED
    if rating is not None and disliked_to is not None and rating <= disliked_to:
        return Feedback.DISLIKED
    return Feedback.SEEN
