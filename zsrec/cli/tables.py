"""Benchmark reports as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from zsrec.cli.console import plain, print_line, print_table
from zsrec.evaluation import report_tables
from zsrec.evaluation.comparison import RunComparison
from zsrec.evaluation.report import INTERVALS, LLMReport, MethodReport, Report
from zsrec.evaluation.statistics import Estimate


def show(found: Report) -> None:
    """Show what the LLM adds, the metrics, how each method does against each other, and what an LLM got wrong."""
    keys = found.metrics
    if (added := report_tables.lift(found)) is not None:
        print_cells(added, report_tables.LIFT)
    table = result_table("method\nmode", "users", *keys, "ms p50\np95")
    for one in found.methods:
        named = Text("\n").join([plain(one.method), Text(one.mode, style="dim")])
        table.add_row(named, f"{one.users:,}", *map(interval, (one.metrics[key] for key in keys)), _times(one))
    print_table(table)
    if (same := report_tables.same_users(found)) is not None:
        print_line(f"{same.title}: only these rows may be compared.", "bold")
        print_cells(same)
    if (pairs := report_tables.matrix(found)) is not None:
        print_line(f"{pairs.title}: {pairs.about}", "bold")
        print_cells(pairs)
    if (measures := report_tables.lists(found)) is not None:
        print_cells(measures)
    for one in found.methods:
        if one.llm is not None:
            for line in (*_asked(one.llm), f"the model recites: {found.recites}"):
                print_line(f"{one.method}: {line}")
    for line in (f"{one.method}: {note}" for one in found.methods for note in one.notes):
        print_line(line, "yellow")
    for name, why in found.skipped.items():
        print_line(f"{name}: left out: {why}", "yellow")
    if any(one.llm and one.seconds for one in found.methods):
        print_line(report_tables.QUEUEING, "dim")
    measured = f"{found.users:,} users, {found.items:,} items. {found.protocol}"
    for line in (f"Intervals: {found.intervals}.", measured, *found.notes):
        print_line(line, "dim")


def print_cells(table: report_tables.Table, about: str = "") -> None:
    """Print a report's table; what is shown to differ is green or red."""
    shown = result_table(*table.head)
    for row in table.rows:
        cells = []
        for cell in row:
            text = report_tables.written(cell, interval="\n{}–{}" if table.intervals else "")
            style = ""
            if isinstance(cell, report_tables.Difference) and cell.is_shown:
                style = "green" if cell.value > 0 else "red"
            cells.append(Text("\n").join(Text(plain(line).plain, style=style) for line in text.split("\n")))
        shown.add_row(*cells)
    print_table(shown)
    if about:
        print_line(about, "dim")


def show_comparison(found: RunComparison) -> None:
    """Show the means of several runs, and a verdict for every pair and metric."""
    table = result_table("method", "users", *next(iter(found.methods.values())))
    for name, metrics in found.methods.items():
        table.add_row(plain(name), f"{found.users[name]:,}", *map(interval, metrics.values()))
    print_table(table)
    for pair in found.comparisons:
        print_line(pair.verdict)
    for line in (f"Intervals: {INTERVALS}.", *found.same, found.tests):
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


def _times(one: MethodReport) -> str:
    return "" if one.seconds is None else f"{one.seconds.p50 * 1e3:.2f}\n{one.seconds.p95 * 1e3:.2f}"


def _asked(llm: LLMReport) -> Iterator[str]:
    cost = "" if llm.cost is None else f", cost {llm.cost.mean:.6f}"
    yield f"{llm.prompt_tokens.mean:,.0f} + {llm.completion_tokens.mean:,.0f} tokens per user{cost}"
    yield ", ".join(f"{name} {rate.mean:.1%}" for name, rate in llm.rates.items())
