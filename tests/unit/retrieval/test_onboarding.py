"""Little known of a user, nothing known of an item, no interactions at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval import Fused, ItemKNN, Semantic, item_vectors, questions, top

WORDS = ("crime", "sci-fi", "animation", "thriller", "action", "romance")


class WordEmbedder:
    """One dimension a known word: enough to tell who reads words."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = (
            np.array([[text.lower().count(word) for word in WORDS] for text in texts], dtype=np.float32) + 1e-3
        )
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def vectors(films: Catalog) -> np.ndarray:
    return item_vectors(films, WordEmbedder())


def none_yet(films: Catalog) -> Interactions:
    return Interactions.from_contacts([], catalog=Ids(films.ids))


def test_words_alone_find_items_without_any_interaction(films: Catalog, vectors: np.ndarray) -> None:
    ids = Ids(films.ids)
    for retriever in (
        Semantic(ids, vectors, embedder=WordEmbedder()),
        Fused(none_yet(films), vectors, embedder=WordEmbedder()),
    ):
        found = top(retriever, [], 2, about="animation")
        assert set(found.ids) == {"4", "5"}
        assert found.notes == ()


def test_words_and_events_count_together(films: Catalog, vectors: np.ndarray) -> None:
    retriever = Semantic(Ids(films.ids), vectors, embedder=WordEmbedder())
    alone, both = top(retriever, ["3"], 1), top(retriever, ["3"], 1, about="animation films")
    assert set(alone.ids) <= {"7", "8"}
    assert set(both.ids) <= {"4", "5"}  # the words are newer than the newest event


def test_a_retriever_that_reads_no_words_says_so(films: Catalog, vectors: np.ndarray) -> None:
    for retriever in (
        ItemKNN(none_yet(films)),
        Semantic(Ids(films.ids), vectors),
        Fused(none_yet(films), vectors),
    ):
        notes = top(retriever, ["1"], 3, about="animation").notes
        assert any("words were not used" in note for note in notes)


def test_a_user_of_words_only_gets_ranked_candidates(films: Catalog, vectors: np.ndarray) -> None:
    retriever = Semantic(Ids(films.ids), vectors, embedder=WordEmbedder())
    with Recommender(
        films, llm=FakeLLM("1. Up\n2. Toy Story"), template="rank/default", settings=Settings(strict=True)
    ) as rec:
        result = rec.with_retriever(retriever, pool=3).recommend([], 2, about="animation")
    assert {one.item.id for one in result} == {"4", "5"}
    assert (result.trace.mode, result.trace.evidence) == ("zero-shot", ("about",))


def test_a_user_of_words_only_and_item_knn_is_an_error_that_helps(films: Catalog) -> None:
    with Recommender(films, llm=FakeLLM("1. Up"), template="rank/default") as plain:
        rec = plain.with_retriever(ItemKNN(none_yet(films)))
        with pytest.raises(ConfigError, match="no candidate for this user"):
            rec.recommend([], 2, about="animation")


def test_three_liked_items_are_a_history(films: Catalog, vectors: np.ndarray) -> None:
    with Recommender(films, llm=FakeLLM("1. Thief"), template="rank/default") as plain:
        rec = plain.with_retriever(Semantic(Ids(films.ids), vectors))
        result = rec.recommend(History().like("Heat", "Ronin"), 1)
    assert result[0].item.id == "6"
    assert result.trace.evidence == ("history", "feedback")


def test_a_new_item_is_recommended_the_moment_it_comes(films: Catalog, vectors: np.ndarray) -> None:
    longer = films.extended([{"id": "n1", "title": "New Heist (2031)", "genres": "Crime|Thriller"}])
    more = item_vectors(longer, WordEmbedder(), known=vectors)
    known = none_yet(films).extended([], items=Ids(longer.ids))
    assert "n1" in top(Semantic(Ids(longer.ids), more), ["1"], 2).ids
    assert "n1" in top(Fused(known, more), ["1"], 2).ids
    assert "n1" in top(Semantic(Ids(longer.ids), more, embedder=WordEmbedder()), [], 3, about="crime thriller").ids
    with Recommender(films, llm=FakeLLM("1. New Heist (2031)")) as rec:
        assert [one.item.id for one in rec.recommend(["Heat"], 1)] == []
        assert [one.item.id for one in rec.with_catalog(longer).recommend(["Heat"], 1)] == ["n1"]


# -- questions ------------------------------------------------------------------------------------------------


def famous(films: Catalog) -> Interactions:
    """Heat and Ronin are known by most, Up by half, the others by few."""
    histories = {f"u{n}": History.of("1", "2") for n in range(6)} | {
        f"v{n}": History.of("4", "1") for n in range(5)
    }
    return Interactions.from_histories(histories | {"w": History.of("3")}, catalog=Ids(films.ids))


def test_questions_are_about_what_many_know_and_no_two_alike(films: Catalog) -> None:
    found = questions(films, 2, interactions=famous(films))
    assert [item.id for item in found.items] == ["2", "4"]  # known by half; Heat is alike and known by nearly all
    assert found.mode == "training-free"
    assert "entropy" in found.rule


def test_questions_without_interactions_part_the_catalog(films: Catalog) -> None:
    for nobody in (None, none_yet(films)):
        found = questions(films, 3, interactions=nobody)
        assert found.mode == "zero-shot"
        genres = [set(str(item.attributes["genres"]).split("|")) for item in found.items]
        assert not genres[0] & genres[1]
        assert not genres[1] & genres[2]


def test_questions_take_vectors_and_leave_out_what_is_known(films: Catalog, vectors: np.ndarray) -> None:
    found = questions(films, 3, interactions=famous(films), vectors=vectors, exclude=["2", "nobody"])
    assert "2" not in {item.id for item in found.items}
    assert len({item.id for item in found.items}) == 3
    assert questions(films, 3, interactions=famous(films), vectors=vectors, exclude=["2"]) == found


def test_questions_end_with_the_catalog(films: Catalog) -> None:
    assert len(questions(films, 100).items) == len(films)
    bare = Catalog(["1", "2"], ["A", "B"])
    assert {item.id for item in questions(bare, 2).items} == {"1", "2"}


@pytest.mark.parametrize("wrong", [{"n": 0}, {"vectors": np.ones((2, 3), np.float32)}])
def test_questions_refuse_what_makes_no_sense(films: Catalog, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        questions(films, **wrong)  # type: ignore[arg-type]
