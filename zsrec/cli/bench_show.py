"""A benchmark's report on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from zsrec.cli.console import out, plain
from zsrec.evals.compare import RunComparison
from zsrec.evals.llm_report import LLMReport
from zsrec.evals.markdown import measure, measured, recites
from zsrec.evals.report import MethodReport, Report


def show(found: Report) -> None:
    """Shows the table of metrics, what an LLM cost and did wrong, and the comparisons in NDCG."""
    keys = list(found.methods[0].metrics)
    table = Table(box=None, pad_edge=False)
    for name in ("method\nmode", "users", *keys, "ms p50\np95"):
        table.add_column(name, justify="left" if name.startswith("method") else "right", no_wrap=True)
    for one in found.methods:
        cells = [f"{e.mean:.4f}\n{e.low:.3f}–{e.high:.3f}" for e in (one.metrics[key] for key in keys)]
        named = Text("\n").join([plain(one.method), Text(one.mode, style="dim")])
        table.add_row(named, f"{one.users:,}", *cells, _times(one))
    out.print(table)
    _show_lists(found)
    for one in found.methods:
        if one.llm is not None:
            for line in (*_asked(one.llm), f"the model recites: {recites(found)}"):
                out.print(plain(f"{one.method}: {line}"), soft_wrap=True)
    lines = [f"{one.method}: {note}" for one in found.methods for note in one.notes]
    lines += [f"{name}: left out: {why}" for name, why in found.skipped.items()]
    for line in lines:
        out.print(plain(line), style="yellow", soft_wrap=True)
    for pair in found.comparisons:
        if "NDCG@" in pair.metric:
            interval = f"[{pair.low:+.4f}, {pair.high:+.4f}]"
            tests = f"p = {pair.p:.4f}, corrected {pair.p_holm:.4f}"
            text = f"{pair.metric} {pair.a} − {pair.b}: {pair.difference:+.4f} {interval}, {tests}"
            out.print(Text(text), soft_wrap=True)
    for line in (f"{found.users:,} users, {found.items:,} items. {found.protocol}", *found.notes):
        out.print(plain(line), style="dim", soft_wrap=True)


def _show_lists(found: Report) -> None:
    names = measured(found)
    if not names:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("lists", *names):
        table.add_column(name, justify="left" if name == "lists" else "right", no_wrap=True)
    for one in found.methods:
        if one.lists is not None:
            found_here = one.lists.measures
            cells = [measure(name, found_here[name]) if name in found_here else "" for name in names]
            table.add_row(plain(one.method), *(cell.replace(" [", "\n[") for cell in cells))
    out.print(table)


def show_comparison(found: RunComparison) -> None:
    """Shows what several runs say against each other: means, and a verdict for every pair and metric."""
    keys = list(next(iter(found.methods.values())))
    table = Table(box=None, pad_edge=False)
    for name in ("method", "users", *keys):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=name != "method")
    for name, metrics in found.methods.items():
        cells = [f"{e.mean:.4f}\n{e.low:.3f}–{e.high:.3f}" for e in metrics.values()]
        table.add_row(plain(name), f"{found.users[name]:,}", *cells)
    out.print(table)
    for pair in found.comparisons:
        out.print(plain(pair.verdict), soft_wrap=True)
    for line in (*found.same, found.tests):
        out.print(plain(line), style="dim", soft_wrap=True)


def _times(one: MethodReport) -> str:
    return "" if one.seconds is None else f"{one.seconds.p50 * 1e3:.2f}\n{one.seconds.p95 * 1e3:.2f}"


def _asked(llm: LLMReport) -> Iterator[str]:
    cost = "" if llm.cost is None else f", cost {llm.cost.mean:.6f}"
    yield f"{llm.prompt_tokens.mean:,.0f} + {llm.completion_tokens.mean:,.0f} tokens a user{cost}"
    yield ", ".join(f"{name} {rate.mean:.1%}" for name, rate in llm.rates.items())
    for pair in llm.lift:
        if pair.metric.startswith("NDCG"):
            yield pair.verdict
