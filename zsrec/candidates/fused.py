"""Fused candidates: other users' behaviour and the items' texts, after STAR."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from zsrec.candidates.ids import Ids
from zsrec.candidates.interactions import Interactions
from zsrec.candidates.item_knn import ItemKNN, ItemKNNConfig
from zsrec.candidates.profile import Profile
from zsrec.candidates.retriever import Mode, Scores
from zsrec.candidates.semantic import Semantic, SemanticConfig, Vectors
from zsrec.errors import ConfigError
from zsrec.types import Frozen

NO_VECTORS = "no item vectors: fused uses interactions alone (a = 0), which is item-kNN"


class FusedConfig(Frozen):
    """How the two parts are weighed.

    Attributes:
        semantic_share: The a of the formula, in [0, 1]; STAR's authors use 0.5.
        last: How many of the newest events count, at least 1.
        decay: The weight of an event one step older, in (0, 1].
        most_reads: See `ItemKNNConfig`.
    """

    semantic_share: float = 0.5
    last: int = 8
    decay: float = 0.7
    most_reads: int = ItemKNNConfig().most_reads


@dataclass(frozen=True, eq=False)
class Fused:
    """score(x) = (1/n) Σ_j r_j · λ^t_j · [a · R_S(j, x) + (1 − a) · R_C(j, x)], t = 1 for the newest event.

    R_S is the cosine of the items' text vectors, R_C that of their user columns. The formula is linear, so it is
    the sum of `Semantic` and `ItemKNN` with the same n and λ. An item without any contact still has its text: a
    new item can be found the moment it enters the catalog.

    Source: the retrieval stage of STAR (Lee et al. 2024, arXiv:2410.16458).

    Attributes:
        interactions: The contacts of all users.
        vectors: One an item, L2-normalised; shape (number of items, d). None leaves the semantic part out, and
            `notes` says so.
        config: The weights.

    Raises:
        ConfigError: `config` is out of range, or there is not one vector an item.
    """

    interactions: Interactions
    vectors: Vectors | None = None
    config: FusedConfig = field(default_factory=FusedConfig)
    name: ClassVar[str] = "fused"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        if not 0 <= self.config.semantic_share <= 1:
            raise ConfigError(f"semantic_share is {self.config.semantic_share}", hint="in [0, 1]")
        _ = self._behaviour, self._texts  # they check the rest

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    @property
    def notes(self) -> tuple[str, ...]:
        """Says so where the semantic part is missing."""
        return () if self.vectors is not None else (NO_VECTORS,)

    @cached_property
    def _behaviour(self) -> ItemKNN:
        c = self.config
        return ItemKNN(self.interactions, ItemKNNConfig(last=c.last, decay=c.decay, most_reads=c.most_reads))

    @cached_property
    def _texts(self) -> Semantic | None:
        if self.vectors is None:
            return None
        config = SemanticConfig(last=self.config.last, decay=self.config.decay)
        return Semantic(self.items, self.vectors, config)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; shape (number of items,)."""
        behaviour = self._behaviour.scores(of)
        share = self.config.semantic_share
        if self._texts is None or share == 0:
            return behaviour
        linked = np.where(behaviour == -np.inf, 0.0, behaviour)
        return share * self._texts.scores(of) + (1.0 - share) * linked
