"""Writes docs/reference/templates.md from the code: keys, defaults, item fields, parsers, filters.

    python .ci/template_reference.py [FILE]

The page is made before each build of the site and is not kept, so it cannot be out of date.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from jinja2.filters import FILTERS as DEFAULT_FILTERS
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from zsrec.answers.parser import PARSERS
from zsrec.core.types import Sampling
from zsrec.core.untrusted_text import TEXT_LIMIT, TITLE_LIMIT
from zsrec.prompts.front_matter import FrontMatter, Ranking, Variable
from zsrec.prompts.item_view import ItemView
from zsrec.prompts.sandbox import Sandbox

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "templates.md"
BUILT_IN = {
    "domain": "what the items are, in the plural, for example `movies`",
    "history": "the user's items, oldest first",
    "candidates": "the items to choose from",
    "k": "how many items are asked for",
    "about": "what the user says they want; empty where they say nothing",
    "conversation": "the turns of a conversation, oldest first; each has `role` (user or assistant) and `text`",
    "shown": "items that were shown to the user in this session",
}


def page() -> str:
    """The whole page."""
    sandbox = Sandbox()
    parts = [
        "# Template reference",
        "Made from the code by `.ci/template_reference.py`. How to write a template: "
        "[tutorial](../tutorial.md), [templates](../templates.md).",
        "## Front matter",
        *_table(FrontMatter),
        "## `variables`",
        *_table(Variable),
        "zsrec gives values to these; they too must be declared to be used:",
        "\n".join(["| variable | meaning |", "|---|---|", *(f"| `{n}` | {m} |" for n, m in BUILT_IN.items())]),
        "## `sampling`",
        *_table(Sampling),
        "## `ranking`",
        "See [ranking](../ranking.md).",
        *_table(Ranking),
        "## `answer`",
        f"One of {_names(PARSERS)}. See [reading answers](../answers.md).",
        "## Fields of an item",
        f"Texts are cut at {TITLE_LIMIT} characters, those of text variables at {TEXT_LIMIT:,}.",
        "\n".join(["| field | meaning |", "|---|---|", *_rows(_described(ItemView))]),
        "## Filters",
        "zsrec's own:",
        "\n".join(["| filter | meaning |", "|---|---|", *_own_filters(sandbox)]),
        "Jinja's: " + _names({name: None for name in sandbox.filters if name in DEFAULT_FILTERS}) + ".",
        "## Tests",
        _names(sandbox.tests) + ".",
        "## Functions",
        _names(sandbox.globals) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _table(model: type[BaseModel]) -> Iterator[str]:
    described = _described(model)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        rows.append(f"| `{name}` | {_type(field)} | {_default(field)} | {_cell(described.get(name, ''))} |")
    yield "\n".join(rows)


def _own_filters(sandbox: Sandbox) -> Iterator[str]:
    for name in sorted(set(sandbox.filters) - set(DEFAULT_FILTERS)):
        said = (inspect.getdoc(sandbox.filters[name]) or "").split("\n\n")[0]
        yield f"| `{name}` | {_cell(' '.join(said.split()))} |"


def _rows(described: Mapping[str, str]) -> Iterator[str]:
    return (f"| `{name}` | {_cell(text)} |" for name, text in described.items())


def _described(thing: type[Any]) -> dict[str, str]:
    """What a docstring's "Attributes:" says of each name."""
    text = inspect.getdoc(thing) or ""
    section = text.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    for line in section.splitlines():
        if match := re.match(r" {4}(\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif found and line.startswith(" " * 8):
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found


def _type(field: FieldInfo) -> str:
    limits = [f"{sign} {value:g}" for sign, value in _limits(field)]
    return ", ".join([_annotation(field.annotation), *limits])


def _annotation(annotation: Any) -> str:  # noqa: ANN401  (a type, in whatever form)
    if isinstance(annotation, type) and not get_args(annotation):
        return "" if annotation is type(None) else f"`{annotation.__name__}`"
    arguments = get_args(annotation)
    if arguments and all(isinstance(one, str) for one in arguments):
        return ", ".join(f"`{one}`" for one in arguments)
    if getattr(annotation, "__origin__", None) in (tuple, Mapping):
        return "list" if annotation.__origin__ is tuple else "a mapping"
    return " or ".join(filter(None, map(_annotation, arguments)))


def _limits(field: FieldInfo) -> Iterator[tuple[str, float]]:
    for constraint in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (value := getattr(constraint, name, None)) is not None:
                yield sign, value


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default
    if value is PydanticUndefined or value is None or value in ("", ()):
        return "none"
    return "see below" if isinstance(value, BaseModel) else f"`{value}`"


def _names(names: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page(), encoding="utf-8")
