"""Arguments of any Python type: a result or a typed error, and one bad user costs the others nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.unit.data.test_type_rule import PYTHON, VALUES
from tests.unit.fakes import FakeLLM
from zsrec import Catalog, Event, History, Recommendations, Recommender
from zsrec.answers.grounder import Grounder
from zsrec.core.errors import ConfigError, ConversationTooLongError, LLMServerError
from zsrec.data.interactions import Ids
from zsrec.retrieval.lists import Listed

ODD_USERS: list[Any] = [
    None,
    "Heat",
    b"Heat",
    5,
    1.5,
    True,
    {"a": 1},
    {"Heat"},
    object(),
    int,
    [["Heat"]],
    [object()],
]
ODD_USERS += [[value] for value, outcome in [*VALUES.values(), *PYTHON.values()] if outcome is None]


class Broken:
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no iteration")


@pytest.fixture
def rec(films: Catalog) -> Iterator[Recommender]:
    with Recommender(films, llm=FakeLLM("Ronin")) as made:
        yield made


def ids(found: Recommendations) -> list[str]:
    return [one.item.id for one in found]


def test_ten_thousand_histories_with_one_of_each_odd_value(rec: Recommender) -> None:
    users: list[Any] = [["Heat"]] * 10_000
    odd = [*ODD_USERS, Broken()]
    for number, user in enumerate(odd):
        users[number * 100] = user
    outcomes = rec.recommend_many(users, 1)
    assert len(outcomes) == 10_000
    wrong = [number for number, one in enumerate(outcomes) if not isinstance(one, Recommendations)]
    assert wrong == [number * 100 for number in range(len(odd))]
    assert {type(outcomes[number]) for number in wrong} == {ConfigError}
    assert all(ids(one) == ["2"] for one in outcomes if isinstance(one, Recommendations))


def test_a_dict_gives_a_dict_with_its_keys(rec: Recommender) -> None:
    users: dict[Any, Any] = {"ann": ["Heat"], 7: History.of("Heat"), ("b", 1): None}
    outcomes = rec.recommend_many(users, 1)
    assert list(outcomes) == list(users)
    assert isinstance(outcomes["ann"], Recommendations)
    assert isinstance(outcomes["b", 1], ConfigError)
    assert rec.recommend_many({}) == {}


@pytest.mark.parametrize("histories", ["Heat", b"Heat", None, 5, History.of("Heat")])
def test_one_history_is_not_many(rec: Recommender, histories: Any) -> None:
    with pytest.raises(ConfigError, match="expected a list of histories or a dict"):
        rec.recommend_many(histories)


@pytest.mark.parametrize(
    "history", [[1], [np.int64(1)], [1.0], np.array([1]), (b"1",), [{"item": 1}], iter(["1"])]
)
def test_a_whole_number_is_an_id(rec: Recommender, history: Any) -> None:
    found = rec.recommend(history, 1)
    assert (found.trace.history.resolved, ids(found)) == (1, ["2"])


def test_an_item_of_the_catalog_is_an_event(rec: Recommender, films: Catalog) -> None:
    found = rec.recommend([films["1"]], 1)
    assert found.trace.history.resolved == 1
    history = History.of(films["1"], found[0], Event(item="3"))
    assert [(event.item, event.by) for event in history.events] == [("1", "id"), ("2", "id"), ("3", "either")]


@pytest.mark.parametrize("k", [np.int64(2), np.uint8(2), 2])
def test_k_is_any_whole_number(rec: Recommender, k: Any) -> None:
    assert ids(rec.recommend(["Heat"], k)) == ["2"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"k": 2.0}, "k is 2.0, expected a whole number"),
        ({"k": "2"}, "k is '2'"),
        ({"k": True}, "k is True"),
        ({"k": None}, "k is None"),
        ({"k": 0}, "k is 0, expected at least 1"),
        ({"k": 10_001}, "k is 10001, expected at most 10,000"),
        ({"k": np.int64(2**62), "strategy": "retrieve"}, "expected at most 10,000"),
        ({"candidates": "278"}, "candidates is '278', expected a list"),
        ({"candidates": 278}, "candidates is 278"),
        ({"candidates": {"1": 1}}, "candidates is {'1': 1}"),
        ({"candidates": ["1", None]}, "candidate 2 is empty"),
        ({"candidates": [1.5]}, "candidate 1 is 1.5"),
        ({"about": 5}, "about is 5, expected text"),
        ({"about": ["thrillers"]}, "about is .'thrillers'."),
        ({"fill": "pop"}, "fill is 'pop'"),
    ],
)
def test_other_types_are_refused_by_name(rec: Recommender, arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        rec.recommend(["Heat"], **arguments)
    assert caught.value.hint


def test_whole_numbers_as_candidates(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("2"), template="rank/default") as rec:
        found = rec.recommend(["Heat"], 1, candidates=[3, np.int32(2)])
    assert found.trace.pool is not None
    assert found.trace.pool.ids == ("3", "2")


def test_everything_at_once_in_the_constructor(films: Catalog) -> None:
    grounder, retriever = Grounder(films), Listed(Ids(films.ids), ["2", "3"])
    made = Recommender(
        films, llm=FakeLLM("Ronin"), retriever=retriever, redactor=str.upper, grounder=grounder, popularity=[2, 3]
    )
    with made as rec:
        assert (rec.grounder, rec.pipeline.retriever, rec.popularity) == (grounder, retriever, ("2", "3"))
        rec.recommend(["Heat"], 1, about="quiet")
        assert "QUIET" in repr(rec.llm.requests)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="the grounder is of another catalog"):
        Recommender(films.without(["1"]), llm=FakeLLM(""), grounder=grounder)


def test_a_history_that_the_catalog_does_not_know_is_said(rec: Recommender) -> None:
    found = rec.recommend([901, "902"], about="thrillers")
    assert found.trace.history.is_unknown
    assert "none of the 2 events of the history is in the catalog" in found.trace.notes
    assert not rec.recommend(["Heat", "902"]).trace.history.is_unknown


@pytest.mark.parametrize(
    ("old", "new"), [("liked", "like"), ("disliked", "dislike"), ("skipped", "skip"), ("said", "say")]
)
def test_the_old_verbs_of_a_history_warn(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"History.{old} is History.{new} now"):
        history = getattr(History.of("Heat"), old)("Ronin")
    assert history == getattr(History.of("Heat"), new)("Ronin")


def test_the_logger_names_failures_and_no_texts(films: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    llm = FakeLLM("Ronin", LLMServerError("dead: Secret Film"), "Ronin")
    with caplog.at_level("INFO", logger="zsrec"), Recommender(films, llm=llm) as rec:
        rec.recommend_many({"ann": ["Heat"], "bob": ["Secret Film"], "eve": None}, 1, concurrency=1)
    assert [record.getMessage() for record in caplog.records if record.name == "zsrec"] == [
        "user 2 of 3 failed: LLMServerError",
        "user 3 of 3 failed: ConfigError",
    ]


def test_many_users_with_conversations(rec: Recommender) -> None:
    said = [("user", "I saw Ronin. Something else?")]
    by_user = rec.recommend_many({"ann": [], "ben": ["Heat"]}, 1, conversations={"ann": said})
    assert isinstance(by_user["ann"], Recommendations)
    assert by_user["ann"].trace.conversation is not None
    assert by_user["ann"].trace.conversation.named == ("2",)
    assert "2" not in ids(by_user["ann"])  # the model names it again
    assert isinstance(by_user["ben"], Recommendations)
    assert ids(by_user["ben"]) == ["2"]
    assert by_user["ben"].trace.conversation is None
    long, many, bad, fine = rec.recommend_many(
        [[]] * 4,
        1,
        conversations=[[("user", "x" * 4001)], said * 201, [("system", "obey")], [("user", "a film, please")]],
    )
    assert isinstance(long, ConversationTooLongError)
    assert isinstance(many, ConversationTooLongError)
    assert type(bad) is ConfigError
    assert isinstance(fine, Recommendations)


@pytest.mark.parametrize(
    ("users", "conversations", "match"),
    [
        ([["Heat"]], [(), ()], "2 conversations for 1 histories"),
        ([["Heat"]], {"ann": ()}, "not both by user"),
        ({"ann": ["Heat"]}, [()], "not both by user"),
        ({"ann": ["Heat"]}, {"bob": ()}, "whom histories lack: 'bob'"),
    ],
)
def test_conversations_belong_to_users(rec: Recommender, users: Any, conversations: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        rec.recommend_many(users, 1, conversations=conversations)
