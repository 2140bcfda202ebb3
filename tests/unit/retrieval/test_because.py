from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.retrieval import (
    Because,
    Cooccurrence,
    CooccurrenceConfig,
    Fused,
    ItemKNN,
    Lexical,
    Listed,
    Popularity,
    Profile,
    Reranked,
    Retriever,
    Semantic,
    because,
    profile,
    top,
)
from zsrec.retrieval.lists import Backed

FILMS = Catalog.from_items(
    [
        {"id": "1", "title": "Alien (1979)", "genres": "Horror"},
        {"id": "2", "title": "Matrix, The (1999)", "genres": "Action"},
        {"id": "3", "title": "Up (2009)", "genres": "Animation"},
        {"id": "4", "title": "New (2031)", "genres": "Horror"},
    ],
    domain="movies",
)
ITEMS = Ids(FILMS.ids)
ROWS = ["1 2", "1 2", "2 1", "1 3", "1"]  # of five with Alien, two saw The Matrix after it and one before
KNOWN = Interactions.from_contacts(
    [
        Contact(f"u{u}", item, float(u * 10 + n))
        for u, row in enumerate(ROWS)
        for n, item in enumerate(row.split())
    ],
    catalog=ITEMS,
)
VECTORS = np.array([[1, 0], [0, 1], [0, -1], [1, 0]], np.float32)


def why(
    retriever: Retriever, *ids: str, history: Sequence[str] = ("1",), about: str = "", me: str | None = None
) -> dict[str, Because]:
    of = profile(history, ITEMS, about=about)._replace(user=me)
    return because(retriever, of, ids, FILMS)


def test_the_counts_are_those_of_the_data() -> None:
    found = why(Cooccurrence(KNOWN), "2", "3", "4")
    assert found["2"] == Because(
        text="2 of the 5 who saw Alien (1979) went on to see it", kind="after", item="1", users=2, of=5
    )
    assert found["3"].text == "1 of the 5 who saw Alien (1979) went on to see it"
    assert "4" not in found  # nothing speaks for it
    before = why(Cooccurrence(KNOWN), "1", history=("3",))
    assert before["1"].text == "1 of the 1 who saw Up (2009) had seen it before"


def test_oneself_is_no_evidence_for_oneself() -> None:
    assert why(Cooccurrence(KNOWN), "2", me="u0")["2"].text.startswith("1 of the 4 who saw")
    assert why(ItemKNN(KNOWN), "2", me="u0")["2"].text == "2 of the 4 who saw Alien (1979) saw it too"


def test_where_only_the_newest_are_read_the_text_says_so() -> None:
    found = why(Cooccurrence(KNOWN, CooccurrenceConfig(newest=2)), "3")
    assert found["3"].text == "1 of the last 2 who saw Alien (1979) went on to see it"


@pytest.mark.parametrize(
    ("retriever", "item", "text"),
    [
        (ItemKNN(KNOWN), "2", "3 of the 5 who saw Alien (1979) saw it too"),
        (Popularity(KNOWN), "2", "3 of 5 users saw it"),
        (Semantic(ITEMS, VECTORS), "4", "its description is close to that of Alien (1979)"),
        (Fused(KNOWN, VECTORS), "4", "its description is close to that of Alien (1979)"),
        (Fused(KNOWN, VECTORS), "2", "2 of the 5 who saw Alien (1979) went on to see it"),
        (Fused(KNOWN), "2", "2 of the 5 who saw Alien (1979) went on to see it"),
        (Lexical(FILMS), "4", "it matches horror"),
        (Backed(Cooccurrence(KNOWN), Popularity(KNOWN)), "2", "2 of the 5 who saw Alien (1979) went on to see it"),
        (Reranked(ItemKNN(KNOWN), FILMS, ["year > 1990"]), "2", "3 of the 5 who saw Alien (1979) saw it too"),
    ],
)  # fmt: skip
def test_every_training_free_retriever_says_why(retriever: Retriever, item: str, text: str) -> None:
    assert why(retriever, item)[item].text == text


def test_popularity_is_said_where_the_first_is_silent() -> None:
    backed = Backed(Cooccurrence(KNOWN), Popularity(KNOWN))
    assert why(backed, "2", history=())["2"].text == "3 of 5 users saw it"


class Words:
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[0, 1] for _ in texts], np.float32)


def test_the_users_words_are_named() -> None:
    one = Semantic(ITEMS, VECTORS, embedder=Words())
    assert why(one, "2", history=(), about="action")["2"].text == "it matches what you asked for"
    assert why(Fused(KNOWN, VECTORS, embedder=Words()), "2", history=(), about="a")["2"].kind == "words"


def test_who_cannot_say_says_nothing() -> None:
    assert why(Listed(ITEMS, ["2"]), "2") == {}
    assert why(Cooccurrence(KNOWN), "no such item") == {}
    assert why(Semantic(ITEMS, VECTORS), "2", history=()) == {}
    assert Reranked(Listed(ITEMS, ["2"]), FILMS).evidence(Profile.of(np.zeros(0, np.int32)), [1]) == [None]


def test_every_candidate_of_real_retrievers_has_a_reason() -> None:
    for retriever in (Cooccurrence(KNOWN), ItemKNN(KNOWN), Fused(KNOWN, VECTORS)):
        ids = top(retriever, ["1"], 9).ids
        assert set(why(retriever, *ids)) == set(ids)
