"""How sure a mean is, and whether two methods differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from zsrec.errors import ConfigError
from zsrec.evals.metrics import Values

_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB


def bootstrap(values: Values, *, seed: int = 0, resamples: int = 2000, level: float = 0.95) -> NDArray[np.float64]:
    """Percentile bootstrap intervals of the means (Efron 1979), over users.

    Args:
        values: One row a user, one column a quantity; shape (n, m). All columns see the same resamples.
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
        means[start : start + rows] = counts @ values / n
    tail = (1.0 - level) / 2.0
    ends: NDArray[np.float64] = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return ends


def paired_p_values(differences: Values, *, seed: int = 0, permutations: int = 10_000) -> NDArray[np.float64]:
    """Two-sided p-values that a mean difference is 0: Fisher's paired randomisation test with random signs.

    If two methods are alike, each user's difference could as well have the other sign.

    Source: Smucker, Allan and Carterette 2007, CIKM; (1 + hits) / (1 + draws) after Phipson and Smyth 2010.

    Args:
        differences: One row a user, one column a comparison; shape (n, m). All columns see the same signs.
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
