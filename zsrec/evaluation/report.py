"""The report of a run: means with intervals, paired comparisons, LLM usage. Renderers only format it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from zsrec.core.types import Frozen
from zsrec.evaluation.beyond_accuracy import MEASURES, SHARES, ListReport, Statistics, measure
from zsrec.evaluation.comparison import TESTS, Places, compared, everywhere, lifts
from zsrec.evaluation.llm_methods import SHORT_LISTS
from zsrec.evaluation.memorization import KINDS, ProbeReport
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.predictions import FUSED_WITH, Predicted, Use
from zsrec.evaluation.protocols import main_metric
from zsrec.evaluation.runner import MethodRun, Run
from zsrec.evaluation.statistics import Comparison, Estimate, estimates, shares
from zsrec.retrieval.base import Mode

INTERVALS = (
    "95% percentile bootstrap over users, 2,000 resamples; "
    "Clopper and Pearson's limits where all users have 0 or all have 1"
)
RATES = {
    "not in the catalog": "share of named items that the catalog does not have",
    "unmatched": "share of named items without a catalog item, for whatever reason",
    "known to the user": "share of named items that are in the user's history",
    "named twice": "share of named items that were named before",
    "no candidate": "share of named items outside the candidates",
    "wrong format": "share of answers in which nothing could be read as an item",
    "cut off": "share of answers that were cut at max_tokens",
    "no answer": "share of users without an answer",
}
_OF_NAMED: dict[str, Callable[[Use], int]] = {
    "not in the catalog": lambda use: use.not_in_catalog,
    "unmatched": lambda use: use.unmatched,
    "known to the user": lambda use: use.seen,
    "named twice": lambda use: use.repeated,
    "no candidate": lambda use: use.foreign,
}
_OF_USERS: dict[str, Callable[[Use], bool]] = {
    "wrong format": lambda use: use.wrong_format,
    "cut off": lambda use: use.cut,
    "no answer": lambda use: use.error is not None,
}
_EDGES = (0, 1, 5, 10, 20, 50, 100, 200, 500)  # events in a history
_LEAST = 20  # users in a group that is shown
_BINS = 10


class Prices(NamedTuple):
    """Money for a million tokens, in whatever currency; None where there is no price."""

    tokens_in: float | None = None
    tokens_out: float | None = None

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """What tokens cost; None where there is no price."""
        if self.tokens_in is None and self.tokens_out is None:
            return None
        return (tokens_in * (self.tokens_in or 0.0) + tokens_out * (self.tokens_out or 0.0)) / 1e6


class Bin(Frozen):
    """Predictions whose stated probability lies in one tenth of [0, 1]."""

    stated: float
    true: float
    number: int


class LLMReport(Frozen):
    """LLM usage, errors and lift of one method."""

    how: dict[str, str | int | None]  # template, its hash, model, candidates
    rates: dict[str, Estimate]
    requests: Estimate  # per user
    prompt_tokens: Estimate  # tokens in, per user
    completion_tokens: Estimate  # tokens out, per user
    cost: Estimate | None = None  # money per user; None where no price was given
    total_tokens: tuple[int, int]  # tokens in and out of all users. A reply shared by two users counts twice
    # the method against its candidates in the order of retrieval, by metric; empty without candidates
    lift: tuple[Comparison, ...] = ()
    # the share of users whose target is among the candidates: no order of them can find more
    reachable: Estimate | None = None
    first_places: tuple[float, ...] = ()
    # where scores are probabilities over the candidates, whether they are true; otherwise empty
    calibration: tuple[Bin, ...] = ()


class Seconds(Frozen):
    """Wall-clock seconds per user: median and 95th percentile.

    With an LLM these are a user's requests one after the other, each with its wait for the others in flight.
    """

    p50: float
    p95: float
    # the processor, the Python version; with an LLM the requests at once, and what is known of its server
    measured: dict[str, str | int] = Field(default_factory=dict)


class Group(Frozen):
    """Users with about as many events, and the main metric for them."""

    events: tuple[int, int | None]
    users: int
    estimate: Estimate


class Shown(Frozen):
    """An item and the share of users whose list holds it; its title where that is known."""

    item: str
    share: float
    title: str | None = None


class MethodReport(Frozen):
    """One method's row."""

    method: str  # its name
    mode: Mode  # "zero-shot", "training-free" or "trained"
    users: int  # how many users it was asked for
    # by name: "HR@10", "NDCG@10", "MRR"; see `zsrec.evaluation.runner.MethodRun` for other protocols
    metrics: dict[str, Estimate]
    seconds: Seconds | None  # the time of scoring the whole catalog for a user, or of a user's requests to the LLM
    notes: tuple[str, ...] = ()  # what the method says of itself
    llm: LLMReport | None = None  # for a method that asks an LLM
    # the main metric by the length of the history, for groups of at least 20 users
    by_history: tuple[Group, ...] = ()
    most_shown: tuple[Shown, ...] = ()  # the items that are in the most lists
    # what the lists are like beyond hits; None for sampled candidates, and where a folder has no counts
    lists: ListReport | None = None


class SameUsers(Frozen):
    """All methods on the users that all of them were asked for."""

    users: int  # how many
    metrics: dict[str, dict[str, Estimate]]  # by method and metric


