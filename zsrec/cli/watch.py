"""How far a long run is: a bar with time to go, tokens a second and cost; lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from zsrec.cli.console import err, plain
from zsrec.evals.llm_report import Prices
from zsrec.types import Exchange

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
    """Shows a run's progress on standard error (`zsrec.evals.bench.Watch`).

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
