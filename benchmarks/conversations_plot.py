"""Draws the lift of language models in conversations over their size, from reports of `zsrec bench conversations`.

python benchmarks/conversations_plot.py report.json… --size baize=13 --out lift.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsrec.evaluation.charts import COLOURS, SOFT, drawn
from zsrec.evaluation.conversation_report import MAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNKNOWN = "not disclosed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--size", action="append", default=[], help="NAME=BILLIONS; without one, not disclosed")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    sizes = {name: float(size) for name, _, size in (one.partition("=") for one in given.size)}
    found = [one for path in given.reports for one in json.loads(path.read_text(encoding="utf-8"))["lift"]]
    svg = drawn(
        lambda axes: plot(axes, [one for one in found if one["metric"] == MAIN], sizes), width=6.4, height=3.4
    )
    given.out.write_text(svg, encoding="utf-8")


def plot(axes: Axes, lifts: list[dict[str, Any]], sizes: dict[str, float]) -> None:
    """One interval per row; models of undisclosed size stand right of all others."""
    far = 3 * max([*sizes.values(), 1.0])
    for number, one in enumerate(lifts):
        name = one["a"].partition("[")[2].rstrip("]") or one["a"]
        x = sizes.get(name, far) * (1.04 if one["a"].startswith("hybrid") else 1.0)
        ends = [[one["difference"] - one["low"]], [one["high"] - one["difference"]]]
        axes.errorbar(
            [x], [one["difference"]], yerr=ends, fmt="o", color=COLOURS[number % len(COLOURS)], label=one["a"]
        )
    axes.axhline(0, color=SOFT, linestyle="--", linewidth=1)
    ticks = sorted({*sizes.values()})
    axes.set_xscale("log")
    axes.set_xlim(min(ticks, default=1.0) / 3, far * 3)
    axes.set_xticks([*ticks, far], [*(f"{one:g}B" for one in ticks), UNKNOWN])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="parameters", ylabel=f"lift in {MAIN} over {lifts[0]['b']}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


if __name__ == "__main__":
    main()
