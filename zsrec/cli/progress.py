"""Progress of the embedded server's steps on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from zsrec.cli.console import err, plain
from zsrec.llm.vllm_options import Progress


class ConsoleProgress(Progress):
    """Prints each step with its elapsed seconds; on a terminal also its program's last line, live."""

    def __init__(self, console: Console = err) -> None:
        self._console = console
        self._title = ""
        self._began = 0.0
        self._line = ""
        self._status = self._console.status("", spinner="dots")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show `title` while the step runs, and a line with its duration afterwards."""
        self._title, self._began, self._line = title, time.monotonic(), ""
        if not self._console.is_terminal:
            self._console.print(plain(f"… {title}"))
        self._refresh()
        self._status.start()
        try:
            yield
        except BaseException:
            self._ended("✗", "red")
            raise
        self._ended("✓", "green")

    def line(self, text: str) -> None:
        """Show the program's last line under the step's title, cut to the terminal's width."""
        self._line = text
        self._refresh()

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(plain(text))

    def _ended(self, mark: str, style: str) -> None:
        self._status.stop()
        self._console.print(Text(mark, style=style) + plain(f" {self._title} ({self._elapsed()})"))

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"

    def _refresh(self) -> None:
        width = max(20, self._console.width - 6)
        text = plain(f"{self._title} ({self._elapsed()})")
        if self._line:
            text += Text("\n  ") + Text(plain(self._line[:width]).plain, style="dim")
        self._status.update(text)
