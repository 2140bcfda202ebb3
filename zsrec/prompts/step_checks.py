"""What can be wrong with the steps of a template that asks several questions."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.front_matter import FrontMatter
from zsrec.prompts.problems import Problem

_ALLOWED = ("generate", "rank")


def step_blocks(front: FrontMatter) -> set[str]:
    """The names of the blocks that the earlier steps may have."""
    return {f"{step}_{role}" for step in front.steps for role in syntax.ROLES}


def check_steps(bundle: Bundle) -> Iterator[Problem]:
    """Steps that ask nothing, that use an answer before it is there, or that do not go with the task.

    Args:
        bundle: The template; its chain is whole and can be read.
    """
    front, main = bundle.front, bundle.main
    if front.steps and front.task is not None and front.task not in _ALLOWED:
        line = main.lines.get(("steps",), 1)
        yield Problem(main.path, line, f"steps go with the tasks generate and rank, not with {front.task!r}")
    for name in front.steps:
        if bundle.block(f"{name}_user") is None:
            path, line = _declared(bundle, name)
            yield Problem(path, line, f"step {name!r} has no block '{name}_user', so nothing would be asked")
        if name in front.variables:
            path, line = _declared(bundle, name)
            yield Problem(path, line, f"a step cannot be called {name!r}: that is a variable's name")
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
                        message = f"the answer of {name!r} is not there yet in step {step!r}"
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
