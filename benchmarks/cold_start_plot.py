"""Draws what `cold_start.py` found: `python benchmarks/cold_start_plot.py cold_start.json cold_start.svg`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = {
    "pop": "#7f7f7f", "itemknn": "#1f77b4", "semantic": "#2ca02c", "cooccurrence": "#ff7f0e", "fused": "#d62728"
}  # fmt: skip
ALL = ("nothing", "1 events", "2 events", "3 events", "5 events", "10 events")
TAGGED = ("words", *(f"words and {n} events" for n in (1, 2, 3, 5, 10)))
WIDTH, HEIGHT, LEFT, TOP, GAP = 360, 230, 50, 34, 40


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    panels: list[tuple[str, str, Any, Sequence[str], Sequence[str]]] = [
        (f"all users (n = {found['users']})", "known events", found["HR@10"], ALL, ("0", "1", "2", "3", "5", "10"))
    ]
    if found["HR@10, users with tags"]:
        title = f"users with tags (n = {found['users with tags']})"
        labels = ("words", "+1", "+2", "+3", "+5", "+10")
        panels.append((title, "words, and known events", found["HR@10, users with tags"], TAGGED, labels))
    width = LEFT + len(panels) * (WIDTH + GAP) + 70
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + TOP + 50}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT + TOP + 50}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        lines += _panel(LEFT + number * (WIDTH + GAP), *panel)
    for place, (method, colour) in enumerate(COLOURS.items()):
        at = f'x="{width - 70}" y="{TOP + 20 + 16 * place}"'
        lines.append(f'<text {at} fill="{colour}" font-weight="bold">{method}</text>')
    Path(sys.argv[2]).write_text("\n".join([*lines, "</svg>", ""]), encoding="utf-8")


def _panel(
    x: int, title: str, below: str, table: Mapping[str, Any], names: Sequence[str], labels: Sequence[str]
) -> Iterator[str]:
    """One set of axes with a line a method; HR@10 with its 95% intervals."""
    step = (WIDTH - 40) / (len(names) - 1)
    entries = [row for name in names for key, row in table.get(name, {}).items() if key.endswith(", task")]
    top: float = max(row["interval"][1] for row in entries) * 1.05

    def y(value: float) -> float:
        return TOP + HEIGHT * (1 - value / top)

    yield f'<text x="{x}" y="{TOP - 14}" font-weight="bold">HR@10, {title}</text>'
    yield f'<text x="{x + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">{below}</text>'
    yield f'<path d="M{x} {TOP}V{TOP + HEIGHT}H{x + WIDTH}" fill="none" stroke="black"/>'
    for value in (part / 20 for part in range(int(top * 20) + 1)):
        yield f'<text x="{x - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
    for place, label in enumerate(labels):
        yield f'<text x="{x + 20 + place * step:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{label}</text>'
    for shift, (method, colour) in enumerate(COLOURS.items()):
        points = []
        for place, name in enumerate(names):
            row = table.get(name, {}).get(f"{method}, task")
            if row is None or (method in ("itemknn", "cooccurrence") and name == "words"):  # these read no words
                continue
            at = x + 20 + place * step + 3 * (shift - 1.5)
            low, high = row["interval"]
            points.append(f"{at:.1f},{y(row['mean']):.1f}")
            yield f'<path d="M{at:.1f} {y(low):.1f}V{y(high):.1f}" stroke="{colour}" opacity="0.5"/>'
            yield f'<circle cx="{at:.1f}" cy="{y(row["mean"]):.1f}" r="3" fill="{colour}"/>'
        if points:
            yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>'


if __name__ == "__main__":
    main()
