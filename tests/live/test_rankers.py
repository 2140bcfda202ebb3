"""The rankers on a real vLLM: what zsrec owes, not what a small model likes."""

from __future__ import annotations

import math

import pytest

from zsrec.core.types import Recommendations
from zsrec.data.interactions import Ids
from zsrec.data.movielens import Dataset
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval import Listed

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]


@pytest.fixture
def ranked(recommender: Recommender, movielens: Dataset) -> Recommender:
    pool = movielens.catalog.ids[100:106]
    return recommender.with_retriever(Listed(Ids(movielens.catalog.ids), pool), pool=6)


def user(movielens: Dataset) -> list[str]:
    return list(movielens.catalog.ids[:5])


def check(result: Recommendations, pool: tuple[str, ...], k: int) -> None:
    assert len(result) == k
    assert {one.item.id for one in result} <= set(pool)
    assert [one.score for one in result] == sorted((one.score for one in result), reverse=True)
    assert result.trace.mode == "zero-shot"


def test_the_server_can_do_what_the_rankers_need(recommender: Recommender, movielens: Dataset) -> None:
    assert recommender.server().capabilities == {}
    for template in ("rank/label", "rank/choose"):
        recommender.with_template(template).recommend(user(movielens), 1, candidates=movielens.catalog.ids[9:12])
    assert recommender.server().capabilities == {
        "tokenize": True,
        "logprob_token_ids": True,
        "structured_outputs": True,
    }


def test_one_token_ranks_every_candidate(ranked: Recommender, movielens: Dataset) -> None:
    result = ranked.with_template("rank/label").recommend(user(movielens), 6)
    check(result, tuple(movielens.catalog.ids[100:106]), 6)
    probabilities = [one.parts.probability for one in result if one.parts is not None]
    assert math.isclose(sum(one for one in probabilities if one is not None), 1.0, abs_tol=1e-9)
    use = result.trace.ranking
    assert use is not None
    assert use.labels_by == "logprob_token_ids"
    assert use.label_mass is not None
    assert 0 < use.label_mass <= 1
    assert all(one.usage.completion_tokens == 1 for one in result.trace.exchanges)


@pytest.mark.parametrize("template", ["rank/window", "rank/pairwise", "rank/choose"])
def test_the_other_rankers(ranked: Recommender, movielens: Dataset, template: str) -> None:
    result = ranked.with_template(template).recommend(user(movielens), 4)
    check(result, tuple(movielens.catalog.ids[100:106]), 4)
    assert len(result.trace.exchanges) >= {"rank/window": 2, "rank/pairwise": 5, "rank/choose": 4}[template]


def test_several_orders_and_calibration_are_the_same_twice(ranked: Recommender, movielens: Dataset) -> None:
    rec = ranked.with_template("rank/label").with_ranking(permutations=3, calibrate="titles")
    first, second = (rec.recommend(user(movielens), 3) for _ in range(2))
    assert [one.item for one in first] == [one.item for one in second]
    assert first.trace.ranking is not None
    assert 2 <= first.trace.ranking.permutations <= 3
    assert len(first.trace.exchanges) == 2 * first.trace.ranking.permutations


def test_a_hundred_labels_in_one_request(recommender: Recommender, movielens: Dataset) -> None:
    pool = movielens.catalog.ids[200:300]
    result = recommender.with_template("rank/label").recommend(user(movielens), 100, candidates=pool)
    assert {one.item.id for one in result} == set(pool)
