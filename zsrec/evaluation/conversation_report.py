"""The report of a conversation benchmark: means by target, intervals and tests by dialog, the lift of each LLM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from zsrec.core.types import Frozen
from zsrec.evaluation.conversations import NDCG_AT, Row, Turn, metrics_of
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.report_markdown import escaped, interval, percent, table
from zsrec.evaluation.statistics import Comparison, Estimate, Pair, bootstrap, comparisons, never_certain
from zsrec.llm.offline import ReplyCounts
from zsrec.retrieval.base import Mode

MAIN = f"NDCG@{NDCG_AT}"
PROTOCOL = (
    "Each turn that recommends is asked with the texts before it and the items that they mention. Means are over "
    'targets; mentioned items are taken out of every list (He et al. 2023), and "with mentioned" leaves them in.'
)
INTERVALS = (
    "95% percentile bootstrap over dialogs, 2,000 resamples; "
    "Clopper and Pearson's limits where all dialogs have 0 or all have 1"
)
TESTS = (
    "two-sided paired randomisation test, one sign per dialog, 10,000 draws; Holm's correction over the pairs "
    "of one metric"
)
RATES = {
    "not in the catalog": "share of named items that the catalog does not have",
    "repeated mentions": "share of named items that the conversation mentions",
    "no answer": "share of turns without an answer",
}


class ConversationMethod(Frozen):
    """One method's row."""

    method: str
    mode: Mode
    users: int  # turns
    metrics: dict[str, Estimate]  # by name: "Recall@10", "NDCG@10"
    with_mentioned: dict[str, Estimate]  # the same where mentioned items stay in the lists
    rates: dict[str, Estimate] = Field(default_factory=dict)  # of a method that asks an LLM, by name (`RATES`)
    replies: ReplyCounts | None = None  # of recorded replies
    notes: tuple[str, ...] = ()


class ConversationReport(Frozen):
    """A whole benchmark of conversations."""

    data: str
    users: int  # turns
    dialogs: int
    targets: int
    items: int
    empty: int  # turns without any text before them
    unmentioned: int  # turns before which no item is mentioned
    seed: int
    # each LLM method against the best one without a model, in NDCG@10 and each Recall
    lift: tuple[Comparison, ...]
    methods: tuple[ConversationMethod, ...]
    comparisons: tuple[Comparison, ...]
    skipped: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    protocol: str = PROTOCOL
    intervals: str = INTERVALS
    tests: str = TESTS


