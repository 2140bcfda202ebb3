"""Candidates from elsewhere: the caller's list, precomputed lists by user, and popularity behind a retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from zsrec.core.errors import BadRowError, ConfigError
from zsrec.data.interactions import Ids
from zsrec.data.tables import read_rows
from zsrec.retrieval.base import Evidence, Learns, Mode, Profile, Retriever, Scores, evidence_of
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
class Lists:
    """Scores each user's precomputed list by place, for example another system's top-N; see `read_lists`.

    The profile's `user` chooses the list; `profile_notes` says so where there is none.

    Attributes:
        items: The catalog's items.
        by_user: Item ids by user, best first; repeats and ids that `items` lacks are skipped.
        mode: What the lists were made from: "trained" for a fitted model, "training-free" for other users' data
            without one, "zero-shot" for none.
    """

    items: Ids
    by_user: Mapping[str, Sequence[str]]
    mode: Mode = "trained"
    name: ClassVar[str] = "lists"

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """The number of listed items that the catalog lacks."""
        listed = {one for ids in self.by_user.values() for one in ids}
        unknown = sum(one not in self.items for one in listed)
        return (f"{unknown:,} of {len(listed):,} listed items are not in the catalog",) if unknown else ()

    def profile_notes(self, of: Profile) -> tuple[str, ...]:
        """A note where the user has no list."""
        if of.user is None:
            return ("the lists are by user, and the history names none (History.user)",)
        return () if of.user in self.by_user else ("there is no list for this user",)

    def scores(self, of: Profile) -> Scores:
        """1/place of each item of the user's list, -inf for the others; shape (number of items,)."""
        return Listed(self.items, self.by_user.get(of.user or "", ())).scores(of)


def read_lists(
    path: Path,
    items: Ids,
    *,
    columns: Sequence[str] = ("user", "item"),
    mode: Mode = "trained",
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> Lists:
    """Return precomputed lists from a table with one row per user and item.

    Args:
        path: A CSV, TSV, JSONL or Parquet file.
        items: The catalog's items.
        columns: The columns of user and item, and of a score where there is one; without it the order of the rows
            is the order of each list.
        mode: See `Lists`.
        encoding: Of text formats.
        delimiter: Of CSV; by default the suffix decides.

    Raises:
        ConfigError: There are not two or three columns.
        DataError: The file cannot be read, with its line.
    """
    if len(columns) not in (2, 3):
        raise ConfigError(
            f"{len(columns)} columns of lists", hint="name those of user and item, and of a score if any"
        )
    found: dict[str, list[tuple[float, str]]] = {}
    for line, row in read_rows(path, columns=columns, encoding=encoding, delimiter=delimiter):
        try:
            score = float(row[columns[2]]) if len(columns) == 3 else 0.0
        except (TypeError, ValueError):
            score = np.nan
        if not np.isfinite(score):
            raise BadRowError(f"{columns[2]} is {row[columns[2]]!r}, no number", path=path, line=line)
        found.setdefault(str(row[columns[0]]), []).append((-score, str(row[columns[1]])))
    by_user = {user: [item for _, item in sorted(rows, key=lambda row: row[0])] for user, rows in found.items()}
    return Lists(items, by_user, mode)


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

    def add(self, user: str, item: str) -> None:
        """Append an event where the first retriever counts it at once."""
        if isinstance(self.first, Learns):
            self.first.add(user, item)

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The first's, else popularity's."""
        first = evidence_of(self.first, of, codes)
        return [a or b for a, b in zip(first, self.behind.evidence(of, codes), strict=True)]
