from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.retrieval import (
    Fused,
    FusedConfig,
    ItemKNN,
    ItemKNNConfig,
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
    top,
)
from zsrec.retrieval.base import faded
from zsrec.retrieval.item_knn import NeighbourLists

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


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=40),
    st.lists(st.integers(0, 7), max_size=6),
    st.integers(0, 40),
)
def test_neighbour_lists_are_right_for_later_contacts_too(
    rows: list[tuple[int, int]], history: list[int], start: int
) -> None:
    contacts = [Contact(str(u), str(i), float(n)) for n, (u, i) in enumerate(rows)]
    base = Interactions.from_contacts(contacts[:start])
    lists = NeighbourLists(base, 100)
    for item in range(len(base.items)):
        lists.of(item)
    known = base.extended(contacts[start:], items=base.items.extended("01234567"))
    listed = ItemKNN(known, ItemKNNConfig(most_reads=1), lists)  # no item may be read anew
    codes = known.items.codes(map(str, history)).tolist()
    found = listed.scores(Profile.of(np.array(codes, np.int32)))
    expected = brute_force(known, codes, 8, 0.7)
    if len(known) > 1:
        assert len(listed.neighbour_lists) >= len(set(codes) & set(np.flatnonzero(known.users_per_item)))
    np.testing.assert_allclose(
        np.where(np.isinf(found), 0, found), np.where(np.isinf(expected), 0, expected), atol=1e-12
    )


def test_a_list_keeps_the_nearest() -> None:
    near = NeighbourLists(KNOWN, 2).of(2)  # c: user 1, who has a and b too
    assert set(near.items) < {0, 1, 2}
    assert 2 in near.items
    assert near.counts.tolist() == [1, 1]
    assert NeighbourLists(KNOWN, 2).of(4).items.tolist() == []


def busy() -> Interactions:
    rng = np.random.default_rng(0)
    users, items = rng.integers(2000, size=60_000), (rng.random(60_000) ** 3 * 200).astype(int)
    return Interactions.from_arrays(map(str, users), map(str, items), np.arange(60_000))


def test_items_with_many_users_are_looked_up() -> None:
    known = busy()
    popular = Profile.of(np.argsort(-known.users_per_item)[:8].astype(np.int32))
    bounded = ItemKNN(known, ItemKNNConfig(most_reads=4000, neighbours=50))
    found = bounded.scores(popular)
    assert len(bounded.neighbour_lists) == 8
    assert 0 < bounded.neighbour_lists.nbytes <= 8 * 50 * 8
    best = np.argsort(-ItemKNN(known).scores(popular))[:20]
    assert len(set(best) & set(np.argsort(-found)[:20])) >= 18
    assert bounded.warm() == len(bounded.neighbour_lists) > 8
    assert ItemKNN(known).warm() == 0  # all of it may be read


def test_updating_keeps_the_lists_while_little_is_new() -> None:
    known = busy()
    knn = ItemKNN(known, ItemKNNConfig(most_reads=4000))
    knn.warm()
    little = knn.updated(known.extended([Contact("new", "0", 1e6)]))
    assert little.neighbour_lists is knn.neighbour_lists
    much = knn.updated(known.extended([Contact(str(user), "new", 1e6) for user in range(200)]))
    assert much.neighbour_lists is not knn.neighbour_lists
    vectors = np.ones((len(known.items), 1), np.float32)
    fused = Fused(known, vectors, FusedConfig(most_reads=4000), knn.neighbour_lists)
    again = fused.updated(known.extended([Contact("new", "0", 1e6)]))
    assert again.behaviour.neighbour_lists is knn.neighbour_lists
    assert again.vectors is vectors


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


def test_semantic_is_its_formula() -> None:
    scores = Semantic(ITEMS, VECTORS).scores(profile(["a", "b"], ITEMS))
    cosines = VECTORS @ VECTORS.T
    np.testing.assert_allclose(scores, (0.49 * cosines[0] + 0.7 * cosines[1]) / 2, rtol=1e-6)
    assert np.all(Semantic(ITEMS, VECTORS).scores(profile([], ITEMS)) == -np.inf)


def test_fused_is_stars_formula() -> None:
    of = profile(["a", "c"], ITEMS)
    behaviour, texts = ItemKNN(KNOWN).scores(of), Semantic(ITEMS, VECTORS).scores(of)
    found = Fused(KNOWN, VECTORS, FusedConfig(semantic_share=0.4)).scores(of)
    np.testing.assert_allclose(found, 0.4 * texts + 0.6 * np.where(behaviour == -np.inf, 0, behaviour))
    np.testing.assert_array_equal(Fused(KNOWN, VECTORS, FusedConfig(semantic_share=0)).scores(of), behaviour)


def test_fused_without_vectors_is_item_knn_and_says_so() -> None:
    alone = Fused(KNOWN)
    np.testing.assert_array_equal(
        alone.scores(profile(["a"], ITEMS)), ItemKNN(KNOWN).scores(profile(["a"], ITEMS))
    )
    assert "a = 0" in alone.notes[0]
    assert top(alone, ["a"], 3).notes == alone.notes
    assert Fused(KNOWN, VECTORS).notes == ()


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
    history = History.of("a").liked("b").skipped("c").disliked("d")
    of = profile(history, ITEMS)
    assert of.weights.tolist() == [1.0, 1.0, 0.0, -0.1]
    assert faded(of, 1, 0.5).codes.tolist() == [1, 3]  # what says nothing takes no place
    assert faded(of, 1, 0.5).weights.tolist() == [0.5, -0.05]
    plain, disliked = (Semantic(ITEMS, VECTORS).scores(profile(h, ITEMS)) for h in (History.of("a"), history))
    assert disliked[3] < plain[3]


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
        lambda: ItemKNN(KNOWN, ItemKNNConfig(most_reads=0)),
        lambda: ItemKNN(KNOWN, ItemKNNConfig(neighbours=0)),
        lambda: Semantic(ITEMS, VECTORS, SemanticConfig(decay=1.1)),
        lambda: Semantic(ITEMS, VECTORS[:2]),
        lambda: Fused(KNOWN, VECTORS[:2]),
        lambda: Fused(KNOWN, VECTORS, FusedConfig(semantic_share=1.5)),
        lambda: Fused(KNOWN, None, FusedConfig(last=0)),
    ],
)
def test_wrong_parameters_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()
