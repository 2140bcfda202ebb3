"""A user's history: events with items, and the user's own words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen

MAX_CRITIQUE = 2000
"""Characters of a critique, as many as a prompt shows of a text."""


class Feedback(StrEnum):
    """What the user thought of an item; `SEEN` if only the contact is known."""

    SEEN = "seen"
    LIKED = "liked"
    DISLIKED = "disliked"
    SKIPPED = "skipped"


class Event(Frozen):
    """One contact of a user with an item.

    Attributes:
        item: A catalog id or a title, see `by`.
        by: How to read `item`: as an "id", a "title", or "either" (an id if the catalog has it, else a title).
        time: When it happened; None if unknown. Histories keep the caller's order either way.
        rating: The user's rating on the data set's own scale; None if there is none.
        feedback: What the user thought of it.
    """

    item: str
    by: Literal["id", "title", "either"] = "either"
    time: datetime | None = None
    rating: float | None = None
    feedback: Feedback = Feedback.SEEN


class Critique(Frozen):
    """What the user said about the items before: "like these but less violent"."""

    text: str
    after: int = Field(default=0, ge=0)


class Turn(Frozen):
    """One turn of a conversation between the user and an assistant."""

    role: Literal["user", "assistant"]
    text: str


class History(Frozen):
    """A user's events, oldest first, and what the user said in between.

    Attributes:
        events: The events in order; the last one is the newest.
        user: The user's id, for the caller; it is never sent to the model.
        critiques: What the user said, oldest first. Prompts show it at its place among the events; retrievers do
            not read it.
        shown: Ids of items that were recommended before and are not recommended again. They say nothing about the
            user's taste (an item that the user rejected is `skipped`).
    """

    events: tuple[Event, ...] = ()
    user: str | None = None
    critiques: tuple[Critique, ...] = ()
    shown: tuple[str, ...] = ()

    @classmethod
    def of(cls, *items: str, user: str | None = None) -> Self:
        """Build a history from ids or titles, oldest first."""
        return cls(user=user).with_events(items, Feedback.SEEN)

    def liked(self, *items: str) -> Self:
        """Return this history with `items` liked at its end."""
        return self.with_events(items, Feedback.LIKED)

    def disliked(self, *items: str) -> Self:
        """Return this history with `items` disliked at its end."""
        return self.with_events(items, Feedback.DISLIKED)

    def skipped(self, *items: str) -> Self:
        """Return this history with `items` at its end that the user saw and rejected."""
        return self.with_events(items, Feedback.SKIPPED)

    def said(self, text: str) -> Self:
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

    def showed(self, ids: Iterable[str]) -> Self:
        """Return this history with items that were recommended and are not to be recommended again."""
        return self.model_copy(update={"shown": tuple(dict.fromkeys((*self.shown, *ids)))})

    def with_events(self, items: Iterable[str | Event], feedback: Feedback = Feedback.SEEN) -> Self:
        """Return this history with more events at its end; ids and titles become events with `feedback`.

        Raises:
            ConfigError: `items` is one string instead of a collection of strings.
        """
        if isinstance(items, str):
            raise ConfigError(f"a history needs a list of items, not the text {items!r}", hint=f"pass [{items!r}]")
        new = tuple(item if isinstance(item, Event) else Event(item=item, feedback=feedback) for item in items)
        return self.model_copy(update={"events": self.events + new})

    def __len__(self) -> int:
        return len(self.events)
