"""Reading everything behind a template, and checking it, without running anything."""

from __future__ import annotations

from typing import Protocol

from zsrec.errors import TemplateError
from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle, Unit
from zsrec.prompts.checks import check_bundle
from zsrec.prompts.front_matter import FrontMatter
from zsrec.prompts.problems import Problem
from zsrec.prompts.sources import Source

_MAX_FILES = 64


class Finder(Protocol):
    """Whatever finds a template by name: the library."""

    def find(self, name: str, *, after: int | None = None) -> Source:
        """The first source of that name, or the first one behind the place `after`."""
        ...


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
    problems.extend(check_bundle(bundle, whole))
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
