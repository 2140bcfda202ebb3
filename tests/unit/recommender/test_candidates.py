"""Recommendations without a model."""

from __future__ import annotations

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, UnknownItemError
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval import ItemKNN

HISTORIES = {
    "a": History(events=tuple(Event(item=one, by="id") for one in ("1", "2", "6"))),
    "b": History(events=tuple(Event(item=one, by="id") for one in ("1", "2"))),
    "c": History(events=tuple(Event(item=one, by="id") for one in ("4", "5"))),
}


def recommender(films: Catalog, **parts: object) -> AsyncRecommender:
    return AsyncRecommender(films, llm=FakeLLM("never asked"), **parts)  # type: ignore[arg-type]


def item_knn(films: Catalog) -> ItemKNN:
    return ItemKNN(Interactions.from_histories(HISTORIES, catalog=Ids(films.ids)))


def ids(result: Recommendations) -> list[str]:
    return [one.item.id for one in result]


def test_the_retrievers_order_without_what_the_user_knows(films: Catalog) -> None:
    rec = recommender(films).with_retriever(item_knn(films))
    result = rec.retrieval_order(["Heat (1995)"], 5)
    assert ids(result) == ["2", "6"]
    assert {one.source for one in result} == {"candidates"}
    assert (result.trace.mode, result.trace.exchanges) == ("training-free", ())
    assert result.trace.notes == ("no model was asked: this is the order of itemknn",)
    assert rec.llm.requests == []  # type: ignore[attr-defined]


def test_candidates_come_in_the_retrievers_order_or_in_their_own(films: Catalog) -> None:
    given = ["5", "6", "Ronin (1998)", "1"]
    own = recommender(films).retrieval_order(["1"], 2, candidates=given)
    assert ids(own) == ["5", "6"]
    assert own.trace.mode == "zero-shot"
    scored = recommender(films).with_retriever(item_knn(films)).retrieval_order(["1"], 3, candidates=given)
    assert ids(scored) == ["2", "6", "5"]
    with pytest.raises(UnknownItemError, match="John Wick"):
        recommender(films).retrieval_order(["1"], candidates=["John Wick"])


def test_a_user_of_whom_the_retriever_knows_nothing_gets_what_is_popular(films: Catalog) -> None:
    rec = recommender(films, popularity=["1", "999", "2"]).with_retriever(item_knn(films))
    result = rec.retrieval_order(["Solaris (1972)"], 5)
    assert ids(result) == ["1", "2"]
    assert {one.source for one in result} == {"popularity"}


def test_without_anything_that_orders_there_is_no_order(films: Catalog) -> None:
    with pytest.raises(ConfigError, match="none were given"):
        recommender(films).retrieval_order(["1"])
    with pytest.raises(ConfigError, match="no candidate"):
        recommender(films).with_retriever(item_knn(films)).retrieval_order(["7"])
    with pytest.raises(ConfigError, match="no item is left"):
        recommender(films, popularity=["1"]).retrieval_order(["1"])


def test_strict_holds_here_too(films: Catalog) -> None:
    strict = recommender(films, popularity=["1"], settings=Settings.load(strict=True))
    with pytest.raises(ConfigError, match="strict"):
        strict.retrieval_order(["2"])
    with pytest.raises(ConfigError, match="strict"):
        strict.with_retriever(item_knn(films)).retrieval_order(["1"])
