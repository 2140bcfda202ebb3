"""Hostile text in titles, attributes, histories and the user's words: the prompt keeps its roles and its lines."""

from __future__ import annotations

import time
import unicodedata

import pytest

from tests.hostile.attacks import ATTACKS, Attack
from zsrec.core.errors import TemplateError
from zsrec.core.types import Item, Message
from zsrec.prompts import Library, Template
from zsrec.prompts.item_view import item_view, title_view

LIBRARY = Library()
TEMPLATES = [LIBRARY.load(one.name) for one in LIBRARY.entries()]
PLAIN = Attack("plain", "Heat")


def rendered(template: Template, attack: Attack) -> tuple[Message, ...]:
    text = attack.text
    items = [item_view(Item(id=text, title=text, attributes={"genres": text, text: [text, {text: text}]}))] * 2
    return template.render(history=[*items, title_view(text)], candidates=items, about=text, domain=text)


def shape(messages: tuple[Message, ...]) -> list[tuple[str, int]]:
    return [(message.role, message.content.count("\n")) for message in messages]


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack.text for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_roles_and_lines_are_those_of_a_plain_title(attack: Attack) -> None:
    started = time.process_time()
    for template in TEMPLATES:
        messages = rendered(template, attack)
        assert shape(messages) == shape(rendered(template, PLAIN)), template.ref.name
        for message in messages:
            content = message.content
            assert not [mark for mark in attack.forbidden if mark in content], template.ref.name
            assert not {unicodedata.category(char) for char in content.replace("\n", " ")} & {
                "Cc",
                "Cs",
                "Zl",
                "Zp",
            }
            assert len(content) < 20_000
            content.encode()
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_text_is_a_templates_name_outside_the_library(attack: Attack) -> None:
    with pytest.raises(TemplateError):
        LIBRARY.find(attack.text)
