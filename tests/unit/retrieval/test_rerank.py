from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids
from zsrec.retrieval import Filter, Lexical, Listed, Reranked, top
from zsrec.retrieval.rerank import mmr

SHOP = Catalog.from_items(
    [
        {"id": "1", "title": "A (1995)", "genres": "Horror|Comedy", "price": "12.50", "stock": True},
        {"id": "2", "title": "B (2010)", "genres": "Horror", "price": "20", "stock": False},
        {"id": "3", "title": "C (2015)", "genres": ["Comedy"], "price": 5},
        {"id": "4", "title": "D", "genres": "Horror", "price": "soon"},
        {"id": "5", "title": "E (2020)"},
    ]
)
ALL = Listed(Ids(SHOP.ids), SHOP.ids)


def left(*where: str) -> tuple[str, ...]:
    return top(Reranked(ALL, SHOP, where), [], 9).ids


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("year >= 2010", "235"),
        ("year<2010", "1"),
        ("genres = comedy", "13"),
        ("genres != Horror", "35"),
        ("price < 20", "13"),
        ("price <= 20.0", "123"),
        ("price > 12.5", "2"),
        ("price = 12.5", "1"),
        ("stock = true", "1"),
        ("id != 3", "1245"),
        ("title = d", "4"),
    ],
)
def test_filters(where: str, ids: str) -> None:
    assert "".join(left(where)) == ids


def test_all_conditions_hold_and_the_notes_count() -> None:
    one = Reranked(ALL, SHOP, ["genres = Horror", Filter(column="price", operator="<=", value="20")])
    found = top(one, [], 9)
    assert found.ids == ("1", "2")
    assert found.notes == ("where genres = Horror and price <= 20: 2 of 5 items are left; 1 items lack a value",)
    assert (found.retriever, found.mode) == ("listed", "zero-shot")
    assert top(Reranked(ALL, SHOP), [], 9) == top(ALL, [], 9)


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("year", "no condition"),
        (">= 3", "no condition"),
        ("year >=", "no condition"),
        ("colour = red", "no column 'colour'"),
        ("price < cheap", "take a number"),
    ],
)
def test_wrong_filters_are_refused(where: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Reranked(ALL, SHOP, (where,))


@pytest.mark.parametrize("wrong", [{"trade_off": 1.1}, {"trade_off": -1}, {"depth": 0}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Reranked(ALL, SHOP, **wrong)


def test_diversity_by_columns_and_by_vectors() -> None:
    words = top(Reranked(ALL, SHOP, trade_off=0.5), [], 9)
    assert words.ids[:2] == ("1", "5")  # the least relevant has nothing in common with the first
    assert "MMR, 0.5" in words.notes[-1]
    assert set(words.ids) == set(SHOP.ids)
    assert list(words.scores) == sorted(words.scores, reverse=True)
    vectors = np.eye(5, dtype=np.float32)
    vectors[1] = vectors[0]
    texts = top(Reranked(ALL, SHOP, trade_off=0.3, vectors=vectors), [], 9)
    assert texts.ids[0] == "1"
    assert texts.ids[-1] == "2"  # a copy of the first
    assert top(Reranked(ALL, SHOP, trade_off=0.5, depth=1), [], 9).ids == tuple(SHOP.ids)
    assert top(Reranked(ALL, SHOP, ["year > 3000"], trade_off=0.5), [], 9).ids == ()


def test_what_the_user_knows_takes_no_place_among_the_diverse() -> None:
    found = top(Reranked(ALL, SHOP, trade_off=0.5, depth=2), ["1", "2", "3"], 9)
    assert set(found.ids) == {"4", "5"}


def test_equal_scores_are_diverse_too() -> None:
    flat = Lexical(SHOP)
    found = top(Reranked(flat, SHOP, trade_off=0.5), [], 3, about="horror or comedy")
    assert len(found.ids) == 3


def test_the_retrievers_own_notes_stay() -> None:
    history = History.of("1").say("more like it")
    notes = top(Reranked(ALL, SHOP, ["year > 2000"]), history, 3, about="words").notes
    assert sum("not used" in note for note in notes) == 2


def test_mmr_by_hand() -> None:
    alike = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert mmr(np.array([1.0, 0.9, 0.1]), alike, 0.5).tolist() == [0, 2, 1]
    assert mmr(np.array([1.0, 0.9, 0.1]), alike, 1.0).tolist() == [0, 1, 2]
