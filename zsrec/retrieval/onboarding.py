"""Questions to a new user: informative items, no two of them alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Item
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Mode, best_codes
from zsrec.retrieval.rerank import overlap, value_words
from zsrec.retrieval.semantic import Vectors


@dataclass(frozen=True)
class Questions:
    """Items to ask a user about.

    Attributes:
        items: In the order in which to ask.
        mode: "training-free" where other users' interactions chose them, else "zero-shot".
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
    """Return items to ask a new user about; answers go into the history (`liked`, `disliked`, `skipped`).

    Each question is the item with the largest worth(x) · (1 − its largest similarity to those already asked): the
    greedy choice of maximal marginal relevance (Carbonell and Goldstein 1998, SIGIR) as a product. Similarity is
    the cosine of the vectors where there are any, otherwise the Jaccard overlap of the attribute values.

    - With interactions, worth(x) = log2(1 + users of x) · H(share of users who know x): log popularity times
      entropy (Rashid et al. 2002, IUI), over two values instead of their ratings.
    - Without, worth(x) is the mean of H(share of items that have a) over the attribute values a of x: a value of
      half of the catalog splits it best. The price is that users may not know the item.

    Args:
        catalog: The items.
        n: How many, at least 1; fewer where the catalog has no more.
        interactions: Other users' interactions, if any.
        vectors: One per item of the catalog, L2-normalised; shape (number of items, d).
        attributes: Columns whose words are an item's attribute values.
        exclude: Ids not to ask about, for example those that the user knows.

    Raises:
        ConfigError: `n` is below 1, or there is not one vector per item.
    """
    if n < 1:
        raise ConfigError(f"n is {n}", hint="ask at least one question")
    if vectors is not None and len(vectors) != len(catalog):
        raise ConfigError(
            f"{len(vectors):,} vectors for {len(catalog):,} items", hint="give item_vectors(…) of this catalog"
        )
    ids = Ids(catalog.ids)
    values = [value_words(item, attributes) for item in catalog]
    mode: Mode = "zero-shot" if interactions is None or not len(interactions) else "training-free"
    if interactions is not None and mode == "training-free":
        worth = _popularity_entropy(interactions, ids)
        rule = "log popularity times entropy of contacts, times difference from what was asked"
    else:
        worth = _attribute_entropy(values)
        rule = "entropy of the attributes over the catalog, times difference from what was asked"
    similarities = _similarities(values, vectors)
    order = best_codes(worth, len(catalog), ids)  # equal worths by hash, not by place
    remaining = order[~np.isin(order, ids.codes(exclude))]
    nearest = np.zeros(len(catalog))
    chosen: list[int] = []
    while len(chosen) < n and len(remaining):
        place = int(np.argmax(worth[remaining] * (1.0 - nearest[remaining])))
        chosen.append(int(remaining[place]))
        remaining = np.delete(remaining, place)
        nearest = np.maximum(nearest, similarities(chosen[-1]))
    return Questions(items=tuple(catalog[catalog.ids[code]] for code in chosen), mode=mode, rule=rule)


def _popularity_entropy(interactions: Interactions, ids: Ids) -> NDArray[np.float64]:
    known = dict(zip(interactions.items.ids, interactions.users_per_item, strict=True))
    users = np.array([known.get(one, 0) for one in ids.ids], dtype=np.float64)
    total = max(int(np.sum(interactions.items_per_user > 0)), 1)
    return np.log2(1.0 + users) * _entropy(users / total)


def _attribute_entropy(values: Sequence[frozenset[str]]) -> NDArray[np.float64]:
    counts = Counter(value for own in values for value in own)
    bits = dict(zip(counts, _entropy(np.array(list(counts.values())) / len(values)).tolist(), strict=True))
    # fsum: a set's order differs between runs, and the sum must not
    return np.array([math.fsum(bits[one] for one in own) / max(len(own), 1) for own in values])


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The binary entropy in bits."""
    p = np.clip(shares, 1e-12, 1.0 - 1e-12)
    bits: NDArray[np.float64] = -p * np.log2(p) - (1.0 - p) * np.log2(1.0 - p)
    return np.where((shares <= 0.0) | (shares >= 1.0), 0.0, bits)


def _similarities(
    values: Sequence[frozenset[str]], vectors: Vectors | None
) -> Callable[[int], NDArray[np.float64]]:
    """Gives each item's similarity to one, in [0, 1], by vectors or else by attribute values; shape (items,)."""
    if vectors is not None:
        return lambda item: np.clip(vectors @ vectors[item], 0.0, 1.0).astype(np.float64)
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(values))}  # far fewer than items
    kind_of = np.array([kinds[own] for own in values])
    return lambda item: np.array([overlap(values[item], kind) for kind in kinds])[kind_of]
