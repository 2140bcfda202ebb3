"""Coverage, novelty, diversity and popularity bias of recommended lists.

All of them are of lists of k items per user. A list may be shorter than k; an empty one is NaN in values by user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Interactions
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.runner import MethodRun
from zsrec.evaluation.statistics import Estimate, jackknife

Lists = NDArray[np.int64]
"""Item codes by user, best first, -1 where a list is shorter; shape (users, k)."""


GENRES = "genres"
MEASURES = {
    "Coverage": "share of the catalog that is in any user's list; it grows with the number of users",
    "Gini": "how unevenly the catalog is shown: 0 for all items in as many lists, near 1 for a few in all lists",
    "Novelty": "mean surprise of a list's items in bits, -log2 of the share of users who know the item",
    "Diversity": "mean distance of a list's items by genres, 0 for the same genres and 1 for none in common",
    "Popularity": "mean number of users who know a list's items",
    "Head": "share of a list's items that are among the most popular 20% of all items with users",
}
SHARES = ("Diversity", "Head")
"""The measures that are means of values in [0, 1] over users."""

LISTS = (
    "All are of the first k items of each list, on the users that all methods were asked for; of several orders "
    "of tied events, the first. Empty lists, and for the diversity lists of one item, are left out. Coverage's "
    "and Gini's intervals are delete-a-group jackknives over users, the others are bootstraps."
)


class Statistics(Frozen):
    """Counts and genres of the items in a run's lists; stored with the predictions, without any history."""

    users: int  # how many users the statistics hold
    items: int  # how many items the catalog has
    # how many items have so many users; those without any are left out
    histogram: dict[int, int] = Field(default_factory=dict)
    # how many users the items in lists have, by id; those without any are left out
    counts: dict[str, int] = Field(default_factory=dict)
    # the genres of the items in lists, by id, with "|" between; None where the catalog has no genres
    genres: dict[str, str] | None = None

    @classmethod
    def of(cls, training: Interactions, catalog: Catalog, shown: Iterable[str]) -> Statistics:
        """Counts interactions without any target."""
        per_item = training.users_per_item
        numbers, items = np.unique(per_item[per_item > 0], return_counts=True)
        ids = sorted(set(shown))
        counts = zip(ids, per_item[training.items.codes(ids)].tolist(), strict=True)
        has_genres = GENRES in catalog.attribute_names
        return cls(
            users=int(np.count_nonzero(training.items_per_user)),
            items=len(training.items),
            histogram=dict(zip(numbers.tolist(), items.tolist(), strict=True)),
            counts={one: count for one, count in counts if count},
            genres={one: _text(catalog[one].attributes.get(GENRES)) for one in ids} if has_genres else None,
        )

    def per_item(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Users of the items named, and behind them of all other items that have some."""
        own = [self.counts.get(name, 0) for name in names]
        left = dict(self.histogram)
        for count in filter(None, own):
            left[count] -= 1
        return np.concatenate([np.array(own, dtype=np.int64), np.repeat(list(left), list(left.values()))])


class ListReport(Frozen):
    """Measures of a method's lists, by measure (`MEASURES`) and cut-off: "Coverage@10"."""

    users: int
    empty: int
    measures: dict[str, Estimate]


class Measured(NamedTuple):
    """A method's lists before their intervals."""

    users: int
    empty: int
    whole: Mapping[str, Estimate]  # what is of all lists together; empty for fewer than two users
    columns: dict[str, Values]  # of the users whose list says something

    def report(self, k: int, means: Mapping[str, Estimate | None]) -> ListReport:
        """The measures with the intervals of their columns."""
        found = {**self.whole, **means}
        measures = {f"{name}@{k}": one for name, one in found.items() if one is not None}
        return ListReport(users=self.users, empty=self.empty, measures=measures)


def measure(one: MethodRun, places: Sequence[int] | slice, k: int, known: Statistics, *, seed: int) -> Measured:
    """Measures a method's lists."""
    lists: Lists = one.predicted.lists[: len(one.users)][places][:, :k].astype(np.int64)
    names = one.predicted.names
    per_item = known.per_item(names)
    columns = {"Novelty": novelty(lists, per_item, known.users)} if known.users else {}
    if known.genres:
        columns["Diversity"] = diversity(lists, genre_vectors([known.genres.get(name) for name in names]))
    columns["Popularity"] = popularity(lists, per_item)
    if known.histogram:
        columns["Head"] = head_share(lists, per_item)
    whole: dict[str, Estimate] = {}
    if len(lists) > 1 and known.items:
        of_all: dict[str, Callable[[Lists], float]] = {
            "Coverage": lambda some: coverage(some, known.items),
            "Gini": lambda some: float(np.nan_to_num(gini(some, known.items))),
        }
        for name, of in of_all.items():
            low, high = jackknife(lambda users, of=of: of(lists[users]), len(lists), seed=seed)  # type: ignore[misc]
            whole[name] = Estimate(mean=of(lists), low=max(low, 0.0), high=min(high, 1.0))
    empty = int(np.sum(~(lists >= 0).any(axis=1)))
    columns = {name: values[~np.isnan(values)] for name, values in columns.items()}
    return Measured(len(lists), empty, whole, columns)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "|".join(map(str, value)) if isinstance(value, list | tuple) else ""


def coverage(lists: Lists, items: int) -> float:
    """|items in any list| / |catalog|, in [0, 1]."""
    return int(np.count_nonzero(np.bincount(lists.ravel() + 1)[1:])) / items


def novelty(lists: Lists, users_per_item: NDArray[np.int64], users: int) -> Values:
    """Mean self-information of a list's items, -log2(users of the item / users), in bits; shape (users,).

    An item without users would be infinitely surprising; it counts as one with a single user, log2(users).
    """
    return _mean(lists, -np.log2(np.maximum(users_per_item, 1) / users))


def popularity(lists: Lists, users_per_item: NDArray[np.int64]) -> Values:
    """ARP: the mean number of users of a list's items; shape (users,)."""
    return _mean(lists, users_per_item.astype(np.float64))


def head_share(lists: Lists, users_per_item: NDArray[np.int64], *, head: float = 0.2) -> Values:
    """The share of a list's items that are in the head: the most popular `head` of all items that have users.

    Items that tie for the last places of the head are in it by the share of places left for them. 1 minus this is
    the share of the long tail (APLT, Abdollahpouri et al. 2019, FLAIRS).
    """
    counts = users_per_item[users_per_item > 0]
    size = int(np.ceil(head * len(counts)))
    if not 0 < head < 1 or not size:
        raise ConfigError(f"head is {head} of {len(counts):,} items", hint="a share in (0, 1) of items with users")
    least = np.sort(counts)[::-1][size - 1]
    above, ties = int(np.sum(users_per_item > least)), int(np.sum(users_per_item == least))
    member = np.where(users_per_item > least, 1.0, np.where(users_per_item == least, (size - above) / ties, 0.0))
    return _mean(lists, member)


def gini(lists: Lists, items: int) -> float:
    """How unevenly the catalog is shown: 0 if every item stands in as many lists, near 1 if a few stand in all.

    G = Σ_j (2j - n - 1) x_j / (n Σ x), x the number of lists of each item, ascending. Source: Fleder and Hosanagar
    2009, Management Science 55, 5; Shani and Gunawardana 2011, Recommender Systems Handbook.
    """
    shown = np.sort(np.bincount(lists[lists >= 0], minlength=items)).astype(np.float64)
    if not shown.any():
        return float("nan")
    places = np.arange(1, items + 1)
    return float(((2 * places - items - 1) * shown).sum() / (items * shown.sum()))


def diversity(lists: Lists, vectors: NDArray[np.floating]) -> Values:
    """Intra-list diversity: the mean distance 1 - cos of all pairs of a list's items; shape (users,).

    A list with fewer than two items has no pairs and is NaN. An item without a direction is at distance 1 from
    all.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
    found = np.full(len(lists), np.nan)
    for user, row in enumerate(lists):
        rows = unit[row[row >= 0]]
        if (n := len(rows)) > 1:
            total = rows.sum(axis=0)
            found[user] = 1.0 - (total @ total - (rows**2).sum()) / (n * (n - 1))
    return found


def genre_vectors(genres: Sequence[str | None], *, separator: str = "|") -> NDArray[np.float64]:
    """0 and 1 by item and genre, for `diversity`: the cosine is |common| / sqrt(|genres| · |other's genres|)."""
    sets = [{one.strip() for one in (text or "").split(separator)} - {"", "(no genres listed)"} for text in genres]
    place = {name: column for column, name in enumerate(sorted(set().union(*sets)))}
    vectors = np.zeros((len(sets), max(len(place), 1)))
    for row, names in enumerate(sets):
        vectors[row, [place[name] for name in names]] = 1.0
    return vectors


def _mean(lists: Lists, values: Values) -> Values:
    there = lists >= 0
    sums = np.where(there, values[lists], 0.0).sum(axis=1)
    counts = there.sum(axis=1)
    means: Values = np.divide(sums, counts, out=np.full(len(lists), np.nan), where=counts > 0)
    return means
