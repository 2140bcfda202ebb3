"""Ranking metrics for one target a user, neutral to ties.

Items with the same score have no order. A target that ties with m others may stand at any of m + 1 places, all
equally likely, and a metric is its mean over them: the expected value over tie orders (McSherry and Najork 2008,
"Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores", ECIR).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates.ids import Codes
from zsrec.candidates.retriever import Scores
from zsrec.errors import ConfigError

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
    if np.isnan(scores).any():
        raise ConfigError("a method gave a score that is no number", hint="-inf says that an item is no candidate")
    ranked = scores.copy()
    ranked[seen] = -np.inf
    score = ranked[target]
    if score == -np.inf:
        return NOWHERE
    return Place(int(np.sum(ranked > score)), int(np.sum(ranked == score)) - 1)


def hit_rate(above: Counts, tied: Counts, k: int) -> Values:
    """1 where the target is among the first k, else 0 (a share of 1 with ties); shape (n,)."""
    return expected_gain(np.ones(k), above, tied)


def ndcg(above: Counts, tied: Counts, k: int) -> Values:
    """1 / log2(place + 1) within the first k, else 0; shape (n,).

    With one target the ideal gain is 1, so this is DCG (Järvelin and Kekäläinen 2002) as well as NDCG.
    """
    return expected_gain(1.0 / np.log2(np.arange(2, k + 2)), above, tied)


def mrr(above: Counts, tied: Counts) -> Values:
    """1 / place over the whole ranking, 0 for a target that is no candidate; shape (n,)."""
    longest = int(np.max(above + tied, initial=0)) + 1
    return expected_gain(1.0 / np.arange(1, longest + 1), above, tied)


def expected_gain(gains: Values, above: Counts, tied: Counts) -> Values:
    """The mean gain over the places above + 1 to above + tied + 1; gains beyond the last given one are 0.

    Args:
        gains: The gain at place 1, 2, …; shape (k,).
        above: As in `Place`; shape (n,).
        tied: As in `Place`; shape (n,).

    Raises:
        ConfigError: There are no gains.
    """
    if not len(gains):
        raise ConfigError("k is below 1", hint="a cut-off of at least 1")
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    first = np.clip(above, 0, len(gains))
    last = np.clip(above + tied + 1, 0, len(gains))
    return np.where(above < 0, 0.0, (sums[last] - sums[first]) / (tied + 1))
