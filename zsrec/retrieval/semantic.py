"""Semantic candidates: the items whose texts resemble those of the user's newest items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from zsrec.core.embedding import Embedder, default_embedder
from zsrec.core.errors import ConfigError
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.titles import display_title
from zsrec.retrieval.base import Evidence, Mode, Profile, Recency, Scores

Vectors = NDArray[np.float32]
_TINY = 1e-6
_NUMBERS = re.compile(r"\d+")


class SemanticConfig(Recency):
    """Parameters of the semantic retriever.

    Attributes:
        centred: Whether the catalog's mean is taken from each vector.
    """

    decay: float = 0.7
    centred: bool = True


@dataclass(frozen=True, eq=False)
class Semantic:
    """score(x) = (1/n) Σ_j r_j · decay^t_j · cos(V_j − V̄, V_x − V̄), over the newest n events, t = 1 the last.

    V_x is the vector of x's text and V̄ the catalog's mean: what all texts share says nothing about any of them.

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
        self.config.check()
        if len(self.vectors) != len(self.items):
            raise ConfigError(
                f"{len(self.vectors):,} vectors for {len(self.items):,} items",
                hint="give item_vectors(…) the same catalog, after it was extended",
            )

    @classmethod
    def from_catalog(
        cls,
        catalog: Catalog,
        embedder: Embedder | None = None,
        *,
        attributes: Sequence[str] = ("genres",),
        config: SemanticConfig | None = None,
    ) -> Semantic:
        """Build from the catalog's texts; they are encoded here, once.

        Args:
            catalog: The items.
            embedder: Turns texts into vectors; `zsrec.core.embedding.default_embedder()` by default.
            attributes: Columns that belong to an item's text (`item_texts`).
            config: The parameters.

        Raises:
            ConfigError: The texts say nothing, or the default model cannot be loaded.
            MissingExtraError: No embedder is given and sentence-transformers is not installed.
        """
        embedder = embedder or default_embedder()
        vectors = item_vectors(catalog, embedder, attributes=attributes)
        return cls(Ids(catalog.ids), vectors, config or SemanticConfig(), embedder)

    @property
    def reads_words(self) -> bool:
        """Whether the user's own words count."""
        return self.embedder is not None

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf for all where nothing is known of the user; shape (number of items,)."""
        recent = self.config.recent(of)
        taste, n = self.taste(recent), len(recent.codes) + self._has_words(of)
        return self.cosines(taste / n) if n else np.full(len(self.items), -np.inf)

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The history item whose text is most like each item's, weighted; the user's words where they are more."""
        recent = self.config.recent(of)
        return [one and one[1] for one in self.contributions(recent, codes)]

    def contributions(
        self, of: Profile, codes: Sequence[int], words_weight: float = 1.0
    ) -> list[tuple[float, Evidence] | None]:
        """The same with the weighted cosine that it stands for."""
        vectors = (self._by_dimension[:, list(codes)].T - self._mean) * self._inverse_norms[list(codes)][:, None]
        sources = [Evidence("text", code) for code in of.codes.tolist()]
        alone = [of._replace(codes=of.codes[[n]], weights=of.weights[[n]], words="") for n in range(len(sources))]
        parts = [self.taste(one) for one in alone]
        if self._has_words(of):
            sources.append(Evidence("words", words=("what you asked for",)))
            parts.append(self.taste(of._replace(codes=of.codes[:0], weights=of.weights[:0]), words_weight))
        if not parts:
            return [None for _ in codes]
        cosines = vectors @ np.array(parts).T
        best = cosines.argmax(axis=1)
        return [
            (float(row[at]), sources[at]) if row[at] > 0 else None
            for row, at in zip(cosines, best.tolist(), strict=True)
        ]

    def taste(self, of: Profile, words_weight: float = 1.0) -> NDArray[np.float64]:
        """The weighted sum of the centred unit vectors of the events, and of the user's words; shape (d,)."""
        vectors = self._by_dimension[:, of.codes].T - self._mean
        taste: NDArray[np.float64] = (of.weights * self._inverse_norms[of.codes]) @ vectors
        if self.embedder is not None and of.words:
            words = self.embedder.encode([of.words])[0] - self._mean
            taste = taste + words_weight * words / max(float(np.linalg.norm(words)), _TINY)
        return taste

    def cosines(self, taste: NDArray[np.float64]) -> Scores:
        """The product of a vector with the centred unit vector of each item; shape (number of items,)."""
        products = taste.astype(np.float32) @ self._by_dimension - np.float32(taste @ self._mean)
        return products * self._inverse_norms

    def _has_words(self, of: Profile) -> bool:
        return self.embedder is not None and bool(of.words)

    @cached_property
    def _by_dimension(self) -> Vectors:
        """The vectors with one row per dimension, which BLAS reads twice as fast; shape (d, number of items)."""
        return np.ascontiguousarray(self.vectors.T)

    @cached_property
    def _mean(self) -> Vectors:
        if not self.config.centred:
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        return np.asarray(self.vectors.mean(axis=0, dtype=np.float64), dtype=np.float32)

    @cached_property
    def _inverse_norms(self) -> NDArray[np.float64]:
        """1 / |V_x − V̄|; 0 for a text that is the mean; shape (number of items,)."""
        mean = self._mean.astype(np.float64)
        squares = np.einsum("ij,ij->i", self.vectors, self.vectors, dtype=np.float64)
        squares += mean @ mean - 2.0 * (self._mean @ self._by_dimension)
        return np.where(squares > _TINY, np.maximum(squares, _TINY) ** -0.5, 0.0)


def says_nothing(texts: Sequence[str]) -> bool:
    """Whether texts differ in their numbers only, like "item 17": their vectors are then no evidence."""
    return len(texts) > 1 and len({_NUMBERS.sub("", text) for text in texts}) <= max(1, len(texts) // 1000)


def item_vectors(
    catalog: Catalog, embedder: Embedder, *, attributes: Sequence[str] = ("genres",), known: Vectors | None = None
) -> Vectors:
    """Return one vector per item, in the catalog's order; shape (number of items, d).

    Args:
        catalog: The items.
        embedder: Turns texts into L2-normalised vectors.
        attributes: See `item_texts`.
        known: The vectors of the catalog's first items, from before it was extended; only the others are encoded.

    Raises:
        ConfigError: The texts say nothing ("item 17").
    """
    start = 0 if known is None else len(known)
    texts = item_texts(catalog, attributes, start)
    if known is not None and not texts:
        return known
    if known is None and says_nothing(texts):
        raise ConfigError(
            f"the items' texts differ in numbers only, like {texts[0]!r}, so their vectors would say nothing",
            hint="give a catalog with titles or text columns, or a retriever that reads interactions alone",
        )
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
