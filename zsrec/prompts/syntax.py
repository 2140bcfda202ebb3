"""What can be said of a template's Jinja without running it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from jinja2 import TemplateSyntaxError, meta, nodes

from zsrec.core.untrusted_text import control_tokens
from zsrec.prompts.diagnostics import Problem, did_you_mean
from zsrec.prompts.sandbox import FILTERS_LEFT_OUT, Sandbox

ROLES = ("system", "user")
_SANDBOX = Sandbox()
_DEFINITIONS = (nodes.Macro, nodes.Import, nodes.FromImport, nodes.Assign, nodes.AssignBlock)


class Reference(NamedTuple):
    """A mention of another template: by "extends", "include" or "import", with its line."""

    kind: str
    name: str
    line: int


def parse_body(body: str, path: str) -> tuple[nodes.Template | None, list[Problem]]:
    """The syntax tree of a body, or why there is none."""
    try:
        return _SANDBOX.parse(body, filename=path), []
    except TemplateSyntaxError as error:
        return None, [Problem(path, error.lineno, _plain(error.message or "broken syntax"))]
    except ValueError as error:  # a number of thousands of digits
        return None, [Problem(path, 1, _plain(str(error)))]
    except RecursionError:
        return None, [Problem(path, 1, "the template is nested too deeply")]


def references(tree: nodes.Template, path: str) -> tuple[list[Reference], list[Problem]]:
    """The templates that a template names, and names that are not fixed texts (which cannot be checked)."""
    found: list[Reference] = []
    problems: list[Problem] = []
    kinds = {
        nodes.Extends: "extends",
        nodes.Include: "include",
        nodes.Import: "import",
        nodes.FromImport: "import",
    }
    for node in tree.find_all(tuple(kinds)):
        kind, name = kinds[type(node)], node.template  # type: ignore[attr-defined]
        if isinstance(name, nodes.Const) and isinstance(name.value, str):
            found.append(Reference(kind, name.value.removesuffix(".j2"), node.lineno))
        else:
            message = f"'{kind}' needs one template's name in quotes"
            problems.append(Problem(path, node.lineno, message, rule="reference"))
    parents = [reference for reference in found if reference.kind == "extends"]
    once = "a template extends one other only"
    problems.extend(Problem(path, second.line, once, rule="reference") for second in parents[1:])
    return found, problems


def outside_blocks(tree: nodes.Template, path: str) -> Iterator[Problem]:
    """What stands at the top level and would never be sent: text, output and control flow."""
    for node in tree.body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if isinstance(child, nodes.TemplateData):
                    if child.data.strip():
                        lead = len(child.data) - len(child.data.lstrip())
                        line = child.lineno + child.data[:lead].count("\n")
                        message = "text outside a block is never sent"
                        yield Problem(path, line, message, rule="outside-block")
                else:
                    message = "output outside a block is never sent"
                    yield Problem(path, child.lineno, message, rule="outside-block")
        elif not isinstance(node, (*_DEFINITIONS, nodes.Block, nodes.Extends)):
            what = type(node).__name__.lower()
            yield Problem(path, node.lineno, f"'{what}' outside a block has no effect", rule="outside-block")


def definitions(tree: nodes.Template) -> nodes.Template:
    """A template of the top-level macros, imports and assignments only; blocks may use what it defines."""
    return nodes.Template([node for node in tree.body if isinstance(node, _DEFINITIONS)], lineno=1)


def defined_names(tree: nodes.Template) -> set[str]:
    """The names that `definitions` brings."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, nodes.Macro):
            names.add(node.name)
        elif isinstance(node, nodes.Import):
            names.add(node.target)
        elif isinstance(node, nodes.FromImport):
            names.update(name if isinstance(name, str) else name[1] for name in node.names)
        elif isinstance(node, nodes.Assign | nodes.AssignBlock):
            names.update(
                name.name
                for name in [node.target, *node.target.find_all(nodes.Name)]
                if isinstance(name, nodes.Name)
            )
    return names


