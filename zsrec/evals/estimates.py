"""Means with their intervals, and differences with their tests, of columns over users."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zsrec.evals.intervals import bootstrap, holm, paired_p_values
from zsrec.evals.metrics import Values
from zsrec.types import Frozen

LEVEL = 0.05


class Estimate(Frozen):
    """A mean over users with its 95% interval."""

    mean: float
    low: float
    high: float


class Comparison(Frozen):
    """Two methods on the same users.

    Attributes:
        metric: The metric compared.
        a: One method.
        b: The other.
        difference: The mean of a minus the mean of b.
        low: Lower end of the difference's 95% interval.
        high: Its upper end.
        p: The test's p-value.
        p_holm: The same, corrected for the number of pairs.
        users: How many users both were asked for.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    users: int

    @property
    def verdict(self) -> str:
        """What the comparison says, in plain words."""
        if self.p_holm >= LEVEL:
            return (
                f"{self.a} against {self.b}: no difference in {self.metric} that {self.users:,} users could show "
                f"(between {self.low:+.4f} and {self.high:+.4f}, corrected p = {self.p_holm:.3f})"
            )
        better, worse = (self.a, self.b) if self.difference > 0 else (self.b, self.a)
        return (
            f"{better} beats {worse} in {self.metric} by {abs(self.difference):.4f} "
            f"({self.a} − {self.b} between {self.low:+.4f} and {self.high:+.4f}, corrected p = {self.p_holm:.4f}, "
            f"{self.users:,} users)"
        )


class Pair(NamedTuple):
    """Two methods and their users' differences in one metric: a minus b; shape (users of both,)."""

    metric: str
    a: str
    b: str
    differences: Values


def shares(columns: Sequence[Values], *, seed: int, others: Sequence[Values] = ()) -> list[Estimate | None]:
    """As `estimates`, for values in [0, 1], with honest intervals where all of them are 0 or all are 1.

    Resampling zeros gives zeros, as if the mean were known for certain. But if the values of at most a share p of
    users are above 0, their mean is at most p, and the largest p that n zeros do not rule out is
    1 - 0.025^(1/n) (Clopper and Pearson 1934): 1.8% for 200 users.

    Args:
        columns: Values in [0, 1].
        seed: Of resamples.
        others: Columns of other values, resampled with them; their estimates come last.
    """
    found = estimates([*columns, *others], seed=seed)
    for place, column in enumerate(columns):
        if len(column) and np.all(column == column[0]) and column[0] in (0.0, 1.0):
            beyond = 1.0 - 0.025 ** (1.0 / len(column))
            low, high = (0.0, beyond) if column[0] == 0.0 else (1.0 - beyond, 1.0)
            found[place] = Estimate(mean=float(column[0]), low=low, high=high)
    return found


def estimates(columns: Sequence[Values], *, seed: int) -> list[Estimate | None]:
    """The mean of each column with its interval; None for an empty one.

    Columns of one length are taken to be of the same users: they see the same resamples.
    """
    found: list[Estimate | None] = [None] * len(columns)
    for places in _by_length(columns):
        values = np.stack([columns[place] for place in places], axis=1).astype(np.float64)
        low, high = bootstrap(values, seed=seed)
        for column, place in enumerate(places):
            found[place] = Estimate(
                mean=float(values[:, column].mean()), low=float(low[column]), high=float(high[column])
            )
    return found


def comparisons(pairs: Sequence[Pair], *, seed: int) -> tuple[Comparison, ...]:
    """The pairs with intervals and p-values, corrected over the pairs of one metric.

    Args:
        pairs: The pairs, in the order wanted; those without users are left out.
        seed: Of resamples and random signs.
    """
    pairs = [pair for pair in pairs if len(pair.differences)]
    means = estimates([pair.differences for pair in pairs], seed=seed)
    p_values = [0.0] * len(pairs)
    for places in _by_length([pair.differences for pair in pairs]):
        values = np.stack([pairs[place].differences for place in places], axis=1)
        for place, p in zip(places, paired_p_values(values, seed=seed).tolist(), strict=True):
            p_values[place] = p
    corrected = [0.0] * len(pairs)
    for metric in dict.fromkeys(pair.metric for pair in pairs):
        places = [place for place, pair in enumerate(pairs) if pair.metric == metric]
        for place, p in zip(places, holm([p_values[place] for place in places]), strict=True):
            corrected[place] = p
    return tuple(
        Comparison(
            metric=pair.metric, a=pair.a, b=pair.b, difference=mean.mean, low=mean.low, high=mean.high,
            p=p, p_holm=p_holm, users=len(pair.differences),
        )
        for pair, mean, p, p_holm in zip(pairs, means, p_values, corrected, strict=True)
        if mean is not None
    )  # fmt: skip


def _by_length(columns: Sequence[Values]) -> list[list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for place, column in enumerate(columns):
        if len(column):
            groups[len(column)].append(place)
    return list(groups.values())
