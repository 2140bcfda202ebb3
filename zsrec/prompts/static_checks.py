"""Checks that need no rendering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from jinja2 import nodes

from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.diagnostics import Problem
from zsrec.prompts.front_matter import FrontMatter, Task

_ALLOWED = ("generate", "rank")


def step_blocks(front: FrontMatter) -> set[str]:
    """The names of the blocks that the earlier steps may have."""
    return {f"{step}_{role}" for step in front.steps for role in syntax.ROLES}


def check_steps(bundle: Bundle) -> Iterator[Problem]:
    """Steps that ask nothing, that use an answer before it is there, or that do not go with the task."""
    front, main = bundle.front, bundle.main
    if front.steps and front.task is not None and front.task not in _ALLOWED:
        line = main.lines.get(("steps",), 1)
        yield Problem(main.path, line, f"steps go with the tasks generate and rank, not with {front.task!r}")
    for name in front.steps:
        if bundle.block(f"{name}_user") is None:
            path, line = _declared(bundle, name)
            yield Problem(path, line, f"step {name!r} has no block '{name}_user', so nothing would be sent")
        if name in front.variables:
            path, line = _declared(bundle, name)
            yield Problem(path, line, f"a step cannot be called {name!r}: that is the name of a variable")
    yield from _too_early(bundle)
    used = {name for tree in bundle.trees for name in _names(tree)}
    for name in front.steps:
        if name not in used:
            path, line = _declared(bundle, name)
            yield Problem(path, line, f"the answer of step {name!r} is never used", "warning")


def _too_early(bundle: Bundle) -> Iterator[Problem]:
    steps = list(bundle.front.steps)
    for place, step in enumerate(steps):
        for unit in bundle.chain:
            own = syntax.blocks(unit.tree) if unit.tree else {}
            for role in syntax.ROLES:
                block = own.get(f"{step}_{role}")
                uses = _names(block) if block is not None else {}
                for name in steps[place:]:
                    if name in uses:
                        message = f"step {step!r} uses the answer of {name!r} before it is known"
                        yield Problem(unit.source.path, uses[name], message)


def _declared(bundle: Bundle, step: str) -> tuple[str, int]:
    """The file and line that declare a step."""
    for unit in bundle.chain:
        if ("steps", step) in unit.source.lines:
            return unit.source.path, unit.source.lines["steps", step]
    return bundle.main.path, 1


def _names(node: nodes.Node) -> dict[str, int]:
    """The names that a stretch of a template reads, with the line of their first use."""
    found: dict[str, int] = {}
    for name in node.find_all(nodes.Name):
        if name.ctx == "load":
            found.setdefault(name.name, name.lineno)
    return found


def check_bundle(bundle: Bundle, whole: bool) -> Iterator[Problem]:
    """Checks the files together; checks that need all of them run only where the chain is complete."""
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
    for unit in bundle.units:
        if unit.tree is None:
            continue
        yield from syntax.own_control_tokens(unit.tree, unit.source.path)
        yield from syntax.unpaired_braces(unit.tree, unit.source.path)
        unknown = list(syntax.unknown_helpers(unit.tree, unit.source.path))
        yield from unknown
        if whole and not unknown:  # the search for names trips over unknown filters
            yield from syntax.undeclared(unit.used, declared, unit.source.path)
    if whole and bundle.block("user") is None:
        line = main.text.count("\n", 0, main.text.find("\n---") + 1) + 2 if not main.is_part else 1
        message = "there is no block 'user', so nothing would be sent"
        yield Problem(main.path, line, message, rule="blocks")
    if whole and front.needs_labels and not any(syntax.mentions(tree, "label") for tree in bundle.trees):
        line = main.lines.get(("ranker",), 1)
        message = f"the ranker {front.ranker!r} needs {{{{ item.label }}}} beside each candidate"
        yield Problem(main.path, line, message, rule="labels")
    if whole:
        yield from check_steps(bundle)
        yield from _unused_variables(bundle)


def _unused_variables(bundle: Bundle) -> Iterator[Problem]:
    if any(True for tree in bundle.trees for _ in syntax.unknown_helpers(tree, "")):
        return
    used = {name for unit in bundle.units for name in unit.used}
    own = bundle.main.front.variables if bundle.main.front else {}
    for name in own:
        if name not in used:
            line = bundle.main.lines["variables", name]
            message = f"variable {name!r} is declared and never used"
            yield Problem(bundle.main.path, line, message, "warning", rule="unused-variable")
