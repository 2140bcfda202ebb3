"""One template file: its text, read and taken apart, before anything is looked up or compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from zsrec.errors import TemplateError, TemplateNotFoundError
from zsrec.prompts.front_matter import FrontMatter, parse_front_matter, split
from zsrec.prompts.problems import Problem

SUFFIX = ".j2"
_MAX_BYTES = 262_144


@dataclass(frozen=True)
class Source:
    """A template file as read.

    Attributes:
        name: The name it is known by, for example "rank/default".
        path: The file, as messages name it.
        text: The whole file.
        body: The Jinja part, with empty lines before it so that line numbers are the file's.
        front: The front matter; None where there is none or it cannot be used.
        lines: The line of every front matter key by its place in it.
        problems: What is wrong with the front matter.
        place: Which of the library's folders it came from, counted from the first; -1 for an explicit path.
    """

    name: str
    path: str
    text: str
    body: str
    front: FrontMatter | None
    lines: Mapping[tuple[str | int, ...], int]
    problems: tuple[Problem, ...]
    place: int = -1
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.text.encode()).hexdigest())

    @property
    def is_part(self) -> bool:
        """Whether the file is a mere part, to be included by others: it has no front matter."""
        return not self.text.startswith("---")


def read_source(path: Path, name: str, place: int = -1) -> Source:
    """Reads a template file.

    Raises:
        TemplateNotFoundError: There is no such file.
        TemplateError: It cannot be read, is longer than 256 KiB, or is not UTF-8.
    """
    shown = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise TemplateNotFoundError("there is no such template file", path=shown) from None
    except OSError as error:
        raise TemplateError(f"cannot be read: {error.strerror}", path=shown) from None
    if len(data) > _MAX_BYTES:
        raise TemplateError(f"the file is longer than {_MAX_BYTES} bytes", path=shown)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TemplateError("the file is not UTF-8", path=shown, line=line, hint="save it as UTF-8") from None
    return source_of(text, name, shown, place)


def source_of(text: str, name: str, path: str, place: int = -1) -> Source:
    """Takes a template's text apart; what is wrong with its front matter is in the result's `problems`."""
    text = text.replace("\r\n", "\n")
    if not text.startswith("---"):
        return Source(name, path, text, text, None, {}, (), place)
    front_text, body, problems = split(text, path)
    if problems:
        return Source(name, path, text, body, None, {}, _of_front_matter(problems), place)
    front, lines, wrong = parse_front_matter(front_text, path)
    return Source(name, path, text, body, front, lines, _of_front_matter(wrong), place)


def _of_front_matter(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(replace(problem, rule="front-matter") for problem in problems)
