"""Does a prompt begin with what many requests share? Then the server computes that part once."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.front_matter import SCOPES
from zsrec.prompts.made_up import shared_prefix
from zsrec.prompts.problems import Problem
from zsrec.prompts.template import Template


def scope_order(bundle: Bundle, template: Template) -> Iterator[Problem]:
    """Says where a variable stands before a longer one that more requests share.

    Only the first use of each counts, and only lists and what belongs to a pool are worth moving: a word like
    the domain costs nothing at the end.
    """
    variables = bundle.front.variables
    first_uses: dict[str, nodes.Name] = {}
    for role in syntax.ROLES:
        for use in _uses(bundle, role):
            if use.name in variables:
                first_uses.setdefault(use.name, use)
    ranked = [(SCOPES.index(variables[name].scope), use) for name, use in first_uses.items()]
    for place, (rank, use) in enumerate(ranked):
        variable = variables[use.name]
        before = [(other, name) for other, name in ranked[:place] if other > rank]
        if before and (variable.type == "items" or variable.scope == "pool"):
            _, culprit = before[0]
            yield Problem(
                bundle.main.path,
                culprit.lineno,
                f"{culprit.name!r} ({variables[culprit.name].scope}) precedes {use.name!r} "
                f"({variable.scope}): shared prefix {shared_prefix(template):.0%}",
                "warning",
                rule="scope-order",
            )
            return


def _uses(bundle: Bundle, role: str) -> Iterator[nodes.Name]:
    """The variables of a role's block in the order of the text, nested blocks as they will be rendered."""
    block = bundle.block(role)
    pending: list[nodes.Node] = [block] if block is not None else []
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Name):
            yield node
        if isinstance(node, nodes.Block) and node is not block:
            node = bundle.block(node.name) or node
        pending.extend(reversed(list(node.iter_child_nodes())))
