"""The terminal: messages, recommendations and progress.

Everything that a command prints goes through `out` or `err`, which let no control, bidirectional or invisible
character of any text through; `tests/contract/test_printing.py` holds every module of this package to it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import BinaryIO, Self, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from zsrec.core.errors import MissingColumnError, ZsrecError
from zsrec.core.types import Exchange, Recommendation, Recommendations, Trace
from zsrec.core.untrusted_text import printable
from zsrec.data.titles import display_title
from zsrec.evaluation.report import Prices


class SafeConsole(Console):
    """A console that prints no control, bidirectional or invisible character of a text, whoever made it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does; only what rich itself adds for the terminal keeps its codes."""
        for one in super().render(renderable, options):
            yield one if one.control or one.text == "\n" else Segment(_printable_lines(one.text), one.style)


out = SafeConsole(highlight=False)
err = SafeConsole(stderr=True, highlight=False)
_WIDEST = 1_000  # columns of a table in a file or a pipe


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n"))) if "\n" in text else printable(text)


def echo(text: str = "", *, end: str = "\n") -> None:
    """Print a text as it is, tabs included, for a terminal or a program that reads it."""
    parts = ("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
    out.file.write("\n".join(parts) + end)
    out.file.flush()


def json_text(value: object, indent: int | None = None) -> str:
    """JSON in which every character that may not be printed is escaped; it reads back as the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    lines = ((line, printable(line)) for line in text.split("\n"))
    return "\n".join(line if line == safe else "".join(map(_escaped, line, safe)) for line, safe in lines)


def _escaped(char: str, safe: str) -> str:
    if char == safe:
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]


def print_json(value: object, indent: int = 2) -> None:
    """Print a JSON document."""
    echo(json_text(value, indent))


def lines_out() -> TextIO:
    """Standard output for lines of `json_text`."""
    return sys.stdout


def bytes_out() -> BinaryIO:
    """Standard output for encoded lines of `json_text`."""
    return sys.stdout.buffer


def complain(error: ZsrecError, where: str = "") -> None:
    """Show an error and its hint on standard error."""
    err.print(Text(f"{where}error: ", style="bold red") + plain(error.message), soft_wrap=True)
    hint = error.hint_for("--{} ") if isinstance(error, MissingColumnError) else error.hint
    if hint:
        err.print(plain(f"  hint: {hint}"), style="dim", soft_wrap=True)


def plain(text: str) -> Text:
    """Untrusted text as it may be printed: no markup, no control codes."""
    return Text(printable(text))


