"""Titles as comparable text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.data.titles import (
    article_first,
    content,
    display_title,
    fold,
    is_number,
    key,
    loose_key,
    parse_title,
    segments,
    split_year,
    without_owner,
    words,
)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("City of Lost Children, The (Cité des enfants perdus, La) (1995)",
         "The City of Lost Children (La Cité des enfants perdus) (1995)"),
        ("Avventura, L' (Adventure, The) (1960)", "L'Avventura (The Adventure) (1960)"),
        ("Godfather: Part II, The (1974)", "The Godfather: Part II (1974)"),
        ("Me, Myself & Irene (2000)", "Me, Myself & Irene (2000)"),
        ("Heat", "Heat"),
    ],
)  # fmt: skip
def test_display_title_puts_articles_in_front(title: str, shown: str) -> None:
    assert display_title(title) == shown


@given(st.text(max_size=200))
def test_display_title_takes_any_text(text: str) -> None:
    assert (
        sorted(display_title(text).replace(" ", "").replace(",", ""))
        == sorted(text.replace(" ", "").replace(",", ""))
        or not text.isprintable()
    )


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("Seven (a.k.a. Se7en) (1995)", ("Seven", ("Se7en",), 1995)),
        ("Birdman: Or (The Unexpected Virtue of Ignorance) (2014)",
         ("Birdman: Or", ("The Unexpected Virtue of Ignorance",), 2014)),
        ("(500) Days of Summer (2009)", ("(500) Days of Summer", (), 2009)),
        ("Death Note: Desu nôto (2006–2007)", ("Death Note: Desu nôto", (), 2006)),
        ("Strike! (a.k.a. All I Wanna Do, The Hairy Bird) (1998)",
         ("Strike!", ("All I Wanna Do, The Hairy Bird", "All I Wanna Do", "The Hairy Bird"), 1998)),
        ("Paterson", ("Paterson", (), None)),
        ("千と千尋の神隠し (2001)", ("千と千尋の神隠し", (), 2001)),
        ("(1995)", ("", (), 1995)),
    ],
)  # fmt: skip
def test_parse_title(title: str, parts: tuple[str, tuple[str, ...], int | None]) -> None:
    assert tuple(parse_title(title)) == parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alien³", "Alien 3"),
        ("8½", "8 1/2"),
        ("Eight 1/2", "8½"),
        ("Lion King 1.5", "Lion King 1½"),
        ("Rocky II", "Rocky 2"),
        ("Rocky V", "Rocky Five"),
        ("Quest V Gold Edition", "Quest 5 Gold Edition"),
        ("Twelve Monkeys", "12 Monkeys"),
        ("The 5th Wave", "The Fifth Wave"),
        ("Ocean's Eleven", "Oceans 11"),
        ("Kill Bill: Vol. 2", "Kill Bill Volume II"),
        ("Harold & Maude", "Harold and Maude"),
        ("The Fox 'n' the Hound", "The Fox and the Hound"),
        ("Kramer vs. Kramer", "Kramer versus Kramer"),
        ("WALL·E", "Wall-E"),
        ("M*A*S*H", "MASH"),
        ("Amélie", "AMELIE"),
        ("ＨＥＡＴ", "Heat"),
        ("Doctor Zhivago", "Dr. Zhivago"),
        ("Bridget Jones's Diary", "Bridget Jones Diary"),
        ("Texas Chain Saw Massacre", "The Texas Chainsaw Massacre"),
    ],
)
def test_one_spelling(one: str, other: str) -> None:
    assert key(words(one)) == key(words(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rocky II", "Rocky III"),
        ("X-Men", "10 Men"),
        ("Kramer v Kramer", "Kramer Five Kramer"),
        ("I, Robot", "1 Robot"),
        ("がき", "かき"),
        ("йод", "иод"),
    ],
)
def test_other_titles_stay_other(one: str, other: str) -> None:
    assert key(words(one)) != key(words(other))


def test_fold_keeps_marks_that_make_other_letters() -> None:
    assert fold("Ёлки") == "елки"
    assert fold("Øya") == "oya"
    assert fold("Война и мир") == "война и мир"


def test_content_and_loose_key() -> None:
    assert content(words("The Lord of the Rings")) == ["lord", "rings"]
    assert content(words("On the A")) == ["on", "the", "a"]
    assert loose_key(words("Guardians of the Galaxy Vol. 2")) == loose_key(words("Guardians of the Galaxy 2"))
    assert loose_key(words("The Angry Birds Movie")) == loose_key(words("Angry Birds"))


def test_segments_and_owner() -> None:
    assert segments("Star Wars: Episode IV - A New Hope") == ["Star Wars", "Episode IV", "A New Hope"]
    assert segments("Dr. Strangelove or: How I Learned") == ["Dr. Strangelove", "How I Learned"]
    assert segments("Birdman: Or") == ["Birdman"]
    assert segments("3:10 to Yuma") == ["3:10 to Yuma"]
    assert without_owner("Tyler Perry's Diary") == "Diary"
    assert without_owner("Schindler's List") is None


def test_years() -> None:
    assert split_year("Heat (1995)") == ("Heat", 1995)
    assert split_year("Heat [1995] ") == ("Heat", 1995)
    assert split_year("2001: A Space Odyssey")[1] is None
    assert split_year("Heat (3000)")[1] is None


def test_numbers_and_articles() -> None:
    assert [is_number(word) for word in words("Two 2001 fifth 3D men")] == [True, True, True, False, False]
    assert article_first("Karate Kid, Part II, The") == "The Karate Kid, Part II"
    assert article_first("Eat, Pray, Love") == "Eat, Pray, Love"


@given(st.text(max_size=300))
def test_no_text_breaks_the_spelling(text: str) -> None:
    spelled = words(text)
    assert all(spelled)
    parse_title(text)
    segments(text)
    loose_key(spelled)
