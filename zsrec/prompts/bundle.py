"""A template with the files that it extends, includes and imports."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from jinja2 import nodes

from zsrec.core.errors import TemplateError, TemplateNotFoundError
from zsrec.prompts import syntax
from zsrec.prompts.diagnostics import Problem
from zsrec.prompts.front_matter import FrontMatter, parse_front_matter, split

SUFFIX = ".j2"
_MAX_BYTES = 262_144


@dataclass(frozen=True)
class Source:
    """A template file as read."""

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
        """Whether the file has no front matter, so that it can only be included."""
        return not self.text.startswith("---")


def read_source(path: Path, name: str, place: int = -1) -> Source:
    """Reads a template file."""
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
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data[:64]:
        hint = "save it as UTF-8, without a null character"
        raise TemplateError("the file is UTF-16 or binary, not UTF-8", path=shown, line=1, hint=hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TemplateError("the file is not UTF-8", path=shown, line=line, hint="save it as UTF-8") from None
    return source_of(text, name, shown, place)


def source_of(text: str, name: str, path: str, place: int = -1) -> Source:
    """Parses a template's text; problems of its front matter are in the result's `problems`."""
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


@dataclass(frozen=True)
class Unit:
    """A source with its syntax tree; None where the syntax is broken."""

    source: Source
    tree: nodes.Template | None

    @cached_property
    def used(self) -> Mapping[str, int]:
        """The variables that it takes from outside, with the line of their first use; costly to find."""
        return syntax.used_names(self.tree) if self.tree else {}


@dataclass(frozen=True)
class Bundle:
    """All the files behind one template."""

    chain: tuple[Unit, ...]
    parts: dict[str, Unit]
    front: FrontMatter
    problems: tuple[Problem, ...]

    @property
    def main(self) -> Source:
        """The template's own file."""
        return self.chain[0].source

    @property
    def units(self) -> tuple[Unit, ...]:
        """All files: the chain, then its parts."""
        return (*self.chain, *self.parts.values())

    @property
    def trees(self) -> list[nodes.Template]:
        """The syntax trees of all files that could be read."""
        return [unit.tree for unit in self.units if unit.tree]

    def block(self, name: str) -> nodes.Block | None:
        """The block that will be rendered: the nearest in the chain."""
        for unit in self.chain:
            found = syntax.blocks(unit.tree).get(name) if unit.tree else None
            if found is not None:
                return found
        return None

    def sha256(self) -> str:
        """The SHA-256 of the file, or of all the files' digests where there are several."""
        if len(self.chain) == 1 and not self.parts:
            return self.main.digest
        digests = [unit.source.digest for unit in self.chain]
        digests += [unit.source.digest for _, unit in sorted(self.parts.items())]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()
