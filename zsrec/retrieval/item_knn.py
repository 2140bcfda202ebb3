"""Item-kNN: the items that share users with this user's newest items."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.data.interactions import Codes, Ids, Interactions
from zsrec.retrieval.base import Mode, Profile, Scores, Weights, check_recency, faded

_CHUNK = 1_000_000  # interactions read at once: some 30 MB


class ItemKNNConfig(Frozen):
    """Parameters of item-kNN.

    Attributes:
        last: How many of the newest events count, and as many of the newest dislikes; at least 1.
        decay: The weight of an event one step older, in (0, 1].
        most_reads: How many interactions of other users one call may read, at least 1. Data with no more are
            always counted in full. Beyond that, an item whose users have more than 1/last of this is looked up in
            a list of its nearest neighbours, so that the time of a call is bounded whatever the size of the data.
        neighbours: The length of these lists, at least 1.
    """

    last: int = 8
    decay: float = 0.7
    most_reads: int = 300_000
    neighbours: int = 500


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """score(x) = (1/n) Σ_j r_j · decay^t_j · cos(j, x), over the user's newest n events, t = 1 for the newest.

    cos(j, x) = |users of j and x| / sqrt(|users of j| · |users of x|) is the cosine of two columns of the binary
    user-item matrix. The sum is turned around, Σ_u [u has x] Σ_j w_j [u has j], so that one pass over the users
    who share a recent item gives all scores. Only items with very many users have lists of neighbours.

    Source: item-based top-n (Deshpande and Karypis 2004, ACM TOIS 22, 1, section 4), with the recency weights of
    STAR (Lee et al. 2024, arXiv:2410.16458).

    Attributes:
        interactions: All users' interactions.
        config: The parameters.
        lists: Neighbour lists of earlier interactions; see `updated`.

    Raises:
        ConfigError: `config` is out of range.
    """

    interactions: Interactions
    config: ItemKNNConfig = field(default_factory=ItemKNNConfig)
    lists: NeighbourLists | None = None
    name: ClassVar[str] = "itemknn"
    mode: ClassVar[Mode] = "training-free"
    notes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_recency(self.config.last, self.config.decay)
        if self.config.most_reads < 1 or self.config.neighbours < 1:
            raise ConfigError("most_reads or neighbours is below 1", hint="at least 1 each")

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    def updated(self, interactions: Interactions) -> ItemKNN:
        """Return the same for extended interactions; neighbour lists are kept while little is new.

        Args:
            interactions: Extended from those of this object.
        """
        fresh = Later(self.neighbour_lists.base, interactions).reads > self.config.most_reads
        return ItemKNN(interactions, self.config, None if fresh else self.neighbour_lists)

    def warm(self) -> int:
        """Make all neighbour lists that calls could need; return how many there are."""
        for item in range(len(self.items)):
            if not self._is_counted(item):
                self.neighbour_lists.of(item)
        return len(self.neighbour_lists)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no evidence is for it; shape (number of items,).

        An item linked only, or more, to dislikes is no candidate: it must not rank above unlinked items.
        """
        scores = self.similarities(of)
        scores[scores <= 0.0] = -np.inf
        return scores

    def similarities(self, of: Profile) -> Scores:
        """The same with 0 where no user links an item to the history; a new array."""
        recent = faded(of, self.config.last, self.config.decay)
        known = self.interactions
        weights = recent.weights * known.inverse_norms[recent.codes] / max(len(recent.codes), 1)
        counted = np.array([self._is_counted(code) for code in recent.codes.tolist()], dtype=bool)
        sums = self._counts(recent.codes[counted], weights[counted])
        if not counted.all():
            sums += self._listed(recent.codes[~counted], weights[~counted])
        sums *= known.inverse_norms
        return sums

    @cached_property
    def neighbour_lists(self) -> NeighbourLists:
        """The lists made so far, here or before."""
        return self.lists or NeighbourLists(self.interactions, self.config.neighbours)

    @cached_property
    def _later(self) -> Later:
        return Later(self.neighbour_lists.base, self.interactions)

    def _is_counted(self, item: int) -> bool:
        """Whether an item's users can be read anew for every call."""
        known = self.interactions
        if len(known) <= self.config.most_reads:
            return True
        share = self.config.most_reads // self.config.last
        return bool(known.users_per_item[item] <= share) and (
            int(known.items_per_user[known.users_of(item)].sum()) <= share
        )

    def _counts(self, items: Codes, weights: Weights) -> Scores:
        """Σ_j w_j |users of j and x| for each x, over all users of the items."""
        known = self.interactions
        lists = [np.zeros(0, dtype=np.int32), *(known.users_of(item) for item in items.tolist())]
        users, places = np.unique(np.concatenate(lists), return_inverse=True)
        by_user = np.zeros(len(users))
        np.add.at(by_user, places, np.repeat(weights, np.array([len(one) for one in lists[1:]], dtype=np.int64)))
        sums = np.zeros(len(self.items))
        for table in known.items_by_user:
            row = table.gather(users)
            sums += np.bincount(row.values, np.repeat(by_user, row.lengths), minlength=len(sums))
        return sums

    def _listed(self, items: Codes, weights: Weights) -> Scores:
        """The same over the neighbours of the items only."""
        sums = np.zeros(len(self.items))
        for item, weight in zip(items.tolist(), weights.tolist(), strict=True):
            near = self.neighbour_lists.of(item)
            sums[near.items] += weight * near.counts
        if len(self._later.users):
            sums += self._later.counts(items, weights)
        return sums


