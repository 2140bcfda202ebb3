from __future__ import annotations

import io
import time

import pytest

from zsrec.cli.console import SafeConsole
from zsrec.cli.progress import ConsoleProgress


def test_progress_prints_each_step_with_its_time_and_no_markup() -> None:
    text = io.StringIO()
    progress = ConsoleProgress(SafeConsole(file=text, width=100))
    with progress.step("installing [bold]x[/bold]"):
        progress.line("[red]50%[/red]")
    with pytest.raises(ValueError, match="no"), progress.step("failing"):
        raise ValueError("no")
    progress.note("so it is")
    lines = text.getvalue().splitlines()
    assert lines[0] == "… installing [bold]x[/bold]"
    assert lines[1].startswith("✓ installing [bold]x[/bold] (0.")
    assert lines[3].startswith("✗ failing (0.")
    assert lines[4] == "so it is"


def test_progress_on_a_terminal_shows_the_last_line_of_the_program() -> None:
    text = io.StringIO()
    progress = ConsoleProgress(SafeConsole(file=text, width=60, force_terminal=True))
    with progress.step("installing"):
        progress.line("Collecting torch")
        time.sleep(0.3)
    assert "Collecting torch" in text.getvalue()
