"""A report as Markdown: every text from data is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zsrec.evaluation.memorization import KINDS, ProbeReport
from zsrec.evaluation.protocols import SAMPLED
from zsrec.evaluation.report import MethodReport, Report
from zsrec.evaluation.report_tables import Share, Table, tables, written
from zsrec.evaluation.statistics import Estimate

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|<>~&$@]|(?<=:)//|(?<=www)\.|^[+\-]|^\d+[.)])", re.IGNORECASE)

_METRIC = re.compile(r"[A-Za-z ]+(?:@\d+)?")


def escaped(text: str) -> str:
    """A text that Markdown shows literally: one line, no marks, no HTML, no links."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], one_line)


def interval(estimate: Estimate) -> str:
    """A mean with its interval."""
    return written(estimate)


def percent(estimate: Estimate) -> str:
    """A share with its interval."""
    return written(Share(estimate))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
    for one in tables(report):
        yield from _table(one)
        if one.name == "pairs" and report.probe is not None:
            yield from _probe(report.probe)
    yield "## Shown most often\n\n" + table(
        ["method", "items, with the share of users who were shown them"],
        [[escaped(one.method), _shown(one)] for one in report.methods],
    )
    yield "## Notes\n\n" + "\n".join(f"- {escaped(note)}" for note in (*report.method_notes, *report.notes))
    made = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    yield f"Made with {escaped(made)}. {escaped(model_of(config))}"


def model_of(config: Mapping[str, Any]) -> str:
    """The model that was asked, in a sentence; empty without one."""
    server = config["server"]
    if server is None:
        return ""
    version = f", served by version {server['version']}" if server.get("version") else ""
    context = f", {server['context_length']:,} tokens of context" if server.get("context_length") else ""
    return f"Model {server['model']}{version}{context}."


def _table(one: Table) -> Iterator[str]:
    yield f"## {one.title}"
    if one.about:
        yield escaped(one.about)
    span = " [{}, {}]" if one.intervals else ""
    rows = [[escaped(c) if isinstance(c, str) else written(c, interval=span) for c in row] for row in one.rows]
    yield table([name if _METRIC.fullmatch(name) else escaped(name) for name in one.head], rows)
    if one.columns:
        yield "\n".join(f"- {escaped(name)}: {what}" for name, what in one.columns.items())


def _shown(one: MethodReport) -> str:
    return ", ".join(f"{escaped(item.title or item.item)} ({item.share:.0%})" for item in one.most_shown)


def _probe(probe: ProbeReport) -> Iterator[str]:
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
