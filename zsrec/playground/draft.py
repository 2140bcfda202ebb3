"""A template being edited, and the person to recommend for, as the page's fields describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History, Turn
from zsrec.data.titles import display_title
from zsrec.prompts import Library, Problem, Template
from zsrec.prompts.bundle import SUFFIX, Source, source_of
from zsrec.prompts.library import gather
from zsrec.prompts.linter import checked

MOST_CHARACTERS = 65_536
"""A longer text is not checked: it would block the page."""
_RUNS = ("generate", "rank")


@dataclass(frozen=True)
class Draft:
    """The text of a template in an editor, and its problems."""

    origin: Source  # the library's template that it started from
    text: str
    template: Template | None  # None if the text has an error
    problems: tuple[Problem, ...]  # of the text by line, then of the files that it uses

    @property
    def name(self) -> str:
        """The name of the template that it started from, such as "rank/default"."""
        return self.origin.name

    @property
    def edited(self) -> bool:
        """Whether the text differs from the template that it started from."""
        return self.text.replace("\r\n", "\n") != self.origin.text

    @property
    def path(self) -> str:
        """The file name in messages."""
        return self.name + SUFFIX

    @property
    def errors(self) -> int:
        """The number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    def marks(self) -> dict[int, list[Problem]]:
        """The problems of the text itself by line, from 1."""
        found: dict[int, list[Problem]] = {}
        for problem in self.problems:
            if problem.path == self.path:
                found.setdefault(problem.line, []).append(problem)
        return found


def names(library: Library) -> dict[str, str]:
    """The templates that a playground can run, with their descriptions: those whose task recommends, by task."""
    entries = [entry.name for entry in library.entries() if entry.shadowed_by is None]
    fronts = {name: library.open(name).front for name in entries}
    return {name: front.description for task in _RUNS for name, front in fronts.items() if front.task == task}


_GROUPS = ("Conversations", "Free recommendation", "Ranking candidates", "Chinese")


def group_of(name: str) -> str:
    """The group of a template in a list, by its name."""
    family, _, kind = name.partition("/")
    if family in ("converse", "assistant") and kind != "rank":
        return _GROUPS[0]
    if family == "zh":
        return _GROUPS[3]
    return _GROUPS[1] if kind == "generate" or family == "generate" else _GROUPS[2]


def opened(name: str, library: Library) -> Draft:
    """A template of the library, not yet edited; `TemplateNotFoundError` if there is none of that name."""
    source = library.find(name)
    return drafted(source.text, source, library)


def drafted(text: str, origin: Source, library: Library) -> Draft:
    """Check a template's text, front matter included, as `zsrec prompts check` checks a file."""
    path = origin.name + SUFFIX
    if len(text) > MOST_CHARACTERS:
        message = f"the text has {len(text):,} characters; here at most {MOST_CHARACTERS:,} are checked"
        return Draft(origin, text, None, (Problem(path, 1, message),))
    problems, template = checked(gather(source_of(text, origin.name, path, origin.place), library))
    if template is not None and template.task not in _RUNS:
        message = f"the task {template.task!r} recommends nothing; the playground runs 'generate' and 'rank'"
        problems, template = [*problems, Problem(path, 1, message)], None
    return Draft(origin, text, template, tuple(problems))


MOST_LISTED = 1_000
"""The most users on a page's list."""
MOST_TYPED = 20_000
"""The most lines of a typed history."""
_SIGNS = {"+": Feedback.LIKED, "-": Feedback.DISLIKED}


@dataclass(frozen=True)
class Person:
    """Somebody to recommend for."""

    user: str | None = None  # a user of the data set; None for a typed history
    typed: str = ""  # see `typed_history`
    about: str = ""  # what they look for, in words
    opening: str = ""  # what they say first in a conversation

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """The conversation as it begins."""
        return (Turn(role="user", text=self.opening.strip()),) if self.opening.strip() else ()

    def history(self, histories: Mapping[str, History]) -> History:
        """The person's history; `ConfigError` if there is no such user, or nothing is known of them."""
        if self.user is not None and self.user not in histories:
            raise ConfigError(f"there is no user {self.user!r}", hint="pick one from the list")
        history = typed_history(self.typed) if self.user is None else histories[self.user]
        if not len(history) and not self.about.strip() and not self.conversation:
            raise ConfigError(
                "nothing is known of this person", hint="pick a user, type a title, or say what they look for"
            )
        return history


def typed_history(text: str) -> History:
    """A history with one title or id per line, oldest first; "+ " in front means liked, "- " disliked."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_TYPED:
        raise ConfigError(f"the history has {len(lines):,} lines", hint=f"at most {MOST_TYPED:,}")
    return History(events=tuple(map(_event, lines)))


def listed(histories: Mapping[str, History], catalog: Catalog) -> dict[str, str]:
    """The first users by id, each described by the number of events and the newest title."""
    return {user: _described(user, histories[user], catalog) for user in list(histories)[:MOST_LISTED]}


def chips(history: History, catalog: Catalog, most: int = 12) -> list[tuple[str, Feedback]]:
    """The newest events of a history for display, newest first: title and feedback."""
    newest = history.events[: -most - 1 : -1]
    return [(_title(event.item, catalog), event.feedback) for event in newest]


def _event(line: str) -> Event:
    sign, space, rest = line.partition(" ")
    if sign in _SIGNS and space and rest.strip():
        return Event(item=rest.strip(), feedback=_SIGNS[sign])
    return Event(item=line)


def _described(user: str, history: History, catalog: Catalog) -> str:
    title = _title(history.events[-1].item, catalog) if history.events else ""
    return f"{user}: {len(history):,} events, last {title}" if title else f"{user}: no events"


def _title(item: str, catalog: Catalog) -> str:
    return display_title(catalog[item].title) if item in catalog else item
