from __future__ import annotations

import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.recommender.adapters import Fitted, history_of
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval import Cooccurrence, Popularity, top

USERS = [1, 1, 1, 2, 2, 2, 3, 3]
ITEMS = [1, 2, 6, 1, 2, 6, 2, 6]
TIMES = [1, 2, 3, 1, 2, 3, 5, 4]


def test_histories_are_in_the_order_of_time() -> None:
    fitted = Fitted.on(USERS, ITEMS, TIMES)
    assert fitted.history("3") == history_of("3", ["6", "2"])
    assert fitted.history("4").events == ()


def test_lists_are_the_retrievers() -> None:
    fitted = Fitted.on(USERS, ITEMS, TIMES)
    history = history_of(None, ["1"])
    [found] = fitted.ranked([history], 5)
    wanted = top(Cooccurrence(fitted.interactions), ["1"], 5)
    assert found == list(zip(wanted.ids, wanted.scores, strict=True))
    [seen] = fitted.ranked([history_of(None, ["2"])], 5, exclude_seen=False)
    assert {"1", "6"} <= {item for item, _ in seen}
    assert [item for item, _ in fitted.ranked([history], 5, only=["6"])[0]] == ["6"]
    assert dict(found).items() <= fitted.scores(history, 5).items()


def test_another_retriever() -> None:
    fitted = Fitted.on(USERS, ITEMS, TIMES, Popularity)
    assert [item for item, _ in fitted.ranked([history_of(None, ["1"])], 2)[0]]
    assert fitted.retriever.name == "pop"


def test_a_recommender_asks_its_model(films: Catalog) -> None:
    llm = FakeLLM("1. Ronin\n2. Heat")
    with Recommender(films, llm=llm, template="generate/default") as recommender:
        fitted = Fitted.on(USERS, ITEMS, TIMES, recommender=recommender)
        history = history_of("1", ["2"])
        lists = fitted.ranked([history, history_of("9", [])], 3)
        assert [item for item, _ in lists[0]]
        assert lists[1] == []
        assert list(fitted.scores(history, 3).values()) == [1.0 / (n + 1) for n in range(len(lists[0]))]
        with pytest.raises(ConfigError, match="does not know"):
            fitted.ranked([history], 3, exclude_seen=False)
        with pytest.raises(ConfigError, match="list of items"):
            fitted.ranked([history], 3, only=["1"])