class Report(Frozen):
    """A whole run. Two runs with one seed differ in `seconds` only."""

    protocol: str  # what was done, in whole sentences
    users: int  # how many users were asked for
    items: int  # how many items were ranked, before the history is left out
    seed: int  # of tie orders, resamples and tests
    methods: tuple[MethodReport, ...]  # one row per method
    # where methods were asked for different users, all of them on their common ones
    same_users: SameUsers | None = None
    comparisons: tuple[Comparison, ...] = ()  # all pairs, for every metric, each on the pair's common users
    probe: ProbeReport | None = None  # what the model could recite of the data set, where that was asked
    intervals: str = INTERVALS  # how the intervals were made
    tests: str = TESTS  # how the p-values were made
    # methods that were asked for and could not run, with the reason
    skipped: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was counted on the way

    def timeless(self) -> dict[str, Any]:
        """The report as JSON without its seconds: the same for every run with one seed."""
        return self.model_dump(mode="json", exclude={"methods": {"__all__": {"seconds"}}})

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics, in the order of a table."""
        return list(self.methods[0].metrics)

    @property
    def main_metric(self) -> str:
        """The metric that plots and verdicts are about."""
        return main_metric(self.metrics)

    @property
    def verdicts(self) -> list[Comparison]:
        """The comparisons in the main metric."""
        return [pair for pair in self.comparisons if pair.metric == self.main_metric]

    @property
    def list_measures(self) -> list[str]:
        """The names of the measures of lists, in the order of a table; empty where there are none."""
        found = {name for one in self.methods if one.lists for name in one.lists.measures}
        return sorted(found, key=lambda name: list(MEASURES).index(name.partition("@")[0]))

    @property
    def recites(self) -> str:
        """What the model could recite, in a few words."""
        if self.probe is None:
            return "not probed"
        return ", ".join(f"{share.mean:.0%} of {KINDS[kind]}" for kind, share in self.probe.right.items())

    @property
    def method_notes(self) -> list[str]:
        """What methods say of themselves, and why some were left out."""
        notes = [f"{one.method}: {note}" for one in self.methods for note in one.notes]
        return notes + [f"{name} was left out: {why}" for name, why in self.skipped.items()]


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
    places = everywhere(run.methods)
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
    methods, added = [], lifts(run.methods, ks, seed=seed)
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
                llm=_llm_report(one, added.get(one.name, ()), seed, prices or Prices()) if asked else None,
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


def _llm_report(one: MethodRun, added: tuple[Comparison, ...], seed: int, prices: Prices) -> LLMReport:
    uses = one.predicted.uses
    with_candidates = any(use.candidates for use in uses)
    naming = [use for use in uses if use.named]
    answered = [use for use in uses if use.error is None]
    columns = {
        name: _column([of(use) / use.named for use in naming])
        for name, of in _OF_NAMED.items()
        if with_candidates or name != "no candidate"
    }
    columns |= {name: _column([of(use) for use in answered]) for name, of in _OF_USERS.items()}
    columns["no answer"] = _column([use.error is not None for use in uses])
    columns["reachable"] = _column(_reachable(one.predicted) if with_candidates else [])
    rates = dict(zip(columns, shares(list(columns.values()), seed=seed), strict=True))
    reachable = rates.pop("reachable")
    tokens_in, tokens_out = [use.prompt_tokens for use in uses], [use.completion_tokens for use in uses]
    money = [prices.cost(*pair) for pair in zip(tokens_in, tokens_out, strict=True)]
    priced = _column([cost for cost in money if cost is not None])
    requests, prompt, completion, cost = estimates(
        [_column([use.requests for use in uses]), _column(tokens_in), _column(tokens_out), priced], seed=seed
    )
    assert requests is not None and prompt is not None and completion is not None  # noqa: S101, PT018  (there are users)
    return LLMReport(
        how=one.predicted.header.llm,
        rates={name: rate for name, rate in rates.items() if rate is not None},
        requests=requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=cost,
        total_tokens=(sum(tokens_in), sum(tokens_out)),
        lift=added,
        reachable=reachable,
        first_places=_first_places(one.predicted) if with_candidates else (),
        calibration=_calibration(one.predicted) if with_candidates else (),
    )


def _column(values: Sequence[float]) -> Values:
    return np.array(values, dtype=np.float64)


def _reachable(predicted: Predicted) -> list[bool]:
    return [target in use.candidates for target, use in zip(predicted.targets, predicted.uses, strict=True)]


def _first_places(predicted: Predicted) -> tuple[float, ...]:
    longest = max(len(use.candidates) for use in predicted.uses)
    counts = np.zeros(longest)
    for row, use in zip(predicted.lists, predicted.uses, strict=True):
        if len(row) and row[0] >= 0:
            place = use.candidates.index(predicted.names[row[0]])
            counts[use.shown.index(place) if use.shown else place] += 1
    total = counts.sum()
    return tuple((counts / total).tolist()) if total else ()


def _calibration(predicted: Predicted) -> tuple[Bin, ...]:
    """Probabilities against outcomes; only where scores are probabilities, neither 1/place nor fused places."""
    scores = predicted.scores
    if (
        FUSED_WITH in predicted.header.llm
        or not scores.size
        or scores.min() < 0
        or scores.sum(axis=1).max() > 1 + 1e-6
    ):
        return ()
    given = scores[predicted.lists >= 0]
    if not given.all() or np.allclose(1 / given, np.round(1 / given), rtol=0, atol=1e-9):
        return ()
    stated, true = [], []
    for row, list_, target in zip(scores, predicted.lists, predicted.targets, strict=True):
        for code, score in zip(list_.tolist(), row.tolist(), strict=True):
            if code >= 0:
                stated.append(score)
                true.append(predicted.names[code] == target)
    tenths = np.minimum((np.array(stated) * _BINS).astype(int), _BINS - 1)
    of, right = np.array(stated), np.array(true, dtype=np.float64)
    return tuple(
        Bin(stated=float(of[inside].mean()), true=float(right[inside].mean()), number=int(inside.sum()))
        for tenth in range(_BINS)
        if (inside := tenths == tenth).any()
    )
