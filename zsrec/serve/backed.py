"""A retriever with another one behind it, so that a user of whom nothing is known gets an order too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zsrec.candidates import Ids, ItemKNN, Mode, Popularity, Profile
from zsrec.candidates.retriever import Scores


@dataclass(frozen=True, eq=False)
class Backed:
    """Item-kNN where it has something to say, then popularity.

    Attributes:
        first: Its items come first.
        behind: Orders all others.
    """

    first: ItemKNN
    behind: Popularity
    name: ClassVar[str] = "itemknn+pop"
    mode: ClassVar[Mode] = "training-free"
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.first.items

    def scores(self, of: Profile) -> Scores:
        """Item-kNN's scores, and below the least of them popularity's; shape (number of items,)."""
        scores = self.first.scores(of).copy()
        silent = scores == -np.inf
        counts = self.behind.scores(of)
        least = float(scores[~silent].min()) if not silent.all() else 0.0
        scores[silent] = least - 2.0 + counts[silent] / (counts.max(initial=0.0) + 1.0)
        return scores
