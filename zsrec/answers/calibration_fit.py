"""Fitting the calibration to labelled mentions, and checking how far its probabilities hold.

The weights are the maximum a posteriori estimate of a logistic regression with a Gaussian prior around given
weights (Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.3.3 for the Newton steps): a few
hundred labels of another catalog move the shipped weights where they have something to say and leave the
others alone. Evidence depends on the weights (the best form of an item is the one with the best odds), so
gathering and fitting alternate a few times.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.answers.evidence import gather
from zsrec.answers.grounder import Grounder
from zsrec.answers.scoring import NAMES, Calibration
from zsrec.core.errors import DataError
from zsrec.core.types import Match

_ROUNDS = 4
_STEPS = 25
_RIVALS = 4
_LONGEST_STEP = 2.0


class Labelled(NamedTuple):
    """A mention with the item that it means."""

    mention: str
    item_id: str | None
    weight: float = 1.0


class Bin(NamedTuple):
    """One row of a reliability table: matches whose score lies in a tenth of [0, 1]."""

    low: float
    high: float
    matches: int
    mean_score: float
    share_right: float


def fit_calibration(
    sets: Sequence[tuple[Grounder, Sequence[Labelled]]],
    *,
    prior: Calibration | None = None,
    strength: float | Mapping[str, float] = 0.7,
) -> Calibration:
    """Fits the weights to labelled mentions."""
    start = prior or Calibration.default()
    center = np.array([start.weights[name] for name in NAMES])
    by_name = strength if isinstance(strength, Mapping) else {}
    base = 0.7 if isinstance(strength, Mapping) else strength
    precision = np.array([by_name.get(name, base) for name in NAMES])
    weights = center
    for _ in range(_ROUNDS):
        x, y, counts = _rows(sets, _with(start, weights))
        weights = _newton(x, y, counts, center, precision)
    return _with(start, np.round(weights, 3))


def _with(calibration: Calibration, weights: NDArray[np.float64]) -> Calibration:
    return replace(calibration, weights=dict(zip(NAMES, weights.tolist(), strict=True)))


def cross_fitted(
    grounder: Grounder,
    labelled: Sequence[Labelled],
    *,
    prior: Calibration | None = None,
    strength: float | Mapping[str, float] = 0.7,
    folds: int = 5,
) -> list[tuple[Labelled, Match]]:
    """Each label with the match of weights that were fitted without it.

    All labels of one item are left out together, so that one title's misspellings do not vouch for each other.
    """
    parts = [
        zlib.crc32((label.item_id or label.mention).encode("utf-8", "surrogatepass")) % folds for label in labelled
    ]
    judged: list[tuple[Labelled, Match]] = []
    for number in sorted(set(parts)):
        known = [label for label, part in zip(labelled, parts, strict=True) if part != number]
        weights = fit_calibration([(grounder, known)], prior=prior, strength=strength)
        refitted = Grounder(grounder.catalog, index=grounder.index, calibration=weights)
        held = [label for label, part in zip(labelled, parts, strict=True) if part == number]
        judged.extend((label, refitted.ground(label.mention)) for label in held)
    return judged


def f1(judged: Iterable[tuple[Labelled, Match]]) -> float:
    """F1 with abstention, in [0, 1]: a wrong item is a false positive, and a miss where there was a right one."""
    pairs = list(judged)
    right = sum(label.item_id is not None and match.item_id == label.item_id for label, match in pairs)
    named = sum(match.item_id is not None for _, match in pairs)
    wanted = sum(label.item_id is not None for label, _ in pairs)
    return 2 * right / max(1, named + wanted)


def _rows(
    sets: Sequence[tuple[Grounder, Sequence[Labelled]]], calibration: Calibration
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    rows: list[list[float]] = []
    right: list[float] = []
    counts: list[float] = []
    for grounder, labelled in sets:
        ids = grounder.catalog.ids
        for mention, item_id, weight in labelled:
            vectors = [
                ([evidence.features.get(name, 0.0) for name in NAMES], float(ids[evidence.item] == item_id))
                for evidence in gather(mention, grounder.index, calibration)[:_RIVALS]
            ]
            for vector, is_right in vectors:
                if sum(other == vector for other, _ in vectors) > 1:
                    continue  # a tie is settled by no weight
                rows.append(vector)
                right.append(is_right)
                counts.append(weight)
    if not rows:
        raise DataError(
            "no labelled mention resembles a title", hint="check that the labels belong to the catalog"
        )
    return np.array(rows), np.array(right), np.array(counts)


def _newton(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    counts: NDArray[np.float64],
    center: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> NDArray[np.float64]:
    weights = center.copy()
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30.0, 30.0)))
        gradient = x.T @ (counts * (p - y)) + precision * (weights - center)
        hessian = (x * (counts * p * (1.0 - p))[:, None]).T @ x + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights


def reliability(scored: Iterable[tuple[float, bool]], bins: int = 10) -> tuple[list[Bin], float]:
    """How far scores are probabilities."""
    pairs = list(scored)
    table: list[Bin] = []
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [(s, r) for s, r in pairs if low <= s < high or (number == bins - 1 and s == high)]
        if inside:
            score = sum(s for s, _ in inside) / len(inside)
            share = sum(r for _, r in inside) / len(inside)
            table.append(Bin(low, high, len(inside), score, share))
            error += len(inside) / len(pairs) * abs(share - score)
    return table, error
