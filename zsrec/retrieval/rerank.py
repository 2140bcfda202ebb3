"""Business rules and diversity: filters on the catalog's columns, and maximal marginal relevance."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen, Item
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.titles import split_year
from zsrec.retrieval.base import Evidence, Mode, Profile, Retriever, Scores, best_codes, evidence_of, profile_notes
from zsrec.retrieval.semantic import Vectors

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
_CONDITION = re.compile(r"\s*([^<>=!]*?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_WORDS = re.compile(r"[^\W_]+(?:-[^\W_]+)*")


class Filter(Frozen):
    """A condition on one column, for example `Filter.of("year >= 2010")` or `Filter.of("genres != Horror")`.

    A column of several values ("Comedy|Horror", or a list) is equal to each of them, whatever their case; < and >
    compare numbers. An item without a value meets no condition but "!=". The column "year" is read from the title
    where the catalog has none.

    Attributes:
        column: A column of the catalog, "id" or "title".
        operator: One of =, !=, <, <=, >, >=.
        value: What the column is compared with.
    """

    column: str
    operator: Operator
    value: str

    @classmethod
    def of(cls, text: str) -> Filter:
        """The condition in a text.

        Raises:
            ConfigError: It is no condition.
        """
        found = _CONDITION.fullmatch(text)
        if found is None or not found[1] or not found[3]:
            raise ConfigError(
                f"the filter {text!r} is no condition", hint='write COLUMN OPERATOR VALUE, as "year >= 2010"'
            )
        return cls(column=found[1], operator=found[2], value=found[3])

    def __str__(self) -> str:
        return f"{self.column} {self.operator} {self.value}"

    def holds(self, values: Sequence[str]) -> bool:
        """Whether the values of an item's column meet the condition."""
        limit = _number(self.value)
        numbers = [number for one in values if (number := _number(one)) is not None]
        if self.operator in ("=", "!="):
            equal = limit in numbers or self.value.casefold() in map(str.casefold, values)
            return equal == (self.operator == "=")
        return bool(numbers) and limit is not None and all(_COMPARE[self.operator](one, limit) for one in numbers)


_COMPARE: dict[str, Any] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

Where = Iterable[Filter | str]
"""Conditions that must all hold."""


def filters(where: Where, catalog: Catalog) -> tuple[Filter, ...]:
    """Return conditions, texts among them parsed, checked against a catalog's columns.

    Raises:
        ConfigError: One is no condition, the catalog lacks its column, or < and > have no number.
    """
    if isinstance(where, str):
        where = [where]
    found = tuple(Filter.of(one) if isinstance(one, str) else one for one in where)
    known = ("id", "title", "year", *catalog.attribute_names)
    for one in found:
        if one.column not in known:
            raise ConfigError(
                f"where: the catalog has no column {one.column!r}", hint=f"one of {', '.join(known)}"
            )
        if one.operator in _COMPARE and _number(one.value) is None:
            raise ConfigError(f"where: {one} compares with {one.value!r}", hint="< and > take a number")
    return found


