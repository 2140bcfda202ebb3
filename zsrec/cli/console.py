"""What the commands share: two consoles, and how an error or a result is shown."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Literal, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from zsrec.core.errors import BadRowError, ConfigError, ZsrecError
from zsrec.core.types import Exchange, Recommendation, Recommendations
from zsrec.data.titles import display_title
from zsrec.evaluation.report import Prices

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(error: ZsrecError, where: str = "") -> None:
    """Shows an error and what to do about it on standard error."""
    err.print(Text(f"{where}error: ", style="bold red") + Text(error.message), soft_wrap=True)
    if error.hint:
        err.print(Text(f"  hint: {error.hint}", style="dim"), soft_wrap=True)


def show(recommendations: Recommendations, title: str) -> None:
    """Shows a ranked list, where each item came from, and what could not be matched.

    Titles and answers are untrusted: they are printed as text, never as markup or control codes.
    """
    table = Table(title=plain(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("#", justify="right")
    for name in ("title", "score", "how it was matched"):
        table.add_column(name, overflow="fold")
    for one in recommendations:
        if one.provenance is None and one.source == "llm":
            how = plain(_parts(one))
        elif one.provenance is None:
            how = Text(f"filled from {one.source}", style="yellow")
        else:
            mention, match = one.provenance.mention, one.provenance.match
            how = plain(f"{match.method} {match.score:.2f}  ← {mention.text}")
        table.add_row(str(one.rank), plain(display_title(one.item.title)), f"{one.score:.2f}", how)
    out.print(table)
    if not len(recommendations):
        out.print(Text("(nothing could be recommended)", style="yellow"))
    for line in _remarks(recommendations):
        out.print(Text("  ") + plain(line), style="dim", soft_wrap=True)
    out.print()


def _parts(one: Recommendation) -> str:
    """What a candidate's score is made of."""
    if one.parts is None:
        return "ranked by the model"
    parts = [f"llm {one.parts.llm:.2f}"]
    if one.parts.prior is not None:
        parts.insert(0, f"prior {one.parts.prior:.2f}")
    if one.parts.probability is not None:
        parts.append(f"p {one.parts.probability:.3f}")
    return " · ".join(parts)


def _remarks(recommendations: Recommendations) -> list[str]:
    trace = recommendations.trace
    lines = [
        f"not matched: {one.mention.text!r} ({(one.match.reason or '').replace('_', ' ')})"
        for one in trace.unresolved
    ]
    lines += [f"left out: {one.grounded.mention.text!r} ({one.why.replace('_', ' ')})" for one in trace.dropped]
    lines += [f"history: {name!r} is unknown ({why.replace('_', ' ')})" for name, why in trace.history.unresolved]
    lines += [f"note: {note}" for note in trace.notes]
    usage = [exchange.usage for exchange in trace.exchanges]
    tokens = f"{sum(u.prompt_tokens or 0 for u in usage)}+{sum(u.completion_tokens or 0 for u in usage)}"
    model = trace.exchanges[0].model if trace.exchanges else None
    lines.append(f"{trace.mode} · {trace.template} · {model} · {tokens} tokens")
    return lines


def plain(text: str) -> Text:
    """Untrusted text as it may be printed: no markup, no control codes."""
    return Text("".join(c if c.isprintable() else "�" for c in text))


@contextmanager
def opened(name: str, mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    """A file by its path, or stdin and stdout by "-".

    Raises:
        ConfigError: It cannot be opened.
    """
    if name == "-":
        stream = sys.stdin.buffer if mode == "rb" else sys.stdout.buffer
        yield stream
        stream.flush()
        return
    try:
        file = Path(name).open(mode)  # noqa: SIM115  (closed below; only opening fails with our error)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be opened: {error.strerror}", hint="check --in and --out") from error
    with file:
        yield file


def json_object(line: bytes, source: str, number: int) -> Mapping[str, Any]:
    """The object in one line.

    Args:
        line: As read.
        source: The file's name, for the message.
        number: The line's number from 1, for the message.

    Raises:
        BadRowError: The line holds anything else.
    """
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"not a line of JSON: {error}", path=source, line=number) from error
    if not isinstance(row, dict):
        raise BadRowError(f"expected an object, found {kind(row)}", path=source, line=number)
    return row


def is_id(value: object) -> bool:
    """Whether a JSON value can be an id: a text, or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def kind(value: object) -> str:
    """What a JSON value is, in words for a message."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a number"


EVERY = 30.0
"""Seconds between two lines of progress in a file or a CI's log."""


class Ticker:
    """Says how far a run is where standard error is no terminal and shows no bar; on a terminal nothing."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def tell(self, text: Callable[[], str], *, now: bool = False) -> None:
        """Prints a line, unless one was printed less than `EVERY` seconds ago.

        Args:
            text: Gives the line; called only where it is printed.
            now: Print it in any case.
        """
        if err.is_terminal or not (now or time.monotonic() - self._told >= EVERY):
            return
        self._told = time.monotonic()
        err.print(plain(text()), soft_wrap=True)


def how_far(task: Task) -> str:
    """A bar's task in words: "rank/default: 12 of 100 · 0:04:10 to go"."""
    far = f"{task.description}: {task.completed:,.0f}"
    if task.total is not None:
        far += f" of {task.total:,.0f}"
    if task.finished_time is not None:
        return f"{far} · done in {timedelta(seconds=round(task.finished_time))}"
    left = task.time_remaining
    return far if left is None else f"{far} · {timedelta(seconds=round(left))} to go"


class TerminalWatch:
    """Shows a run's progress on standard error (`zsrec.evaluation.benchmark.Watch`).

    Where that is no terminal (a file, CI), a line says when something begins, at most every `EVERY` seconds how
    far it is, and when it is done.

    Args:
        prices: Of tokens.
    """

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[spent]}", markup=False), console=err, transient=True,
            disable=not err.is_terminal,
        )  # fmt: skip
        self._ticker = Ticker()
        self._task: TaskID | None = None
        self._tokens_in = self._tokens_out = self._fresh = 0
        self._started: float | None = None

    def start(self, what: str, total: int) -> None:
        """See `Watch.start`."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(plain(what).plain, total=total, spent="")
        self._started, self._fresh = None, 0
        self._ticker.tell(self._line, now=True)

    def step(self) -> None:
        """See `Watch.step`."""
        if self._task is not None:
            self._bar.advance(self._task)
            self._ticker.tell(self._line, now=self._bar.finished)

    def reply(self, exchange: Exchange, replayed: bool) -> None:
        """Counts a reply's tokens; those from the journal count for the cost, and not for the speed."""
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
            self._ticker.tell(self._line)

    def say(self, text: str) -> None:
        """See `Watch.say`."""
        err.print(Text(text, style="dim"), soft_wrap=True)

    def _line(self) -> str:
        task = self._bar.tasks[0]
        return " · ".join(filter(None, (how_far(task), task.fields["spent"])))

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
