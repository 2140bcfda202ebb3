"""Benchmark reports as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from zsrec.cli.console import plain, print_line, print_table
from zsrec.evaluation.comparison import RunComparison
from zsrec.evaluation.report import LLMReport, MethodReport, Report
from zsrec.evaluation.report_markdown import measure
from zsrec.evaluation.statistics import Estimate


def show(found: Report) -> None:
    """Show the table of metrics, what an LLM cost and got wrong, and the comparisons in NDCG."""
    keys = found.metrics
    table = result_table("method\nmode", "users", *keys, "ms p50\np95")
    for one in found.methods:
        named = Text("\n").join([plain(one.method), Text(one.mode, style="dim")])
        table.add_row(named, f"{one.users:,}", *map(interval, (one.metrics[key] for key in keys)), _times(one))
    print_table(table)
    _show_lists(found)
    for one in found.methods:
        if one.llm is not None:
            for line in (*_asked(one.llm), f"the model recites: {found.recites}"):
                print_line(f"{one.method}: {line}")
    for line in (f"{one.method}: {note}" for one in found.methods for note in one.notes):
        print_line(line, "yellow")
    for name, why in found.skipped.items():
        print_line(f"{name}: left out: {why}", "yellow")
    for pair in found.comparisons:
        if "NDCG@" in pair.metric:
            span = f"[{pair.low:+.4f}, {pair.high:+.4f}]"
            tests = f"p = {pair.p:.4f}, corrected {pair.p_holm:.4f}"
            print_line(f"{pair.metric} {pair.a} − {pair.b}: {pair.difference:+.4f} {span}, {tests}")
    for line in (f"{found.users:,} users, {found.items:,} items. {found.protocol}", *found.notes):
        print_line(line, "dim")


def show_comparison(found: RunComparison) -> None:
    """Show the means of several runs, and a verdict for every pair and metric."""
    table = result_table("method", "users", *next(iter(found.methods.values())))
    for name, metrics in found.methods.items():
        table.add_row(plain(name), f"{found.users[name]:,}", *map(interval, metrics.values()))
    print_table(table)
    for pair in found.comparisons:
        print_line(pair.verdict)
    for line in (*found.same, found.tests):
        print_line(line, "dim")


def result_table(first: str, *others: str | Text) -> Table:
    """An empty table whose columns but the first are numbers."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def interval(found: Estimate) -> str:
    """A mean above its interval."""
    return f"{found.mean:.4f}\n{found.low:.3f}–{found.high:.3f}"


def _show_lists(found: Report) -> None:
    names = found.list_measures
    if not names:
        return
    table = result_table("lists", *names)
    for one in found.methods:
        if one.lists is not None:
            values = one.lists.measures
            cells = [measure(name, values[name]) if name in values else "" for name in names]
            table.add_row(plain(one.method), *(cell.replace(" [", "\n[") for cell in cells))
    print_table(table)


def _times(one: MethodReport) -> str:
    return "" if one.seconds is None else f"{one.seconds.p50 * 1e3:.2f}\n{one.seconds.p95 * 1e3:.2f}"


def _asked(llm: LLMReport) -> Iterator[str]:
    cost = "" if llm.cost is None else f", cost {llm.cost.mean:.6f}"
    yield f"{llm.prompt_tokens.mean:,.0f} + {llm.completion_tokens.mean:,.0f} tokens per user{cost}"
    yield ", ".join(f"{name} {rate.mean:.1%}" for name, rate in llm.rates.items())
    for pair in llm.lift:
        if pair.metric.startswith("NDCG"):
            yield pair.verdict
