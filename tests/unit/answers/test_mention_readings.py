"""The readings of a mention."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.answers.mention_readings import Cut, Reading, readings


def _best(mention: str) -> Reading:
    return next(iter(readings(mention)))


@pytest.mark.parametrize(
    ("mention", "words", "year"),
    [
        ("**Heat** (1995) - a tense crime film", "heat", 1995),
        ("4. _Where Eagles Dare_", "where eagles dare", None),
        ("### 4. The Bad Seed (1956)", "the bad seed", 1956),
        ("- [ ] The Grand Budapest Hotel", "the grand budapest hotel", None),
        ('"The Player" by Hayao Miyazaki', "the player", None),
        ("Selma (2014, Wes Anderson)", "selma", 2014),
        ("Wag the Dog (Comedy, 1997)", "wag the dog", 1997),
        ("The Rock [1996]", "the rock", 1996),
        ('{"title": "Despicable Me 3", "year": 2017}', "despicable me three", 2017),
        ('{"title": "Heat"', "heat", None),
        ("| 3 | Mary Shelley's Frankenstein | 1994 | Drama |", "mary shelleys frankenstein", 1994),
        ("<b>The Rock</b>", "the rock", None),
        ("[Heat](http://example.org/heat) (1995)", "heat", 1995),
        ("or Twins?", "twins", None),
        ("Player, The (1992)", "the player", 1992),
        ("🎬 Heat (1995)", "heat", 1995),
    ],
)
def test_the_first_reading(mention: str, words: str, year: int | None) -> None:
    read = _best(mention)
    assert (" ".join(read.words), read.year) == (words, year)


@pytest.mark.parametrize(
    ("mention", "words", "cut"),
    [
        ("Fargo: A cult classic with a twist ending.", "fargo", Cut.NOTE),
        ("Step Brothers - Will Ferrell, John C. Reilly", "step brothers", Cut.NOTE),
        ("Booksmart (starring Beanie Feldstein)", "booksmart", Cut.NOTE),
        ("Return of the Jedi: Special Edition", "return of the jedi", Cut.NOTE),
        ("Spider-Man: Homecoming", "spider man", Cut.SUBTITLE),
        ("James Bond: Skyfall", "skyfall", Cut.PREFIX),
        ("Guillermo del Toro's Avatar", "avatar", Cut.OWNER),
        ("Galaxy Quest by Tim Burton", "galaxy quest", Cut.OWNER),
        ("Disney's Frozen", "frozen", Cut.OWNER),
        ("Central Intelligence 2016", "central intelligence", Cut.YEAR),
        ("Heat, '95", "heat", Cut.YEAR),
        ("Thor 2: The Dark World", "thor the dark world", Cut.NUMBER),
        ("Star Wars: Episode VIII - The Last Jedi", "star wars the last jedi", Cut.NUMBER),
        ("The Meyerowitz Stories (New and Selected)", "the meyerowitz stories", Cut.PARENTHESIS),
    ],
)
def test_a_shorter_reading_says_what_it_left_out(mention: str, words: str, cut: int) -> None:
    found = {" ".join(read.words): read.cut for read in readings(mention)}
    assert found[words] == cut


def test_two_digits_are_a_year_of_this_or_the_last_century() -> None:
    assert [r.year for r in readings("Heat, '95") if r.cut & Cut.YEAR] == [1995]
    assert [r.year for r in readings("Up '09") if r.cut & Cut.YEAR] == [2009]


def test_another_medium_is_kept() -> None:
    assert [read.medium for read in readings("Fargo (TV series)")][-1] == "tv series"
    assert _best("Fargo (2014) (TV series)").medium == "tv series"
    assert all(not read.medium for read in readings("Heat (Blu-ray)"))


def test_a_part_number_is_no_subtitle_to_leave_out() -> None:
    assert [" ".join(r.words) for r in readings("Mockingjay - Part 2")] == ["mockingjay part two"]


def test_small_letters_say_nothing_where_all_are_small() -> None:
    cuts = {" ".join(r.words): r.cut for r in readings("star trek: the motion picture")}
    assert cuts["star trek"] == Cut.SUBTITLE


@given(st.text(max_size=400))
def test_no_text_breaks_it(text: str) -> None:
    assert all(read.words for read in readings(text))


@pytest.mark.parametrize(
    "unit",
    ["a", " ", "A", "(", ")", "[1", "(19", "' ", ": ", " - ", "A's ", "**", '"', "|", "{", ", and ", "1. ", "X: "],
)
def test_adversarial_text_costs_little(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    started = time.process_time()
    list(readings(text))
    assert time.process_time() - started < 0.5