def conversation_report(
    rows: Sequence[Row],
    turns: Sequence[Turn],
    ks: Sequence[int],
    *,
    data: str,
    items: int,
    seed: int = 0,
    skipped: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> ConversationReport:
    """Summarises the rows of methods that were asked for these turns, with Recall at each of `ks`."""
    names = list(dict.fromkeys(turn.dialog for turn in turns))
    dialogs = _Groups([names.index(turn.dialog) for turn in turns for _ in turn.targets], len(names), seed)
    by_turn = _Groups([names.index(turn.dialog) for turn in turns], len(names), seed)
    values = {row.method: metrics_of(row.places, ks) for row in rows}
    pairs = [(a.method, b.method) for a, b in combinations(rows, 2)]
    return ConversationReport(
        data=data,
        users=len(turns),
        dialogs=len(names),
        targets=sum(len(turn.targets) for turn in turns),
        items=items,
        empty=sum(not turn.conversation for turn in turns),
        unmentioned=sum(not turn.mentioned for turn in turns),
        seed=seed,
        lift=_lift(rows, values, dialogs, len(turns)),
        methods=tuple(
            ConversationMethod(
                method=row.method,
                mode=row.mode,
                users=len(turns),
                metrics=dialogs.estimates(values[row.method]),
                with_mentioned=dialogs.estimates(metrics_of(row.shortcut, ks)),
                rates=_rates(row, by_turn),
                replies=row.replies,
                notes=row.notes,
            )
            for row in rows
        ),
        comparisons=dialogs.compared(values, pairs, users=len(turns)),
        skipped=dict(skipped or {}),
        notes=notes,
    )


def _lift(
    rows: Sequence[Row], values: Mapping[str, Mapping[str, Values]], dialogs: _Groups, users: int
) -> tuple[Comparison, ...]:
    """Each LLM method against the method without a model that has the highest NDCG@10."""
    without = [row.method for row in rows if row.answers is None]
    if not without:
        return ()
    best = max(without, key=lambda name: float(values[name][MAIN].mean()))
    pairs = [(row.method, best) for row in rows if row.answers is not None]
    found = dialogs.compared(values, pairs, users=users)
    return tuple(sorted(found, key=lambda one: one.metric != MAIN))


def _rates(row: Row, by_turn: _Groups) -> dict[str, Estimate]:
    if row.answers is None:
        return {}
    named = [one.named for one in row.answers]
    found = {
        "not in the catalog": by_turn.ratio([one.not_in_catalog for one in row.answers], named),
        "repeated mentions": by_turn.ratio([one.repeated for one in row.answers], named),
        "no answer": by_turn.ratio([one.error is not None for one in row.answers], np.ones(len(named))),
    }
    return {name: one for name, one in found.items() if one is not None}


class _Groups:
    """Samples in groups that are resampled together."""

    def __init__(self, group: Sequence[int], count: int, seed: int) -> None:
        self._group, self._count, self._seed = np.array(group), count, seed
        self._sizes = self._sums(np.ones(len(group)))

    def _sums(self, values: ArrayLike) -> Values:
        return np.bincount(self._group, weights=values, minlength=self._count).astype(np.float64)

    def estimates(self, columns: Mapping[str, Values]) -> dict[str, Estimate]:
        """The mean of each column with its interval."""
        ones = np.ones(len(self._group))
        found = {name: self.ratio(column, ones) for name, column in columns.items()}
        return {name: one for name, one in found.items() if one is not None}

    def ratio(self, parts: ArrayLike, wholes: ArrayLike) -> Estimate | None:
        """The sum of the parts by the sum of the wholes; None where that is 0."""
        part, whole = self._sums(parts), self._sums(wholes)
        used = whole > 0
        if not used.any():
            return None
        low, high = bootstrap(part[used, None], sizes=whole[used], seed=self._seed)[:, 0].tolist()
        found = Estimate(mean=float(part.sum() / whole.sum()), low=low, high=high)
        return never_certain(found, int(used.sum()))

    def compared(
        self, values: Mapping[str, Mapping[str, Values]], pairs: Sequence[tuple[str, str]], *, users: int
    ) -> tuple[Comparison, ...]:
        """The pairs in every metric, corrected over the pairs of one metric."""
        found: list[Comparison] = []
        for metric in values[pairs[0][0]] if pairs else ():
            sums = [Pair(metric, a, b, self._sums(values[a][metric] - values[b][metric])) for a, b in pairs]
            found += comparisons(sums, seed=self._seed, sizes=self._sizes)
        return tuple(one.model_copy(update={"users": users, "differing": None}) for one in found)


def conversation_markdown(report: ConversationReport) -> str:
    """The report as Markdown; every text from data is escaped."""
    return "\n\n".join(_parts(report)) + "\n"


def _parts(report: ConversationReport) -> Iterator[str]:
    yield f"# Conversations: {escaped(report.data)}"
    yield (
        f"{report.users:,} turns of {report.dialogs:,} dialogs, {report.targets:,} targets, {report.items:,} "
        f"items. {report.empty:,} turns have no text before them, {report.unmentioned:,} no mention. "
        f"{report.protocol}"
    )
    if report.lift:
        yield "## Lift over the best method without a model\n\n" + table(
            ["method", "against", "metric", "lift", "p", "corrected"],
            [
                [escaped(one.a), escaped(one.b), one.metric, signed(one), f"{one.p:.4f}", f"{one.p_holm:.4f}"]
                for one in report.lift
            ],
        )
    keys = list(report.methods[0].metrics)
    yield "## Methods\n\n" + table(
        ["method", "mode", *keys, f"{MAIN}, with mentioned"],
        [
            [
                escaped(one.method),
                one.mode,
                *(interval(one.metrics[key]) for key in keys),
                interval(one.with_mentioned[MAIN]),
            ]
            for one in report.methods
        ],
    )
    yield f"Intervals: {report.intervals}. Tests: {report.tests}."
    asked = [one for one in report.methods if one.rates]
    if asked:
        yield "## What the answers name\n\n" + table(
            ["method", *RATES],
            [[escaped(one.method), *(percent(one.rates[name]) if name in one.rates else "" for name in RATES)]
             for one in asked],
        )  # fmt: skip
    notes = [f"{one.method}: {note}" for one in report.methods for note in (*one.notes, *reply_notes(one.replies))]
    notes += [f"{name} was left out: {why}" for name, why in report.skipped.items()]
    yield "## Notes\n\n" + "\n".join(f"- {escaped(note)}" for note in (*notes, *report.notes))


def reply_notes(replies: ReplyCounts | None) -> tuple[str, ...]:
    """What became of recorded replies, in words."""
    return () if replies is None else (f"{replies.answered:,} turns have recorded replies", *replies.notes)


def signed(one: Comparison) -> str:
    """A difference with its interval."""
    return f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
