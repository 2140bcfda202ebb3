"""What a run says: means with intervals, paired comparisons, and everything as JSON."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from pydantic import Field

from zsrec.candidates import Mode
from zsrec.evals.intervals import bootstrap, holm, paired_p_values
from zsrec.evals.run import Run
from zsrec.types import Frozen

INTERVALS = "95% percentile bootstrap over users, 2,000 resamples"
TESTS = (
    "two-sided paired randomisation test over users, 10,000 draws; Holm's correction over the pairs of one metric"
)


class Estimate(Frozen):
    """A mean over users with its 95% interval."""

    mean: float
    low: float
    high: float


class Seconds(Frozen):
    """Wall-clock seconds a user: median and 95th percentile."""

    p50: float
    p95: float


class MethodReport(Frozen):
    """One method's row.

    Attributes:
        method: Its name.
        mode: "zero-shot" or "training-free".
        metrics: By name: "HR@10", "NDCG@10", "MRR".
        seconds: The time of scoring the whole catalog for a user.
        notes: What the method says of itself.
    """

    method: str
    mode: Mode
    metrics: dict[str, Estimate]
    seconds: Seconds
    notes: tuple[str, ...] = ()


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
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


class Report(Frozen):
    """A whole run. Two runs with one seed differ in `seconds` only.

    Attributes:
        protocol: What was done, in whole sentences.
        users: How many users were asked for.
        items: How many items were ranked, before the history is left out.
        seed: Of tie orders, resamples and tests.
        methods: One row a method.
        comparisons: All pairs, for every metric.
        intervals: How the intervals were made.
        tests: How the p-values were made.
        skipped: Methods that were asked for and could not run, with the reason.
        notes: What was counted on the way.
    """

    protocol: str
    users: int
    items: int
    seed: int
    methods: tuple[MethodReport, ...]
    comparisons: tuple[Comparison, ...] = ()
    intervals: str = INTERVALS
    tests: str = TESTS
    skipped: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


def report(
    run: Run, *, seed: int = 0, skipped: dict[str, str] | None = None, notes: tuple[str, ...] = ()
) -> Report:
    """Summarises a run.

    Args:
        run: The run.
        seed: Of resamples and tests.
        skipped: Methods that could not run, with the reason.
        notes: Further notes, put before those of the run.
    """
    keys = list(run.methods[0].metrics)
    cells = [(one, key) for one in run.methods for key in keys]
    values = np.stack([one.metrics[key] for one, key in cells], axis=1)
    low, high = bootstrap(values, seed=seed)
    estimates = {
        (one.name, key): Estimate(mean=float(values[:, c].mean()), low=float(low[c]), high=float(high[c]))
        for c, (one, key) in enumerate(cells)
    }
    return Report(
        protocol=run.protocol,
        users=run.users,
        items=run.items,
        seed=seed,
        methods=tuple(
            MethodReport(
                method=one.name,
                mode=one.mode,
                metrics={key: estimates[one.name, key] for key in keys},
                seconds=Seconds(
                    p50=float(np.quantile(one.seconds, 0.5)), p95=float(np.quantile(one.seconds, 0.95))
                ),
                notes=one.notes,
            )
            for one in run.methods
        ),
        comparisons=_comparisons(run, keys, seed),
        skipped=skipped or {},
        notes=(*notes, *run.notes),
    )


def _comparisons(run: Run, keys: list[str], seed: int) -> tuple[Comparison, ...]:
    pairs = list(combinations(run.methods, 2))
    if not pairs:
        return ()
    differences = np.stack([a.metrics[key] - b.metrics[key] for key in keys for a, b in pairs], axis=1)
    low, high = bootstrap(differences, seed=seed)
    p_values = paired_p_values(differences, seed=seed).tolist()
    found = []
    for start, key in zip(range(0, len(p_values), len(pairs)), keys, strict=True):
        corrected = holm(p_values[start : start + len(pairs)])
        for column, ((a, b), p_holm) in enumerate(zip(pairs, corrected, strict=True), start=start):
            found.append(
                Comparison(
                    metric=key,
                    a=a.name,
                    b=b.name,
                    difference=float(differences[:, column].mean()),
                    low=float(low[column]),
                    high=float(high[column]),
                    p=p_values[column],
                    p_holm=p_holm,
                )
            )
    return tuple(found)
