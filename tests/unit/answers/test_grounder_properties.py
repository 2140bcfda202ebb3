"""What holds for every text and every catalog."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from zsrec.answers.grounder import Grounder
from zsrec.answers.title_forms import names
from zsrec.data.catalog import Catalog
from zsrec.data.movielens import Dataset
from zsrec.data.titles import parse_title

TITLES = [
    "Heat (1995)",
    "Matrix, The (1999)",
    "Star Wars: Episode IV - A New Hope (1977)",
    "Seven (a.k.a. Se7en) (1995)",
    "Terminator 2: Judgment Day (1991)",
    "Life Is Beautiful (La Vita è bella) (1997)",
    "Up (2009)",
]
CATALOG = Catalog([str(i) for i in range(len(TITLES))], TITLES, domain="movies")
GROUNDER = Grounder(CATALOG)
SEEN = {word for title in TITLES for name in names(parse_title(title)) for word in name.words}

titles = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "Zs", "M"), max_codepoint=0x3100),
    min_size=1,
    max_size=40,
)


@given(st.text(max_size=500))
def test_no_text_breaks_it(text: str) -> None:
    match = GROUNDER.ground(text)
    assert (match.item_id is None) == (match.reason is not None) == (match.method is None)
    assert 0.0 <= match.score <= 1.0


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(titles.map(str.strip).filter(bool), min_size=1, max_size=8))
def test_a_catalog_of_any_titles_can_be_built_and_asked(found: list[str]) -> None:
    catalog = Catalog([str(i) for i in range(len(found))], found)
    grounder = Grounder(catalog)
    for title in found:
        grounder.ground(title)


def test_a_unique_title_finds_itself(movielens: Dataset) -> None:
    catalog = movielens.catalog
    grounder = Grounder(catalog)
    for item in catalog:
        match = grounder.ground(item.title)
        assert match.item_id == item.id or item.id in match.alternatives, item.title
        assert match.item_id in (item.id, None), item.title


@given(titles)
@settings(max_examples=60)
def test_an_unrelated_item_changes_no_sure_match(title: str) -> None:
    assume(title.strip())
    words = {word for name in names(parse_title(title)) for word in name.words}
    assume(not words & SEEN)
    more = GROUNDER.extended(CATALOG.extended([{"id": "new", "title": title}]))
    for mention in ("Heat", "The Matrix (1999)", "A New Hope (1977)", "Se7en", "Terminator 2", "La vita e bella"):
        before, after = GROUNDER.ground(mention), more.ground(mention)
        if before.score > 0.9:
            assert after.item_id == before.item_id


@pytest.mark.parametrize(
    "unit", ["a", "The ", "Heat ", "((", "))", "1999 ", ": ", "é", "火", "A's ", "\n", "' n "]
)
def test_a_hundred_kilobytes_cost_no_more_than_a_line(unit: str) -> None:
    text = unit * (100_000 // len(unit)) + "x"
    started = time.process_time()
    GROUNDER.ground(text)
    Grounder(Catalog(["1", "2"], [text, "Heat"]))
    assert time.process_time() - started < 1.0
