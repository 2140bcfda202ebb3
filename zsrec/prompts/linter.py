"""Checks a template by reading it and then by rendering it for synthetic users; nothing is sent anywhere.

    from zsrec.prompts import check, check_text
    for problem in check("./mine/rank.j2"):
        print(problem.place, problem.message)     # ./mine/rank.j2:14:23 undeclared variable …

What is found by reading alone (`zsrec.prompts.static_checks`), and what lets a title forge something
(`zsrec.prompts.injection_check`), keeps a template from being loaded; the rest is found here only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from jinja2 import nodes
from rapidfuzz.distance import OSA

from zsrec.core.errors import TemplateError
from zsrec.core.types import Message
from zsrec.prompts import syntax
from zsrec.prompts.bundle import Bundle
from zsrec.prompts.diagnostics import Problem, did_you_mean
from zsrec.prompts.front_matter import SCOPES
from zsrec.prompts.injection_check import untrusted_text
from zsrec.prompts.item_view import FIELDS
from zsrec.prompts.library import Folders, Library
from zsrec.prompts.synthetic_users import LABELLED_POOL, USERS, columns_asked, joined, rendered, shared_prefix
from zsrec.prompts.template import Template

_ASKS = {
    "json": re.compile(r"json|\[\s*[\"“{]", re.IGNORECASE),
    "numbered": re.compile(r"number|(?m:^\s*1[.):、])|编号|編號|序号|序號|带数字", re.IGNORECASE),
}
_ASKS_LABEL = re.compile(
    r"label|letter|identifier|option|标签|標籤|字母|编号|編號|代号|代號|选项|選項|标号|序号", re.IGNORECASE
)
_ASKS_PAIR = re.compile(r"(?<=\S) [-–—→←] |->|<-|pair|对应|成对", re.IGNORECASE)
_LABEL = re.compile(r"(?<![A-Za-z])[A-T](?![A-Za-z])")


def answer_format(bundle: Bundle, template: Template, prompts: Sequence[tuple[Message, ...]]) -> Iterator[Problem]:
    """Answer formats that the front matter declares and the prompt never asks for."""
    path, lines = bundle.main.path, bundle.main.lines
    said = "\n".join(map(joined, prompts))
    if bundle.front.needs_labels:
        line = lines.get(("ranker",), 1)
        shown = set(_LABEL.findall(said))
        missing = [item.label for item in LABELLED_POOL if item.label not in shown]
        if missing:
            message = f"the ranker {template.ranker!r} needs labels, and the prompt never shows {missing[0]!r}"
            yield Problem(path, line, message, rule="labels")
        elif not _ASKS_LABEL.search(said):
            message = f"the ranker {template.ranker!r} reads a label, and the prompt never asks for one"
            yield Problem(path, line, message, "warning", rule="answer-format")
        return
    asks = _ASKS.get(template.answer)
    if template.task in ("generate", "rank") and asks is not None and not asks.search(said):
        message = f"'answer: {template.answer}' is declared, and the prompt never asks for it"
        yield Problem(path, lines.get(("answer",), 1), message, "warning", rule="answer-format")
    if template.side is not None and not _ASKS_PAIR.search(said):
        message = f"'side: {template.side}' reads pairs, and the prompt never asks for pairs"
        yield Problem(path, lines.get(("side",), 1), message, "warning", rule="answer-format")


_SHORTEST = 5  # "page" is no misspelt "age"
_LONG = 8  # a word that long may have two slips
_OWN = "attributes"  # what is read from it by name is meant as a column
# Filters whose first argument, or whose `attribute`, names a field of the items that they get.
_BY_FIRST = ("attr", "groupby", "rejectattr", "selectattr", "sum")


def unknown_fields(bundle: Bundle, asked: Collection[str]) -> Iterator[Problem]:
    """Fields that no item has, each once, at its first use."""
    variables = bundle.front.variables.values()
    declared = [one.fields for one in variables if one.fields is not None]
    known = list(dict.fromkeys([*FIELDS, *(name for fields in declared for name in fields)]))
    done = set(known)
    for name, path, line in _reads(bundle):
        if name in done:
            continue
        done.add(name)
        if declared and name in asked:
            own = ", ".join(known[len(FIELDS) :]) or "none"
            message = f"an item has no field {name!r}{did_you_mean(name, known)}; declared columns: {own}"
            yield Problem(path, line, message, rule="unknown-field")
        elif (meant := _slip(name, known)) is not None:
            message = (
                f"{name!r} is not a field of an item (did you mean {meant!r}?); "
                f"if your catalog has such a column, declare it: 'fields: [{name}]'"
            )
            yield Problem(path, line, message, "warning", rule="unknown-field")


def _slip(name: str, known: Collection[str]) -> str | None:
    """The field that a name probably misspells, by optimal string alignment distance."""
    folded = name.casefold()
    for field in known:
        if len(field) < _SHORTEST or folded == f"{field}s":  # ratings, labels: columns as good as any
            continue
        most = 2 if len(field) >= _LONG else 1
        if OSA.distance(folded, field.casefold(), score_cutoff=most) <= most:
            return field
    return None


def _reads(bundle: Bundle) -> Iterator[tuple[str, str, int]]:
    """The field names that the files read, with file and line, in the order of the text."""
    for unit in bundle.units:
        found = list(_names(unit.tree)) if unit.tree is not None else []
        yield from ((name, unit.source.path, line) for name, line in sorted(found, key=lambda one: one[1]))


def _names(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Filter)):
        if isinstance(node, nodes.Getattr) and not _is_own(node.node):
            yield node.attr, node.lineno
        elif isinstance(node, nodes.Getitem) and not _is_own(node.node):
            yield from _text(node.arg)
        elif isinstance(node, nodes.Filter):
            for keyword in node.kwargs:
                if keyword.key == "attribute":
                    yield from _text(keyword.value)
            if node.name in _BY_FIRST and node.args:
                yield from _text(node.args[0])


def _is_own(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and node.attr == _OWN


def _text(node: nodes.Node) -> Iterator[tuple[str, int]]:
    """The first name of a dotted path that is written out."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value.partition(".")[0], node.lineno


