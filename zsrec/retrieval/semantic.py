"""Semantic candidates: the items whose texts resemble those of the user's newest items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from zsrec.core.embedding import Embedder
from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.titles import display_title
from zsrec.retrieval.base import Mode, Profile, Scores, check_recency, faded

Vectors = NDArray[np.float32]


class SemanticConfig(Frozen):
    """Parameters of the semantic retriever.

    Attributes:
        last: How many of the newest events count, and as many of the newest dislikes; at least 1.
        decay: The weight of an event one step older, in (0, 1].
    """

    last: int = 8
    decay: float = 0.7


@dataclass(frozen=True, eq=False)
class Semantic:
    """score(x) = (1/n) Σ_j r_j · decay^t_j · cos(text of j, text of x), over the newest n events, t = 1 the last.

    With an embedder the user's own words (`about=`) count too, like an event with r = 1 and t = 0: Rocchio's
    (1971) query, refined by the events. For a user without events they are all there is.

    Source: the semantic half of STAR's retrieval (Lee et al. 2024, arXiv:2410.16458); see `faded` for dislikes.

    Attributes:
        items: The items, in the order of the vectors.
        vectors: One per item, L2-normalised (`item_vectors`); shape (number of items, d).
        config: The parameters.
        embedder: The embedder of the vectors; None where words are not read.

    Raises:
        ConfigError: `config` is out of range, or there is not one vector per item.
    """

    items: Ids
    vectors: Vectors
    config: SemanticConfig = field(default_factory=SemanticConfig)
    embedder: Embedder | None = None
    name: ClassVar[str] = "semantic"
    mode: ClassVar[Mode] = "zero-shot"
    notes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_recency(self.config.last, self.config.decay)
        if len(self.vectors) != len(self.items):
            raise ConfigError(
                f"{len(self.vectors):,} vectors for {len(self.items):,} items",
                hint="give item_vectors(…) the same catalog, after it was extended",
            )

    @property
    def reads_words(self) -> bool:
        """Whether the user's own words count."""
        return self.embedder is not None

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf for all where nothing is known of the user; shape (number of items,)."""
        recent = faded(of, self.config.last, self.config.decay)
        words = self.embedder.encode([of.words])[0] if self.embedder is not None and of.words else None
        if not len(recent.codes) and words is None:
            return np.full(len(self.items), -np.inf)
        taste = recent.weights @ self._by_dimension[:, recent.codes].T
        taste = (taste if words is None else taste + words) / (len(recent.codes) + (words is not None))
        return (taste.astype(np.float32) @ self._by_dimension).astype(np.float64)

    @cached_property
    def _by_dimension(self) -> Vectors:
        """The vectors with one row per dimension, which BLAS reads twice as fast; shape (d, number of items)."""
        return np.ascontiguousarray(self.vectors.T)


def item_vectors(
    catalog: Catalog, embedder: Embedder, *, attributes: Sequence[str] = ("genres",), known: Vectors | None = None
) -> Vectors:
    """Return one vector per item, in the catalog's order; shape (number of items, d).

    Args:
        catalog: The items.
        embedder: Turns texts into L2-normalised vectors.
        attributes: See `item_texts`.
        known: The vectors of the catalog's first items, from before it was extended; only the others are encoded.
    """
    start = 0 if known is None else len(known)
    texts = item_texts(catalog, attributes, start)
    if known is not None and not texts:
        return known
    new = np.asarray(embedder.encode(texts), dtype=np.float32)
    return np.asfortranarray(new if known is None else np.concatenate([known, new]))


def item_texts(catalog: Catalog, attributes: Sequence[str] = ("genres",), start: int = 0) -> list[str]:
    """Return the text of each item that is embedded: its display title, then the attributes that it has.

    Args:
        catalog: The items.
        attributes: Columns of the catalog; those that it lacks are skipped.
        start: The first item, counted from 0.
    """
    texts = []
    for item_id in catalog.ids[start:]:
        item = catalog[item_id]
        parts = [display_title(item.title)]
        parts += [str(item.attributes[name]).replace("|", ", ") for name in attributes if name in item.attributes]
        texts.append(". ".join(parts))
    return texts
