"""Does a template read a field that items do not have?

A catalog may have any column, so the made-up items of the trial render answer to every name, and a misspelt
`item.titel` among the candidates fails nothing there. Two things are said all the same. Where a variable declares
its `fields`, everything else that items were asked for is an error. Where none does, a name that is one slip away
from a field of every item is a warning, since a catalog may have such a column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from jinja2 import nodes
from rapidfuzz.distance import OSA

from zsrec.prompts.bundle import Bundle
from zsrec.prompts.problems import Problem, did_you_mean
from zsrec.prompts.views import FIELDS

_SHORTEST = 5  # "page" is no misspelt "age"
_LONG = 8  # a word that long may have two slips
_OWN = "attributes"  # what is read from it by name is meant as a column
# Filters whose first argument, or whose `attribute`, names a field of the items that they get.
_BY_FIRST = ("attr", "groupby", "rejectattr", "selectattr", "sum")


def unknown_fields(bundle: Bundle, asked: Collection[str]) -> Iterator[Problem]:
    """Fields that no item has, each once, at the first place that reads it.

    Args:
        bundle: The template's files.
        asked: The columns that made-up items were asked for.
    """
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
                f"{name!r} is no field of an item (did you mean {meant!r}?); "
                f"if your catalog has such a column, declare it: 'fields: [{name}]'"
            )
            yield Problem(path, line, message, "warning", rule="unknown-field")


def _slip(name: str, known: Collection[str]) -> str | None:
    """The field that a name is one slip away from: a letter left out, added, taken for another, or two swapped."""
    folded = name.casefold()
    for field in known:
        if len(field) < _SHORTEST or folded == f"{field}s":  # ratings, labels: columns as good as any
            continue
        most = 2 if len(field) >= _LONG else 1
        if OSA.distance(folded, field.casefold(), score_cutoff=most) <= most:
            return field
    return None


def _reads(bundle: Bundle) -> Iterator[tuple[str, str, int]]:
    """What the files read by name of anything, with file and line, in the order of the text."""
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
