"""Where a title ends: what form decides, and what is left to the catalog."""

from __future__ import annotations

import pytest

from zsrec.answers.parser import parse
from zsrec.answers.text_spans import plain
from zsrec.core.types import Mention


def one(answer: str, **how: object) -> Mention:
    (mention,) = parse(answer, **how)  # type: ignore[arg-type]
    return mention


def readings(answer: str) -> list[list[str]]:
    return [[answer[a:b] for a, b in mention.readings] for mention in parse(answer)]


@pytest.mark.parametrize(
    ("line", "title", "reason"),
    [
        ("Heat (1995) - A master thief", "Heat (1995)", "A master thief"),
        ("Heat (1995): A master thief.", "Heat (1995)", "A master thief"),
        ("Heat (1995) A master thief", "Heat (1995)", "A master thief"),
        ("The Ring (2002) (remake)", "The Ring (2002)", "(remake)"),
        ("Heat - a cop hunts a thief", "Heat", "a cop hunts a thief"),
        ("Heat — a cop hunts a thief", "Heat", "a cop hunts a thief"),
        ("Heat: A thief and a cop in Los Angeles chase each other.", "Heat", None),
        ("Heat, a crime film by Mann", "Heat", "a crime film by Mann"),
        ("Heat, directed by Michael Mann", "Heat", "directed by Michael Mann"),
        ("Heat by Michael Mann", "Heat", "by Michael Mann"),
        ("Heat. It is a film about a thief", "Heat", "It is a film about a thief"),
        ("Heat; because it is tense", "Heat", "because it is tense"),
        ("Heat | Crime | 8.3", "Heat", "Crime | 8.3"),
        ("Heat - Crime Drama", "Heat", "Crime Drama"),
        ("Heat (drama, biographical)", "Heat", "(drama, biographical)"),
        ("Heat (starring Al Pacino)", "Heat", "(starring Al Pacino)"),
        ("Heat - 8.3/10", "Heat", "8.3/10"),
        ("**Heat**: The best", "Heat", "The best"),
        ('"Heat" - the best', "Heat", "the best"),
        ("*Heat* is tense", "Heat", "is tense"),
        ('The movie "Heat"', "Heat", None),
        ("I'd recommend Heat", "Heat", None),
        ("Star Wars: Episode IV - A New Hope", "Star Wars: Episode IV - A New Hope", None),
        ("John Wick: Chapter 4", "John Wick: Chapter 4", None),
        ("Mission: Impossible - Fallout", "Mission: Impossible - Fallout", None),
        ("The Good, the Bad and the Ugly", "The Good, the Bad and the Ugly", None),
        ("Fargo (TV series)", "Fargo (TV series)", None),
        ("Stand by Me", "Stand by Me", None),
        ("Airplane!", "Airplane!", None),
        ("Monsters, Inc.", "Monsters, Inc", None),
        ("E.T.", "E.T.", None),
        ("'71", "'71", None),
        ("(500) Days of Summer", "(500) Days of Summer", None),
        ("M", "M", None),
        ("9", "9", None),
    ],
)
def test_title_and_reason(line: str, title: str, reason: str | None) -> None:
    mention = parse(f"1. {line}\n2. Something Else")[0]
    assert mention.text == title
    if reason is not None:
        assert mention.reason == reason


def test_year_behind_closing_marks_belongs_to_the_title() -> None:
    mention = one("1. **Heat** (1995): tense")
    assert mention.text == "Heat** (1995)"
    assert plain(mention.text) == "Heat (1995)"
    assert mention.reason == "tense"


def test_an_uncertain_end_leaves_the_longer_title_as_a_reading() -> None:
    assert readings("1. Thief: A safecracker wants out") == [["Thief: A safecracker wants out"]]
    assert readings("1. Star Wars: A New Hope") == [[]]


def test_a_list_shows_as_a_whole_what_its_dash_means() -> None:
    alone = one("1. Heat - Michael Mann")
    assert alone.text == "Heat - Michael Mann"
    listed = parse("1. Heat - Michael Mann\n2. Ronin - John Frankenheimer\n3. Alien - Ridley Scott")
    assert [mention.text for mention in listed] == ["Heat", "Ronin", "Alien"]
    assert listed[0].reason == "Michael Mann"


def test_a_series_has_no_common_separator() -> None:
    answer = "1. Star Wars: A New Hope\n2. Star Wars: Return of the Jedi\n3. Star Wars: Rogue One\n4. Up"
    assert [mention.text for mention in parse(answer)] == [line[3:] for line in answer.split("\n")]


def test_commas_in_a_list_leave_longer_spans() -> None:
    answer = "How about Crazy, Stupid, Love, The Proposal, or Up?"
    assert [mention.text for mention in parse(answer)] == ["Crazy", "Stupid", "Love", "The Proposal", "Up"]
    assert "Crazy, Stupid, Love" in readings(answer)[0]


def test_several_titles_in_one_item_are_parts() -> None:
    assert readings("1. Heat, Ronin and Thief") == [["Heat", "Ronin", "Thief"]]
    assert readings("1. Heat/Ronin") == [["Heat", "Ronin"]]
    assert readings("1. Heat (Michael Mann, 1995)") == [[]]


def test_pairs_leave_the_other_cuts() -> None:
    answer = "1. Mission: Impossible - Fallout - Heat"
    mention = one(answer, side="right")
    assert {answer[a:b] for a, b in mention.readings} | {mention.text} == {"Fallout - Heat", "Heat"}


def test_json_brings_year_and_reason() -> None:
    mention = one('[{"title": "Heat", "year": 1995, "reason": "tense"}]')
    assert (mention.text, mention.query, mention.reason) == ("Heat", "Heat (1995)", "tense")
    assert one('{"title": "Heat (1995)", "year": "1995"}').query is None


def test_tables_bring_year_and_reason() -> None:
    mention = one("| Title | Year | Why |\n|---|---|---|\n| **Heat** | 1995 | tense |")
    assert (mention.text, mention.query, mention.reason) == ("Heat", "Heat (1995)", "tense")


def test_a_translation_in_brackets_is_a_reading() -> None:
    assert readings("1. 教父 (The Godfather)\n2. 活着（To Live，1994）") == [["The Godfather"], ["To Live"]]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("Heat** (1995)", "Heat (1995)"),
        ('Heat" (1995)', "Heat (1995)"),
        ("Heat (1995, Michael Mann)", "Heat (1995)"),
        ("Heat (Michael Mann, 1995)", "Heat (1995)"),
        ("Am\\u00e9lie", "Amélie"),
        ('Say \\"Hi\\"', "Say Hi"),
        ("Marley &amp; Me", "Marley & Me"),
        ("Heat <b>(1995)</b>", "Heat (1995)"),
        ("Heat](https://example.com/x) (1995)", "Heat](https://example.com/x) (1995)"),
        ("  Heat \n (1995) ", "Heat (1995)"),
        ("\\ud800", ""),
    ],
)
def test_plain(raw: str, words: str) -> None:
    assert plain(raw) == words
