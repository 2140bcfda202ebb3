"""What recommended lists are like beyond hits: coverage, novelty, diversity, and how much they follow the crowd.

All of them are of lists of k items a user (`recommended`). Lists may be shorter than k, where nothing speaks for
more items; an empty one says nothing and is NaN in values by user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions, Profile, Retriever
from zsrec.candidates.retriever import best_codes
from zsrec.errors import ConfigError
from zsrec.evals.intervals import bootstrap, jackknife
from zsrec.evals.many import ManySplit
from zsrec.evals.metrics import Values
from zsrec.evals.split import Split

Lists = NDArray[np.int64]
"""Item codes by user, best first, -1 where a list is shorter; shape (users, k)."""


class Bounded(NamedTuple):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def described(
    lists: Lists, statistics: Interactions, *, vectors: NDArray[np.floating] | None = None, seed: int = 0
) -> tuple[dict[str, Bounded], tuple[str, ...]]:
    """All of this module's quantities with 95% intervals: a bootstrap of means over users, else a jackknife.

    Args:
        lists: The lists of at least two users, k items each.
        statistics: What popularity is counted in: the split's training part, so that no target counts.
        vectors: For "Diversity"; left out without them. See `diversity`.
        seed: Of resamples and groups.

    Returns:
        "Coverage@k", "Gini@k", "Novelty@k" (bits), "Popularity@k" (users an item), "Head@k" and "Diversity@k" with
        k of the lists; and a note on users whose list is too short to say anything, who are left out of the means.

    Raises:
        ConfigError: There are fewer than two users, or nothing was recommended to anybody.
    """
    items, k = len(statistics.items), lists.shape[1]
    if not (lists >= 0).any():
        raise ConfigError("nothing was recommended to anybody", hint="such a run has hits at most, and no lists")
    counts = statistics.users_per_item
    means = {
        "Novelty": novelty(lists, counts, int(np.count_nonzero(statistics.items_per_user))),
        "Popularity": popularity(lists, counts),
        "Head": head_share(lists, counts),
    }
    if vectors is not None:
        means["Diversity"] = diversity(lists, vectors)
    found: dict[str, Bounded] = {}
    wholes = {"Coverage": coverage, "Gini": gini}
    for name, whole in wholes.items():
        low, high = jackknife(lambda users, whole=whole: whole(lists[users], items), len(lists), seed=seed)  # type: ignore[misc]
        found[f"{name}@{k}"] = Bounded(whole(lists, items), max(low, 0.0), min(high, 1.0))
    for name, values in means.items():
        said = values[~np.isnan(values)]
        low, high = bootstrap(said[:, None], seed=seed)[:, 0] if len(said) else (np.nan, np.nan)
        found[f"{name}@{k}"] = Bounded(float(said.mean()) if len(said) else np.nan, float(low), float(high))
    empty = int(np.sum(~(lists >= 0).any(axis=1)))
    return found, ((f"{empty:,} of {len(lists):,} users have an empty list",) if empty else ())


def recommended(retriever: Retriever, split: Split | ManySplit, k: int, *, seed: int = 0) -> Lists:
    """The k best items of every user, without those of the history; equal scores ordered by hash.

    Raises:
        ConfigError: `k` is below 1.
    """
    if k < 1:
        raise ConfigError(f"k is {k}", hint="at least 1")
    lists = np.full((len(split), k), -1, dtype=np.int64)
    for case in range(len(split)):
        history = split.history(case)
        scores = retriever.scores(Profile.of(history)).copy()
        scores[history] = -np.inf
        best = best_codes(scores, k, retriever.items, seed)
        lists[case, : len(best)] = best
    return lists


def coverage(lists: Lists, items: int) -> float:
    """|items in any list| / |catalog|, in [0, 1].

    Source: "catalog coverage" of Herlocker et al. 2004, ACM TOIS 22, 1; Ge et al. 2010, RecSys. It grows with the
    number of users: compare only runs with the same ones.

    Args:
        lists: The lists.
        items: The size of the catalog.
    """
    return len(np.unique(lists[lists >= 0])) / items


def novelty(lists: Lists, users_per_item: NDArray[np.int64], users: int) -> Values:
    """Mean self-information of a list's items, -log2(users of the item / users), in bits; shape (users,).

    An item without users would be infinitely surprising; it counts as one with a single user, log2(users).

    Source: Vargas and Castells 2011, RecSys (popularity-based novelty); Zhou et al. 2010, PNAS 107, 10.

    Args:
        lists: The lists.
        users_per_item: Of the statistics, shape (number of items,).
        users: How many users the statistics have.
    """
    return _mean(lists, -np.log2(np.maximum(users_per_item, 1) / users))


def popularity(lists: Lists, users_per_item: NDArray[np.int64]) -> Values:
    """ARP: the mean number of users of a list's items; shape (users,).

    Source: average recommendation popularity, Yin et al. 2012, PVLDB 5, 9; Abdollahpouri et al. 2019, FLAIRS.
    """
    return _mean(lists, users_per_item.astype(np.float64))


def head_share(lists: Lists, users_per_item: NDArray[np.int64], *, head: float = 0.2) -> Values:
    """The share of a list's items that are in the head: the most popular `head` of all items that have users.

    Items that tie for the last places of the head are in it by the share of places left for them. 1 minus this is
    the share of the long tail (APLT, Abdollahpouri et al. 2019, FLAIRS).

    Args:
        lists: The lists.
        users_per_item: Of the statistics, shape (number of items,).
        head: Share of items, in (0, 1).
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

    Args:
        lists: The lists.
        items: The size of the catalog.
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

    Source: Smyth and McClave 2001, ICCBR; Ziegler et al. 2005, WWW (there as similarity).

    Args:
        lists: The lists.
        vectors: One row an item, of any length: text vectors, or `genre_vectors`; shape (number of items, d).
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
    """0 and 1 by item and genre, for `diversity`: the cosine is |common| / sqrt(|genres of one| · |of the other|).

    Args:
        genres: One text an item; None and "(no genres listed)" are no genre.
        separator: What stands between genres.
    """
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
