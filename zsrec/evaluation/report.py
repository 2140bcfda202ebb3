"""The report of a run: means with intervals, paired comparisons, LLM usage. Renderers only format it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from zsrec.core.types import Frozen
from zsrec.evaluation.beyond_accuracy import MEASURES, SHARES, ListReport, Statistics, measure
from zsrec.evaluation.comparison import TESTS, Places, common_places, compared, lifts
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
# the fields of `Use` that are counted in named items, and in answers
_OF_NAMED = {
    "not in the catalog": "not_in_catalog", "unmatched": "unmatched", "known to the user": "seen",
    "named twice": "repeated", "no candidate": "foreign",
}  # fmt: skip
_OF_ANSWERS = {"wrong format": "wrong_format", "cut off": "cut"}
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


NO_PRICES = Prices()


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
    prices: Prices = NO_PRICES,
    probe: ProbeReport | None = None,
    times: Mapping[str, Seconds] | None = None,
    titles: Mapping[str, str] | None = None,
    statistics: Statistics | None = None,
) -> Report:
    """Summarises a run; `times` are seconds by method where the run's own are gone, `titles` those of items."""
    keys = list(run.methods[0].metrics)
    ks = [int(key.removeprefix("HR@")) for key in keys if key.startswith("HR@")]
    main = main_metric(keys)
    k = int(main.rpartition("@")[2])
    names = [one.name for one in run.methods]
    places = dict(zip(names, common_places([one.users for one in run.methods]), strict=True))
    lists = {
        one.name: measure(one, places[one.name], k, statistics, seed=seed) for one in run.methods if statistics
    }
    columns = {(name, of): column for name, one in lists.items() for of, column in one.columns.items()}
    cells = {(one.name, key): one.metrics[key] for one in run.methods for key in keys}
    free = {at for at in columns if at[1] not in SHARES}
    found = shares(cells | columns, seed=seed, free=free)
    listed = {
        name: one.report(k, {of: found.get((name, of)) for of in one.columns}) for name, one in lists.items()
    }
    added = lifts(run.methods, ks, seed=seed)
    methods = tuple(
        MethodReport(
            method=one.name,
            mode=one.mode,
            users=len(one.users),
            metrics={key: found[one.name, key] for key in keys},
            seconds=(times or {}).get(one.name) or quantiles(one.seconds),
            notes=one.notes,
            llm=_llm_report(one, added.get(one.name, ()), seed, prices) if one.predicted.uses else None,
            by_history=_by_history(one, main, seed),
            most_shown=tuple(
                Shown(item=item, share=n / len(one.predicted.users), title=(titles or {}).get(item))
                for item, n in one.predicted.most_shown()
            ),
            lists=listed.get(one.name),
        )
        for one in run.methods
    )
    short = (SHORT_LISTS,) if any(one.llm for one in methods) else ()
    return Report(
        protocol=" ".join((run.protocol, *short)),
        users=run.users,
        items=run.items,
        seed=seed,
        methods=methods,
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
    cells = {(one.name, key): one.metrics[key][kept[one.name]] for one in methods for key in keys}
    found = shares(cells, seed=seed)
    table = {one.name: {key: found[one.name, key] for key in keys} for one in methods}
    return SameUsers(users=len(kept[methods[0].name]), metrics=table)


def _by_history(one: MethodRun, key: str, seed: int) -> tuple[Group, ...]:
    edge = np.searchsorted(_EDGES, one.predicted.history[: len(one.users)], side="right") - 1
    groups = {n: one.metrics[key][edge == n] for n in range(len(_EDGES))}
    ends = [*(edge - 1 for edge in _EDGES[1:]), None]
    return tuple(
        Group(events=(_EDGES[n], ends[n]), users=len(groups[n]), estimate=mean)
        for n, mean in shares(groups, seed=seed).items()
        if len(groups[n]) >= _LEAST
    )


def _llm_report(one: MethodRun, added: tuple[Comparison, ...], seed: int, prices: Prices) -> LLMReport:
    uses = one.predicted.uses
    places = one.predicted.candidate_places
    columns = {name: column[~np.isnan(column)] for name, column in rates_of(uses).items()}
    if places is None:
        del columns["no candidate"]
    columns["reachable"] = np.zeros(0) if places is None else (places >= 0).astype(np.float64)
    rates = shares(columns, seed=seed)
    reachable = rates.pop("reachable", None)
    spent = [used(uses, name) for name in ("requests", "prompt_tokens", "completion_tokens")]
    costs = [prices.cost(use.prompt_tokens, use.completion_tokens) for use in uses]
    money = np.array([cost for cost in costs if cost is not None])
    requests, prompt, completion, cost = estimates([*spent, money], seed=seed)
    assert requests is not None and prompt is not None and completion is not None  # noqa: S101, PT018  (there are users)
    return LLMReport(
        how=one.predicted.header.llm,
        rates=rates,
        requests=requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=cost,
        total_tokens=(int(spent[1].sum()), int(spent[2].sum())),
        lift=added,
        reachable=reachable,
        first_places=() if places is None else _first_places(one.predicted),
        calibration=() if places is None else _calibration(one.predicted),
    )


def rates_of(uses: Sequence[Use]) -> dict[str, Values]:
    """Each user's rates by name (`RATES`); NaN where nothing was named, or there is no answer."""
    named, failed = used(uses, "named"), np.array([use.error is not None for use in uses])
    named[named == 0] = np.nan
    rates = {name: used(uses, count) / named for name, count in _OF_NAMED.items()}
    rates |= {name: np.where(failed, np.nan, used(uses, flag)) for name, flag in _OF_ANSWERS.items()}
    return rates | {"no answer": failed.astype(np.float64)}


def used(uses: Sequence[Use], name: str) -> Values:
    """A field of each user's `Use`; shape (n,)."""
    return np.array([getattr(use, name) for use in uses], dtype=np.float64)


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
    scores, lists = predicted.scores, predicted.lists
    if FUSED_WITH in predicted.header.llm or not scores.size:
        return ()
    stated = scores[lists >= 0]
    if scores.min() < 0 or scores.sum(axis=1).max() > 1 + 1e-6 or not stated.all():
        return ()
    if np.allclose(1 / stated, np.round(1 / stated), rtol=0, atol=1e-9):
        return ()
    code = {name: place for place, name in enumerate(predicted.names)}
    targets = np.array([code.get(target, -2) for target in predicted.targets])  # -1 is the end of a list
    right = (lists == targets[:, None])[lists >= 0].astype(np.float64)
    tenths = np.minimum((stated * _BINS).astype(int), _BINS - 1)
    return tuple(
        Bin(stated=float(stated[inside].mean()), true=float(right[inside].mean()), number=int(inside.sum()))
        for tenth in range(_BINS)
        if (inside := tenths == tenth).any()
    )
