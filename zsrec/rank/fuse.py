"""Fusion of the retriever's order with the model's: score = (1 - w) · prior + w · llm.

Both parts are places: 1 for the first of n candidates, 1/n for the last, 0 for one that the model leaves out.
Places are the one scale that every retriever and every ranker has. A retriever's scores have no unit (cosines that
fade with age, counts of users), free text and windows give an order and nothing else, and a small model's
probabilities say more about labels than about the user. What w means is then plain: with n candidates a w below
1/n changes nothing, w = 0.1 lets the model swap neighbours that it holds ten or more places apart, and 0.5 is
Borda's count of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zsrec.rank.question import Judged
from zsrec.types import Parts


class Scored(NamedTuple):
    """One candidate with its score.

    Attributes:
        candidate: Its number in the pool.
        score: Higher is better.
        parts: What the score is made of.
        named: Whether the model ranked it.
    """

    candidate: int
    score: float
    parts: Parts
    named: bool


def fuse(judged: Judged, size: int, prior: Mapping[int, float] | None, llm_weight: float) -> list[Scored]:
    """All candidates, best first.

    Equal scores stand in the pool's order.

    Args:
        judged: What the model made of them.
        size: How many candidates there are.
        prior: The retriever's part by candidate, see `places`; None where there is no retriever, then the model
            alone counts.
        llm_weight: The w of the formula, in [0, 1].
    """
    llm = places(judged.order, size)
    named = set(judged.order)
    scored = []
    for one in range(size):
        probability = None if judged.probabilities is None else judged.probabilities[one]
        parts = Parts(prior=None if prior is None else prior[one], llm=llm[one], probability=probability)
        if parts.prior is not None:
            score = (1.0 - llm_weight) * parts.prior + llm_weight * parts.llm
        else:
            score = parts.llm if probability is None else probability
        scored.append(Scored(one, score, parts, one in named))
    return sorted(scored, key=lambda one: (-one.score, one.candidate))


def places(order: tuple[int, ...], size: int) -> dict[int, float]:
    """1 for the first of `order`, 1/size less for each one after it, 0 for what is not in it; in [0, 1]."""
    return dict.fromkeys(range(size), 0.0) | {one: (size - place) / size for place, one in enumerate(order)}
