"""Recommendations without a model."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, UnknownItemError
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval import ItemKNN, Lexical, Lists

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
    assert result.trace.notes == (
        "itemknn: 3 of 8 items have no interactions and are not found; fused reads texts too",
        "no model was asked: this is the order of itemknn",
    )
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


def test_every_candidate_says_why(films: Catalog) -> None:
    rec = recommender(films, popularity=["3"]).with_retriever(item_knn(films))
    result = rec.retrieval_order(["Heat (1995)"], 5)
    assert [one.reason for one in result] == [
        "2 of the 2 who saw Heat (1995) saw it too",
        "1 of the 2 who saw Heat (1995) saw it too",
    ]
    assert rec.retrieval_order(["Solaris (1972)"], 5, candidates=None)[0].reason is None  # popularity has none


def test_conditions_hold_whatever_gives_the_order(films: Catalog) -> None:
    rec = recommender(films, popularity=["1", "4", "2"])
    knn = rec.with_retriever(item_knn(films))
    found = knn.retrieval_order(["1"], 5, where=["genres != Crime"])
    assert "2" not in ids(found)
    assert sum("where genres != Crime" in note for note in found.trace.notes) == 1
    popular = rec.retrieval_order(["3"], 5, where="genres != Crime")
    assert ids(popular) == ["4"]
    assert sum("where genres != Crime" in note for note in popular.trace.notes) == 1
    own = rec.retrieval_order(["3"], 5, candidates=["1", "4"], where=["genres = Animation"])
    assert ids(own) == ["4"]
    with pytest.raises(ConfigError, match="no candidate meets where="):
        rec.retrieval_order(["3"], 5, candidates=["1"], where=["genres = Animation"])
    with pytest.raises(ConfigError, match="no column"):
        rec.retrieval_order(["3"], 5, where=["colour = red"])


def test_conditions_hold_for_a_models_own_titles(films: Catalog) -> None:
    rec = AsyncRecommender(films, llm=FakeLLM("1. Ronin\n2. Toy Story"), popularity=["2", "4"])
    result = asyncio.run(rec.recommend(["Heat (1995)"], 2, where=["genres = Animation"], fill="popularity"))
    assert ids(result) == ["5", "4"]  # the second is filled from popularity, which has "2" before it
    assert [one.why for one in result.trace.dropped] == ["not_a_candidate"]
    assert any("where genres = Animation" in note for note in result.trace.notes)


def test_a_retriever_that_plays_no_part_is_said(films: Catalog) -> None:
    rec = AsyncRecommender(films, llm=FakeLLM("1. Ronin"), template="generate/default")
    result = asyncio.run(rec.with_retriever(item_knn(films)).recommend(["Heat (1995)"], 1))
    assert any("'itemknn' was not used: the template generate/default" in note for note in result.trace.notes)


def test_what_a_trained_model_listed_is_called_trained(films: Catalog) -> None:
    lists = Lists(Ids(films.ids), {"u": ["2", "4"]})
    rec = AsyncRecommender(films, llm=FakeLLM("1. Ronin"), template="rank/default").with_retriever(lists)
    result = asyncio.run(rec.recommend(History.of("1", user="u"), 1))
    assert (result.trace.mode, ids(result)) == ("trained", ["2"])
    assert rec.retrieval_order(History.of("1", user="u"), 2).trace.mode == "trained"
    with pytest.raises(ConfigError, match="no candidate for this user"):
        rec.retrieval_order(History.of("1", user="v"), 2)


def test_critiques_reach_a_retriever_that_reads_them(films: Catalog) -> None:
    rec = recommender(films).with_retriever(Lexical(films))
    result = rec.retrieval_order(History.of("1").say("something animated"), 2)
    assert {one.item.id for one in result} == {"4", "5"}
    assert any("animation" in (one.reason or "") for one in result)


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
