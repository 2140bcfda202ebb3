from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError, DataError
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.retrieval import (
    Cooccurrence,
    Fused,
    FusedConfig,
    ItemKNN,
    ItemKNNConfig,
    Lexical,
    Listed,
    Popularity,
    Profile,
    Retriever,
    Semantic,
    SemanticConfig,
    item_texts,
    item_vectors,
    popularity,
    profile,
    read_lists,
    top,
)
from zsrec.retrieval.base import faded
from zsrec.retrieval.lists import Backed

ITEMS = Ids("abcdef")
KNOWN = Interactions.from_contacts(
    [Contact(user, item, float(n)) for n, (user, item) in enumerate([*zip("11122233", "abcabdab", strict=True)])],
    catalog=ITEMS,
)
VECTORS = np.eye(6, 4, dtype=np.float32) + np.float32(0.2)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ALL: tuple[Retriever, ...] = (
    Popularity(KNOWN),
    ItemKNN(KNOWN),
    Cooccurrence(KNOWN),
    Backed(Cooccurrence(KNOWN), Popularity(KNOWN)),
    Semantic(ITEMS, VECTORS),
    Fused(KNOWN, VECTORS),
    Fused(KNOWN),
    Listed(ITEMS, ["c", "f", "a"]),
)


class FakeEmbedder:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def brute_force(known: Interactions, history: list[int], last: int, decay: float) -> NDArray[np.float64]:
    """The formula as it stands in the docstring, over a dense matrix."""
    matrix = np.zeros((len(known.users), len(known.items)))
    matrix[known.columns.user, known.columns.item] = 1.0
    newest = history[-last:]
    scores = np.zeros(len(known.items))
    for place, j in enumerate(newest):
        for x in range(len(known.items)):
            both = matrix[:, j] @ matrix[:, x]
            if both:
                cosine = both / np.sqrt(matrix[:, j].sum() * matrix[:, x].sum())
                scores[x] += decay ** (len(newest) - place) * cosine / len(newest)
    return np.where(scores == 0, -np.inf, scores)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=40),
    st.lists(st.integers(0, 7), max_size=6),
    st.integers(1, 4),
    st.sampled_from([0.5, 0.7, 1.0]),
)
def test_item_knn_is_its_formula(rows: list[tuple[int, int]], history: list[int], last: int, decay: float) -> None:
    contacts = [Contact(str(u), str(i), float(n)) for n, (u, i) in enumerate(rows)]
    known = Interactions.from_contacts(contacts[: len(rows) // 2], catalog=Ids("01234567"))
    known = known.extended(contacts[len(rows) // 2 :])
    found = ItemKNN(known, ItemKNNConfig(last=last, decay=decay)).scores(Profile.of(np.array(history, np.int32)))
    np.testing.assert_allclose(found, brute_force(known, history, last, decay), rtol=1e-12)


def test_item_knn_by_hand() -> None:
    # a: users 1 2 3, b: 1 2 3, c: 1, d: 2. History a then c: t = 2 for a, 1 for c.
    scores = ItemKNN(KNOWN).scores(profile(["a", "c"], ITEMS))
    assert scores[1] == pytest.approx((0.49 * 1.0 + 0.7 / np.sqrt(3)) / 2)
    assert scores[3] == pytest.approx(0.49 / np.sqrt(3) / 2)
    assert scores[4] == scores[5] == -np.inf


def test_a_new_contact_counts_at_once() -> None:
    before = ItemKNN(KNOWN).scores(profile(["e"], ITEMS))
    assert np.all(before == -np.inf)
    grown = KNOWN.extended([Contact("9", "e", 100.0), Contact("9", "new", 101.0)])
    found = top(ItemKNN(grown), ["e"], 5)
    assert found.ids == ("new",)
    assert top(Popularity(grown), ["e"], 9).ids[-1] in {"f", "new", "c", "d"}


def test_popularity_in_a_window_of_time() -> None:
    day = 86_400.0
    known = Interactions.from_contacts([Contact("1", "a", 0), Contact("2", "a", day), Contact("3", "b", 10 * day)])
    assert Popularity(known).scores(Profile.of(np.zeros(0, np.int32))).tolist() == [2, 1]
    assert Popularity(known, window_days=5).scores(Profile.of(np.zeros(0, np.int32))).tolist() == [0, 1]
    with pytest.raises(ConfigError, match="window_days"):
        Popularity(known, window_days=0)


CENTRED = VECTORS - VECTORS.mean(axis=0)
CENTRED /= np.linalg.norm(CENTRED, axis=1, keepdims=True)


def test_semantic_is_its_formula() -> None:
    scores = Semantic(ITEMS, VECTORS).scores(profile(["a", "b"], ITEMS))
    cosines = CENTRED @ CENTRED.T
    np.testing.assert_allclose(scores, (0.49 * cosines[0] + 0.7 * cosines[1]) / 2, rtol=1e-6)
    assert np.all(Semantic(ITEMS, VECTORS).scores(profile([], ITEMS)) == -np.inf)


def test_semantic_reads_what_a_text_has_of_its_own() -> None:
    common = np.array([[1, 0, 0.2], [1, 0.2, 0], [1, 0.2, 0.1]], np.float32)  # one direction dominates all texts
    common /= np.linalg.norm(common, axis=1, keepdims=True)
    scores = Semantic(Ids("abc"), common).scores(profile(["b"], Ids("abc")))
    assert scores[2] > 0 > scores[0]
    same = np.ones((3, 2), np.float32) / np.sqrt(np.float32(2))
    assert Semantic(Ids("abc"), same).scores(profile(["a"], Ids("abc"))).tolist() == [0, 0, 0]


def test_fused_is_its_formula() -> None:
    of = profile(["a", "c"], ITEMS)
    behaviour = Cooccurrence(KNOWN)
    f = np.array([0.8 * 11**-0.5, 0.64 * 13**-0.5])  # c is the newest, with one user; a has three
    taste = f[0] * VECTORS[2] + f[1] * VECTORS[0]
    cosines = np.maximum(VECTORS @ (taste / np.linalg.norm(taste)), 0)
    expected = (behaviour.counts(of) + 0.3 * f.sum() * cosines**4) * (KNOWN.users_per_item + 10) ** -0.5
    np.testing.assert_allclose(
        Fused(KNOWN, VECTORS).scores(of), np.where(expected > 0, expected, -np.inf), rtol=1e-5
    )
    np.testing.assert_array_equal(
        Fused(KNOWN, VECTORS, FusedConfig(text_weight=0)).scores(of), behaviour.scores(of)
    )


def test_titles_that_say_nothing_are_refused() -> None:
    numbered = Catalog([str(n) for n in range(9)], [f"item {n}" for n in range(9)])
    with pytest.raises(ConfigError, match="differ in numbers only"):
        item_vectors(numbered, FakeEmbedder())
    genres = {"genres": ["Crime", "Drama", *[""] * 7]}
    assert (
        len(
            item_vectors(Catalog(numbered.ids, [f"item {n}" for n in range(9)], attributes=genres), FakeEmbedder())
        )
        == 9
    )
    assert "no item vectors" in Fused(KNOWN, no_vectors="titles").notes[0]
    assert "(titles)" in Fused(KNOWN, no_vectors="titles").notes[0]


def test_texts_cannot_outweigh_one_user() -> None:
    rows = [Contact("1", "a", 0), Contact("1", "b", 1), Contact("2", "c", 0)]
    known = Interactions.from_contacts(rows, catalog=Ids("abc"))
    vectors = np.array([[1, 0], [-1, 0], [1, 0.01]], np.float32)
    assert top(Fused(known, vectors), ["a"], 3).ids == ("b", "c")


def test_fused_without_vectors_is_cooccurrence_and_says_so() -> None:
    alone = Fused(KNOWN)
    np.testing.assert_array_equal(
        alone.scores(profile(["a"], ITEMS)), Cooccurrence(KNOWN).scores(profile(["a"], ITEMS))
    )
    assert "interactions alone" in alone.notes[0]
    assert top(alone, ["a"], 3).notes == alone.notes
    assert Fused(KNOWN, VECTORS).notes == ()


def test_fused_grows_with_its_catalog() -> None:
    fused = Fused(
        Interactions.from_contacts([Contact("1", "a", 0), Contact("1", "b", 1)]), np.eye(2, dtype=np.float32)
    )
    fused.add("2", "a")
    assert "c" not in fused.items
    fused.add("2", "c")
    grown = fused.with_vectors(np.eye(3, dtype=np.float32))
    assert grown.behaviour is fused.behaviour
    assert set(top(grown, ["a"], 3).ids) == {"b", "c"}


@pytest.mark.parametrize("texts", ["vectors", "words", "none"])
def test_an_item_that_an_event_brings_has_no_text_and_counts_in_histories(texts: str) -> None:
    catalog = Catalog(list("abcdef"), ["Heat", "Ronin", "Alien", "Aliens", "Babe", "Fargo"])
    vectors, lexical = VECTORS if texts == "vectors" else None, Lexical(catalog) if texts == "words" else None
    fused = Fused(Interactions.from_contacts([Contact("1", "a", 0)], catalog=ITEMS), vectors, lexical=lexical)
    for user, item in [("2", "new"), ("2", "b"), ("3", "new"), ("3", "b")]:
        fused.add(user, item)
    assert top(fused, ["new"], 1).ids == ("b",)
    of, codes = profile(["b", "new"], fused.items), fused.items.codes(["a", "b", "new"])
    assert [one and one.kind for one in fused.evidence(of, codes.tolist())][1:] == ["after", "before"]


def test_an_item_without_contacts_is_found_by_its_text() -> None:
    assert "e" not in top(ItemKNN(KNOWN), ["a"], 9).ids
    assert "e" in top(Fused(KNOWN, VECTORS), ["a"], 9).ids


@pytest.mark.parametrize("retriever", ALL, ids=lambda one: one.name)
def test_what_every_retriever_keeps(retriever: Retriever) -> None:
    of = profile(["a", "b"], ITEMS)
    scores = retriever.scores(of)
    assert scores.shape == (6,)
    assert scores.dtype == np.float64
    before = scores.copy()
    found = top(retriever, ["a", "b"], 3, exclude=["c"])
    np.testing.assert_array_equal(retriever.scores(of), before)  # `top` spoils nothing
    assert not {"a", "b", "c"} & set(found.ids)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert found.mode == ("zero-shot" if retriever.name in {"semantic", "listed"} else "training-free")
    assert found == top(retriever, ["a", "b"], 3, exclude=["c"])


def test_only_the_callers_list() -> None:
    listed = Listed(ITEMS, ["c", "gone", "f", "a", "c"])
    assert top(listed, ["a"], 9).ids == ("c", "f")
    assert top(listed, ["a"], 9, exclude_seen=False).ids == ("c", "f", "a")
    assert listed.notes == ("1 of 5 candidates are not in the catalog",)


def test_a_precomputed_list_by_user(tmp_path: Path) -> None:
    path = tmp_path / "top.csv"
    path.write_text("user,item,score\nu1,a,0.5\nu1,c,0.9\nu1,gone,0.1\nu2,b,1\n", encoding="utf-8")
    lists = read_lists(path, ITEMS, columns=("user", "item", "score"))
    found = top(lists, History(user="u1"), 9)
    assert (found.ids, found.mode, found.retriever) == (("c", "a"), "trained", "lists")
    assert found.notes == ("1 of 4 listed items are not in the catalog",)
    assert top(lists, History.of("c", user="u1"), 9).ids == ("a",)
    nobody = top(lists, History(user="u3"), 9)
    assert nobody.ids == ()
    assert "no list for this user" in nobody.notes[1]
    assert "names none" in top(lists, [], 9).notes[1]
    in_order = read_lists(path, ITEMS, mode="training-free")
    assert (top(in_order, History(user="u1"), 9).ids, in_order.mode) == (("a", "c"), "training-free")
    path.write_text("user,item,score\nu1,a,best\n", encoding="utf-8")
    with pytest.raises(DataError, match="no number"):
        read_lists(path, ITEMS, columns=("user", "item", "score"))
    with pytest.raises(ConfigError):
        read_lists(path, ITEMS, columns=("user",))


def test_ties_follow_a_hash_and_neither_place_nor_id() -> None:
    ids = [f"{n:03}" for n in range(200)]
    flat = Interactions.from_arrays(ids, ids, np.zeros(200))
    shuffled = Interactions.from_arrays(ids, ids[::-1], np.zeros(200))
    first = top(Popularity(flat), [], 50)
    assert first.ids == top(Popularity(shuffled), [], 50).ids
    assert first.ids != top(Popularity(flat), [], 50, seed=1).ids
    places = [ids.index(one) for one in first.ids]
    assert abs(np.corrcoef(places, range(50))[0, 1]) < 0.4
    assert popularity([History.of(one) for one in ids[:20]]) == popularity(
        [History.of(one) for one in ids[19::-1]]
    )
    assert popularity([History.of(one) for one in ids[:20]]) != tuple(ids[:20])


def test_the_best_n_are_the_first_n_of_all() -> None:
    rng = np.random.default_rng(0)
    users, items = map(str, rng.integers(9, size=900)), map(str, rng.integers(300, size=900))
    known = Interactions.from_arrays(users, items, np.zeros(900), catalog=Ids(map(str, range(300))))
    everything = top(Popularity(known), [], 300).ids
    for n in (1, 7, 100, 299):
        assert top(Popularity(known), [], n).ids == everything[:n]
    with pytest.raises(ConfigError, match="n is 0"):
        top(Popularity(known), [], 0)


def test_feedback_speaks_for_against_or_not_at_all() -> None:
    history = History.of("a").like("b").skip("c").dislike("d")
    of = profile(history, ITEMS)
    assert of.weights.tolist() == [1.0, 1.0, 0.0, -0.1]
    assert faded(of, 1, 0.5).codes.tolist() == [1, 3]  # what says nothing takes no place
    assert faded(of, 1, 0.5).weights.tolist() == [0.5, -0.05]
    likes = History.of("a").like("b").skip("c")
    plain, disliked = (Semantic(ITEMS, VECTORS).scores(profile(h, ITEMS)) for h in (likes, history))
    assert disliked[3] * 3 < plain[3] * 2  # sums of three events and of two


def test_a_profile_passes_over_titles_and_strangers() -> None:
    events = (Event(item="a", by="title"), Event(item="zzz"), Event(item="b", feedback=Feedback.LIKED))
    assert profile(History(events=events), ITEMS).codes.tolist() == [1]
    assert profile(History(events=(Event(item="c", time=datetime.now(UTC)),)), ITEMS).codes.tolist() == [2]


def test_texts_and_vectors_of_a_growing_catalog(films: Catalog) -> None:
    assert item_texts(films)[2] == "The Matrix (1999). Sci-Fi"
    assert item_texts(films, ())[0] == "Heat (1995)"
    embedder = FakeEmbedder()
    known = item_vectors(films, embedder)
    assert item_vectors(films, embedder, known=known) is known
    longer = films.extended([{"id": "9", "title": "Alien (1979)"}])
    vectors = item_vectors(longer, embedder, known=known)
    assert embedder.texts[len(films) :] == ["Alien (1979)"]
    np.testing.assert_array_equal(vectors[:-1], known)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ItemKNN(KNOWN, ItemKNNConfig(last=0)),
        lambda: ItemKNN(KNOWN, ItemKNNConfig(decay=0)),
        lambda: Semantic(ITEMS, VECTORS, SemanticConfig(decay=1.1)),
        lambda: Semantic(ITEMS, VECTORS[:2]),
        lambda: Fused(KNOWN, VECTORS[:2]),
        lambda: Fused(KNOWN, VECTORS, FusedConfig(text_weight=-1)),
        lambda: Fused(KNOWN, VECTORS, FusedConfig(text_power=0)),
        lambda: Fused(KNOWN, None, FusedConfig(last=0)),
    ],
)
def test_wrong_parameters_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()


def test_retrievers_from_what_a_caller_has(films: Catalog) -> None:
    others = {"ann": History.of("1", "2"), "bob": History.of("1", "2", "6"), "eve": History.of("3", "6")}
    knn = ItemKNN.from_histories(others, films)
    assert list(knn.items.ids) == list(films.ids)
    assert top(knn, ["1"], 1).ids == ("2",)
    assert list(ItemKNN.from_histories(others).items.ids) == ["1", "2", "6", "3"]
    semantic = Semantic.from_catalog(films, CountedWords())
    assert list(semantic.items.ids) == list(films.ids)
    assert semantic.reads_words
    assert len(top(semantic, ["1"], 2).ids) == 2


class CountedWords:
    """An embedder whose dimensions are words."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                counts[row, sum(map(ord, word)) % 64] += 1
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)
