from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError
from zsrec.core.types import Item
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.retrieval import Lexical, LexicalConfig, profile, top
from zsrec.retrieval.lexical import signed_words, tokens

SHOP = Catalog.from_items(
    [
        {"id": "1", "title": "Notting Hill (1999)", "genres": "Comedy|Romance", "cast": ["Julia Roberts"]},
        {
            "id": "2",
            "title": "Heat (1995)",
            "genres": "Crime|Thriller",
            "price": "12.5",
            "blurb": "A violent heist",
        },
        {"id": "3", "title": "Ronin (1998)", "genres": "Crime|Thriller", "blurb": "A heist across France"},
        {"id": "4", "title": "Airplane! (1980)", "genres": "Comedy", "price": "20"},
        {"id": "5", "title": "Up (2009)", "genres": "Animation|Children"},
        {"id": "6", "title": "千と千尋の神隠し (2001)", "genres": "Animation"},
    ]
)
LEXICAL = Lexical(SHOP)


def found(about: str, n: int = 3, history: History | tuple[str, ...] = ()) -> tuple[str, ...]:
    return top(LEXICAL, history, n, about=about).ids


@pytest.mark.parametrize(
    ("about", "first"),
    [
        ("a romantic film", "1"),  # no word of the catalog, and like "romance"
        ("heists in France", "3"),
        ("juila roberts", "1"),  # a slip
        ("an animated movie for children", "5"),
        ("comedies with romance", "1"),
        ("千尋", "6"),
        ("Up", "5"),  # a title of words that say nothing elsewhere
    ],
)
def test_words_find_items(about: str, first: str) -> None:
    assert found(about)[0] == first


def test_what_shares_no_word_is_no_candidate() -> None:
    assert found("xylophone") == ()
    assert set(found("crime", 9)) == {"2", "3"}
    assert found("12.5") == ()  # numbers are for filters


def test_negated_words_speak_against_and_the_notes_say_so() -> None:
    assert found("a heist", 1) == ("2",) or found("a heist", 1) == ("3",)
    result = top(LEXICAL, [], 2, about="a heist but nothing violent")
    assert result.ids[0] == "3"
    assert "read as unwanted: violent" in result.notes[0]
    assert top(LEXICAL, [], 2, about="a heist").notes == ()
    assert signed_words("no horror, but comedies") == {"horror": -1.0, "comedies": 1.0}
    assert signed_words("I don't like gore. Romance") == {"gore": -1.0, "romance": 1.0}


def test_critiques_and_liked_items_are_read() -> None:
    history = History.of("5").say("something with crime")
    result = top(LEXICAL, history, 9)
    assert {"2", "3", "6"} <= set(result.ids)
    assert set(result.ids[:2]) == {"2", "3"}
    assert not any("not used" in note for note in result.notes)
    assert top(LEXICAL, History.of("2"), 1).ids == ("3",)
    assert top(LEXICAL, History.of("5").dislike("2"), 9).ids == ("6",)


def test_new_items_are_found_at_once() -> None:
    lexical = Lexical(SHOP)
    new = Item(id="new", title="Zorro (2031)", attributes={"genres": "Western"})
    lexical.add_items([new, SHOP["1"]])
    assert len(lexical.items) == 7
    assert top(lexical, [], 1, about="western").ids == ("new",)
    assert top(lexical, [], 1, about="zoro").ids == ("new",)
    assert len(LEXICAL.items) == 6


def test_the_words_that_matched() -> None:
    of = profile([], LEXICAL.items, about="romantic comedies, no crime")
    assert set(LEXICAL.matches(of, 0)) == {"romance", "comedy"}
    assert LEXICAL.matches(of, 1) == []


def test_only_the_fields_that_are_named() -> None:
    titles = Lexical(SHOP, LexicalConfig(fields=()))
    assert top(titles, [], 3, about="romance").ids == ()
    assert top(titles, [], 3, about="ronin").ids == ("3",)
    assert top(Lexical(SHOP, LexicalConfig(similar=1)), [], 3, about="romantic").ids == ()


@pytest.mark.parametrize(
    "wrong", [{"last": 0}, {"similar": 0}, {"k1": 0}, {"b": 2}, {"likes": -1}, {"fields": ("writer",)}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Lexical(SHOP, LexicalConfig(**wrong))


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    top(LEXICAL, History.of("1").say("x" + text), 3, about=text)


def test_a_giant_text_takes_no_time() -> None:
    started = time.process_time()
    tokens("a" * 1_000_000)
    top(LEXICAL, [], 3, about="crime " * 20_000)
    assert time.process_time() - started < 2
