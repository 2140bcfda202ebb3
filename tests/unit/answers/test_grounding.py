"""Whole answers against a catalog: which reading of a mention is taken."""

from __future__ import annotations

import pytest

from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.grounding import item_ids, read_answer
from zsrec.core.errors import ConfigError
from zsrec.core.types import Grounded
from zsrec.data.catalog import Catalog

TITLES = {
    "heat": "Heat (1995)",
    "ronin": "Ronin (1998)",
    "thief": "Thief (1981)",
    "cash": "Cash (2010)",
    "gbu": "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)",
    "csl": "Crazy, Stupid, Love. (2011)",
    "proposal": "Proposal, The (2009)",
    "fallout": "Mission: Impossible - Fallout (2018)",
    "mi": "Mission: Impossible (1996)",
    "wick": "John Wick (2014)",
    "inc": "Monsters, Inc. (2001)",
    "stand": "Stand by Me (1986)",
    "zombies": "Pride and Prejudice and Zombies (2016)",
    "sol72": "Solaris (1972)",
    "sol02": "Solaris (2002)",
    "amelie": "Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
    "up": "Up (2009)",
}


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    rows = [{"id": item_id, "title": title} for item_id, title in TITLES.items()]
    return Grounder(Catalog.from_items(rows, domain="movies"))


def told(found: list[Grounded]) -> list[tuple[str, str | None]]:
    return [(one.mention.text, one.match.item_id) for one in found]


def ids(answer: str, grounder: Grounder, **how: object) -> list[str]:
    return list(item_ids(read_answer(answer, grounder, **how).grounded))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("1. Heat (1995)\n2. Ronin\n3. Heat", ["heat", "ronin"]),
        ("1. The Good, the Bad and the Ugly\n2. Crazy, Stupid, Love", ["gbu", "csl"]),
        ("How about Crazy, Stupid, Love, The Proposal, or Monsters, Inc.?", ["csl", "proposal", "inc"]),
        ("Heat, The Good, the Bad and the Ugly, Ronin", ["heat", "gbu", "ronin"]),
        ("Heat, Ronin and Thief", ["heat", "ronin", "thief"]),
        ("I'd recommend Heat and Ronin.", ["heat", "ronin"]),
        ("1. Heat, Ronin, and Thief", ["heat", "ronin", "thief"]),
        ("1. Heat/Ronin", ["heat", "ronin"]),
        ("1. Pride and Prejudice and Zombies", ["zombies"]),
        ("1. Mission: Impossible - Fallout\n2. Mission: Impossible", ["fallout", "mi"]),
        ("1. John Wick: a hitman avenges his dog\n2. Thief: Michael Mann's debut film", ["wick", "thief"]),
        ("1. Stand by Me\n2. Heat by Michael Mann", ["stand", "heat"]),
        ('[{"title": "Solaris", "year": 2002}]', ["sol02"]),
        ('["Am\\u00e9lie", "Heat"]', ["amelie", "heat"]),
        ("| Title | Year |\n|---|---|\n| Solaris | 1972 |", ["sol72"]),
        ("1. 热力 (Heat)", ["heat"]),
    ],
)
def test_the_catalog_decides_between_readings(answer: str, expected: list[str], grounder: Grounder) -> None:
    assert ids(answer, grounder) == expected


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("1. Tango and Cash", "Tango and Cash"),  # "Cash" alone is in the catalog
        ("1. John Wick: Chapter 4", "John Wick: Chapter 4"),  # and so is "John Wick"
        ("1. Mission: Impossible - Rogue Nation", "Mission: Impossible - Rogue Nation"),
        ("1. Sex, Lies, and Heat", "Sex, Lies, and Heat"),
    ],
)
def test_a_part_of_a_title_is_not_the_title(answer: str, text: str, grounder: Grounder) -> None:
    (one,) = read_answer(answer, grounder).grounded
    assert (one.mention.text, one.match.item_id) == (text, None)


def test_pairs_split_where_the_catalog_knows_the_half(grounder: Grounder) -> None:
    answer = "1. Mission: Impossible - Fallout - Heat\n2. Ronin - Mission: Impossible - Fallout"
    assert ids(answer, grounder, side="right") == ["heat", "fallout"]
    assert ids(answer, grounder, side="left") == ["fallout", "ronin"]


def test_what_the_chosen_reading_leaves_becomes_the_reason(grounder: Grounder) -> None:
    (one,) = read_answer("1. Heat: a cop hunts a thief", grounder).grounded
    assert (one.mention.text, one.mention.reason) == ("Heat", "a cop hunts a thief")
    answer = "Crazy, Stupid, Love, Heat"
    first, second = read_answer(answer, grounder).grounded
    assert answer[first.mention.start : first.mention.end] == first.mention.text == "Crazy, Stupid, Love"
    assert (second.mention.text, second.match.item_id) == ("Heat", "heat")


def test_what_the_catalog_lacks_stays_with_its_reason(grounder: Grounder) -> None:
    found = read_answer("1. Heat\n2. Alphaville (1965) - noir\n3. Ronin", grounder).grounded
    assert told(found) == [("Heat", "heat"), ("Alphaville (1965)", None), ("Ronin", "ronin")]
    assert found[1].mention.reason == "noir"
    assert found[1].match.reason == "not_in_catalog"


def test_context_settles_a_tie(grounder: Grounder) -> None:
    (open_one,) = read_answer("1. Solaris", grounder).grounded
    assert open_one.match.item_id is None
    assert set(open_one.match.alternatives) == {"sol72", "sol02"}
    assert ids("1. Solaris", grounder, context=Context(candidates=("sol02", "heat"))) == ["sol02"]


def test_half_a_title_at_a_cut_end_is_never_matched(grounder: Grounder) -> None:
    answer = "1. Heat\n2. Ronin\n3. Up"  # on the way to "Up in the Air"
    assert ids(answer, grounder) == ["heat", "ronin", "up"]
    assert ids(answer, grounder, cut=True) == ["heat", "ronin"]
    last = read_answer(answer, grounder, cut=True).grounded[-1]
    assert (last.match.reason, last.match.alternatives) == ("below_threshold", ("up",))
    assert ids("1. Heat\n2. Up (2009)", grounder, cut=True) == ["heat", "up"]
    assert ids("1. Heat\n2. Up - a house fl", grounder, cut=True) == ["heat", "up"]


def test_an_answer_without_titles_has_no_mentions(grounder: Grounder) -> None:
    assert read_answer("What genre are you in the mood for?", grounder).grounded == []
    assert read_answer("", grounder).grounded == []


def test_style_and_side_are_checked(grounder: Grounder) -> None:
    with pytest.raises(ConfigError, match="style"):
        read_answer("1. Heat", grounder, style="nope")


def test_a_title_may_begin_with_a_placeholder() -> None:
    grounder = Grounder(Catalog.from_items([{"id": "u", "title": "Unknown: a love story"}]))
    assert ids("1. Unknown - a love story", grounder) == ["u"]
    assert ids("1. Unknown - a film about spies", grounder) == []
