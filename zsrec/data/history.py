"""What is known of a user: events with items, and their own words.

`zsrec.core.types` has these names too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen

MOST_SAID = 2000
"""Characters that a critique may have: what a prompt shows of a text."""


class Feedback(StrEnum):
    """What the user thought of an item; `SEEN` where only the contact is known."""

    SEEN = "seen"
    LIKED = "liked"
    DISLIKED = "disliked"
    SKIPPED = "skipped"


class Event(Frozen):
    """One contact of a user with an item.

    Attributes:
        item: A catalog id or a title, see `by`.
        by: How to read `item`: an "id", a "title", or "either" (an id first, else a title).
        time: When it happened; None where unknown. Histories keep the caller's order either way.
        rating: The user's rating on the data set's own scale; None where there is none.
        feedback: What the user thought of it.
    """

    item: str
    by: Literal["id", "title", "either"] = "either"
    time: datetime | None = None
    rating: float | None = None
    feedback: Feedback = Feedback.SEEN


class Critique(Frozen):
    """What the user said of what went before, in their own words: "like these but less violent".

    Attributes:
        text: The words.
        after: How many events of the history came before them.
    """

    text: str
    after: int = Field(default=0, ge=0)


class History(Frozen):
    """A user's events, oldest first, and what they said on the way.

    Attributes:
        events: The events in order; the last one is the newest.
        user: The user's id, kept for the caller; it is never sent to the model.
        critiques: What the user said, oldest first. It stands in prompts at its place among the events; retrievers
            do not read it.
        shown: Ids of items that were recommended already: they are not recommended again. They say nothing about
            the user's taste (an item that was passed over on purpose is `skipped`).
    """

    events: tuple[Event, ...] = ()
    user: str | None = None
    critiques: tuple[Critique, ...] = ()
    shown: tuple[str, ...] = ()

    @classmethod
    def of(cls, *items: str, user: str | None = None) -> Self:
        """A history of ids or titles, oldest first."""
        return cls(user=user).with_events(items, Feedback.SEEN)

    def liked(self, *items: str) -> Self:
        """This history with `items` liked after it."""
        return self.with_events(items, Feedback.LIKED)

    def disliked(self, *items: str) -> Self:
        """This history with `items` disliked after it."""
        return self.with_events(items, Feedback.DISLIKED)

    def skipped(self, *items: str) -> Self:
        """This history with `items` shown and passed over after it."""
        return self.with_events(items, Feedback.SKIPPED)

    def said(self, text: str) -> Self:
        """This history with the user's own words after it, for example "like these but less violent".

        Raises:
            ConfigError: `text` is empty or longer than 2,000 characters, of which a prompt would lose the rest.
        """
        words = text.strip()
        if not 0 < len(words) <= MOST_SAID:
            raise ConfigError(
                f"what the user said has {len(words):,} characters", hint=f"between 1 and {MOST_SAID:,} characters"
            )
        critique = Critique(text=words, after=len(self.events))
        return self.model_copy(update={"critiques": (*self.critiques, critique)})

    def showed(self, ids: Iterable[str]) -> Self:
        """This history with items that were recommended and shall not be recommended again."""
        return self.model_copy(update={"shown": tuple(dict.fromkeys((*self.shown, *ids)))})

    def with_events(self, items: Iterable[str | Event], feedback: Feedback = Feedback.SEEN) -> Self:
        """This history with further events after it.

        Args:
            items: Events, or ids or titles that become events with `feedback`.
            feedback: What the user thought of the items given as text.

        Raises:
            ConfigError: `items` is one string instead of a collection of strings.
        """
        if isinstance(items, str):
            raise ConfigError(f"a history needs a list of items, not the text {items!r}", hint=f"pass [{items!r}]")
        new = tuple(item if isinstance(item, Event) else Event(item=item, feedback=feedback) for item in items)
        return self.model_copy(update={"events": self.events + new})

    def __len__(self) -> int:
        return len(self.events)
