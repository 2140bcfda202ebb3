"""Made-up users, and a template rendered for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from string import ascii_uppercase
from typing import Any

from zsrec.core.types import Message
from zsrec.core.untrusted_text import inline
from zsrec.prompts.item_view import ItemView, TurnView, title_view
from zsrec.prompts.template import Template

User = Mapping[str, Any]
"""The values of variables, and under "says" who the user is."""


_ASKED: ContextVar[set[str] | None] = ContextVar("asked", default=None)


@contextmanager
def columns_asked() -> Iterator[set[str]]:
    """The columns that templates ask synthetic items for while they are rendered inside; it fills up meanwhile."""
    asked: set[str] = set()
    before = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(before)


class _AnyAttribute(dict[str, Any]):
    """Attributes of a synthetic item: a catalog may have any column."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = inline(text)

    def __missing__(self, name: str) -> str:
        asked = _ASKED.get()
        if asked is not None:
            asked.add(name)
        return self._text.replace("{name}", name)


def synthetic(title: str, number: int, attribute: str = "some {name}") -> ItemView:
    """An item that has every column that a template may ask for."""
    view = ItemView(title=title, id=str(number), age=number, rating=4.0)
    object.__setattr__(view, "attributes", _AnyAttribute(attribute))
    return view


def _items(letter: str, count: int) -> tuple[ItemView, ...]:
    return tuple(synthetic(f"{letter} made-up title {n} (19{n + 60})", n) for n in range(1, count + 1))


def _labelled(item: ItemView, label: str) -> ItemView:
    named = replace(item, label=label, attributes={})
    object.__setattr__(named, "attributes", item.attributes)
    return named


POOL = _items("a", 20)
LABELLED_POOL = tuple(map(_labelled, POOL, ascii_uppercase))
TURNS = (
    TurnView("user", "I want something slow about machines."),
    TurnView("assistant", "Do you mind subtitles?"),
    TurnView("user", "Not at all."),
)
USERS: tuple[User, ...] = (
    {"says": "for a user with a history", "history": _items("b", 12)},
    {"says": "for another user with a history", "history": _items("c", 12)},
    {"says": "for a user without a history", "history": [], "about": "slow films about machines"},
    {"says": "for a title that the catalog lacks", "history": [title_view("Unheard Of")]},
    {"says": "for one candidate", "history": _items("d", 1), "candidates": POOL[:1]},
)


@cache
def of_one_text(text: str) -> Mapping[str, Any]:
    """Values of each type of variable in which every text is this one: two items, a text, two turns, a number."""
    items = tuple(synthetic(text, number, text) for number in (1, 2))
    return {"str": text, "int": 3, "items": items, "turns": (TurnView("user", text), TurnView("assistant", text))}


def values_for(template: Template, user: User) -> dict[str, Any]:
    """The arguments of `Template.render` for a synthetic user, with labels where the ranker needs them."""
    stand_ins: dict[str, Any] = {"str": "some text", "int": 3, "items": POOL[:3], "turns": TURNS}
    values: dict[str, Any] = {
        name: stand_ins[variable.type]
        for name, variable in template.variables.items()
        if variable.default is None and name not in {"history", "about", "domain"}
    }
    values |= {"candidates": POOL, "k": 5} | {name: value for name, value in user.items() if name != "says"}
    if template.bundle.front.needs_labels:
        given = values["candidates"]
        labelled = LABELLED_POOL if given is POOL else tuple(map(_labelled, given, ascii_uppercase))
        values["candidates"] = labelled
    return values


def rendered(template: Template, user: User) -> tuple[Message, ...]:
    """The roles for a synthetic user."""
    return template.render(**values_for(template, user))


def shared_prefix(template: Template) -> float:
    """The share of a prompt that two users with the same pool and catalog have in common at its start.

    It is measured in characters on synthetic users, in [0, 1]. A server's cache shares whole blocks of
    tokens, so what it saves is a little less (`zsrec.evaluation` measures that).

    Raises:
        TemplateError: The template fails on a synthetic user.
    """
    first, second = (joined(rendered(template, user)) for user in USERS[:2])
    return common(first, second) / max(len(first), len(second))


def common(first: Sequence[object], second: Sequence[object]) -> int:
    """How many characters (or tokens) two texts have in common at their start."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))


def joined(messages: tuple[Message, ...]) -> str:
    """The roles as one text, in which equal beginnings are equal beginnings of what is sent."""
    return "\n".join(f"{message.role}\n{message.content}" for message in messages)
