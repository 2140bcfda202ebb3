"""Checks a template by reading it and then by rendering it for made-up users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import nodes

from zsrec.errors import TemplateError
from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.front_matter import SCOPES
from zsrec.prompts.library import Folders, Library
from zsrec.prompts.problems import Problem
from zsrec.prompts.template import Template
from zsrec.prompts.views import ItemView, title_view
from zsrec.types import Message


def check(target: str | Path | Template, prompts: Folders = None) -> list[Problem]:
    """Everything that is wrong with a template, in the order of its lines.

    Args:
        target: A name, a path (a `Path`, or a text that ends with ".j2") or a loaded template.
        prompts: Folders of the caller's own templates, for what the template extends and includes.

    Returns:
        Errors and warnings; empty for a template that is fine. A file that cannot be read is a finding too.
    """
    try:
        bundle = target.bundle if isinstance(target, Template) else Library(prompts).open(target)
    except TemplateError as error:
        place = error.path or str(target)
        message = error.message.removeprefix(f"{place}:{error.line}: ").removeprefix(f"{place}: ")
        return [Problem(place, error.line or 1, message)]
    problems = list(bundle.problems)
    if not any(problem.severity == "error" for problem in problems):
        problems.extend(_probe(bundle))
    return problems


def shared_prefix(template: Template) -> float:
    """The share of a prompt that two users with the same pool and catalog have in common at its start.

    It is measured in characters on made-up users, in [0, 1]. A server's cache shares whole blocks of
    tokens, so what it saves is a little less.

    Raises:
        TemplateError: The template fails on a made-up user.
    """
    first, second = (_joined(_render(template, user)) for user in _USERS[:2])
    pairs = enumerate(zip(first, second, strict=False))
    shared = next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))
    return shared / max(len(first), len(second))


def _probe(bundle: Bundle) -> Iterator[Problem]:
    template = Template(bundle)
    for user in _USERS:
        try:
            _render(template, user)
        except TemplateError as error:
            path = error.path or bundle.main.path
            message = error.message.removeprefix(f"{path}:{error.line}: ").removeprefix(f"{path}: ")
            about = f"{message} [{user['says']}]"
            yield Problem(path, error.line or 1, about)
            return
    yield from _scope_order(bundle, template)


def _scope_order(bundle: Bundle, template: Template) -> Iterator[Problem]:
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


class _AnyAttribute(dict[str, Any]):
    """Attributes of a made-up item: a catalog may have any column."""

    def __missing__(self, name: str) -> str:
        return f"some {name}"


def _item(number: int, letter: str) -> ItemView:
    view = ItemView(
        title=f"{letter} made-up title {number} (19{number + 60})", id=str(number), age=number, rating=4.0
    )
    object.__setattr__(view, "attributes", _AnyAttribute())
    return view


_POOL = tuple(_item(number, "A") for number in range(1, 21))
_USERS: tuple[dict[str, Any], ...] = (
    {"says": "for a user with a history", "history": [_item(n, "B") for n in range(1, 13)]},
    {"says": "for another user with a history", "history": [_item(n, "C") for n in range(1, 13)]},
    {"says": "for a user without a history", "history": [], "about": "slow films about machines"},
    {"says": "for a title that the catalog lacks", "history": [title_view("Unheard Of")]},
    {"says": "for one candidate", "history": [_item(1, "D")], "candidates": _POOL[:1]},
)


def _render(template: Template, user: dict[str, Any]) -> tuple[Message, ...]:
    stand_ins: dict[str, Any] = {"str": "some text", "int": 3, "items": _POOL[:3]}
    values: dict[str, Any] = {
        name: stand_ins[variable.type]
        for name, variable in template.variables.items()
        if variable.default is None and name not in {"history", "about", "domain"}
    }
    values |= {"candidates": _POOL, "k": 5} | {name: value for name, value in user.items() if name != "says"}
    return template.render(**values)


def _joined(messages: tuple[Message, ...]) -> str:
    return "\n".join(f"{message.role}\n{message.content}" for message in messages)
