"""A template together with everything it extends, includes and imports, checked as far as reading goes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, get_args

from jinja2 import nodes

from zsrec.errors import TemplateError
from zsrec.prompts import syntax
from zsrec.prompts.front_matter import FrontMatter, Task
from zsrec.prompts.problems import Problem
from zsrec.prompts.sources import Source
from zsrec.prompts.step_checks import check_steps, step_blocks

_MAX_FILES = 64


class Finder(Protocol):
    """Whatever finds a template by name: the library."""

    def find(self, name: str, *, after: int | None = None) -> Source:
        """The first source of that name, or the first one behind the place `after`."""
        ...


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


def gather(main: Source, finder: Finder) -> Bundle:
    """Reads everything behind a template and checks it, without running anything."""
    problems: list[Problem] = []
    chain, resolved = _chain(main, finder, problems)
    whole = resolved and all(unit.tree and unit.source.front for unit in chain)
    parts: dict[str, Unit] = {}
    for unit in chain:
        _collect(unit, finder, parts, problems, (), skip_extends=True)
    front = FrontMatter()
    for unit in reversed(chain):
        front = (unit.source.front or FrontMatter()).extending(front)
    bundle = Bundle(tuple(chain), parts, front, ())
    problems.extend(_check(bundle, whole))
    unique = sorted(set(problems), key=lambda p: (p.path != main.path, p))
    return Bundle(bundle.chain, parts, front, tuple(unique))


def _open(source: Source, problems: list[Problem]) -> Unit:
    problems.extend(source.problems)
    tree, broken = syntax.parse_body(source.body, source.path)
    problems.extend(broken)
    return Unit(source, tree)


def _find(
    finder: Finder, reference: syntax.Reference, path: str, problems: list[Problem], after: int | None = None
) -> Source | None:
    try:
        return finder.find(reference.name, after=after)
    except TemplateError as error:
        message = f"'{reference.kind}': {error.message}"
        problems.append(Problem(path, reference.line, message, rule="reference"))
        return None


def _chain(main: Source, finder: Finder, problems: list[Problem]) -> tuple[list[Unit], bool]:
    """The template and what it extends, and whether all of that was found.

    A template that extends its own name extends the one that it shadows.
    """
    chain = [_open(main, problems)]
    while (unit := chain[-1]).tree is not None:
        source = unit.source
        named, broken = syntax.references(unit.tree, source.path)
        problems.extend(broken)
        parent = next((reference for reference in named if reference.kind == "extends"), None)
        if parent is None:
            return chain, True
        after = source.place if parent.name == source.name else None
        found = _find(finder, parent, source.path, problems, after)
        if found is None:
            break
        if found.path in {unit.source.path for unit in chain}:
            circle = f"extending {parent.name!r} goes round in a circle"
            problems.append(Problem(source.path, parent.line, circle, rule="reference"))
            break
        chain.append(_open(found, problems))
    return chain, False


def _collect(
    unit: Unit,
    finder: Finder,
    parts: dict[str, Unit],
    problems: list[Problem],
    trail: tuple[str, ...],
    *,
    skip_extends: bool = False,
) -> None:
    """Adds what a template includes and imports to `parts`, at any depth."""
    if unit.tree is None:
        return
    path = unit.source.path
    named, broken = syntax.references(unit.tree, path)
    problems.extend(broken)
    for reference in named:
        if skip_extends and reference.kind == "extends":
            continue
        if reference.name in trail:
            circle = f"{reference.name!r} includes itself in a circle"
            problems.append(Problem(path, reference.line, circle, rule="reference"))
        elif reference.name not in parts and len(parts) < _MAX_FILES:
            source = _find(finder, reference, path, problems)
            if source is not None:
                parts[reference.name] = _open(source, problems)
        if reference.name in parts and reference.name not in trail:
            _collect(parts[reference.name], finder, parts, problems, (*trail, reference.name))


def _check(bundle: Bundle, whole: bool) -> Iterator[Problem]:
    """Checks the files together. What depends on all of them waits until the chain is `whole` and readable."""
    main, front = bundle.main, bundle.front
    if main.is_part:
        message = "a template starts with '---' and its front matter"
        yield Problem(main.path, 1, message, rule="front-matter")
    elif front.task is None and whole:
        message = f"the front matter has no 'task'; known: {', '.join(get_args(Task))}"
        yield Problem(main.path, 1, message, rule="front-matter")
    names = {name for unit in bundle.chain if unit.tree for name in syntax.defined_names(unit.tree)}
    declared = {*front.variables, *front.steps, *names}
    for place, unit in enumerate(bundle.chain):
        if unit.tree is not None:
            yield from syntax.outside_blocks(unit.tree, unit.source.path)
            above = [syntax.blocks(other.tree) for other in bundle.chain[place + 1 :] if other.tree]
            known = {*syntax.ROLES, *step_blocks(front), *(name for blocks in above for name in blocks)}
            if whole:
                yield from syntax.unused_blocks(unit.tree, known, unit.source.path)
    for unit in (*bundle.chain, *bundle.parts.values()):
        if unit.tree is None:
            continue
        yield from syntax.own_control_tokens(unit.tree, unit.source.path)
        unknown = list(syntax.unknown_helpers(unit.tree, unit.source.path))
        yield from unknown
        if whole and not unknown:  # the search for names trips over unknown filters
            yield from syntax.undeclared(unit.used, declared, unit.source.path)
    if whole and bundle.block("user") is None:
        line = main.text.count("\n", 0, main.text.find("\n---") + 1) + 2 if not main.is_part else 1
        message = "there is no block 'user', so nothing would be asked"
        yield Problem(main.path, line, message, rule="blocks")
    if whole and front.needs_labels and not any(syntax.mentions(tree, "label") for tree in _trees(bundle)):
        line = main.lines.get(("ranker",), 1)
        message = f"the ranker {front.ranker!r} needs {{{{ item.label }}}} beside each candidate"
        yield Problem(main.path, line, message, rule="labels")
    if whole:
        yield from check_steps(bundle)
        yield from _unused_variables(bundle)


def _trees(bundle: Bundle) -> list[nodes.Template]:
    return [unit.tree for unit in (*bundle.chain, *bundle.parts.values()) if unit.tree]


def _unused_variables(bundle: Bundle) -> Iterator[Problem]:
    trees = _trees(bundle)
    if any(True for tree in trees for _ in syntax.unknown_helpers(tree, "")):
        return
    used = {name for unit in (*bundle.chain, *bundle.parts.values()) for name in unit.used}
    own = bundle.main.front.variables if bundle.main.front else {}
    for name in own:
        if name not in used:
            line = bundle.main.lines["variables", name]
            message = f"variable {name!r} is declared and never used"
            yield Problem(bundle.main.path, line, message, "warning", rule="unused-variable")
