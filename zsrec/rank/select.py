"""The ranking of a free-text answer: its own order, without what must not be recommended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from zsrec.catalog import Catalog
from zsrec.types import Dropped, Grounded, Recommendation


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
    """Ranks the items in the order in which the model named them.

    Args:
        grounded: The answer's mentions in order; those without an item are passed over.
        catalog: The items.
        k: The longest list.
        seen: Ids that the user knows; never recommended.
        allowed: Ids that may be recommended; None for the whole catalog.

    Returns:
        At most `k` recommendations, each item once, with score 1/place in the answer; and every other mention
        that has an item, with the reason why it was left out.
    """
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


def fill(
    chosen: Sequence[Recommendation],
    catalog: Catalog,
    *,
    k: int,
    seen: Collection[str],
    pool: Sequence[str],
    source: Literal["candidates", "popularity"],
) -> tuple[Recommendation, ...]:
    """Fills a short list up from a pool, marked as such.

    Args:
        chosen: What the model recommends.
        catalog: The items; ids of the pool that it lacks are passed over.
        k: The wanted length.
        seen: Ids that the user knows.
        pool: Ids to fill from, best first.
        source: What the pool is; stands in each filled recommendation.
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
