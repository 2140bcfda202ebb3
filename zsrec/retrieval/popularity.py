"""Popularity: the items with the most users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Evidence, Mode, Profile, Scores, best_codes

_DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class Popularity:
    """Scores an item by its number of users, the same for everybody.

    Attributes:
        interactions: The interactions to count.
        window_days: Only interactions in this many days before the newest one; None counts all.

    Raises:
        ConfigError: `window_days` is not positive.
    """

    interactions: Interactions
    window_days: float | None = None
    name: ClassVar[str] = "pop"
    mode: ClassVar[Mode] = "training-free"
    notes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.window_days is not None and not self.window_days > 0:
            raise ConfigError(f"window_days is {self.window_days}", hint="a positive number, or None for all time")

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    def scores(self, of: Profile) -> Scores:  # noqa: ARG002  (the same for every profile)
        """The number of users of each item, 0 for a new one; shape (number of items,)."""
        return self._counts

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:  # noqa: ARG002
        """The number of users of each item."""
        known = self.interactions
        total = int(np.count_nonzero(known.items_per_user))
        counts = [int(self._counts[code]) if code < len(self._counts) else 0 for code in codes]
        return [Evidence("popular", users=one, of=total) if one else None for one in counts]

    @cached_property
    def _counts(self) -> Scores:
        if self.window_days is None or not len(self.interactions):
            return self.interactions.users_per_item.astype(np.float64)
        contacts = self.interactions.columns
        recent = contacts.time > contacts.time.max() - self.window_days * _DAY
        return np.bincount(contacts.item[recent], minlength=len(self.items)).astype(np.float64)


def popularity(histories: Iterable[History]) -> tuple[str, ...]:
    """Return item ids by number of users, most first; ties by a hash of the id.

    Only events that are given by id count (as `read_histories` gives them). Using other users' events makes a
    result "training-free" and no longer "zero-shot".

    Args:
        histories: One per user.
    """
    counts: Counter[str] = Counter()
    for history in histories:
        counts.update({event.item for event in history.events if event.by != "title"})
    ids, users = Ids(counts), np.array(list(counts.values()), dtype=np.float64)
    return tuple(ids[code] for code in best_codes(users, len(ids), ids).tolist())
