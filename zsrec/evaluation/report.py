"""What a run says: means with intervals, paired comparisons, what an LLM cost, and everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import Field

from zsrec.core.types import Frozen
from zsrec.evaluation.beyond_accuracy import SHARES, ListReport, Statistics, measure
from zsrec.evaluation.llm_methods import SHORT_LISTS
from zsrec.evaluation.memorization import ProbeReport
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.protocols import main_metric
from zsrec.evaluation.report_llm import LLMReport, Prices, llm_report
from zsrec.evaluation.runner import MethodRun, Run
from zsrec.evaluation.statistics import Comparison, Estimate, Pair, comparisons, shares
from zsrec.retrieval.base import Mode

INTERVALS = (
    "95% percentile bootstrap over users, 2,000 resamples; "
    "Clopper and Pearson's limits where all users have 0 or all have 1"
)
TESTS = (
    "two-sided paired randomisation test over users, 10,000 draws; Holm's correction over the pairs of one metric"
)
_EDGES = (0, 1, 5, 10, 20, 50, 100, 200, 500)  # events in a history
_LEAST = 20  # users in a group that is shown


class Seconds(Frozen):
    """Wall-clock seconds a user: median and 95th percentile."""

    p50: float
    p95: float


class Group(Frozen):
    """Users with about as many events, and the main metric for them.

    Attributes:
        events: The fewest and the most events of a history; None for no limit.
        users: How many users.
        estimate: The first NDCG of the run.
    """

    events: tuple[int, int | None]
    users: int
    estimate: Estimate


class Shown(Frozen):
    """An item and the share of users whose list holds it; its title where that is known."""

    item: str
    share: float
    title: str | None = None


class MethodReport(Frozen):
    """One method's row.

    Attributes:
        method: Its name.
        mode: "zero-shot", "training-free" or "trained".
        users: How many users it was asked for.
        metrics: By name: "HR@10", "NDCG@10", "MRR"; see `zsrec.evaluation.runner.MethodRun` for other protocols.
        seconds: The time of scoring the whole catalog for a user, or of a user's requests to the LLM.
        notes: What the method says of itself.
        llm: For a method that asks an LLM.
        by_history: The main metric by the length of the history, for groups of at least 20 users.
        most_shown: The items that stand in the most lists.
        lists: What the lists are like beyond hits; None for sampled candidates, and where a folder has no counts.
    """

    method: str
    mode: Mode
    users: int
    metrics: dict[str, Estimate]
    seconds: Seconds | None
    notes: tuple[str, ...] = ()
    llm: LLMReport | None = None
    by_history: tuple[Group, ...] = ()
    most_shown: tuple[Shown, ...] = ()
    lists: ListReport | None = None


class SameUsers(Frozen):
    """All methods on the users that all of them were asked for.

    Attributes:
        users: How many.
        metrics: By method and metric.
    """

    users: int
    metrics: dict[str, dict[str, Estimate]]


class Report(Frozen):
    """A whole run. Two runs with one seed differ in `seconds` only.

    Attributes:
        protocol: What was done, in whole sentences.
        users: How many users were asked for.
        items: How many items were ranked, before the history is left out.
        seed: Of tie orders, resamples and tests.
        methods: One row a method.
        same_users: Where methods were asked for different users, all of them on their common ones.
        comparisons: All pairs, for every metric, each on the pair's common users.
        probe: What the model could recite of the data set, where that was asked.
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
    same_users: SameUsers | None = None
    comparisons: tuple[Comparison, ...] = ()
    probe: ProbeReport | None = None
    intervals: str = INTERVALS
    tests: str = TESTS
    skipped: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def timeless(self) -> dict[str, Any]:
        """The report as JSON without its seconds: the same for every run with one seed."""
        return self.model_dump(mode="json", exclude={"methods": {"__all__": {"seconds"}}})