def print_line(text: str, style: str | None = None, *, error: bool = False) -> None:
    """Print untrusted text without breaking its line; to standard error if asked."""
    (err if error else out).print(plain(text), style=style, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table; where there is no terminal, as wide as its texts are."""
    if out.is_terminal:
        out.print(table, crop=False)
    else:
        wide = SafeConsole(file=out.file, highlight=False, width=_WIDEST)
        wide.width = max(out.width, wide.measure(table).maximum)
        wide.print(table)


def unsaid(trace: Trace, said: set[str]) -> list[str]:
    """The notes, without those of the server, the same for each request, that a command has `said` before."""
    of_server = {note for exchange in trace.exchanges for note in exchange.notes}
    notes = [note for note in trace.notes if note not in of_server & said]
    said |= of_server
    return notes


def show(recommendations: Recommendations, title: str, said: set[str] | None = None) -> None:
    """Show a ranked list, where each item came from, and what could not be matched; for `said` see `unsaid`.

    Titles and answers are untrusted: they are printed as text, never as markup or control codes.
    """
    table = Table(title=plain(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("#", justify="right")
    reasons = any(one.reason for one in recommendations)
    for name in ("title", "score", "how it was matched", *(["why"] if reasons else [])):
        table.add_column(name, overflow="fold")
    for one in recommendations:
        style = "" if one.source == "llm" else "yellow"
        why = [plain(one.reason or "")] if reasons else []
        table.add_row(
            str(one.rank), plain(display_title(one.item.title)), f"{one.score:.2f}", _how(one), *why, style=style
        )
    print_table(table)
    if not len(recommendations):
        print_line("(nothing could be recommended)", "yellow")
    for line in _remarks(recommendations, unsaid(recommendations.trace, set() if said is None else said)):
        print_line(f"  {line}", "dim")
    out.print()


def _how(one: Recommendation) -> Text:
    """How a place was filled: the matched mention, the parts of the score, or another source."""
    if one.provenance is not None:
        mention, match = one.provenance.mention, one.provenance.match
        return plain(f"{match.method} {match.score:.2f}  ← {mention.text}")
    if one.source != "llm":
        return plain(f"filled from {one.source}")
    if one.parts is None:
        return plain("ranked by the model")
    prior = [] if one.parts.prior is None else [f"prior {one.parts.prior:.2f}"]
    chance = [] if one.parts.probability is None else [f"p {one.parts.probability:.3f}"]
    return plain(" · ".join([*prior, f"llm {one.parts.llm:.2f}", *chance]))


def left_out(trace: Trace) -> Iterator[str]:
    """What the model named and the list lacks, one line each."""
    for one in trace.unresolved:
        yield f"not matched: {one.mention.text!r} ({(one.match.reason or '').replace('_', ' ')})"
    for dropped in trace.dropped:
        yield f"left out: {dropped.grounded.mention.text!r} ({dropped.why.replace('_', ' ')})"


def _remarks(recommendations: Recommendations, notes: Sequence[str]) -> Iterator[str]:
    trace = recommendations.trace
    yield from left_out(trace)
    for name, why in trace.history.unresolved:
        yield f"history: {name!r} is unknown ({why.replace('_', ' ')})"
    for name, title in trace.history.guessed:
        yield f"history: {name!r} was read as {title!r}"
    for note in notes:
        yield f"note: {note}"
    usage = [exchange.usage for exchange in trace.exchanges]
    tokens = f"{sum(u.prompt_tokens or 0 for u in usage)}+{sum(u.completion_tokens or 0 for u in usage)}"
    model = trace.exchanges[0].model if trace.exchanges else None
    yield f"{trace.mode} · {trace.template} · {model} · {tokens} tokens"


NO_PRICES = Prices()
EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""


def _how_far(task: Task) -> str:
    """A task's progress, for example "rank/default: 12 of 100 · 0:04:10 to go"."""
    far = f"{task.description}: {task.completed:,.0f}"
    if task.total is not None:
        far += f" of {task.total:,.0f}"
    if task.finished_time is not None:
        return f"{far} · done in {timedelta(seconds=round(task.finished_time))}"
    left = task.time_remaining
    return far if left is None else f"{far} · {timedelta(seconds=round(left))} to go"


class TerminalWatch:
    """A run's progress on standard error (`zsrec.evaluation.benchmark.Watch`): a bar, or lines in a file."""

    def __init__(self, prices: Prices = NO_PRICES) -> None:
        self._prices = prices
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[spent]}", markup=False), console=err, transient=True,
            disable=not err.is_terminal,
        )  # fmt: skip
        self._printed = time.monotonic()
        self._task: TaskID | None = None
        self._tokens_in = self._tokens_out = self._fresh = 0
        self._started: float | None = None

    def start(self, what: str, total: int) -> None:
        """See `Watch.start`."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(plain(what).plain, total=total, spent="")
        self._started, self._fresh = None, 0
        self._print_line(now=True)

    def step(self, count: int = 1) -> None:
        """See `Watch.step`."""
        if self._task is not None:
            self._bar.advance(self._task, count)
            self._print_line(now=self._bar.finished)

    def reply(self, exchange: Exchange, replayed: bool) -> None:
        """Count a reply's tokens; those from the journal count for the cost, not for the speed."""
        usage = exchange.usage
        self._tokens_in += usage.prompt_tokens or 0
        self._tokens_out += usage.completion_tokens or 0
        if not replayed:
            now = time.monotonic()
            if self._started is None:
                self._started = now - (exchange.seconds or 0.0)
            self._fresh += usage.completion_tokens or 0
        if self._task is not None:
            self._bar.update(self._task, spent=self._spent())
            self._print_line()

    def say(self, text: str) -> None:
        """See `Watch.say`."""
        print_line(text, "dim", error=True)

    def _print_line(self, *, now: bool = False) -> None:
        """Where there is no terminal, print a line of progress: `now`, or every `EVERY` seconds."""
        if not err.is_terminal and (now or time.monotonic() - self._printed >= EVERY):
            self._printed = time.monotonic()
            task = self._bar.tasks[0]
            print_line(" · ".join(filter(None, (_how_far(task), task.fields["spent"]))), error=True)

    def _spent(self) -> str:
        parts = [f"{self._tokens_in + self._tokens_out:,} tokens"]
        if self._started is not None and (took := time.monotonic() - self._started) > 0:
            parts.append(f"{self._fresh / took:,.0f} out/s")
        cost = self._prices.cost(self._tokens_in, self._tokens_out)
        if cost is not None:
            parts.append(f"cost {cost:.4f}")
        return " · ".join(parts)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
