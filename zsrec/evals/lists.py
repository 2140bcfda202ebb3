"""What a run's lists are like beyond hits (`zsrec.evals.beyond`), from predictions and a few counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zsrec.candidates import Interactions
from zsrec.catalog import Catalog
from zsrec.evals.beyond import Lists, coverage, diversity, genre_vectors, head_share, novelty, popularity
from zsrec.evals.estimates import Estimate
from zsrec.evals.intervals import jackknife
from zsrec.evals.metrics import Values
from zsrec.evals.run import MethodRun
from zsrec.types import Frozen

GENRES = "genres"
MEASURES = {
    "Coverage": "share of the catalog that stands in any user's list; it grows with the number of users",
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
    "interval is a delete-a-group jackknife over users, the others are bootstraps."
)


class Statistics(Frozen):
    """What is known of the items in a run's lists; no user's history, so it may be kept beside the predictions.

    Attributes:
        users: How many users the statistics hold.
        items: How many items the catalog has.
        histogram: How many items have so many users; those without any are left out.
        counts: How many users the items in lists have, by id; those without any are left out.
        genres: The genres of the items in lists, by id, with "|" between; None where the catalog has no genres.
    """

    users: int
    items: int
    histogram: dict[int, int] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    genres: dict[str, str] | None = None

    @classmethod
    def of(cls, training: Interactions, catalog: Catalog, shown: Iterable[str]) -> Statistics:
        """Counts interactions without any target.

        Args:
            training: The interactions that methods were made from.
            catalog: Where genres are taken from.
            shown: Ids of the items in lists.
        """
        per_item = training.users_per_item
        numbers, items = np.unique(per_item[per_item > 0], return_counts=True)
        ids = sorted(set(shown))
        counts = zip(ids, per_item[training.items.codes(ids)].tolist(), strict=True)
        genres = None
        if GENRES in catalog.attribute_names:
            genres = {one: _text(catalog[one].attributes.get(GENRES)) for one in ids}
        return cls(
            users=int(np.count_nonzero(training.items_per_user)),
            items=len(training.items),
            histogram=dict(zip(numbers.tolist(), items.tolist(), strict=True)),
            counts={one: count for one, count in counts if count},
            genres=genres,
        )

    def per_item(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Users of the items named, and behind them of all other items that have some."""
        own = [self.counts.get(name, 0) for name in names]
        left = dict(self.histogram)
        for count in filter(None, own):
            left[count] -= 1
        return np.concatenate([np.array(own, dtype=np.int64), np.repeat(list(left), list(left.values()))])


class ListReport(Frozen):
    """What a method's lists are like.

    Attributes:
        users: How many users' lists.
        empty: How many of these are empty.
        measures: By name (`MEASURES`) and cut-off: "Coverage@10".
    """

    users: int
    empty: int
    measures: dict[str, Estimate]


class Measured(NamedTuple):
    """A method's lists before their intervals.

    Attributes:
        users: How many users' lists.
        empty: How many of these are empty.
        coverage: With its interval; None for fewer than two users.
        columns: Values by measure; one a user whose list says something.
    """

    users: int
    empty: int
    coverage: Estimate | None
    columns: dict[str, Values]

    def report(self, k: int, means: Mapping[str, Estimate | None]) -> ListReport:
        """The measures with the intervals of their columns."""
        found = {"Coverage": self.coverage, **means}
        measures = {f"{name}@{k}": one for name, one in found.items() if one is not None}
        return ListReport(users=self.users, empty=self.empty, measures=measures)


def measure(one: MethodRun, places: Sequence[int] | slice, k: int, known: Statistics, *, seed: int) -> Measured:
    """Measures a method's lists.

    Args:
        one: The method.
        places: The users that count, as places in `one.users`.
        k: How many items of a list count.
        known: Counts and genres.
        seed: Of the jackknife's groups.
    """
    lists: Lists = one.predicted.lists[: len(one.users)][places][:, :k].astype(np.int64)
    names = one.predicted.names
    per_item = known.per_item(names)
    columns = {"Novelty": novelty(lists, per_item, known.users)} if known.users else {}
    if known.genres:
        columns["Diversity"] = diversity(lists, genre_vectors([known.genres.get(name) for name in names]))
    columns["Popularity"] = popularity(lists, per_item)
    if known.histogram:
        columns["Head"] = head_share(lists, per_item)
    covered = None
    if len(lists) > 1 and known.items:
        low, high = jackknife(
            lambda users: _covered(lists[users], len(names)) / known.items, len(lists), seed=seed
        )
        covered = Estimate(mean=coverage(lists, known.items), low=max(low, 0.0), high=min(high, 1.0))
    empty = len(lists) - int(np.count_nonzero((lists >= 0).any(axis=1)))
    return Measured(
        len(lists), empty, covered, {name: values[~np.isnan(values)] for name, values in columns.items()}
    )


def _covered(lists: Lists, names: int) -> int:
    """As `coverage` counts, without sorting: the jackknife does it a hundred times."""
    return int(np.count_nonzero(np.bincount(lists.ravel() + 1, minlength=names + 1)[1:]))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "|".join(map(str, value)) if isinstance(value, list | tuple) else ""
