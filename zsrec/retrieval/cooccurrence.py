"""Windowed co-occurrence: what other users met soon after, or before, this user's newest items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Codes, Ids, Interactions
from zsrec.retrieval.base import Evidence, EvidenceKind, Mode, Profile, Recency, Scores, unreachable
from zsrec.retrieval.sequences import Sequences, Window

LARGE = 1_000_000


class CooccurrenceConfig(Recency):
    """Parameters of windowed co-occurrence; the defaults were chosen on MovieLens latest-small alone.

    Attributes:
        window: How far from an event others' events count, at least 1.
        before: The weight of an event before, where one after weighs 1; at least 0.
        shrink: Added to the number of users of an item; at least 0.
        newest: How many of an item's newest users are read, at least 1. None reads 500, and 200 in data of more
            than a million interactions.
    """

    window: int = 50
    before: float = 0.5
    shrink: float = 10.0
    newest: int | None = None


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """score(x) = (n_x + 10)^-½ · Σ_t f_t · Σ_u Σ_d d^-½ · ([S_u[p + d] = x] + ½ · [S_u[p − d] = x]).

    t = 1..8 counts the events j_t of the history from the newest, with f_t = r_t · 0.8^t · (n_{j_t} + 10)^-½. u
    are the newest users of j_t, S_u is a user's sequence by time, p the position of j_t in it, d = 1..50 the
    distance, and n_x the number of users of x. Nothing is fitted: `add` makes a new event count at once.

    Source: sequential rules (Ludewig and Jannach 2018, "Evaluation of session-based recommendation algorithms",
    UMUAI 28, section 2.2) in both directions, with the shrunken norm of item-kNN (Bell and Koren 2007).

    Attributes:
        interactions: All users' interactions at the start; see `add`.
        config: The parameters.

    Raises:
        ConfigError: `config` is out of range.
    """

    interactions: Interactions
    config: CooccurrenceConfig = field(default_factory=CooccurrenceConfig)
    name: ClassVar[str] = "cooccurrence"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        self.config.check()
        if self.config.window < 1 or self.config.before < 0 or self.config.shrink < 0:
            raise ConfigError(
                f"{self.config}",
                hint="window is at least 1; before and shrink are at least 0 (docs/candidates.md)",
            )
        _ = self.sequences

    @cached_property
    def sequences(self) -> Sequences:
        """Users' sequences, and what was added since."""
        newest = self.config.newest
        if newest is None:
            newest = 200 if len(self.interactions) > LARGE else 500
        return Sequences(self.interactions, newest)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on items that cannot be found."""
        return unreachable(self.sequences.users_per_item)

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.sequences.items

    def add(self, user: str, item: str) -> None:
        """Append an event, newer than all of this user's; it counts from the next call on."""
        self.sequences.add(user, item)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no evidence is for it; shape (number of items,)."""
        scores = self.counts(of)
        scores *= self.norms
        scores[scores <= 0.0] = -np.inf
        return scores

    def counts(self, of: Profile) -> Scores:
        """The weighted co-occurrences of each item, before its norm; shape (number of items,), a new array."""
        sums = np.zeros(len(self.items))
        recent = self.recent(of)
        newest = self._places(of, recent)
        for before, near in self._near(newest):
            sums += np.bincount(near.items, self._parts(near, newest, recent, before), minlength=len(sums))
        return sums

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The history item that contributed most, and how many of its users met the item after or before it."""
        return [one and one[1] for one in self.contributions(of, codes)]

    def contributions(self, of: Profile, codes: Sequence[int]) -> list[tuple[float, Evidence] | None]:
        """The same with the part of `counts` that it stands for."""
        recent, best = self.recent(of), dict[int, tuple[float, Evidence]]()
        is_asked = np.zeros(len(self.items), dtype=bool)
        is_asked[codes] = True
        newest = self._places(of, recent)
        for before, near in self._near(newest):
            asked = is_asked[near.items]
            if not asked.any():
                continue
            near = Window(near.items[asked], near.distances[asked], near.places[asked])
            parts = self._parts(near, newest, recent, before)
            events = np.repeat(np.arange(len(newest)), [len(one) for one in newest])[near.places]
            for item, event in set(zip(near.items.tolist(), events.tolist(), strict=True)):
                here = (near.items == item) & (events == event)
                part, users = float(parts[here].sum()), len(np.unique(near.places[here]))
                if part > best.get(item, (0.0,))[0]:
                    kind: EvidenceKind = "before" if before else "after"
                    latest = bool(self.sequences.users_per_item[recent.codes[event]] > self.sequences.newest)
                    one = Evidence(kind, int(recent.codes[event]), users, len(newest[event]), latest=latest)
                    best[item] = (part, one)
        return [best.get(code) for code in codes]

    def _places(self, of: Profile, recent: Profile) -> list[NDArray[np.int64]]:
        """The newest places of each recent item in the sequences of other users."""
        me = self.sequences.user(of.user)
        return [self.sequences.places(code, me) for code in recent.codes.tolist()]

    def _near(self, newest: Sequence[NDArray[np.int64]]) -> Iterator[tuple[bool, Window]]:
        """The events after the places of recent items, and those before them where they count."""
        if newest:
            places = np.concatenate(newest)
            for before in (False, True) if self.config.before else (False,):
                yield before, self.sequences.near(places, self.config.window, before=before)

    def _parts(
        self, near: Window, newest: Sequence[NDArray[np.int64]], recent: Profile, before: bool
    ) -> NDArray[np.float64]:
        """What each event of a window adds to `counts`; shape (n,)."""
        weights = np.repeat(recent.weights, [len(one) for one in newest])
        if before:
            weights *= self.config.before
        parts: NDArray[np.float64] = weights[near.places] * self._distance_weights[np.abs(near.distances)]
        return parts

    def recent(self, of: Profile) -> Profile:
        """The newest events with the weights f_t."""
        recent = self.config.recent(of)
        return recent._replace(weights=recent.weights * self._norms(recent.codes))

    @property
    def norms(self) -> NDArray[np.float64]:
        """(n_x + shrink)^-½ of each item; shape (number of items,)."""
        return self._norms(slice(None))

    def _norms(self, codes: Codes | slice) -> NDArray[np.float64]:
        users = self.sequences.users_per_item[codes]
        norms: NDArray[np.float64] = np.maximum(users + self.config.shrink, 1e-9) ** -0.5
        return norms

    @cached_property
    def _distance_weights(self) -> NDArray[np.float64]:
        return np.maximum(np.arange(self.config.window + 1), 1) ** -0.5
