"""Whom the recommendations are for: a user of the data set, or a history as a person types it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zsrec.catalog import Catalog
from zsrec.errors import ConfigError
from zsrec.text import display_title
from zsrec.types import Event, Feedback, History

MOST_LISTED = 1_000
"""Users that a page lists."""
MOST_TYPED = 20_000
"""Lines that a typed history may have."""
_SIGNS = {"+": Feedback.LIKED, "-": Feedback.DISLIKED}


@dataclass(frozen=True)
class Person:
    """Somebody to recommend for.

    Attributes:
        user: The id of a user of the data set; None for somebody typed.
        typed: A history, one title or id a line; see `typed_history`.
        about: The person in words.
    """

    user: str | None = None
    typed: str = ""
    about: str = ""

    def history(self, histories: Mapping[str, History]) -> History:
        """What is known of the person.

        Raises:
            ConfigError: There is no such user, the typed history is too long, or nothing is known.
        """
        if self.user is not None and self.user not in histories:
            raise ConfigError(f"there is no user {self.user!r}", hint="pick one of the list")
        history = typed_history(self.typed) if self.user is None else histories[self.user]
        if not len(history) and not self.about.strip():
            raise ConfigError(
                "nothing is known of this person", hint="pick a user, type a title, or say what they look for"
            )
        return history


def typed_history(text: str) -> History:
    """A history of one title or id a line, oldest first; "+ " before it says liked, "- " disliked.

    Raises:
        ConfigError: It has too many lines.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_TYPED:
        raise ConfigError(f"the history has {len(lines):,} lines", hint=f"at most {MOST_TYPED:,}")
    return History(events=tuple(map(_event, lines)))


def listed(histories: Mapping[str, History], catalog: Catalog) -> dict[str, str]:
    """The first users by id, each in words: how many events, and the newest title."""
    return {user: _in_words(user, histories[user], catalog) for user in list(histories)[:MOST_LISTED]}


def _event(line: str) -> Event:
    sign, space, rest = line.partition(" ")
    if sign in _SIGNS and space and rest.strip():
        return Event(item=rest.strip(), feedback=_SIGNS[sign])
    return Event(item=line)


def _in_words(user: str, history: History, catalog: Catalog) -> str:
    last = history.events[-1].item if history.events else ""
    title = display_title(catalog[last].title) if last in catalog else last
    return f"{user}: {len(history):,} events, last {title}" if title else f"{user}: no events"
