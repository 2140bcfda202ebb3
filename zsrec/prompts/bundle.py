"""A template together with everything it extends, includes and imports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from jinja2 import nodes

from zsrec.prompts import syntax
from zsrec.prompts.front_matter import FrontMatter
from zsrec.prompts.problems import Problem
from zsrec.prompts.sources import Source


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
    """All the files behind one template.

    Attributes:
        chain: The template, then what it extends, and so on to the root.
        parts: What these include and import, by name.
        front: The front matter with what it inherits.
        problems: Everything found by reading, in the order of the files' lines.
    """

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
        """The block as it will be rendered: the nearest in the chain."""
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