def scope_order(bundle: Bundle, template: Template) -> Iterator[Problem]:
    """A variable that precedes a longer one which more requests share.

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


_QUOTED = re.compile(r"(?<!\w)'([^']+)'|\"([^\"]+)\"")


def column(problem: Problem, text: str) -> int:
    """The column, from 1, of the first quoted word of the message in the line; else of the line's text."""
    lines = text.replace("\r\n", "\n").split("\n")
    line = lines[problem.line - 1] if 0 < problem.line <= len(lines) else ""
    for found in _QUOTED.finditer(problem.message):
        word = found[1] or found[2]
        place = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line)
        if place is not None:
            return place.start() + 1
    return len(line) - len(line.lstrip()) + 1


def check(
    target: str | Path | Template, prompts: Folders = None, *, library: Library | None = None
) -> list[Problem]:
    """All findings about a template, in the order of its lines.

    Args:
        target: A name, a path (a `Path`, or a text that ends with ".j2") or a loaded template.
        prompts: Folders of the caller's own templates, for what the template extends and includes.
        library: Used instead of a new library of `prompts`; for callers that check often.

    Returns:
        Errors and warnings; empty for a template that is fine. A file that cannot be read is a finding too.
    """
    try:
        bundle = target.bundle if isinstance(target, Template) else (library or Library(prompts)).open(target)
    except TemplateError as error:
        path = error.path or str(target)
        return [Problem(path, error.line or 1, _message(error, path), rule="unreadable")]
    return checked(bundle).problems


def check_text(
    text: str, name: str = "draft", prompts: Folders = None, *, library: Library | None = None
) -> list[Problem]:
    """All findings about a template that is not saved yet, for an editor.

    Args:
        text: The whole file: front matter and body.
        name: What it is called in messages; a template that extends this very name extends the one that the
            library has.
        prompts: As for `check`.
        library: As for `check`.
    """
    return checked((library or Library(prompts)).open_text(text, name)).problems


class Checked(NamedTuple):
    """A template's findings, with the template."""

    problems: list[Problem]
    template: Template | None


def checked(bundle: Bundle) -> Checked:
    """Checks a bundle and returns the template where there is no error."""
    problems = list(bundle.problems)
    template: Template | None = None
    if not _wrong(problems):
        try:
            template = Template(bundle)
            problems += _probed(bundle, template)
        except TemplateError as error:  # what only compiling finds
            path = error.path or bundle.main.path
            problems.append(Problem(path, error.line or 1, _message(error, path)))
    texts = {unit.source.path: unit.source.text for unit in bundle.units}
    found = [replace(one, column=column(one, texts.get(one.path, ""))) for one in problems]
    return Checked(found, None if _wrong(found) else template)


def _wrong(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _probed(bundle: Bundle, template: Template) -> list[Problem]:
    """Findings from rendering the template."""
    prompts: list[tuple[Message, ...]] = []
    with columns_asked() as asked:
        for user in USERS:
            try:
                prompts.append(rendered(template, user))
            except TemplateError as error:
                path = error.path or bundle.main.path
                hint = f"; {error.hint}" if error.hint else ""
                message = f"{_message(error, path)} [{user['says']}]{hint}"
                problem = Problem(path, error.line or 1, message, rule="render")
                return [*(one for one in unknown_fields(bundle, asked) if one.line != problem.line), problem]
    return [
        *unknown_fields(bundle, asked),
        *untrusted_text(bundle, template),
        *scope_order(bundle, template),
        *answer_format(bundle, template, prompts),
    ]


def _message(error: TemplateError, path: str) -> str:
    """The error's message without its position."""
    return error.message.removeprefix(f"{path}:{error.line}: ").removeprefix(f"{path}: ")
