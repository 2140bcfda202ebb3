"""What the models for other libraries share: statistics from their data, and lists for users of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Strategy
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.ordering import in_time
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.base import Method, Retriever, profile, top
from zsrec.retrieval.cooccurrence import Cooccurrence

Ranked = list[tuple[str, float]]
"""Item ids with scores, best first."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A retriever of some interactions, and a recommender that asks a model, if any.

    Attributes:
        interactions: What was fitted on.
        retriever: Scores the items.
        recommender: None leaves the lists as the retriever orders them.
        strategy: How the recommender answers; see `Recommender.recommend`.
    """

    interactions: Interactions
    retriever: Retriever
    recommender: Recommender | None = None
    strategy: Strategy = "auto"

    @classmethod
    def on(
        cls,
        users: Iterable[object],
        items: Iterable[object],
        times: ArrayLike,
        method: Method = Cooccurrence,
        recommender: Recommender | None = None,
        strategy: Strategy = "auto",
    ) -> Fitted:
        """Count the interactions of three columns; ids become text, times are seconds."""
        catalog = None if recommender is None else Ids(recommender.catalog.ids)
        known = Interactions.from_arrays(map(str, users), map(str, items), times, catalog=catalog)
        retriever = method(known)
        return cls(
            known, retriever, None if recommender is None else recommender.with_retriever(retriever), strategy
        )

    def history(self, user: str) -> History:
        """A user's items, oldest first; empty for an unknown user."""
        code, (items, starts) = self.interactions.users.code(user), self._in_time
        codes = [] if code is None else items[starts[code] : starts[code + 1]].tolist()
        return history_of(user, [self.interactions.items[one] for one in codes])

    @cached_property
    def _in_time(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All users' items, each user's oldest first, and where each user's begin."""
        contacts = in_time(self.interactions, self.interactions.tie_seed)
        return contacts.item, np.searchsorted(contacts.user, np.arange(len(self.interactions.users) + 1))

    def ranked(
        self, histories: Sequence[History], k: int, *, exclude_seen: bool = True, only: Iterable[str] | None = None
    ) -> list[Ranked]:
        """The best items for each history; a recommender is asked for several at once.

        Raises:
            ConfigError: A recommender is asked for items that the user knows, or among some items only.
            ZsrecError: The recommender failed for a user.
        """
        if self.recommender is None:
            left_out = () if only is None else set(self.retriever.items.ids).difference(only)
            return [self._retrieved(one, k, exclude_seen, left_out) for one in histories]
        if not exclude_seen or only is not None:
            raise ConfigError(
                "a recommender with a model chooses among all items that the user does not know",
                hint="leave out what was viewed and give no list of items, or give no recommender",
            )
        with ThreadPoolExecutor(self.recommender.settings.concurrency) as threads:
            return list(threads.map(lambda one: self._asked(one, k), histories))

    def scores(self, history: History, k: int) -> dict[str, float]:
        """The score of each item that has one; a recommender scores the k items that it recommends, by place."""
        if self.recommender is not None:
            return {item: 1.0 / (n + 1) for n, (item, _) in enumerate(self._asked(history, k))}
        found = self.retriever.scores(profile(history, self.retriever.items))
        codes = np.flatnonzero(found > -np.inf)
        items = self.retriever.items
        return {items[code]: score for code, score in zip(codes.tolist(), found[codes].tolist(), strict=True)}

    def _retrieved(self, history: History, k: int, exclude_seen: bool, left_out: Iterable[str]) -> Ranked:
        found = top(self.retriever, history, k, exclude=left_out, exclude_seen=exclude_seen)
        return list(zip(found.ids, found.scores, strict=True))

    def _asked(self, history: History, k: int) -> Ranked:
        if self.recommender is None or not history.events:
            return []
        found = self.recommender.recommend(history, k, strategy=self.strategy)
        return [(one.item.id, one.score) for one in found]


def history_of(user: str | None, items: Iterable[str]) -> History:
    """A history of catalog ids, oldest first."""
    return History(user=user, events=tuple(Event(item=one, by="id") for one in items))
