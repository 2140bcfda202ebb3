"""The caller's own candidates, and a retriever with popularity behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from zsrec.data.interactions import Ids
from zsrec.retrieval.base import Evidence, Explains, Mode, Profile, Retriever, Scores
from zsrec.retrieval.popularity import Popularity


@dataclass(frozen=True, eq=False)
class Listed:
    """Scores the caller's list by place, the same for everybody; no other item is a candidate.

    Attributes:
        items: The catalog's items.
        ids: The candidates, best first; repeats and ids that `items` lacks are skipped.
    """

    items: Ids
    ids: Sequence[str]
    name: ClassVar[str] = "listed"
    mode: ClassVar[Mode] = "zero-shot"

    @property
    def notes(self) -> tuple[str, ...]:
        """The number of candidates that the catalog lacks."""
        unknown = sum(one not in self.items for one in self.ids)
        return (f"{unknown} of {len(self.ids)} candidates are not in the catalog",) if unknown else ()

    def scores(self, of: Profile) -> Scores:  # noqa: ARG002  (the same for every profile)
        """1/place of each listed item, -inf for the others; shape (number of items,)."""
        return self._by_place

    @cached_property
    def _by_place(self) -> Scores:
        scores = np.full(len(self.items), -np.inf)
        codes = self.items.codes(dict.fromkeys(self.ids))
        scores[codes] = 1.0 / np.arange(1, len(codes) + 1)
        return scores


@dataclass(frozen=True, eq=False)
class Backed:
    """A retriever's candidates, then all other items by popularity."""

    first: Retriever
    behind: Popularity
    mode: ClassVar[Mode] = "training-free"

    @property
    def name(self) -> str:
        """The name of the first with "+pop"."""
        return f"{self.first.name}+pop"

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the first."""
        return self.first.notes

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.first.items

    @property
    def reads_words(self) -> bool:
        """Whether the first reads the user's own words."""
        return bool(getattr(self.first, "reads_words", False))

    def scores(self, of: Profile) -> Scores:
        """The first's scores, and below the lowest of them popularity's; shape (number of items,)."""
        scores = self.first.scores(of).copy()
        silent = scores == -np.inf
        counts = np.zeros(len(scores))
        known = self.behind.scores(of)
        counts[: len(known)] = known  # items that were added since have no count
        least = float(scores[~silent].min()) if not silent.all() else 0.0
        scores[silent] = least - 2.0 + counts[silent] / (counts.max(initial=0.0) + 1.0)
        return scores

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The first's, else popularity's."""
        first = self.first.evidence(of, codes) if isinstance(self.first, Explains) else [None for _ in codes]
        return [a or b for a, b in zip(first, self.behind.evidence(of, codes), strict=True)]