class Neighbours(NamedTuple):
    """The items nearest to one item, in no order, and how many users each shares with it."""

    items: Codes
    counts: Codes


class NeighbourLists:
    """Neighbours by item, counted on first use: the `size` largest cosines in the interactions `base`."""

    def __init__(self, base: Interactions, size: int) -> None:
        self.base, self.size = base, size
        self._lists: dict[int, Neighbours] = {}

    def __len__(self) -> int:
        return len(self._lists)

    @property
    def nbytes(self) -> int:
        """The memory of the lists."""
        return sum(one.items.nbytes + one.counts.nbytes for one in self._lists.values())

    def of(self, item: int) -> Neighbours:
        """The neighbours of an item (a code; an unknown one has none)."""
        found = self._lists.get(item)
        if found is None:
            found = self._lists[item] = self._counted(item)
        return found

    def _counted(self, item: int) -> Neighbours:
        users = self.base.users_of(item)
        counts = np.zeros(len(self.base.items), dtype=np.int64)
        bounds = np.cumsum(self.base.items_per_user[users])
        chunks = np.split(users, np.flatnonzero(np.diff(bounds // _CHUNK)) + 1) if len(users) else []
        for chunk in chunks:
            for table in self.base.items_by_user:
                counts += np.bincount(table.gather(chunk).values, minlength=len(counts))
        items = np.flatnonzero(counts)
        if len(items) > self.size:
            cosines = counts[items] * self.base.inverse_norms[items]
            items = items[np.argpartition(-cosines, self.size)[: self.size]]
        return Neighbours(items.astype(np.int32), counts[items].astype(np.int32))


class Later:
    """The change from the interactions `base` of neighbour lists to the extended ones, `now`."""

    def __init__(self, base: Interactions, now: Interactions) -> None:
        self.base, self.now = base, now

    @cached_property
    def users(self) -> Codes:
        """The users with new interactions."""
        known = np.zeros(len(self.now.users), dtype=np.int64)
        known[: len(self.base.users)] = self.base.items_per_user
        return np.flatnonzero(self.now.items_per_user != known).astype(np.int32)

    @cached_property
    def reads(self) -> int:
        """How many interactions a call of `counts` reads."""
        return int(self.now.items_per_user[self.users].sum()) * 2

    def counts(self, items: Codes, weights: Weights) -> Scores:
        """Σ_j w_j · (users of j and x now − in the base), for each x; shape (number of items,)."""
        by_item = np.zeros(len(self.now.items))
        np.add.at(by_item, items, weights)
        changed = self._sums(self.now, by_item) - self._sums(self.base, by_item)
        least = np.abs(weights).min(initial=np.inf)
        changed[np.abs(changed) < 1e-9 * least] = 0.0  # rounding errors of no change
        return changed

    def _sums(self, known: Interactions, by_item: Weights) -> Scores:
        rows = [table.gather(self.users) for table in known.items_by_user]
        shared = np.zeros(len(self.users))
        for row in rows:
            owners = np.repeat(np.arange(len(self.users)), row.lengths)
            shared += np.bincount(owners, by_item[row.values], minlength=len(shared))
        sums = np.zeros(len(by_item))
        for row in rows:
            sums += np.bincount(row.values, np.repeat(shared, row.lengths), minlength=len(sums))
        return sums
