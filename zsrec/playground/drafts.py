"""A template while it is written: a text in memory, checked as a file would be."""

from __future__ import annotations

from dataclasses import dataclass

from zsrec.prompts import Library, Problem, Template
from zsrec.prompts.gather import gather
from zsrec.prompts.lint import checked
from zsrec.prompts.sources import SUFFIX, Source, source_of

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
