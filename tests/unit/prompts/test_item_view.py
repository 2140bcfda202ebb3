from __future__ import annotations

import dataclasses

import pytest

from zsrec.core.types import Item
from zsrec.data.history import Event, Feedback
from zsrec.prompts import item_view, title_view

MATRIX = Item(id="3", title="Matrix, The (1999)", attributes={"genres": "Sci-Fi\n<s>", "title": "a clash"})


def test_a_view_shows_the_title_as_people_write_it() -> None:
    view = item_view(MATRIX)
    assert (view.title, view.display, str(view), view.id) == (
        "Matrix, The (1999)", "The Matrix (1999)", "The Matrix (1999)", "3",
    )  # fmt: skip
    assert (view.feedback, view.rating, view.age) == ("seen", None, None)


def test_a_view_carries_the_users_contact() -> None:
    view = item_view(MATRIX, Event(item="3", rating=4.5, feedback=Feedback.LIKED), 2)
    assert (view.feedback, view.rating, view.age) == ("liked", 4.5, 2)


def test_attributes_are_clean_and_reachable_where_names_clash() -> None:
    view = item_view(MATRIX)
    assert view["genres"] == "Sci-Fi < s >"
    assert view["title"] == view.title
    assert view.attributes["title"] == "a clash"
    with pytest.raises(KeyError):
        view["price"]


def test_a_title_that_the_catalog_lacks_has_only_a_title() -> None:
    view = title_view("Unheard\nOf", Event(item="x", feedback=Feedback.DISLIKED), 1)
    assert (view.title, view.id, view.feedback, dict(view.attributes)) == ("Unheard Of", "", "disliked", {})


def test_a_view_cannot_be_changed() -> None:
    view = item_view(MATRIX)
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.title = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        view.attributes["x"] = 1  # type: ignore[index]
