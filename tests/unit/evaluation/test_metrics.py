from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError
from zsrec.evaluation import Place, bootstrap, hit_rate, holm, mrr, ndcg, paired_p_values, place, target_metrics

NONE = np.zeros(0, np.int32)


def counts(*places: Place) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one.above for one in places]), np.array([one.tied for one in places])


def test_by_hand() -> None:
    first, third, eleventh, nowhere = Place(0), Place(2), Place(10), Place(-1)
    above, tied = counts(first, third, eleventh, nowhere)
    assert hit_rate(above, tied, 10).tolist() == [1, 1, 0, 0]
    assert ndcg(above, tied, 10).tolist() == pytest.approx([1, 0.5, 0, 0])
    assert mrr(above, tied).tolist() == pytest.approx([1, 1 / 3, 1 / 11, 0])


def test_ties_by_hand() -> None:
    # Two above, tied with three others: places 3 to 6, each with a chance of 1/4.
    above, tied = counts(Place(2, 3))
    assert hit_rate(above, tied, 4) == pytest.approx([2 / 4])
    assert mrr(above, tied) == pytest.approx([(1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4])
    assert ndcg(above, tied, 4) == pytest.approx([(1 / 2 + 1 / np.log2(5)) / 4])
    # Everything ties: a constant score cannot do better than chance.
    assert hit_rate(*counts(Place(0, 99)), 10) == pytest.approx([0.1])


def test_a_cut_off_beyond_every_place_costs_nothing() -> None:
    above, tied = counts(Place(0), Place(3, 1), Place(-1))
    for metric in (hit_rate, ndcg, mrr):
        assert metric(above, tied, 10**15).tolist() == metric(above, tied, 5).tolist()
    scores, none = np.array([0.3, 0.2, 0.1]), np.array([], dtype=np.int64)
    found = target_metrics(scores, np.array([0, 2]), none, [10**15, 3])
    assert found[f"NDCG@{10**15}"] == found["NDCG@3"]
    assert found[f"HR@{10**15}"] == found["HR@3"] == 1.0


def test_place_leaves_out_what_is_seen_and_what_is_no_candidate() -> None:
    scores = np.array([3.0, 2.0, 2.0, 1.0, -np.inf, 5.0])
    assert place(scores, 2, NONE) == Place(2, 1)
    assert place(scores, 2, np.array([0, 5], np.int32)) == Place(0, 1)
    assert place(scores, 4, NONE) == Place(-1)
    assert place(scores, 2, np.array([2], np.int32)) == Place(-1)
    assert scores[0] == 3.0
    with pytest.raises(ConfigError, match="no number"):
        place(np.array([np.nan, 1.0]), 1, NONE)
    with pytest.raises(ConfigError, match="k is below 1"):
        hit_rate(*counts(Place(0)), 0)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.data())
def test_ties_are_the_mean_over_all_orders(levels: list[int], data: st.DataObject) -> None:
    target, k = data.draw(st.integers(0, len(levels) - 1)), data.draw(st.integers(1, 7))
    found = counts(place(np.array(levels, float), target, NONE))
    ranks = [
        order.index(target) + 1
        for order in permutations(range(len(levels)))
        if all(levels[a] >= levels[b] for a, b in pairwise(order))
    ]
    assert hit_rate(*found, k)[0] == pytest.approx(np.mean([r <= k for r in ranks]))
    assert ndcg(*found, k)[0] == pytest.approx(np.mean([(r <= k) / np.log2(r + 1) for r in ranks]))
    assert mrr(*found)[0] == pytest.approx(np.mean([1 / r for r in ranks]))


def test_metrics_agree_with_ir_measures() -> None:
    measures = pytest.importorskip("ir_measures", reason="pip install 'zsrec[dev]'")
    rng = np.random.default_rng(0)
    scores, targets = rng.standard_normal((200, 60)), rng.integers(60, size=200)
    above, tied = counts(*(place(row, target, NONE) for row, target in zip(scores, targets.tolist(), strict=True)))
    qrels = [measures.Qrel(str(u), str(t), 1) for u, t in enumerate(targets)]
    ranking = [
        measures.ScoredDoc(str(u), str(i), float(s)) for u, row in enumerate(scores) for i, s in enumerate(row)
    ]
    theirs = {
        (str(one.measure), int(one.query_id)): one.value
        for one in measures.iter_calc(
            [measures.Success @ 10, measures.nDCG @ 10, measures.RR, measures.nDCG @ 3], qrels, ranking
        )
    }
    ours = {
        "Success@10": hit_rate(above, tied, 10),
        "nDCG@10": ndcg(above, tied, 10),
        "nDCG@3": ndcg(above, tied, 3),
        "RR": mrr(above, tied),
    }
    assert len(theirs) == 4 * 200
    for (name, user), value in theirs.items():
        assert ours[name][user] == pytest.approx(value, abs=1e-9)


def test_bootstrap_covers_and_repeats() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, size=(400, 2))
    ends = bootstrap(values, seed=3)
    normal = 1.96 * values.std(axis=0) / 20
    np.testing.assert_allclose(ends[1] - ends[0], 2 * normal, rtol=0.1)
    np.testing.assert_allclose(ends.mean(axis=0), values.mean(axis=0), atol=0.02)
    np.testing.assert_array_equal(ends, bootstrap(values, seed=3))
    assert np.any(ends != bootstrap(values, seed=4))
    assert bootstrap(np.ones((5, 1))).ravel().tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match="at least one user"):
        bootstrap(np.zeros((0, 1)))


def test_the_paired_test_is_exact_where_it_can_be_counted() -> None:
    # Five differences of one sign: of 32 sign patterns, two are as extreme.
    differences = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert paired_p_values(differences, permutations=20_000)[0] == pytest.approx(2 / 32, abs=0.006)
    assert paired_p_values(np.zeros((5, 1)))[0] == 1.0
    assert paired_p_values(np.full((50, 1), 0.5), permutations=999)[0] == pytest.approx(0.001)


def test_the_paired_test_keeps_its_level() -> None:
    noise = np.random.default_rng(0).normal(size=(60, 400))
    assert np.mean(paired_p_values(noise, permutations=1000) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()
