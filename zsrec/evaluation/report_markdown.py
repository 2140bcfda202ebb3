"""A report as Markdown: every text from data is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zsrec.evaluation.beyond_accuracy import LISTS, MEASURES
from zsrec.evaluation.memorization import KINDS
from zsrec.evaluation.protocols import SAMPLED
from zsrec.evaluation.report import RATES, MethodReport, Report
from zsrec.evaluation.statistics import Estimate

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|<>~&$@]|(?<=:)//|(?<=www)\.|^[+\-]|^\d+[.)])", re.IGNORECASE)


def escaped(text: str) -> str:
    """A text that Markdown shows literally: one line, no marks, no HTML, no links."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], one_line)


def number(value: float) -> str:
    """A metric with four digits and no leading zero."""
    text = f"{value:.4f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def interval(estimate: Estimate) -> str:
    """A mean with its interval."""
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def percent(estimate: Estimate) -> str:
    """A share with its interval."""
    return f"{estimate.mean:.1%} [{estimate.low:.1%}, {estimate.high:.1%}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quality(report: Report) -> str:
    """The table of methods and metrics, with a probe's result beside the rows of an LLM."""
    keys = report.metrics
    head = ["method", "mode", "users", *keys]
    rows = [
        [escaped(one.method), one.mode, f"{one.users:,}", *(interval(one.metrics[key]) for key in keys)]
        for one in report.methods
    ]
    if any(one.llm for one in report.methods):
        head.append("recites")
        for one, row in zip(report.methods, rows, strict=True):
            row.append("" if one.llm is None else report.recites)
    return table(head, rows)


def readme_table(report: Report, config: Mapping[str, Any]) -> str:
    """A short table for a README: all methods on the same users, what went wrong, and what it means."""
    keys, same = report.metrics, report.same_users
    asked = any(one.llm is not None for one in report.methods)
    costs = ["not in the catalog", "tokens per user", "the model recites"] if asked else []
    head, rows = ["method", "mode", *keys, *costs], []
    for one in report.methods:
        metrics = one.metrics if same is None else same.metrics[one.method]
        row = [escaped(one.method), one.mode, *(interval(metrics[key]) for key in keys)]
        if one.llm is None:
            row += [""] * len(costs)
        else:
            tokens = one.llm.prompt_tokens.mean + one.llm.completion_tokens.mean
            missing = one.llm.rates.get("not in the catalog")
            row += ["" if missing is None else f"{missing.mean:.0%}", f"{tokens:,.0f}", report.recites]
        rows.append(row)
    users = report.users if same is None else same.users
    ranked = "SAMPLED candidates" if keys[0].startswith(SAMPLED) else "full catalog"
    model = "" if config["server"] is None else f", model {escaped(config['server']['model'])}"
    what = f"{escaped(config['data'])}, {users:,} users, {report.items:,} items, {ranked}, seed {report.seed}"
    return f"{what}{model}; {report.intervals}.\n\n{table(head, rows)}"


def markdown(report: Report, config: Mapping[str, Any]) -> str:
    """The whole report, with the run's configuration."""
    return "\n\n".join(_parts(report, config)) + "\n"


def _parts(report: Report, config: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Benchmark: {escaped(config['data'])}"
    yield f"{report.users:,} users, {report.items:,} items, seed {report.seed}. {escaped(report.protocol)}"
    yield f"Intervals: {report.intervals}. Tests: {report.tests}."
    yield "## Quality\n\n" + quality(report)
    if report.same_users is not None:
        keys = report.metrics
        rows = [
            [escaped(name), *(interval(metrics[key]) for key in keys)]
            for name, metrics in report.same_users.metrics.items()
        ]
        yield f"### All methods on the same {report.same_users.users:,} users\n\n" + table(["method", *keys], rows)
    yield from _lists(report)
    for one in report.methods:
        if one.llm is not None:
            yield from _llm(one)
    if report.probe is not None:
        yield from _probe(report)
    if report.verdicts:
        yield "## Who beats whom\n\n" + "\n".join(f"- {escaped(pair.verdict)}" for pair in report.verdicts)
    yield "## Shown most often\n\n" + table(
        ["method", "items, with the share of users who were shown them"],
        [[escaped(one.method), _shown(one)] for one in report.methods],
    )
    timed = [one for one in report.methods if one.seconds is not None]
    yield "## Seconds per user\n\n" + table(
        ["method", "median", "95th percentile"],
        [[escaped(o.method), f"{o.seconds.p50:.4f}", f"{o.seconds.p95:.4f}"] for o in timed if o.seconds],
    )
    yield "## Notes\n\n" + "\n".join(f"- {escaped(note)}" for note in (*report.method_notes, *report.notes))
    made = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    yield f"Made with {escaped(made)}."


def _shown(one: MethodReport) -> str:
    return ", ".join(f"{escaped(item.title or item.item)} ({item.share:.0%})" for item in one.most_shown)


def measure(name: str, estimate: Estimate) -> str:
    """A measure of lists; numbers of users and bits do not stay below 1 and have fewer digits."""
    if name.startswith(("Novelty", "Popularity")):
        return f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    return interval(estimate)


def _lists(report: Report) -> Iterator[str]:
    names = report.list_measures
    if not names:
        return
    yield f"## What the lists are like\n\n{LISTS}"
    yield table(
        ["method", "users", "empty lists", *names],
        [
            [escaped(one.method), f"{one.lists.users:,}", f"{one.lists.empty:,}"]
            + [measure(name, one.lists.measures[name]) if name in one.lists.measures else "" for name in names]
            for one in report.methods
            if one.lists is not None
        ],
    )
    yield "\n".join(f"- {name}: {MEASURES[name.partition('@')[0]]}" for name in names)


def _llm(one: MethodReport) -> Iterator[str]:
    llm = one.llm
    if llm is None:
        return
    how = "; ".join(f"{name}: {value}" for name, value in llm.how.items())
    yield f"## {escaped(one.method)}: LLM usage and errors\n\n{escaped(how)}"
    rows = [
        ["tokens in, per user", f"{llm.prompt_tokens.mean:,.0f}"],
        ["tokens out, per user", f"{llm.completion_tokens.mean:,.0f}"],
        ["requests, per user", f"{llm.requests.mean:.2f}"],
        ["cost, per user", "no price given" if llm.cost is None else f"{llm.cost.mean:.6f}"],
    ]
    rows += [[RATES[name], percent(rate)] for name, rate in llm.rates.items()]
    if llm.reachable is not None:
        rows.append(["share of users whose target is among the candidates", percent(llm.reachable)])
    yield table(["", ""], rows)
    if llm.lift:
        yield "### Lift over retrieval\n\n" + "\n".join(f"- {escaped(pair.verdict)}" for pair in llm.lift)


def _probe(report: Report) -> Iterator[str]:
    probe = report.probe
    if probe is None:
        return
    yield (
        f"## What the model can recite\n\nModel {escaped(probe.model)}. The second probe is an upper bound: a "
        "good guess counts like a memory. A model that recites a data set is judged on what it remembers."
    )
    yield table(
        ["asked for", "questions", "right"],
        [[KINDS[kind], f"{probe.questions[kind]:,}", percent(share)] for kind, share in probe.right.items()],
    )
    yield table(
        ["asked", "in the data", "the model said"],
        [[escaped(one.asked), escaped(one.expected), escaped(one.answer)] for one in probe.examples],
    )
