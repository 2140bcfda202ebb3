"""What can be wrong with a template and its files, as far as reading goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.front_matter import Task
from zsrec.prompts.problems import Problem
from zsrec.prompts.step_checks import check_steps, step_blocks


def check_bundle(bundle: Bundle, whole: bool) -> Iterator[Problem]:
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
    for unit in bundle.units:
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
