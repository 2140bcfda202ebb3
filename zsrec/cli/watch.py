"""The progress of a benchmark on the terminal: bar, time to go, tokens a second, cost so far."""

from __future__ import annotations

import time
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from zsrec.cli.console import err, plain
from zsrec.evals.llm_report import Prices
from zsrec.types import Exchange


class TerminalWatch:
    """Shows a run's progress on standard error (`zsrec.evals.bench.Watch`).

    Args:
        prices: Of tokens.
    """

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[spent]}", markup=False), console=err, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._tokens_in = self._tokens_out = self._fresh = 0
        self._started: float | None = None

    def start(self, what: str, total: int) -> None:
        """See `Watch.start`."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(plain(what).plain, total=total, spent="")
        self._started, self._fresh = None, 0

    def step(self) -> None:
        """See `Watch.step`."""
        if self._task is not None:
            self._bar.advance(self._task)

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

    def say(self, text: str) -> None:
        """See `Watch.say`."""
        err.print(Text(text, style="dim"), soft_wrap=True)

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
