"""A template while it is written: a text in memory, checked as a file would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History
from zsrec.data.titles import display_title
from zsrec.prompts import Library, Problem, Template
from zsrec.prompts.bundle import SUFFIX, Source, source_of
from zsrec.prompts.library import gather
from zsrec.prompts.linter import checked

MOST_CHARACTERS = 65_536
"""A longer text is not checked: no prompt is that long, and checking it would hold the page up."""
_RUNS = ("generate", "rank")


@dataclass(frozen=True)
class Draft:
    """A template's text as it stands in an editor, with what is wrong with it.

    Attributes:
        origin: The template that it started from, as it lies in the library.
        text: The text.
        template: The template, ready to be used; None where the text has an error.
        problems: Errors and warnings, those of the text itself by line and then those of files that it uses.
    """

    origin: Source
    text: str
    template: Template | None
    problems: tuple[Problem, ...]

    @property
    def name(self) -> str:
        """The name of the template that it started from, for example "rank/default"."""
        return self.origin.name

    @property
    def edited(self) -> bool:
        """Whether the text differs from the template that it started from."""
        return self.text.replace("\r\n", "\n") != self.origin.text

    @property
    def path(self) -> str:
        """What the text is called in messages."""
        return self.name + SUFFIX

    @property
    def errors(self) -> int:
        """How many of the problems keep it from being used."""
        return sum(problem.severity == "error" for problem in self.problems)

    def marks(self) -> dict[int, list[Problem]]:
        """The problems of the text itself by line, from 1."""
        found: dict[int, list[Problem]] = {}
        for problem in self.problems:
            if problem.path == self.path:
                found.setdefault(problem.line, []).append(problem)
        return found


def names(library: Library) -> list[str]:
    """The templates that a playground can run: those that recommend, and that can be read."""
    found = [entry.name for entry in library.entries() if entry.shadowed_by is None]
    return [name for name in found if library.open(name).front.task in _RUNS]


def opened(name: str, library: Library) -> Draft:
    """A template of the library, not yet edited.

    Raises:
        TemplateNotFoundError: There is none of that name.
    """
    source = library.find(name)
    return drafted(source.text, source, library)


def drafted(text: str, origin: Source, library: Library) -> Draft:
    """Checks a text as `zsrec prompts check` checks a file; what it extends and includes is the library's.

    Args:
        text: The whole template, front matter and all.
        origin: The template that it started from.
        library: Where templates are found.
    """
    path = origin.name + SUFFIX
    if len(text) > MOST_CHARACTERS:
        message = f"the text has {len(text):,} characters; here at most {MOST_CHARACTERS:,} are checked"
        return Draft(origin, text, None, (Problem(path, 1, message),))
    problems, template = checked(gather(source_of(text, origin.name, path, origin.place), library))
    if template is not None and template.task not in _RUNS:
        message = f"the task {template.task!r} recommends nothing; here 'generate' and 'rank' can be run"
        problems, template = [*problems, Problem(path, 1, message)], None
    return Draft(origin, text, template, tuple(problems))


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
