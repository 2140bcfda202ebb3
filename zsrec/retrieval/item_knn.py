"""Item-kNN: the items that share users with this user's newest items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Evidence, Mode, Profile, Recency, Scores, unreachable


class ItemKNNConfig(Recency):
    """Parameters of item-kNN."""

    decay: float = 0.7


@dataclass(frozen=True, eq=False)
class ItemKNN:
    """score(x) = (1/n) Σ_j r_j · decay^t_j · cos(j, x), over the user's newest n events, t = 1 for the newest.

    cos(j, x) = |users of j and x| / sqrt(|users of j| · |users of x|) is the cosine of two columns of the binary
    user-item matrix. The sum is turned around, Σ_u [u has x] Σ_j w_j [u has j], so that one pass over the users
    who share a recent item gives all scores. That is exact, and slow where an item has very many users: a
    baseline, see `Cooccurrence` for the default.

    Source: item-based top-n (Deshpande and Karypis 2004, ACM TOIS 22, 1, section 4), with the recency weights of
    STAR (Lee et al. 2024, arXiv:2410.16458).

    Attributes:
        interactions: All users' interactions.
        config: The parameters.

    Raises:
        ConfigError: `config` is out of range.
    """

    interactions: Interactions
    config: ItemKNNConfig = field(default_factory=ItemKNNConfig)
    name: ClassVar[str] = "itemknn"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        self.config.check()

    @classmethod
    def from_histories(
        cls, histories: Mapping[str, History], catalog: Catalog | None = None, config: ItemKNNConfig | None = None
    ) -> ItemKNN:
        """Build from other users' histories by user; `catalog` adds items that nobody knows yet."""
        ids = None if catalog is None else Ids(catalog.ids)
        return cls(Interactions.from_histories(histories, catalog=ids), config or ItemKNNConfig())

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on items that cannot be found."""
        return unreachable(self.interactions.users_per_item)

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.interactions.items

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no evidence is for it; shape (number of items,).

        An item linked only, or more, to dislikes is no candidate: it must not rank above unlinked items.
        """
        scores = self.similarities(of)
        scores[scores <= 0.0] = -np.inf
        return scores

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The history item with the largest weighted cosine, and how many users it shares."""
        recent = self.config.recent(of)
        known, found = self.interactions, list[Evidence | None]()
        me = {known.users.code(of.user or "")}
        sources = [(code, set(known.users_of(code).tolist()) - me) for code in recent.codes.tolist()]
        for item in codes:
            users = set(known.users_of(item).tolist()) - me
            parts = [
                (weight * known.inverse_norms[code] * len(users & others), code, len(users & others), len(others))
                for (code, others), weight in zip(sources, recent.weights.tolist(), strict=True)
            ]
            best = max(parts, default=(0.0, 0, 0, 0))
            found.append(Evidence("shared", best[1], best[2], best[3]) if best[0] > 0 else None)
        return found

    def similarities(self, of: Profile) -> Scores:
        """The same with 0 where no user links an item to the history; a new array."""
        recent = self.config.recent(of)
        known = self.interactions
        weights = recent.weights * known.inverse_norms[recent.codes] / max(len(recent.codes), 1)
        lists = [np.zeros(0, dtype=np.int32), *(known.users_of(item) for item in recent.codes.tolist())]
        users, places = np.unique(np.concatenate(lists), return_inverse=True)
        by_user = np.zeros(len(users))
        np.add.at(by_user, places, np.repeat(weights, np.array([len(one) for one in lists[1:]], dtype=np.int64)))
        sums = np.zeros(len(self.items))
        for table in known.items_by_user:
            row = table.gather(users)
            sums += np.bincount(row.values, np.repeat(by_user, row.lengths), minlength=len(sums))
        sums *= known.inverse_norms
        return sums
