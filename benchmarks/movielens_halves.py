"""ml-latest-small cut for simulations: a tuning half and a test half of the users, a past and a future of each.

Defaults are chosen on tuning users; what is reported is measured on test users. Which half a user is in depends on
a hash of the id, so nothing was drawn until it looked well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.semantic import Vectors

HALVES_SEED = 2026
TIES_SEED = 1


@dataclass(frozen=True)
class User:
    """One user: what is known, and what came later.

    Attributes:
        id: The user's id.
        test: Whether they are in the test half.
        past: The first half of their events by time.
        future: The second half.
    """

    id: str
    test: bool
    past: History
    future: tuple[Event, ...]

    def later(self, feedback: Feedback) -> tuple[str, ...]:
        """The items of the future with this feedback, oldest first."""
        return tuple(event.item for event in self.future if event.feedback is feedback)


@dataclass(frozen=True, eq=False)
class Halves:
    """All users, and the statistics that may be used: everybody's past, nobody's future."""

    catalog: Catalog
    users: tuple[User, ...]
    vectors: Vectors | None = None

    @cached_property
    def items(self) -> Ids:
        return Ids(self.catalog.ids)

    @cached_property
    def known(self) -> Interactions:
        return Interactions.from_histories({user.id: user.past for user in self.users}, catalog=self.items)

    def of(self, *, test: bool) -> tuple[User, ...]:
        """The users of one half."""
        return tuple(user for user in self.users if user.test is test)


def load(folder: Path, vectors: Path | None) -> Halves:
    """The users of a MovieLens folder; events at one time are ordered by a hash, since files are sorted by id."""
    found = movielens.load(folder)
    ids = Ids(found.histories)
    test = ids.hashes(range(len(ids)), HALVES_SEED) % np.uint64(2) == 1
    items = Ids(found.catalog.ids)
    ties = dict(zip(items.ids, items.hashes(range(len(items)), TIES_SEED).tolist(), strict=True))
    users = []
    for code, (user, history) in enumerate(found.histories.items()):
        known = (event for event in history.events if event.item in ties)
        events = sorted(known, key=lambda one: (one.time.timestamp() if one.time else 0.0, ties[one.item]))
        if not events:
            continue
        cut = len(events) // 2
        past = History(events=tuple(events[:cut]), user=user)
        users.append(User(user, bool(test[code]), past, tuple(events[cut:])))
    return Halves(found.catalog, tuple(users), load_vectors(vectors, len(items)))


def load_vectors(path: Path | None, items: int) -> Vectors | None:
    """Vectors of an .npy file, one row an item in the catalog's order, L2-normalised."""
    if path is None:
        return None
    found = np.load(path, allow_pickle=False).astype(np.float32)
    if found.ndim != 2 or len(found) != items:
        raise SystemExit(f"{path}: expected {items} rows, found the shape {found.shape}")
    normal: Vectors = np.asfortranarray(found / np.linalg.norm(found, axis=1, keepdims=True))
    return normal


def ndcg_of_many(scores: NDArray[np.float64], relevant: NDArray[np.int32], k: int) -> float:
    """NDCG@k with several relevant items (Järvelin and Kekäläinen 2002), binary gains, its mean over ties."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    gains = np.zeros(len(scores))
    gains[relevant] = 1.0
    gains = np.where(ranked > -np.inf, gains[order], 0.0)
    # Items of one score share their mean gain: the expected gain of each of their places.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    starts = np.concatenate([[0], ends[:-1] + 1])
    means = np.add.reduceat(gains, starts) / (ends - starts + 1)
    expected = np.repeat(means, ends - starts + 1)[:k]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = discounts[: min(len(relevant), k)].sum()
    return float(expected @ discounts[: len(expected)] / ideal) if ideal else 0.0
