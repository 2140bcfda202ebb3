"""Item-kNN: the items whose users are also the users of what this user had contact with lately."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from zsrec.candidates.ids import Codes, Ids
from zsrec.candidates.interactions import Interactions
from zsrec.candidates.profile import Profile, Weights, faded
from zsrec.candidates.retriever import Mode, Scores
from zsrec.errors import ConfigError
from zsrec.types import Frozen


class ItemKNNConfig(Frozen):
    """How far item-kNN looks.

    Attributes:
        last: How many of the newest events count, at least 1.
        decay: The weight of an event one step older, in (0, 1].
        most_reads: How many contacts of other users one call may read, at least 1. Up to there the cosines are
            exact. Beyond it, the newest users of each item stand for all of them and the count is scaled up, so
            that the time of a call is bounded whatever the size of the data.
    """

    last: int = 8
    decay: float = 0.7
    most_reads: int = 600_000


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """score(x) = (1/n) Σ_j r_j · decay^t_j · cos(j, x), over the user's newest n events, t = 1 for the newest.

    cos(j, x) = |users of j and x| / sqrt(|users of j| · |users of x|) is the cosine of two columns of the binary
    user-item matrix. No neighbour lists are kept: the sum is turned around, Σ_u [u has x] Σ_j w_j [u has j], so
    that one pass over the users who share a recent item gives all scores, and a new contact counts at once.

    Source: item-based top-n (Deshpande and Karypis 2004, ACM TOIS 22, 1, section 4), with the recency weights of
    STAR (Lee et al. 2024, arXiv:2410.16458).

    Attributes:
        interactions: The contacts of all users.
        config: How far to look.

    Raises:
        ConfigError: `config` is out of range.
    """

    interactions: Interactions
    config: ItemKNNConfig = field(default_factory=ItemKNNConfig)
    name: ClassVar[str] = "itemknn"
    mode: ClassVar[Mode] = "training-free"
    notes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_recency(self.config.last, self.config.decay)
        if self.config.most_reads < 1:
            raise ConfigError(f"most_reads is {self.config.most_reads}", hint="at least 1")

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no user links it to the history; shape (number of items,)."""
        recent = faded(of, self.config.last, self.config.decay)
        users, weights = self._neighbours(recent)
        sums = np.zeros(len(self.items))
        for table in self.interactions.items_by_user:
            items, lengths = table.gather(users)
            sums += np.bincount(items, np.repeat(weights, lengths), minlength=len(sums))
        norms = np.sqrt(np.maximum(self.interactions.users_per_item, 1)) * max(len(recent.codes), 1)
        return np.where(sums == 0.0, -np.inf, sums / norms)

    def _neighbours(self, recent: Profile) -> tuple[Codes, Weights]:
        """The users who share an item of `recent`, each with the sum of w_j / sqrt(|users of j|) over those items.

        Where only some users of j are read, each of them stands for 1/share of them.
        """
        budget = self.config.most_reads // max(len(recent.codes), 1)
        lists, weights = [np.zeros(0, dtype=np.int32)], [np.zeros(0)]
        for code, weight in zip(recent.codes.tolist(), recent.weights.tolist(), strict=True):
            everybody = self.interactions.users_of(code)
            if not len(everybody):
                continue
            newest = everybody[::-1][:budget]  # each has at least this one item
            reads = np.cumsum(self.interactions.items_per_user[newest])
            newest = newest[: max(int(np.searchsorted(reads, budget, side="right")), 1)]
            lists.append(newest)
            weights.append(np.full(len(newest), weight * np.sqrt(len(everybody)) / len(newest)))
        users, places = np.unique(np.concatenate(lists), return_inverse=True)
        sums = np.zeros(len(users))
        np.add.at(sums, places, np.concatenate(weights))
        return users, sums


def check_recency(last: int, decay: float) -> None:
    """Checks the two parameters of `faded`.

    Raises:
        ConfigError: One of them is out of range.
    """
    if last < 1:
        raise ConfigError(f"last is {last}", hint="how many of the newest events count: at least 1")
    if not 0 < decay <= 1:
        raise ConfigError(f"decay is {decay}", hint="in (0, 1]; 1 weighs old and new events alike")
