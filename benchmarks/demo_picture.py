"""Draws the demo's picture from a real run: `zsrec demo --users 1 | python benchmarks/demo_picture.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent.parent / "docs" / "img" / "demo.svg"
WIDTH = 92


def main() -> None:
    console = Console(record=True, width=WIDTH, file=sys.stdout, force_terminal=True)
    for line in sys.stdin.read().strip().splitlines():
        console.print(Text.from_ansi(line))
    console.save_svg(str(TARGET), title="zsrec demo")


if __name__ == "__main__":
    main()
