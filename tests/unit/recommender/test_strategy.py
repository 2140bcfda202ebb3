"""How a call is answered: the rule, what overrides it, and what the trace says."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, LLMConnectionError, LLMServerError
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.retrieval import ItemKNN, Popularity

CONTACTS = {f"u{n}": History.of("1", "2", "6") for n in range(3)} | {"v": History.of("4", "5", "1")}
WORDS = [("user", "something quiet")]


def retriever(films: Catalog) -> ItemKNN:
    return ItemKNN(Interactions.from_histories(CONTACTS, catalog=Ids(films.ids)))


def ask(
    films: Catalog, llm: FakeLLM, history: object = (), *, retrieves: bool = True, template: str | None = None,
    popularity: list[str] | None = None, settings: Settings | None = None, **how: object,
) -> Recommendations:  # fmt: skip
    with Recommender(films, llm=llm, template=template, popularity=popularity, settings=settings) as rec:
        rec = rec.with_retriever(retriever(films)) if retrieves else rec
        return rec.recommend(history, 3, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "how", "retrieves", "strategy", "template", "why"),
    [
        (["1"], {"about": "quiet films"}, True, "generate", "generate/default", "says in words"),
        (["1", "3", "4"], {"conversation": WORDS}, True, "generate", "converse/default", "says in words"),
        (History.of("1", "3", "4").say("quieter"), {}, True, "generate", "generate/default", "says in words"),
        (["1", "3"], {}, True, "generate", "generate/default", "fewer than 3"),
        (["1", "3", "4"], {}, True, "rank", "rank/default", "3 events are known"),
        (["1", "3", "4"], {}, False, "generate", "generate/default", "there is no retriever"),
    ],
)
def test_the_rule(
    films: Catalog,
    history: object,
    how: dict[str, object],
    retrieves: bool,
    strategy: str,
    template: str,
    why: str,
) -> None:
    trace = ask(films, FakeLLM("1. Ronin"), history, retrieves=retrieves, **how).trace
    assert (trace.strategy, trace.template.name) == (strategy, template)
    assert any(note.startswith(f"strategy {strategy!r}: ") and why in note for note in trace.notes)


def test_a_template_of_the_callers_wins_and_says_nothing(films: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = ask(films, FakeLLM("1. Ronin"), ["1", "3", "4"], template="generate/json").trace
    assert (trace.strategy, trace.template.name) == ("generate", "generate/json")
    assert not [note for note in trace.notes if note.startswith("strategy")]
    trace = ask(films, FakeLLM("1. Ronin"), ["1"], template="rank/default", about="quiet").trace
    assert (trace.strategy, trace.template.name) == ("rank", "rank/default")
    monkeypatch.setenv("ZSREC_TEMPLATE", "generate/json")
    assert ask(films, FakeLLM("1. Ronin"), ["1", "3", "4"]).trace.template.name == "generate/json"


def test_the_models_titles_and_retrieval_take_turns(films: Catalog) -> None:
    result = ask(films, FakeLLM("1. Up\n2. Cats (2019)"), ["1"], about="quiet")
    assert [one.source for one in result] == ["llm", "retrieval", "retrieval"]
    assert [one.item.id for one in result][:2] == ["4", "2"]
    assert result.trace.mode == "training-free"
    note = "2 places are from retrieval (lexical and itemknn), in turn with what the model names"
    assert note in result.trace.notes
    full = ask(films, FakeLLM("1. Up\n2. Ronin\n3. Thief"), ["1"], about="the matrix")
    assert [(one.item.id, one.source) for one in full] == [("4", "llm"), ("3", "retrieval"), ("2", "llm")]
    assert [one.score for one in full] == [1, 1 / 2, 1 / 3]
    assert [(one.grounded.match.item_id, one.why) for one in full.trace.dropped] == [("6", "beyond_k")]
    critique = ask(films, FakeLLM("1. Up\n2. Ronin\n3. Thief"), History.of("1").say("calmer"), retrieves=False)
    assert [one.source for one in critique] == ["llm", "llm", "llm"]
    assert critique.trace.mode == "zero-shot"
    nothing = ask(films, FakeLLM("1. Up"), about="quiet")  # no title has the word, and no event is known
    assert [one.item.id for one in nothing] == ["4"]


def test_words_find_titles_without_a_retriever_and_in_turn_with_one(films: Catalog) -> None:
    alone = ask(films, FakeLLM("1. Up"), about="about a thief", retrieves=False)
    assert (alone[0].item.id, alone[0].source) == ("4", "llm")
    assert {one.item.id for one in alone if one.source == "retrieval"} >= {"6"}
    assert alone.trace.mode == "zero-shot"
    note = "2 places are from retrieval (lexical and itemknn), in turn with what the model names"
    both = ask(films, FakeLLM("1. Up"), ["1"], about="the matrix")
    assert [one.item.id for one in both][1:] == ["3", "2"]  # by words, then by contacts
    assert note in both.trace.notes
    assert not any("were not used to find candidates" in note for note in both.trace.notes)


def test_a_fill_from_retrieval_may_be_asked_for(films: Catalog) -> None:
    result = ask(films, FakeLLM("1. Up"), ["1"], template="generate/default", fill="retrieval")
    assert [one.source for one in result] == ["llm", "retrieval", "retrieval"]
    with pytest.raises(ConfigError, match="without a retriever"):
        ask(films, FakeLLM("1. Up"), ["1"], retrieves=False, fill="retrieval")
    strict = Settings.load(strict=True)
    with pytest.raises(ConfigError, match="strict: the retriever"):
        ask(films, FakeLLM("1. Up"), ["1"], settings=strict, about="quiet")


def test_each_strategy_can_be_forced(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin")
    assert ask(films, llm, ["1"], strategy="rank").trace.template.name == "rank/default"
    assert ask(films, llm, ["1", "3", "4"], strategy="generate").trace.template.name == "generate/default"
    llm = FakeLLM("never asked")
    result = ask(films, llm, ["1"], strategy="retrieve")
    assert ([one.item.id for one in result][:2], result.trace.strategy) == (["2", "6"], "retrieve")
    assert llm.requests == []
    with pytest.raises(ConfigError, match="strategy='rank' with the template generate/json"):
        ask(films, llm, ["1"], template="generate/json", strategy="rank")
    with pytest.raises(ConfigError, match="none were given"):
        ask(films, llm, ["1"], retrieves=False, strategy="retrieve")
    with pytest.raises(ConfigError, match="nothing is known"):
        ask(films, llm, strategy="retrieve")


def test_without_a_server_retrieval_answers_and_is_marked(films: Catalog) -> None:
    absent = LLMConnectionError("no server at 127.0.0.1")
    result = ask(films, FakeLLM(absent), ["1"], about="quiet")
    assert ([one.item.id for one in result][:2], result.trace.strategy) == (["2", "6"], "retrieve")
    assert any("could not be reached: no server at 127.0.0.1" in note for note in result.trace.notes)
    for how in ({"template": "generate/default"}, {"retrieves": False}, {"strategy": "generate"}):
        with pytest.raises(LLMConnectionError):
            ask(films, FakeLLM(absent), ["1"], **how)  # type: ignore[arg-type]
    with pytest.raises(LLMServerError):
        ask(films, FakeLLM(LLMServerError("broken")), ["1"], about="quiet")


def test_many_users_are_routed_one_by_one(films: Catalog) -> None:
    async def many() -> list[object]:
        rec = AsyncRecommender(films, llm=FakeLLM("1. Ronin")).with_retriever(retriever(films))
        found = await rec.recommend_many([["1"], ["1", "3", "4"]], 2)
        return [one.trace.strategy for one in found if isinstance(one, Recommendations)]

    assert asyncio.run(many()) == ["generate", "rank"]


def test_popularity_is_what_is_left(films: Catalog) -> None:
    known = Interactions.from_histories(CONTACTS, catalog=Ids(films.ids))
    absent = LLMConnectionError("no server")
    result = ask(films, FakeLLM(absent), ["3"], retrieves=False, popularity=["1", "2"])
    assert [(one.item.id, one.source) for one in result] == [("1", "popularity"), ("2", "popularity")]
    assert Popularity(known).mode == "training-free"
