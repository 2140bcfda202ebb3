"""Telling a person what a long step is doing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape


class Progress(Protocol):
    """Something that hears about steps and about the last line that a step's program printed."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Marks a step: entered when it begins, left when it is done or has failed."""

    def line(self, text: str) -> None:
        """The last line that the running step's program printed."""

    def note(self, text: str) -> None:
        """A sentence that should stay on the screen."""


class SilentProgress:
    """Tells nobody; for use from code."""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:  # noqa: ARG002  the protocol's name
        """Does nothing around the step."""
        yield

    def line(self, text: str) -> None:
        """Drops the line."""

    def note(self, text: str) -> None:
        """Drops the sentence."""


class ConsoleProgress:
    """Prints each step with its elapsed seconds; on a terminal also its program's last line, live.

    Args:
        console: Where to print; standard error by default, so that results stay alone on stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._title = ""
        self._began = 0.0
        self._line = ""
        self._status = self._console.status("", spinner="dots")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Shows `title` while the step runs, and a line with its duration afterwards."""
        self._title, self._began, self._line = title, time.monotonic(), ""
        if not self._console.is_terminal:
            self._console.print(f"… {escape(title)}", highlight=False)
        self._refresh()
        self._status.start()
        try:
            yield
        except BaseException:
            self._status.stop()
            self._console.print(f"[red]✗[/red] {escape(title)} ({self._elapsed()})", highlight=False)
            raise
        self._status.stop()
        self._console.print(f"[green]✓[/green] {escape(title)} ({self._elapsed()})", highlight=False)

    def line(self, text: str) -> None:
        """Shows the program's last line under the step's title, cut to the terminal's width."""
        self._line = text
        self._refresh()

    def note(self, text: str) -> None:
        """Prints a sentence."""
        self._console.print(escape(text), highlight=False)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"

    def _refresh(self) -> None:
        room = max(20, self._console.width - 6)
        below = f"\n  [dim]{escape(self._line[:room])}[/dim]" if self._line else ""
        self._status.update(f"{escape(self._title)} ({self._elapsed()}){below}")
