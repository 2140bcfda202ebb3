"""The report of a conversation benchmark: means by target, intervals and tests by dialog, the lift of each LLM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from pydantic import Field

from zsrec.core.types import Frozen
from zsrec.evaluation.conversations import NDCG_AT, Row, Turn, metrics_of
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.report_markdown import escaped, interval, percent, table
from zsrec.evaluation.statistics import Comparison, Estimate, bootstrap, clopper_pearson, holm, paired_p_values
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
    lift: tuple[
        Comparison, ...
    ]  # each LLM method against the best one without a model, in NDCG@10 and each Recall
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
    """Summarises the rows.

    Args:
        rows: The methods' places.
        turns: The turns that they were asked for.
        ks: Cut-offs of Recall.
        data: The name of the data.
        items: How many items the catalog has.
        seed: Of resamples and random signs.
        skipped: Methods that could not run, with the reason.
        notes: What was counted on the way.
    """
    names = list(dict.fromkeys(turn.dialog for turn in turns))
    dialogs = _Groups(
        np.array([names.index(turn.dialog) for turn in turns for _ in turn.targets]), len(names), seed
    )
    by_turn = _Groups(np.array([names.index(turn.dialog) for turn in turns]), len(names), seed)
    values = {row.method: metrics_of(row.places, ks) for row in rows}
    pairs = [(a.method, b.method) for a, b in combinations(rows, 2)]
    found = dialogs.compared(values, pairs, users=len(turns))
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
        comparisons=found,
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
    named = np.array([one.named for one in row.answers], dtype=np.float64)
    found = {
        "not in the catalog": by_turn.ratio(np.array([one.not_in_catalog for one in row.answers]), named),
        "repeated mentions": by_turn.ratio(np.array([one.repeated for one in row.answers]), named),
        "no answer": by_turn.ratio(np.array([one.error is not None for one in row.answers]), np.ones(len(named))),
    }
    return {name: one for name, one in found.items() if one is not None}


class _Groups:
    """Samples in groups that are resampled together."""

    def __init__(self, group: np.ndarray, count: int, seed: int) -> None:
        self._group, self._count, self._seed = group, count, seed
        self._sizes = self._sums(np.ones(len(group)))

    def _sums(self, values: Values) -> Values:
        return np.bincount(self._group, weights=values, minlength=self._count).astype(np.float64)

    def estimates(self, columns: Mapping[str, Values]) -> dict[str, Estimate]:
        """The mean of each column with its interval."""
        ones = np.ones(len(self._group))
        found = {name: self.ratio(column, ones) for name, column in columns.items()}
        return {name: one for name, one in found.items() if one is not None}

    def ratio(self, parts: Values, wholes: Values) -> Estimate | None:
        """The sum of the parts by the sum of the wholes; None where that is 0."""
        part, whole = self._sums(parts.astype(np.float64)), self._sums(wholes.astype(np.float64))
        used = whole > 0
        if not used.any():
            return None
        mean = float(part.sum() / whole.sum())
        low, high = bootstrap(part[used, None], sizes=whole[used], seed=self._seed)[:, 0].tolist()
        if mean in (0.0, 1.0):  # resampling equal values says nothing
            most = clopper_pearson(int(used.sum()))
            low, high = (0.0, most) if mean == 0.0 else (1.0 - most, 1.0)
        return Estimate(mean=mean, low=low, high=high)

    def compared(
        self, values: Mapping[str, Mapping[str, Values]], pairs: Sequence[tuple[str, str]], *, users: int
    ) -> tuple[Comparison, ...]:
        """The pairs in every metric, corrected over the pairs of one metric."""
        if not pairs:
            return ()
        found = []
        for metric in values[pairs[0][0]]:
            sums = np.stack([self._sums(values[a][metric] - values[b][metric]) for a, b in pairs], axis=1)
            ends = bootstrap(sums, sizes=self._sizes, seed=self._seed)
            p_values = paired_p_values(sums, seed=self._seed).tolist()
            for n, ((a, b), p, p_holm) in enumerate(zip(pairs, p_values, holm(p_values), strict=True)):
                difference = float(sums[:, n].sum() / len(self._group))
                low, high = ends[:, n].tolist()
                if not sums[:, n].any():  # resampling zeros says nothing
                    low, high = -clopper_pearson(self._count), clopper_pearson(self._count)
                found.append(
                    Comparison(
                        metric=metric, a=a, b=b, difference=difference, low=low, high=high, p=p, p_holm=p_holm,
                        users=users,
                    )
                )  # fmt: skip
        return tuple(found)


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