def blocks(tree: nodes.Template) -> dict[str, nodes.Block]:
    """All blocks by name, nested ones included."""
    return {block.name: block for block in tree.find_all(nodes.Block)}


def unused_blocks(tree: nodes.Template, known: Collection[str], path: str) -> Iterator[Problem]:
    """Top-level blocks that are neither a role nor a block of the extended template."""
    for node in tree.body:
        if isinstance(node, nodes.Block) and node.name not in known:
            guess = did_you_mean(node.name, known)
            message = f"block {node.name!r} is never sent{guess}; roles: {', '.join(ROLES)}"
            yield Problem(path, node.lineno, message, rule="blocks")


def unknown_helpers(tree: nodes.Template, path: str) -> Iterator[Problem]:
    """Filters and tests that do not exist."""
    for kind, node_type, known in (
        ("filter", nodes.Filter, _SANDBOX.filters),
        ("test", nodes.Test, _SANDBOX.tests),
    ):
        for node in tree.find_all(node_type):
            name = node.name
            if name in known:
                continue
            message = f"unknown {kind} {name!r}{did_you_mean(name, known)}"
            if kind == "filter" and name in FILTERS_LEFT_OUT:
                message = f"the filter {name!r} is not for templates: {FILTERS_LEFT_OUT[name]}"
            yield Problem(path, node.lineno, message, rule="unknown-helper")


def used_names(tree: nodes.Template) -> dict[str, int]:
    """The variables that a template takes from outside, with the line of their first use."""
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load":
            lines.setdefault(node.name, node.lineno)
    free = meta.find_undeclared_variables(tree) - defined_names(tree) - set(_SANDBOX.globals)
    return {name: line for name, line in lines.items() if name in free}


def mentions(tree: nodes.Template, field: str) -> bool:
    """Whether a template reads an item's field: `item.label`, `item["label"]`, `map(attribute="label")`."""
    return any(node.attr == field for node in tree.find_all(nodes.Getattr)) or any(
        node.value == field for node in tree.find_all(nodes.Const)
    )


def undeclared(used: Mapping[str, int], declared: Collection[str], path: str) -> Iterator[Problem]:
    """Variables that are used (`used_names`) and not declared."""
    for name, line in used.items():
        if name not in declared:
            guess = did_you_mean(name, declared)
            message = f"undeclared variable {name!r}{guess}"
            yield Problem(path, line, message, rule="undeclared-variable")


def literals(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """The template's own texts, in and between its expressions, with the line of each."""
    for node in tree.find_all((nodes.TemplateData, nodes.Const)):
        text = node.data if isinstance(node, nodes.TemplateData) else getattr(node, "value", None)
        if isinstance(text, str):
            yield text, node.lineno


def own_control_tokens(tree: nodes.Template, path: str) -> Iterator[Problem]:
    """Control tokens that the author wrote: they would end the role in the midst of its text.

    Tags such as `<history>`, which part a prompt for the reader's eye, and "USER:" are no one's mistake.
    """
    for text, first in literals(tree):
        for token in control_tokens(text):
            if not token.strict:
                continue
            line = first + text.count("\n", 0, token.start)
            message = f"{token.text!r} is a control token of a chat format; a block already is one role"
            yield Problem(path, line, message, rule="control-token")


_UNPAIRED = re.compile(r"(?<!\{)\{\s*([a-zA-Z_][\w.]*)\s*(\|[^{}\n]*)?\}\}(?!\})")


def unpaired_braces(tree: nodes.Template, path: str) -> Iterator[Problem]:
    """Variables with one opening brace: `{ title }}` is text for Jinja, and is sent as it is."""
    for text, first in literals(tree):
        for found in _UNPAIRED.finditer(text):
            line = first + text.count("\n", 0, found.start())
            message = f"{found[0]!r} is sent as text; write {{{{ {found[1]} }}}} with two braces on each side"
            yield Problem(path, line, message, "warning", rule="unpaired-braces")


def _plain(message: str) -> str:
    """Jinja's sentence in the middle of ours."""
    return (message[:1].lower() + message[1:]).rstrip(".")
