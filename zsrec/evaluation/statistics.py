"""Means with their intervals, and differences with their tests, of columns over users."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.evaluation.metrics import Values

Key = TypeVar("Key", bound=Hashable)

_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB


def bootstrap(
    values: Values, *, sizes: Values | None = None, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> NDArray[np.float64]:
    """Percentile bootstrap intervals of the means (Efron 1979), over users or over groups of samples.

    Args:
        values: One row per user, one column per quantity; shape (n, m). All columns see the same resamples.
        sizes: How many samples each row is the sum of, where rows are groups; shape (n,). None for one each.
        seed: The same seed gives the same interval.
        resamples: How many samples of n users, drawn with replacement.
        level: The share of resampled means inside, in (0, 1).

    Returns:
        Lower and upper ends; shape (2, m).

    Raises:
        ConfigError: There are no users.
    """
    n = len(values)
    if not n:
        raise ConfigError("an interval needs at least one user")
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(_CELLS // n, 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
        means[start : start + rows] = counts @ values / (n if sizes is None else (counts @ sizes)[:, None])
    tail = (1.0 - level) / 2.0
    ends: NDArray[np.float64] = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return ends


def paired_p_values(differences: Values, *, seed: int = 0, permutations: int = 10_000) -> NDArray[np.float64]:
    """Two-sided p-values that a mean difference is 0: Fisher's paired randomisation test with random signs.

    If two methods are alike, each user's difference could as well have the other sign.

    Source: Smucker, Allan and Carterette 2007, CIKM; (1 + hits) / (1 + draws) after Phipson and Smyth 2010.

    Args:
        differences: One row per user, one column per comparison; shape (n, m). All columns see the same signs.
        seed: The same seed gives the same p-values.
        permutations: How many draws; the smallest possible p-value is 1 / (1 + permutations).

    Returns:
        Shape (m,), in (0, 1].
    """
    n = len(differences)
    total = differences.sum(axis=0)
    tolerance = 1e-12 * np.abs(differences).sum(axis=0)  # sums of the same numbers in another order
    rng = np.random.default_rng(seed)
    hits = np.zeros(differences.shape[1], dtype=np.int64)
    step = max(_CELLS // max(n, 1), 1)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        bits = np.unpackbits(rng.integers(256, size=(rows, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
        sums = 2.0 * (bits.astype(np.float64) @ differences) - total  # of the differences with random signs
        hits += np.sum(np.abs(sums) >= np.abs(total) - tolerance, axis=0)
    p_values: NDArray[np.float64] = np.asarray((1.0 + hits) / (1.0 + permutations), dtype=np.float64)
    return p_values


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected for their number (Holm 1979), in the order given: below 0.05 is significant at 5%."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for done, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - done) * p_values[place]))
        corrected[place] = largest
    return tuple(corrected)


def jackknife(
    statistic: Callable[[NDArray[np.int64]], float], n: int, *, seed: int = 0, groups: int = 100
) -> tuple[float, float]:
    """A 95% interval of a quantity that is no mean over users, such as catalog coverage or a Gini coefficient.

    The bootstrap fails there: a resample repeats users and lacks a third of them, so it covers fewer items than
    the data, and its interval may lie wholly below the value. The delete-a-group jackknife leaves out one random
    group of users at a time: variance = (g - 1) / g · Σ (θ_j - mean θ)², interval = θ ± 1.96 standard errors.

    Source: Kott 2001, Journal of Official Statistics 17, 4; Efron and Tibshirani 1993, chapter 11.

    Args:
        statistic: The quantity of some of the users, given by their places.
        n: How many users there are, at least 2.
        seed: Of the groups.
        groups: How many groups; no more than users.

    Raises:
        ConfigError: There are fewer than two users.
    """
    if n < 2:
        raise ConfigError("an interval needs at least two users")
    g = min(groups, n)
    group = np.random.default_rng(seed).permutation(n) % g
    without = np.array([statistic(np.flatnonzero(group != one)) for one in range(g)])
    error = 1.96 * float(np.sqrt((g - 1) / g * np.sum((without - without.mean()) ** 2)))
    value = statistic(np.arange(n))
    return value - error, value + error


LEVEL = 0.05


class Estimate(Frozen):
    """A mean over users with its 95% interval."""

    mean: float
    low: float
    high: float


class Comparison(Frozen):
    """Two methods on the same users."""

    metric: str  # the metric compared
    a: str  # one method
    b: str  # the other
    difference: float  # the mean of a minus the mean of b
    low: float  # lower end of the difference's 95% interval
    high: float  # its upper end
    p: float  # the test's p-value
    p_holm: float  # the same, corrected for the number of pairs
    users: int  # how many users both were asked for
    differing: int | None = None  # for how many of them the two values differ

    @property
    def verdict(self) -> str:
        """What the comparison says, in plain words."""
        if self.differing == 0:
            return (
                f"{self.a} and {self.b} have the same {self.metric} for each of {self.users:,} users "
                f"(a difference of up to {self.high:.4f} may be unseen)"
            )
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


def never_certain(found: Estimate, n: int) -> Estimate:
    """A mean of n values in [0, 1], with an honest interval where all of them are 0 or all are 1.

    Resampling zeros gives zeros, as if the mean were known for certain. But if the values of at most a share p of
    users are above 0, their mean is at most p: `clopper_pearson` bounds it.
    """
    if found.mean not in (0.0, 1.0):
        return found
    most = clopper_pearson(n)
    return found.model_copy(update={"high": most} if found.mean == 0.0 else {"low": 1.0 - most})


def shares(columns: Mapping[Key, Values], *, seed: int, free: Collection[Key] = ()) -> dict[Key, Estimate]:
    """The `estimates` of columns by name, without empty ones; their values are in [0, 1] unless in `free`."""
    found = zip(columns, estimates(list(columns.values()), seed=seed), strict=True)
    return {
        name: mean if name in free else never_certain(mean, len(columns[name]))
        for name, mean in found
        if mean is not None
    }


def clopper_pearson(n: int) -> float:
    """The largest share that n zeros do not rule out at 95%, 1 - 0.025^(1/n): 1.8% for 200 users."""
    return float(1.0 - 0.025 ** (1.0 / n))


def estimates(columns: Sequence[Values], *, seed: int, sizes: Values | None = None) -> list[Estimate | None]:
    """The mean of each column with its interval; None for an empty one.

    Columns of one length are taken to be of the same users: they see the same resamples. `sizes` is `bootstrap`'s.
    """
    found: list[Estimate | None] = [None] * len(columns)
    for places in _by_length(columns):
        values = np.stack([columns[place] for place in places], axis=1).astype(np.float64)
        low, high = bootstrap(values, sizes=sizes, seed=seed)
        for column, place in enumerate(places):
            mean = values[:, column].mean() if sizes is None else values[:, column].sum() / sizes.sum()
            found[place] = Estimate(mean=float(mean), low=float(low[column]), high=float(high[column]))
    return found


def comparisons(
    pairs: Sequence[Pair], *, seed: int, together: bool = False, sizes: Values | None = None
) -> tuple[Comparison, ...]:
    """The pairs with intervals and p-values, corrected over those of one metric, or over all `together`."""
    pairs = [pair for pair in pairs if len(pair.differences)]
    means = estimates([pair.differences for pair in pairs], seed=seed, sizes=sizes)
    differing = [int(np.count_nonzero(pair.differences)) for pair in pairs]
    for place, pair in enumerate(pairs):
        if not differing[place]:  # resampling zeros would give an interval of no width
            unseen = clopper_pearson(len(pair.differences))
            means[place] = Estimate(mean=0.0, low=-unseen, high=unseen)
    p_values, corrected = np.zeros(len(pairs)), np.zeros(len(pairs))
    for places in _by_length([pair.differences for pair in pairs]):
        values = np.stack([pairs[place].differences for place in places], axis=1)
        p_values[places] = paired_p_values(values, seed=seed)
    families = [None] if together else dict.fromkeys(pair.metric for pair in pairs)
    for metric in families:
        places = [place for place, pair in enumerate(pairs) if metric in (None, pair.metric)]
        corrected[places] = holm(p_values[places].tolist())
    return tuple(
        Comparison(
            metric=pair.metric, a=pair.a, b=pair.b, difference=mean.mean, low=mean.low, high=mean.high,
            p=p, p_holm=p_holm, users=len(pair.differences), differing=of,
        )
        for pair, mean, p, p_holm, of in zip(
            pairs, means, p_values.tolist(), corrected.tolist(), differing, strict=True
        )
        if mean is not None
    )  # fmt: skip


def _by_length(columns: Sequence[Values]) -> list[list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for place, column in enumerate(columns):
        if len(column):
            groups[len(column)].append(place)
    return list(groups.values())
