"""Ranking metrics for one or several targets per user, neutral to ties.

Items with the same score have no order. A target that ties with m others may stand at any of m + 1 places, all
equally likely, and a metric is its mean over them: the expected value over tie orders (McSherry and Najork 2008,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Codes
from zsrec.retrieval.base import Scores

Values = NDArray[np.float64]
Counts = NDArray[np.int64]


class Place(NamedTuple):
    """Where a target stands in a ranking.

    Attributes:
        above: How many items score higher; -1 where the target is no candidate and stands nowhere.
        tied: How many others score the same.
    """

    above: int
    tied: int = 0


NOWHERE = Place(-1)


def place(scores: Scores, target: int, seen: Codes) -> Place:
    """Where the target stands among all items that are not seen.

    Args:
        scores: One an item, -inf for what is no candidate; shape (number of items,).
        target: The target's code.
        seen: Codes of items that are not ranked.

    Raises:
        ConfigError: A score is NaN.
    """
    ranked = without(scores, seen)
    score = ranked[target]
    if score == -np.inf:
        return NOWHERE
    return Place(int(np.sum(ranked > score)), int(np.sum(ranked == score)) - 1)


def without(scores: Scores, seen: Codes) -> Scores:
    """A copy of the scores in which seen items are no candidates."""
    if np.isnan(scores).any():
        raise ConfigError("a method gave a score that is no number", hint="-inf says that an item is no candidate")
    ranked = scores.copy()
    ranked[seen] = -np.inf
    return ranked


def hit_rate(above: Counts, tied: Counts, k: int) -> Values:
    """1 where the target is among the first k, else 0 (a share of 1 with ties); shape (n,)."""
    return expected_gain(np.ones(_deepest(above, tied, k)), above, tied)


def ndcg(above: Counts, tied: Counts, k: int) -> Values:
    """1 / log2(place + 1) within the first k, else 0; shape (n,).

    With one target the ideal gain is 1, so this is DCG (Järvelin and Kekäläinen 2002) as well as NDCG.
    """
    return expected_gain(1.0 / np.log2(np.arange(2, _deepest(above, tied, k) + 2)), above, tied)


def mrr(above: Counts, tied: Counts, k: int | None = None) -> Values:
    """1 / place within the first k (None: the whole ranking), 0 for a target that is not there; shape (n,)."""
    return expected_gain(1.0 / np.arange(1, _deepest(above, tied, k) + 1), above, tied)


def _deepest(above: Counts, tied: Counts, k: int | None) -> int:
    """The last place that counts: k, or the last one that a target has where that is before."""
    last = int(np.max(above + tied, initial=0)) + 1
    return last if k is None else max(0, min(k, last))


def expected_gain(gains: Values, above: Counts, tied: Counts) -> Values:
    """The mean gain over the places above + 1 to above + tied + 1; gains beyond the last given one are 0."""
    if not len(gains):
        raise ConfigError("k is below 1", hint="a cut-off of at least 1")
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    first = np.clip(above, 0, len(gains))
    last = np.clip(above + tied + 1, 0, len(gains))
    return np.where(above < 0, 0.0, (sums[last] - sums[first]) / (tied + 1))


def target_metrics(scores: Scores, targets: Codes, seen: Codes, ks: Sequence[int]) -> dict[str, float]:
    """How well one user's targets are ranked: the expected values over the orders of equal scores.

    Recall, precision and NDCG are sums over the targets, so each target may be taken alone: one that ties with m
    others stands at any of m + 1 places. HR and MRR ask for the first target found, and depend on how the targets
    of one score fall among the others of it: P(none of t targets is among r of g items) = C(g - t, r) / C(g, r).

    Recall@k divides by the number of targets, precision@k by k, and NDCG@k (binary gains, Järvelin and Kekäläinen
    2002) by the best DCG that so many targets can reach. A target that is no candidate earns nothing and counts.

    Args:
        scores: One an item, -inf for what is no candidate; shape (number of items,).
        targets: Codes of different items, at least one; shape (t,).
        seen: Codes of items that are not ranked.
        ks: Cut-offs, at least 1 each.

    Returns:
        Values by name: "HR@10", "Recall@10", "Precision@10", "NDCG@10" for each cut-off, and "MRR".

    Raises:
        ConfigError: A score is no number, there is no target, or a cut-off is below 1.
    """
    ranked = without(scores, seen)
    if not len(targets) or not ks or min(ks) < 1:
        raise ConfigError("nothing to measure", hint="at least one target and cut-offs of at least 1")
    ordered = np.sort(ranked)
    own = ranked[targets]
    above = len(ordered) - np.searchsorted(ordered, own, side="right")
    tied = len(ordered) - np.searchsorted(ordered, own, side="left") - above - 1
    above = np.where(own == -np.inf, -1, above).astype(np.int64)
    hits = {k: float(hit_rate(above, tied, k).sum()) for k in ks}
    first, survival = _first_found(above, tied)
    within = {k: min(max(k - first, 0), len(survival) - 1) for k in ks}
    found = {f"HR@{k}": float(1.0 - survival[within[k]]) for k in ks}
    found |= {f"Recall@{k}": hits[k] / len(targets) for k in ks}
    found |= {f"Precision@{k}": hits[k] / k for k in ks}
    for k in ks:
        gains = 1.0 / np.log2(np.arange(2, min(k, len(ordered)) + 2))
        found[f"NDCG@{k}"] = float(expected_gain(gains, above, tied).sum() / gains[: len(targets)].sum())
    places = np.arange(first + 1, first + len(survival))
    return found | {"MRR": float(((survival[:-1] - survival[1:]) / places).sum())}


def _first_found(above: Counts, tied: Counts) -> tuple[int, Values]:
    """The items above the best score that a target has, and P(no target is among the first r items of that score).

    r = 0 to all of that score; r = 0 alone where no target is ranked.
    """
    ranked = above[above >= 0]
    if not len(ranked):
        return 0, np.ones(1)
    first, targets = int(ranked.min()), int(np.sum(ranked == ranked.min()))
    left = np.arange(int(tied[above == first][0]) + 1, 0, -1)
    return first, np.concatenate([[1.0], np.cumprod(np.maximum(1.0 - targets / left, 0.0))])


def one_target_metrics(
    above: Counts, tied: Counts, ks: Sequence[int], *, short: bool = False
) -> dict[str, Values]:
    """HR, NDCG and MRR of n places (`Place`) by name; shape (n,) each.

    `short` says that some lists beside them end at the largest of `ks`: MRR is cut there too, and named so.
    """
    values = {f"HR@{k}": hit_rate(above, tied, k) for k in ks}
    values |= {f"NDCG@{k}": ndcg(above, tied, k) for k in ks}
    return values | ({f"MRR@{max(ks)}": mrr(above, tied, max(ks))} if short else {"MRR": mrr(above, tied)})
