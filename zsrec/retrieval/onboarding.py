"""What to ask a new user: items whose answers say most, no two of them alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Item
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Mode, best_codes
from zsrec.retrieval.semantic import Vectors

_OTHERS: Mode = "training-free"
_NOBODY: Mode = "zero-shot"
_WORDS = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


@dataclass(frozen=True)
class Questions:
    """Items to ask a user about.

    Attributes:
        items: In the order in which to ask.
        mode: "training-free" where other users' interactions chose them.
        rule: How they were chosen, in one sentence.
    """

    items: tuple[Item, ...]
    mode: Mode
    rule: str


def questions(
    catalog: Catalog,
    n: int = 5,
    *,
    interactions: Interactions | None = None,
    vectors: Vectors | None = None,
    attributes: Sequence[str] = ("genres",),
    exclude: Iterable[str] = (),
) -> Questions:
    """Items to ask a new user about; the answers go into the history (`liked`, `disliked`, `skipped`).

    Each question is the item with the largest worth(x) · (1 − its largest similarity to those already asked): the
    greedy choice of maximal marginal relevance (Carbonell and Goldstein 1998, SIGIR) as a product.

    - With interactions, worth(x) = log2(1 + users of x) · H(share of users who know x): log popularity times
      entropy (Rashid et al. 2002, IUI). Their entropy is over ratings; contacts have two values only.
    - Without, worth(x) is the mean of H(share of items that have a) over the attribute values a of x: an answer
      about what half of the catalog has parts the catalog best. The mean, not the sum, so that an item that is a
      bit of everything is not asked about. Nobody's data are used; the price is that users may not know the item.

    Similarity is the cosine of the vectors where there are any, otherwise the overlap (Jaccard) of the attribute
    values. Equal items are taken in the order of a hash of their ids.

    Args:
        catalog: The items.
        n: How many, at least 1. Fewer come where the catalog has no more.
        interactions: Of other users; None for a catalog without any.
        vectors: One an item of the catalog, L2-normalised; shape (number of items, d).
        attributes: Columns whose words are an item's attribute values.
        exclude: Ids that are not asked about, for example those that the user knows.

    Raises:
        ConfigError: `n` is below 1, or there is not one vector an item.
    """
    if n < 1:
        raise ConfigError(f"n is {n}", hint="ask at least one question")
    if vectors is not None and len(vectors) != len(catalog):
        raise ConfigError(
            f"{len(vectors):,} vectors for {len(catalog):,} items", hint="give item_vectors(…) of this catalog"
        )
    ids = Ids(catalog.ids)
    values = [_values(item.attributes, attributes) for item in catalog]
    if interactions is not None and len(interactions):
        worth, mode = _fame(interactions, ids), _OTHERS
        rule = "log popularity times entropy of contacts, times difference from what was asked"
    else:
        worth, mode = _parting(values), _NOBODY
        rule = "entropy of the attributes over the catalog, times difference from what was asked"
    likeness = _Likeness(values, vectors)
    order = best_codes(worth, len(catalog), ids)  # equal worths by hash, not by place
    open_ = order[~np.isin(order, ids.codes(exclude))]
    nearest = np.zeros(len(catalog))
    chosen: list[int] = []
    while len(chosen) < n and len(open_):
        place = int(np.argmax(worth[open_] * (1.0 - nearest[open_])))
        chosen.append(int(open_[place]))
        open_ = np.delete(open_, place)
        nearest = np.maximum(nearest, likeness.to(chosen[-1]))
    return Questions(
        items=tuple(catalog[catalog.ids[code]] for code in chosen),
        mode=mode,
        rule=rule,
    )


def _fame(interactions: Interactions, ids: Ids) -> NDArray[np.float64]:
    known = dict(zip(interactions.items.ids, interactions.users_per_item, strict=True))
    users = np.array([known.get(one, 0) for one in ids.ids], dtype=np.float64)
    total = max(int(np.sum(interactions.items_per_user > 0)), 1)
    return np.log2(1.0 + users) * _entropy(users / total)


def _parting(values: Sequence[frozenset[str]]) -> NDArray[np.float64]:
    counts: dict[str, int] = {}
    for own in values:
        for value in own:
            counts[value] = counts.get(value, 0) + 1
    bits = dict(zip(counts, _entropy(np.array(list(counts.values())) / len(values)).tolist(), strict=True))
    # fsum: the order of a set is another one in every run, and sums must not be
    return np.array([math.fsum(bits[one] for one in own) / max(len(own), 1) for own in values])


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a yes or no with these probabilities, in bits; 0 at 0 and 1."""
    p = np.clip(shares, 1e-12, 1.0 - 1e-12)
    bits: NDArray[np.float64] = -p * np.log2(p) - (1.0 - p) * np.log2(1.0 - p)
    return np.where((shares <= 0.0) | (shares >= 1.0), 0.0, bits)


def _values(item: Mapping[str, Any], attributes: Sequence[str]) -> frozenset[str]:
    texts = (str(item[name]).lower() for name in attributes if name in item)
    return frozenset(word for text in texts for word in _WORDS.findall(text))


class _Likeness:
    """How alike items are, in [0, 1].

    Args:
        values: The attribute values of each item.
        vectors: One an item; None compares the attribute values.
    """

    def __init__(self, values: Sequence[frozenset[str]], vectors: Vectors | None) -> None:
        self._vectors = vectors
        kinds = list(dict.fromkeys(values))  # far fewer than items
        number = {kind: place for place, kind in enumerate(kinds)}
        self._kinds, self._kind = kinds, np.array([number[own] for own in values])

    def to(self, item: int) -> NDArray[np.float64]:
        """How alike each item is to this one; shape (number of items,)."""
        if self._vectors is not None:
            near: NDArray[np.float64] = np.clip(self._vectors @ self._vectors[item], 0.0, 1.0).astype(np.float64)
            return near
        own = self._kinds[self._kind[item]]
        overlaps = [len(own & kind) / len(own | kind) if own or kind else 0.0 for kind in self._kinds]
        by_kind: NDArray[np.float64] = np.array(overlaps)[self._kind]
        return by_kind