@dataclass(frozen=True, eq=False)
class Reranked:
    """A retriever with business rules and diversity: conditions first, then maximal marginal relevance.

    The next item has the largest trade_off · relevance − (1 − trade_off) · similarity. Relevance is its score from
    0 to 1 among the best `depth`, similarity its largest to those already taken: the cosine of the vectors where
    there are any, otherwise the Jaccard overlap of the words of the columns.

    Source: Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking", SIGIR.

    Attributes:
        retriever: Scores the items.
        catalog: Has the columns.
        where: Conditions that must all hold, see `Filter`; `notes` counts what they leave.
        trade_off: In [0, 1]; 1 keeps the retriever's order.
        vectors: One per item of the retriever, L2-normalised; shape (number of items, d).
        columns: Columns that are compared where there are no vectors.
        depth: How many of the best candidates are ordered anew, at least 1.

    Raises:
        ConfigError: A parameter is out of range, or see `filters`.
    """

    retriever: Retriever
    catalog: Catalog
    where: Sequence[Filter | str] = ()
    trade_off: float = 1.0
    vectors: Vectors | None = None
    columns: tuple[str, ...] = ("genres",)
    depth: int = 100
    reads_words: ClassVar[bool] = True  # the retriever's own notes say what it did not read
    reads_critiques: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.trade_off <= 1 or self.depth < 1:
            raise ConfigError(
                f"trade_off is {self.trade_off}, depth is {self.depth}",
                hint="trade_off in [0, 1], depth at least 1",
            )
        _ = self._filters

    @property
    def name(self) -> str:
        """That of the retriever."""
        return self.retriever.name

    @property
    def mode(self) -> Mode:
        """That of the retriever."""
        return self.retriever.mode

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.retriever.items

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the retriever, the conditions with what they leave, and the trade-off."""
        notes = list(self.retriever.notes)
        if self._filters:
            notes.append(eligible(self._filters, self.catalog)[1])
        if self.trade_off < 1:
            how = "texts" if self.vectors is not None else ", ".join(self.columns)
            notes.append(f"the best {self.depth} were ordered for diversity of {how} (MMR, {self.trade_off:g})")
        return tuple(notes)

    def profile_notes(self, of: Profile) -> tuple[str, ...]:
        """Those of the retriever."""
        return profile_notes(self.retriever, of)

    def scores(self, of: Profile) -> Scores:
        """The retriever's scores, shared anew among the best; -inf where a condition fails; shape (items,)."""
        scores = self.retriever.scores(of).copy()
        if self._filters:
            fail = np.ones(len(scores), dtype=bool)
            fail[self.items.codes(eligible(self._filters, self.catalog)[0])] = False
            scores[fail] = -np.inf
        if self.trade_off < 1:
            unseen = scores.copy()
            unseen[of.codes] = -np.inf
            best = best_codes(unseen, self.depth, self.items)
            own = scores[best]
            spread = float(np.ptp(own)) if len(own) else 0.0
            relevance = (own - own.min()) / spread if spread else np.ones(len(own))
            order = mmr(relevance, self._similarities(best), self.trade_off)
            # equal scores would be ordered by hash again: a hair between the places keeps the new order
            scores[best[order]] = np.sort(own)[::-1] - np.arange(len(own)) * 1e-9 * max(spread, 1e-9)
        return scores

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """That of the retriever."""
        return evidence_of(self.retriever, of, codes)

    @cached_property
    def _filters(self) -> tuple[Filter, ...]:
        return filters(self.where, self.catalog)

    def _similarities(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.vectors is not None:
            near: NDArray[np.float64] = (self.vectors[codes] @ self.vectors[codes].T).astype(np.float64)
            return near
        ids = [self.items[code] for code in codes.tolist()]
        sets = [
            value_words(self.catalog[one], self.columns) if one in self.catalog else frozenset() for one in ids
        ]
        return np.array([[overlap(a, b) for b in sets] for a in sets])


@lru_cache(maxsize=16)
def eligible(where: tuple[Filter, ...], catalog: Catalog) -> tuple[frozenset[str], str]:
    """Return the ids of the items that meet all conditions, and what a trace says of them."""
    left, lacking = set(catalog.ids), set[str]()
    for one in where:
        for item_id, values in zip(catalog.ids, _column(catalog, one.column), strict=True):
            if not values:
                lacking.add(item_id)
            if not one.holds(values):
                left.discard(item_id)
    without = f"; {len(lacking):,} items lack a value" if lacking else ""
    note = f"where {' and '.join(map(str, where))}: {len(left):,} of {len(catalog):,} items are left{without}"
    return frozenset(left), note


def mmr(relevance: NDArray[np.float64], similarities: NDArray[np.float64], trade_off: float) -> NDArray[np.int64]:
    """The order of maximal marginal relevance.

    Args:
        relevance: One per item, in [0, 1]; shape (n,).
        similarities: Between items, at most 1; shape (n, n).
        trade_off: The weight of relevance, in [0, 1].

    Returns:
        Places, best first; shape (n,). Equal ones keep their order.
    """
    left = list(range(len(relevance)))
    nearest = np.zeros(len(relevance))
    order: list[int] = []
    while left:
        worth = trade_off * relevance[left] - (1.0 - trade_off) * nearest[left]
        order.append(left.pop(int(np.argmax(worth))))
        nearest = np.maximum(nearest, similarities[order[-1]])
    return np.array(order, dtype=np.int64)


def value_words(item: Item, columns: Iterable[str]) -> frozenset[str]:
    """The words of an item's values in some columns."""
    texts = (text for name in columns for text in _texts(item.attributes.get(name)))
    return frozenset(word for text in texts for word in _WORDS.findall(text.lower()))


def overlap(words: frozenset[str], others: frozenset[str]) -> float:
    """The Jaccard overlap, in [0, 1]; 0 for two empty sets."""
    return len(words & others) / len(words | others) if words or others else 0.0


def _column(catalog: Catalog, name: str) -> Iterable[list[str]]:
    """The values of a column by item; "year" is read from the titles where there is no such column."""
    if name in catalog.attribute_names:
        return map(_texts, catalog.column(name))
    if name == "year":
        return (_texts(split_year(title)[1]) for title in catalog.titles)
    return ([text] for text in (catalog.ids if name == "id" else catalog.titles))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [one.strip() for one in value.split("|") if one.strip()]
    if isinstance(value, list | tuple | set | frozenset):
        return [str(one).strip() for one in value if one is not None]
    return [] if value is None else [str(value)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
