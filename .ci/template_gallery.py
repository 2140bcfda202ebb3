"""Writes docs/gallery.md from prompts/: every template with what it is for, what it shows and a rendered example.

    python .ci/template_gallery.py [FILE]

The page is made before each build of the site and is not kept, so it cannot be out of date.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from zsrec.core.types import Item
from zsrec.data.history import Event, Feedback
from zsrec.evaluation.token_budget import Person, questions_of
from zsrec.prompts import Entry, ItemView, Library, Template, item_view
from zsrec.prompts.item_view import TurnView

PAGE = Path(__file__).parent.parent / "docs" / "gallery.md"


WORLDS: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "gallery.yaml").read_text(encoding="utf-8")
)
_KNOWN = 5


def page() -> str:
    """The whole page."""
    entries = [entry for entry in Library().entries() if entry.source.front is not None]
    parts = [
        "# Template gallery",
        f"The {len(entries)} templates in the package, made from `prompts/` by `.ci/template_gallery.py`. "
        'Use one by its name: `--template movies/rank` or `Recommender(…, template="movies/rank")`. '
        "`zsrec prompts show NAME` prints its file; `zsrec prompts new mine --extends NAME` starts your own "
        "([tutorial](tutorial.md)). Which ones are better was [measured](measurements/templates.md).",
        _table(entries),
    ]
    for pack, members in groupby(entries, key=lambda entry: entry.name.partition("/")[0]):
        parts.append(f"## {pack}")
        for entry in members:
            parts += _section(entry)
    return "\n\n".join(parts) + "\n"


def _table(entries: list[Entry]) -> str:
    rows = ["| template | task | ranker | what it does |", "|---|---|---|---|"]
    for entry in entries:
        front = entry.source.front
        assert front is not None  # noqa: S101  (left out before)
        anchor = entry.name.replace("/", "")
        ranker = f"`{front.ranker}`" if front.task == "rank" and front.ranker else ""
        rows.append(
            f"| [{entry.name}](#{anchor}) | {front.task} | {ranker} | {front.description.replace('|', '/')} |"
        )
    return "\n".join(rows)


def _section(entry: Entry) -> Iterator[str]:
    template = Library().load(entry.name)
    front = template.bundle.front
    yield f"### {entry.name}"
    yield front.description
    yield "\n".join(
        [
            f"- Task `{front.task}`, version {front.version}; answer `{front.answer}`"
            + (f", ranker `{template.ranker}`" if front.task == "rank" else ""),
            f"- Shows {', '.join(_shown(template)) or 'nothing of the user'}",
        ]
    )
    world = WORLDS.get(entry.name) or WORLDS.get(entry.name.partition("/")[0]) or WORLDS["films"]
    for step, text in _rendered(template, world):
        summary = f"Rendered: {step}" if step else "Rendered"
        shown = html.escape(text).replace("\n\n", "\n&#8203;\n")  # an empty line would end the HTML
        yield f"<details><summary>{summary}</summary><pre>{shown}</pre></details>"


def _shown(template: Template) -> Iterator[str]:
    for name, variable in template.variables.items():
        fields = f" with {', '.join(variable.fields)}" if variable.fields else ""
        last = f", the newest {variable.last}" if variable.last else ""
        yield f"`{name}`{fields}{last}"


def _views(world: Mapping[str, Any]) -> Iterator[ItemView]:
    """The items; the first ones with the feedback of a history."""
    for number, row in enumerate(world["items"]):
        item = Item(
            id=str(number), title=row["title"], attributes={k: str(v) for k, v in row.items() if k != "title"}
        )
        feedback = Feedback.DISLIKED if number == 1 else Feedback.LIKED
        event = Event(item=item.id, feedback=feedback) if number < _KNOWN else None
        yield item_view(item) if event is None else item_view(item, event, _KNOWN - number)


def _rendered(template: Template, world: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    views = tuple(_views(world))
    candidates = views[_KNOWN : _KNOWN + 1] if template.task == "explain" else views[_KNOWN:]
    person = Person(views[:_KNOWN], candidates, _KNOWN, world["domain"])
    turns = (TurnView("user", world["about"]),)
    for step in questions_of(template):
        messages = person.render(template, step, k=3, about=world["about"], conversation=turns)
        yield step, "\n".join(f"--- {one.role}\n{one.content}" for one in messages)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page(), encoding="utf-8")
