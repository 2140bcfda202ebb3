from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError
from zsrec.evaluation import hit_rate, mrr, ndcg, place, target_metrics

NONE = np.zeros(0, np.int32)


def codes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_by_hand() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, -np.inf])
    found = target_metrics(scores, codes(1, 3, 5), NONE, (1, 4))
    dcg = 1 / np.log2(3) + 1 / np.log2(5)
    assert found == pytest.approx(
        {
            "HR@1": 0, "HR@4": 1, "Recall@1": 0, "Recall@4": 2 / 3, "Precision@1": 0, "Precision@4": 2 / 4,
            "NDCG@1": 0, "NDCG@4": dcg / (1 + 1 / np.log2(3) + 1 / 2), "MRR": 1 / 2,
        }
    )  # fmt: skip
    seen = target_metrics(scores, codes(1, 3), codes(0), (1,))
    assert seen["HR@1"] == seen["MRR"] == seen["NDCG@1"] == 1.0
    nowhere = target_metrics(scores, codes(5), NONE, (3,))
    assert set(nowhere.values()) == {0.0}


def test_ties_by_hand() -> None:
    # One item above, then two targets among four equal ones: the first of them is at 2 with 1/2, at 3 with 1/3.
    scores = np.array([9.0, 1.0, 1.0, 1.0, 1.0])
    found = target_metrics(scores, codes(1, 2), NONE, (2, 3))
    assert found["HR@2"] == pytest.approx(1 / 2)
    assert found["HR@3"] == pytest.approx(1 / 2 + 1 / 3)
    assert found["Recall@3"] == pytest.approx(2 * (2 / 4) / 2)
    assert found["Precision@2"] == pytest.approx(2 * (1 / 4) / 2)
    assert found["MRR"] == pytest.approx(1 / 2 / 2 + 1 / 3 / 3 + 1 / 6 / 4)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.data())
def test_ties_are_the_mean_over_all_orders(levels: list[int], data: st.DataObject) -> None:
    items = range(len(levels))
    targets = data.draw(st.lists(st.sampled_from(list(items)), unique=True, min_size=1))
    k = data.draw(st.integers(1, 7))
    found = target_metrics(np.array(levels, float), codes(*targets), NONE, (k,))
    orders = [o for o in permutations(items) if all(levels[a] >= levels[b] for a, b in pairwise(o))]
    ranks = [sorted(order.index(target) + 1 for target in targets) for order in orders]
    best = sum(1 / np.log2(r + 1) for r in range(1, min(k, len(targets)) + 1))
    hits = [[r for r in own if r <= k] for own in ranks]
    assert found[f"HR@{k}"] == pytest.approx(np.mean([bool(own) for own in hits]))
    assert found[f"Recall@{k}"] == pytest.approx(np.mean([len(own) / len(targets) for own in hits]))
    assert found[f"Precision@{k}"] == pytest.approx(np.mean([len(own) / k for own in hits]))
    assert found[f"NDCG@{k}"] == pytest.approx(
        np.mean([sum(1 / np.log2(r + 1) for r in own) / best for own in hits])
    )
    assert found["MRR"] == pytest.approx(np.mean([1 / own[0] for own in ranks]))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.data())
def test_one_target_is_measured_as_by_the_metrics_for_one(levels: list[int], data: st.DataObject) -> None:
    scores = np.array(levels, float)
    target, k = data.draw(st.integers(0, len(levels) - 1)), data.draw(st.integers(1, 9))
    at = place(scores, target, NONE)
    above, tied = np.array([at.above]), np.array([at.tied])
    found = target_metrics(scores, codes(target), NONE, (k,))
    hit = hit_rate(above, tied, k)[0]
    assert found[f"HR@{k}"] == pytest.approx(hit, abs=1e-12)
    assert found[f"Recall@{k}"] == pytest.approx(hit, abs=1e-12)
    assert found[f"Precision@{k}"] == pytest.approx(hit / k, abs=1e-12)
    assert found[f"NDCG@{k}"] == pytest.approx(ndcg(above, tied, k)[0], abs=1e-12)
    assert found["MRR"] == pytest.approx(mrr(above, tied)[0], abs=1e-12)


def test_metrics_agree_with_ir_measures() -> None:
    measures = pytest.importorskip("ir_measures", reason="pip install 'zsrec[dev]'")
    rng = np.random.default_rng(0)
    ks = (1, 5, 20)
    scores = rng.standard_normal((120, 60))
    targets = [rng.choice(60, rng.integers(1, 30), replace=False).astype(np.int32) for _ in range(120)]
    qrels = [measures.Qrel(str(u), str(t), 1) for u, own in enumerate(targets) for t in own.tolist()]
    ranking = [
        measures.ScoredDoc(str(u), str(i), float(s)) for u, row in enumerate(scores) for i, s in enumerate(row)
    ]
    names = {"R": "Recall", "P": "Precision", "nDCG": "NDCG", "Success": "HR"}
    wanted = [one @ k for k in ks for one in (measures.R, measures.P, measures.nDCG, measures.Success)]
    ours = [target_metrics(row, own, NONE, ks) for row, own in zip(scores, targets, strict=True)]
    seen = 0
    for one in measures.iter_calc([*wanted, measures.RR], qrels, ranking):
        name, _, k = str(one.measure).partition("@")
        key = "MRR" if name == "RR" else f"{names[name]}@{k}"
        assert ours[int(one.query_id)][key] == pytest.approx(one.value, abs=1e-9)
        seen += 1
    assert seen == 120 * (4 * len(ks) + 1)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ConfigError, match="no number"):
        target_metrics(np.array([np.nan, 1.0]), codes(1), NONE, (1,))
    for targets, ks in ((codes(), (1,)), (codes(1), ()), (codes(1), (0,))):
        with pytest.raises(ConfigError, match="nothing to measure"):
            target_metrics(np.array([0.0, 1.0]), targets, NONE, ks)


def test_a_constant_score_over_a_large_catalog_is_chance() -> None:
    found = target_metrics(np.zeros(20_000), np.arange(100, dtype=np.int32), NONE, (10,))
    assert found["Recall@10"] == pytest.approx(10 / 20_000)
    assert found["HR@10"] == pytest.approx(1 - np.prod([(19_900 - j) / (20_000 - j) for j in range(10)]))
