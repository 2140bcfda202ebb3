"""Fusion of the retriever's order with the model's: score = (1 - w) · prior + w · llm.

Both parts are places: 1 for the first of n candidates, 1/n for the last, 0 for one that the model leaves out.
Places are the one scale that every retriever and every ranker has. A retriever's scores have no unit (cosines that
fade with age, counts of users), free text and windows give an order and nothing else, and a small model's
probabilities say more about labels than about the user. What w means is then plain: with n candidates a w below
1/n changes nothing, w = 0.1 lets the model swap neighbours that it holds ten or more places apart, and 0.5 is
Borda's count of both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

from zsrec.core.types import Dropped, Grounded, Parts, Recommendation
from zsrec.data.catalog import Catalog
from zsrec.ranking.base import RankingResult


class Scored(NamedTuple):
    """One candidate (its number in the pool), its score (higher is better), and what that is made of."""

    candidate: int
    score: float
    parts: Parts


def fuse(result: RankingResult, size: int, prior: Mapping[int, float] | None, llm_weight: float) -> list[Scored]:
    """All candidates, best first; equal scores are in the pool's order."""
    llm = places(result.order, size)
    scored = []
    for one in range(size):
        probability = None if result.probabilities is None else result.probabilities[one]
        parts = Parts(prior=None if prior is None else prior[one], llm=llm[one], probability=probability)
        if parts.prior is not None:
            score = (1.0 - llm_weight) * parts.prior + llm_weight * parts.llm
        else:
            score = parts.llm if probability is None else probability
        scored.append(Scored(one, score, parts))
    return sorted(scored, key=lambda one: (-one.score, one.candidate))


def places(order: tuple[int, ...], size: int) -> dict[int, float]:
    """1 for the first of `order`, 1/size less for each one after it, 0 for what is not in it; in [0, 1]."""
    return dict.fromkeys(range(size), 0.0) | {one: (size - place) / size for place, one in enumerate(order)}


class Selection(NamedTuple):
    """What an answer recommends, and what of it was left out."""

    recommendations: tuple[Recommendation, ...]
    dropped: tuple[Dropped, ...]


def select(
    grounded: Sequence[Grounded],
    catalog: Catalog,
    *,
    k: int,
    seen: Collection[str],
    allowed: Collection[str] | None = None,
) -> Selection:
    """At most k items in the order in which the model named them, each once, with score 1/place in the answer."""
    chosen: list[Recommendation] = []
    dropped: list[Dropped] = []
    taken: set[str] = set()
    place = 0
    for one in grounded:
        item_id = one.match.item_id
        if item_id is None:
            continue
        place += item_id not in taken
        why: Literal["seen", "duplicate", "not_a_candidate", "beyond_k"] | None = None
        if item_id in taken:
            why = "duplicate"
        elif item_id in seen:
            why = "seen"
        elif allowed is not None and item_id not in allowed:
            why = "not_a_candidate"
        elif len(chosen) == k:
            why = "beyond_k"
        taken.add(item_id)
        if why is not None:
            dropped.append(Dropped(grounded=one, why=why))
            continue
        chosen.append(
            Recommendation(
                rank=len(chosen) + 1,
                item=catalog[item_id],
                score=1 / place,
                reason=one.mention.reason,
                provenance=one,
            )
        )
    return Selection(tuple(chosen), tuple(dropped))


def in_turn(*orders: Sequence[str]) -> tuple[str, ...]:
    """The first item of each order, then the second of each, and so on; each item once, at its first place."""
    return tuple(dict.fromkeys(item for group in zip_longest(*orders) for item in group if item is not None))


def take_turns(
    named: Sequence[Recommendation], catalog: Catalog, *, k: int, pool: Sequence[str]
) -> tuple[Recommendation, ...]:
    """A hybrid of what the model names and of retrieved items (ids, best first): both `in_turn`, the model first.

    Scores are reciprocal places; a retrieved item that the model does not name has the source "retrieval".
    """
    by_id = {one.item.id: one for one in named}
    return tuple(
        by_id[item_id].model_copy(update={"rank": rank, "score": 1 / rank})
        if item_id in by_id
        else Recommendation(rank=rank, item=catalog[item_id], score=1 / rank, source="retrieval")
        for rank, item_id in enumerate(in_turn(tuple(by_id), pool)[:k], start=1)
    )


def fill(
    chosen: Sequence[Recommendation],
    catalog: Catalog,
    *,
    k: int,
    seen: Collection[str],
    pool: Sequence[str],
    source: Literal["candidates", "popularity", "retrieval"],
) -> tuple[Recommendation, ...]:
    """Fills a short list from a pool (ids, best first; those that the catalog lacks are passed over).

    Every filled place has the score 0 and carries `source`.
    """
    full = list(chosen)
    taken = {one.item.id for one in chosen} | set(seen)
    for item_id in pool:
        if len(full) >= k:
            break
        if item_id in catalog and item_id not in taken:
            taken.add(item_id)
            full.append(Recommendation(rank=len(full) + 1, item=catalog[item_id], score=0.0, source=source))
    return tuple(full)
