"""Lists of neighbours for items with so many users that counting anew for every call would take too long."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from zsrec.candidates.ids import Codes
from zsrec.candidates.interactions import Interactions
from zsrec.candidates.profile import Weights
from zsrec.candidates.retriever import Scores

_CHUNK = 1_000_000  # contacts read at once: some 30 MB


class Neighbours(NamedTuple):
    """The items nearest to one item, in no order; both of shape (at most the number kept,).

    Attributes:
        items: Their codes.
        counts: How many users each shares with the item.
    """

    items: Codes
    counts: Codes


class NeighbourLists:
    """Neighbours by item, counted on first use, kept, and corrected for contacts that came later.

    The lists belong to `base`. For later interactions, `Later` gives what has changed since, counted over the
    users with new contacts only, so that a new contact shows at once and no list has to be made again.

    Args:
        base: The interactions that are counted.
        size: How many neighbours an item keeps: those with the largest cosines.
    """

    def __init__(self, base: Interactions, size: int) -> None:
        self.base, self.size = base, size
        self._lists: dict[int, Neighbours] = {}

    def __len__(self) -> int:
        return len(self._lists)

    @property
    def nbytes(self) -> int:
        """The memory that the lists take."""
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
    """What interactions know beyond those that neighbour lists were counted on.

    Args:
        base: The interactions of the lists.
        now: The same interactions, extended.
    """

    def __init__(self, base: Interactions, now: Interactions) -> None:
        self.base, self.now = base, now

    @cached_property
    def users(self) -> Codes:
        """The users with new contacts."""
        known = np.zeros(len(self.now.users), dtype=np.int64)
        known[: len(self.base.users)] = self.base.items_per_user
        return np.flatnonzero(self.now.items_per_user != known).astype(np.int32)

    @cached_property
    def reads(self) -> int:
        """How many contacts a call of `counts` reads."""
        return int(self.now.items_per_user[self.users].sum()) * 2

    def counts(self, items: Codes, weights: Weights) -> Scores:
        """Σ_j w_j · (users of j and x now − in the base), for each x; shape (number of items,)."""
        by_item = np.zeros(len(self.now.items))
        np.add.at(by_item, items, weights)
        changed = self._sums(self.now, by_item) - self._sums(self.base, by_item)
        least = np.abs(weights).min(initial=np.inf)
        changed[np.abs(changed) < 1e-9 * least] = 0.0  # what rounding leaves of no change
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
