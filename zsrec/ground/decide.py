"""Deciding: which item a mention means, given the evidence for each, or why none.

Items are rivals: when two of them explain a mention equally well, neither has a probability above one half.
With odds o_i of each item on its own, the probability of item i is o_i / (1 + Σ o_j); the 1 stands for "not in
the catalog".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from zsrec.ground.evidence import Evidence
from zsrec.ground.forms import Kind
from zsrec.types import Abstention

_TIE = 1.0
"""Log-odds within which two items count as equally good."""
_PARTIAL_TIE = 3.0
"""The same for two items that share a head or tail: the shape of what was dropped does not choose between them."""
_PLAUSIBLE = 0.1
"""The least probability at which several equal items are worth naming."""


class Decision(NamedTuple):
    """The outcome for one mention.

    Attributes:
        evidence: Of the chosen or of the best turned-down item; None where there was none.
        probability: That this item is right.
        why: Why it was turned down; None where it was chosen.
        tied: The items that the mention could mean as well, best first, the chosen one included.
    """

    evidence: Evidence | None
    probability: float
    why: Abstention | None
    tied: tuple[int, ...] = ()


def decide(
    found: Iterable[Evidence],
    threshold: float,
    pools: Iterable[Collection[int]] = (),
    forbidden: Callable[[Evidence], bool] = lambda _: False,
) -> Decision:
    """Chooses an item, or abstains.

    Args:
        found: The evidence by item.
        threshold: The least probability of a match.
        pools: Sets of items from the context, the most telling first; a pool that holds exactly one of several
            tied items settles the tie.
        forbidden: Whether an item is ruled out by something that is no evidence about titles.
    """
    ranked = sorted(found, key=lambda e: (-e.log_odds, e.item))
    if not ranked:
        return Decision(None, 0.0, "not_in_catalog")
    best = ranked[0]
    alone = 1.0 / (1.0 + math.exp(-min(best.log_odds, 30.0)))
    tied = [e for e in ranked if _ties(best, e)]
    probability = alone
    others = [e for e in ranked if e is not best]
    if others:
        odds = sum(math.exp(min(e.log_odds, 30.0)) for e in ranked)
        probability = math.exp(min(best.log_odds, 30.0)) / (1.0 + odds)
    if forbidden(best):
        return Decision(best, min(probability, threshold / 2), "not_in_catalog", tuple(e.item for e in tied))
    if len(tied) > 1 and alone >= _PLAUSIBLE:
        for pool in pools:
            inside = [e for e in tied if e.item in pool]
            if len(inside) == 1:
                return Decision(inside[0], max(alone, threshold), None, tuple(e.item for e in tied))
    places = tuple(e.item for e in tied)
    if alone >= _PLAUSIBLE and len(tied) > 1:
        return Decision(best, probability, "ambiguous", places)
    if probability >= threshold:
        return Decision(best, probability, None, places)
    return Decision(best, probability, "below_threshold" if alone >= _PLAUSIBLE else "not_in_catalog", places)


def _ties(best: Evidence, other: Evidence) -> bool:
    """Whether another item explains the mention as well as the best one.

    A name that is spelled word by word ("Oldboy") stands above one that is not ("Old Boy").
    """
    if best.literal != other.literal:
        return False
    gap = best.log_odds - other.log_odds
    kind = best.agreement.kind
    partial = kind >= Kind.HEAD and kind is other.agreement.kind and best.reading is other.reading
    return gap < (_PARTIAL_TIE if partial else _TIE)
