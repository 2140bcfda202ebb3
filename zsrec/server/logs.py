"""Reading the end of a log file."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TAIL_BYTES = 64 * 1024
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def tail(path: Path, lines: int = 30) -> list[str]:
    """The last non-empty lines of a log, without terminal control codes; [] where there is no log.

    A progress bar that redraws itself with carriage returns counts as its last state.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    shown = (_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip() for line in text.split("\n"))
    return [line for line in shown if line][-lines:]


def quoted_tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log as an indented block for an error message."""
    last = tail(path, lines)
    if not last:
        return "its log is empty"
    return f"the last {len(last)} lines of its log:\n" + "\n".join(f"  | {line}" for line in last)
