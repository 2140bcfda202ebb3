"""Fused candidates: other users' behaviour and the items' texts, after STAR."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from zsrec.core.embedding import Embedder
from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Mode, Profile, Scores
from zsrec.retrieval.item_knn import ItemKNN, ItemKNNConfig, NeighbourLists
from zsrec.retrieval.semantic import Semantic, SemanticConfig, Vectors

NO_VECTORS = "no item vectors: fused uses interactions alone (a = 0), which is item-kNN"


class FusedConfig(ItemKNNConfig):
    """`ItemKNNConfig`, and how the two parts are weighed.

    Attributes:
        semantic_share: The a of the formula, in [0, 1]. 0.5 is what STAR's authors use; a default must not come
            from the users it is tested on. docs/candidates.md shows what other values give.
    """

    semantic_share: float = 0.5


@dataclass(frozen=True, eq=False)
class Fused:
    """score(x) = (1/n) Σ_j r_j · λ^t_j · [a · R_S(j, x) + (1 − a) · R_C(j, x)], t = 1 for the newest event.

    R_S is the cosine of the items' text vectors, R_C that of their user columns: the sum of `Semantic` and
    `ItemKNN` with the same n and λ. A new item without interactions is found by its text.

    Source: the retrieval stage of STAR (Lee et al. 2024, arXiv:2410.16458).

    Attributes:
        interactions: All users' interactions.
        vectors: One per item, L2-normalised; shape (number of items, d). None leaves the semantic part out, and
            `notes` says so.
        config: The weights.
        lists: Neighbour lists of earlier interactions, see `updated`.
        embedder: The embedder of the vectors; with it the user's own words count (`Semantic`).

    Raises:
        ConfigError: `config` is out of range, or there is not one vector per item.
    """

    interactions: Interactions
    vectors: Vectors | None = None
    config: FusedConfig = field(default_factory=FusedConfig)
    lists: NeighbourLists | None = None
    embedder: Embedder | None = None
    name: ClassVar[str] = "fused"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        if not 0 <= self.config.semantic_share <= 1:
            raise ConfigError(f"semantic_share is {self.config.semantic_share}", hint="in [0, 1]")
        _ = self.behaviour, self._texts  # they check the rest

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    @property
    def notes(self) -> tuple[str, ...]:
        """A note where the semantic part is missing."""
        return () if self.vectors is not None else (NO_VECTORS,)

    @property
    def reads_words(self) -> bool:
        """Whether the user's own words count."""
        return self._texts is not None and self.config.semantic_share > 0 and self._texts.reads_words

    @cached_property
    def behaviour(self) -> ItemKNN:
        """The part that reads interactions; its neighbour lists can be made ahead (`ItemKNN.warm`)."""
        return ItemKNN(self.interactions, self.config, self.lists)

    @cached_property
    def _texts(self) -> Semantic | None:
        if self.vectors is None:
            return None
        config = SemanticConfig(last=self.config.last, decay=self.config.decay)
        return Semantic(self.items, self.vectors, config, self.embedder)

    def updated(self, interactions: Interactions, vectors: Vectors | None = None) -> Fused:
        """Return the same for extended interactions, see `ItemKNN.updated`.

        Args:
            interactions: Extended from those of this object.
            vectors: Those of the extended catalog; None keeps the old ones, where no item came.
        """
        lists = self.behaviour.updated(interactions).lists
        new = self.vectors if vectors is None else vectors
        return Fused(interactions, new, self.config, lists, self.embedder)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; shape (number of items,)."""
        share = self.config.semantic_share
        if self._texts is None or share == 0:
            return self.behaviour.scores(of)
        scores = self._texts.scores(of)
        scores *= share
        behaviour = self.behaviour.similarities(of)
        behaviour *= 1.0 - share
        scores += behaviour
        return scores
