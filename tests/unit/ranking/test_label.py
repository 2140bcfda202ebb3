"""The pure parts of the rankers: orders, stability, windows, fusion, log-probabilities."""

from __future__ import annotations

import math
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.core.errors import AnswerError
from zsrec.llm.protocol import Label, LabelSet
from zsrec.ranking.base import RankingResult
from zsrec.ranking.fusion import fuse, places
from zsrec.ranking.label import kendall, log_softmax, orders, overlap, ranked, read_labels
from zsrec.ranking.rankers import windows


@given(st.integers(1, 60), st.integers(0, 5))
def test_after_as_many_orders_each_candidate_stood_in_every_slot(n: int, seed: int) -> None:
    found = list(islice(orders(range(n), seed), n))
    for slot in range(n):
        assert sorted(order[slot] for order in found) == list(range(n))
    assert found == list(islice(orders(range(n), seed), n))


def test_a_few_orders_spread_each_candidate_evenly() -> None:
    four = list(islice(orders(range(20), 7), 4))
    for one in range(20):
        slots = sorted(order.index(one) for order in four)
        assert [b - a for a, b in pairwise(slots)] == [5, 5, 5]
    assert list(orders(range(20), 7).__next__()) != list(range(20))
    assert next(orders(range(20), 8)) != next(orders(range(20), 7))


def test_further_orders_begin_with_another_shuffle() -> None:
    more = list(islice(orders(range(6), 1), 12))
    assert set(more[:6]).isdisjoint(more[6:])


def test_overlap_and_kendall() -> None:
    assert overlap([1, 2, 3, 4], [2, 1, 4, 3], 2) == 1.0
    assert overlap([1, 2, 3, 4], [3, 4, 1, 2], 2) == 0.0
    assert overlap([1, 2], [1, 2], 10) == 1.0
    assert kendall([1, 2, 3], [1, 2, 3]) == 1.0
    assert kendall([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert kendall([1], [1]) == 1.0


@given(st.integers(1, 40), st.integers(2, 10), st.integers(1, 9))
def test_windows_reach_every_candidate_and_overlap(n: int, size: int, stride: int) -> None:
    stride = min(stride, size - 1)
    found = list(windows(n, size, stride))
    assert found[0][1] == n
    assert found[-1][0] == 0
    assert all(0 <= a < b <= n and b - a <= size for a, b in found)
    for (a, _), (_, above) in pairwise(found):
        assert above > a  # what rose to a window's top is in the next one


def test_the_windows_of_star() -> None:
    assert list(windows(10, 4, 2)) == [(6, 10), (4, 8), (2, 6), (0, 4)]
    assert list(windows(4, 2, 1)) == [(2, 4), (1, 3), (0, 2)]
    assert list(windows(3, 4, 2)) == [(0, 3)]


def test_places() -> None:
    assert places((2, 0), 4) == {2: 1.0, 0: 0.75, 1: 0.0, 3: 0.0}


@given(st.permutations(range(8)), st.floats(0, 1))
def test_fusion_is_the_stated_rule(order: list[int], weight: float) -> None:
    prior = places(tuple(range(8)), 8)
    scored = fuse(RankingResult(tuple(order), ()), 8, prior, weight)
    assert sorted(one.candidate for one in scored) == list(range(8))
    assert [one.score for one in scored] == sorted((one.score for one in scored), reverse=True)
    for one in scored:
        assert one.parts.prior is not None
        assert one.score == (1 - weight) * one.parts.prior + weight * one.parts.llm
        assert one.parts.llm == (8 - order.index(one.candidate)) / 8


@given(st.permutations(range(8)))
def test_a_weight_below_one_over_n_changes_nothing_and_one_takes_the_models_order(order: list[int]) -> None:
    prior = places(tuple(range(8)), 8)
    result = RankingResult(tuple(order), ())
    assert [one.candidate for one in fuse(result, 8, prior, 0.12)] == list(range(8))
    assert [one.candidate for one in fuse(result, 8, prior, 1.0)] == order


def test_without_a_prior_the_probability_is_the_score() -> None:
    result = RankingResult((1, 0), (), probabilities={0: 0.25, 1: 0.75})
    assert [(one.candidate, one.score, one.parts.prior) for one in fuse(result, 2, None, 0.3)] == [
        (1, 0.75, None),
        (0, 0.25, None),
    ]


def labels(count: int) -> LabelSet:
    texts = "ABCDEFGH"[:count]
    return LabelSet(labels=tuple(Label(text=text) for text in texts), by="top_logprobs", most=20)


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=8))
def test_log_probabilities_sum_to_one(values: list[float]) -> None:
    assert math.isclose(sum(map(math.exp, log_softmax(values))), 1.0)


def test_labels_are_renormalised_and_their_mass_is_kept() -> None:
    found = read_labels({"A": math.log(0.3), "B": math.log(0.1)}, labels(2), "A")
    assert [math.exp(one) for one in found.logprobs] == pytest.approx([0.75, 0.25])
    assert found.mass == pytest.approx(0.4)
    assert found.unseen == 0


def test_a_label_that_was_not_reported_is_below_all_that_were() -> None:
    found = read_labels({"A": -1.0, "C": -3.0}, labels(4), "A")
    assert found.unseen == 2
    assert found.logprobs[1] == found.logprobs[3]
    assert found.logprobs[2] - found.logprobs[1] == pytest.approx(math.log(2))
    with pytest.raises(AnswerError):
        read_labels({}, labels(2), "Sure")


def test_equal_scores_stand_in_the_order_of_their_numbers() -> None:
    assert ranked({3: 1.0, 1: 1.0, 2: 2.0}) == (2, 1, 3)