def report(
    run: Run,
    *,
    seed: int = 0,
    skipped: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
    prices: Prices | None = None,
    probe: ProbeReport | None = None,
    times: Mapping[str, Seconds] | None = None,
    titles: Mapping[str, str] | None = None,
    statistics: Statistics | None = None,
) -> Report:
    """Summarises a run.

    Args:
        run: The run.
        seed: Of resamples and tests.
        skipped: Methods that could not run, with the reason.
        notes: Further notes, put before those of the run.
        prices: Of tokens, where an LLM was asked.
        probe: What the model could recite.
        times: Seconds by method, where the run's own are gone.
        titles: Titles of items, for those that are shown most.
        statistics: Counts and genres of items, for what lists are like beyond hits.
    """
    keys = list(run.methods[0].metrics)
    ks = [int(key.removeprefix("HR@")) for key in keys if key.startswith("HR@")]
    cells = [(one, key) for one in run.methods for key in keys]
    main = main_metric(keys)
    k = int(main.rpartition("@")[2])
    places = _everywhere(run.methods)
    lists = {
        one.name: measure(one, places[one.name], k, statistics, seed=seed) for one in run.methods if statistics
    }
    columns = {(name, of): column for name, one in lists.items() for of, column in one.columns.items()}
    bounded, free = [at for at in columns if at[1] in SHARES], [at for at in columns if at[1] not in SHARES]
    means = shares(
        [*(one.metrics[key] for one, key in cells), *map(columns.__getitem__, bounded)],
        seed=seed,
        others=list(map(columns.__getitem__, free)),
    )
    found = dict(zip([(one.name, key) for one, key in cells], _all(means[: len(cells)]), strict=True))
    of_lists = dict(zip([*bounded, *free], means[len(cells) :], strict=True))
    listed = {name: one.report(k, {of: of_lists[name, of] for of in one.columns}) for name, one in lists.items()}
    methods = []
    for one in run.methods:
        asked = bool(one.predicted.uses)
        shown = one.predicted.most_shown()
        methods.append(
            MethodReport(
                method=one.name,
                mode=one.mode,
                users=len(one.users),
                metrics={key: found[one.name, key] for key in keys},
                seconds=(times or {}).get(one.name) or quantiles(one.seconds),
                notes=one.notes,
                llm=llm_report(one, ks, seed=seed, prices=prices or Prices()) if asked else None,
                by_history=_by_history(one, main, seed),
                most_shown=tuple(
                    Shown(item=item, share=n / len(one.predicted.users), title=(titles or {}).get(item))
                    for item, n in shown
                ),
                lists=listed.get(one.name),
            )
        )
    short = (SHORT_LISTS,) if any(one.llm for one in methods) else ()
    return Report(
        protocol=" ".join((run.protocol, *short)),
        users=run.users,
        items=run.items,
        seed=seed,
        methods=tuple(methods),
        same_users=_same_users(run.methods, places, keys, seed),
        comparisons=compared(run.methods, seed=seed),
        probe=probe,
        skipped=dict(skipped or {}),
        notes=(*notes, *run.notes),
    )


def quantiles(seconds: Sequence[float] | Values) -> Seconds | None:
    """The median and the 95th percentile; None of nothing."""
    if not len(seconds):
        return None
    p50, p95 = np.quantile(seconds, [0.5, 0.95]).tolist()
    return Seconds(p50=p50, p95=p95)


def compared(methods: Sequence[MethodRun], *, seed: int, against: str | None = None) -> tuple[Comparison, ...]:
    """Compares methods in pairs, each on the users that both were asked for.

    Args:
        methods: The methods, with the same metrics.
        seed: Of resamples and random signs.
        against: Compare all others with this one only; None compares all pairs.
    """
    pairs = [pair for pair in combinations(methods, 2) if against is None or against in {one.name for one in pair}]
    keys = list(methods[0].metrics) if methods else []
    both = {(a.name, b.name): _common(a.users, b.users) for a, b in pairs}
    return comparisons(
        [
            Pair(key, a.name, b.name, a.metrics[key][in_a] - b.metrics[key][in_b])
            for key in keys
            for a, b in pairs
            for in_a, in_b in [both[a.name, b.name]]
        ],
        seed=seed,
    )


Places = slice | list[int]


def _common(a: Sequence[str], b: Sequence[str]) -> tuple[Places, Places]:
    """Where the users of both stand in each."""
    if list(a) == list(b):
        return slice(None), slice(None)
    places = {user: place for place, user in enumerate(b)}
    pairs = [(place, places[user]) for place, user in enumerate(a) if user in places]
    return [in_a for in_a, _ in pairs], [in_b for _, in_b in pairs]


def _everywhere(methods: Sequence[MethodRun]) -> dict[str, Places]:
    """Where the users that all methods were asked for stand in each."""
    if all(list(one.users) == list(methods[0].users) for one in methods):
        return {one.name: slice(None) for one in methods}
    common = set.intersection(*(set(one.users) for one in methods))
    return {one.name: [place for place, user in enumerate(one.users) if user in common] for one in methods}


def _same_users(
    methods: Sequence[MethodRun], places: Mapping[str, Places], keys: Sequence[str], seed: int
) -> SameUsers | None:
    kept = {name: found for name, found in places.items() if not isinstance(found, slice)}
    if not all(kept.values()) or not kept:
        return None
    cells = [(one, key) for one in methods for key in keys]
    means = _all(shares([one.metrics[key][kept[one.name]] for one, key in cells], seed=seed))
    table: dict[str, dict[str, Estimate]] = {}
    for (one, key), mean in zip(cells, means, strict=True):
        table.setdefault(one.name, {})[key] = mean
    return SameUsers(users=len(kept[methods[0].name]), metrics=table)


def _by_history(one: MethodRun, key: str, seed: int) -> tuple[Group, ...]:
    events = one.predicted.history[: len(one.users)]
    ends = [*(edge - 1 for edge in _EDGES[1:]), None]
    inside = [
        np.flatnonzero((events >= low) & (events <= (np.inf if high is None else high)))
        for low, high in zip(_EDGES, ends, strict=True)
    ]
    means = shares([one.metrics[key][places] for places in inside], seed=seed)
    return tuple(
        Group(events=(low, high), users=len(places), estimate=mean)
        for low, high, places, mean in zip(_EDGES, ends, inside, means, strict=True)
        if mean is not None and len(places) >= _LEAST
    )


def _all(found: Sequence[Estimate | None]) -> list[Estimate]:
    return [one for one in found if one is not None]
