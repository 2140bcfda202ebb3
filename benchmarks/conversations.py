"""The README's table and the plot of reports of `zsrec bench conversations --json report.json`.

python benchmarks/conversations.py table report.json --into README.md
python benchmarks/conversations.py plot report.json… --size baize=13 --out lift.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsrec.cli.console import complain
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.evaluation.charts import COLOURS, SOFT, drawn
from zsrec.evaluation.conversation_report import MAIN, ConversationReport
from zsrec.evaluation.report_markdown import escaped, interval
from zsrec.evaluation.report_markdown import table as markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNKNOWN = "not disclosed"
START, END = "<!-- words -->\n", "\n<!-- /words -->"
SHOWN = (MAIN, "Recall@20")
ROWS = {
    "pop": "popularity",
    "itemknn": "item-kNN on the films that were mentioned",
    "cooccurrence": "co-occurrence with the films that were mentioned",
    "lexical": "words against titles (`lexical`)",
    "semantic": "meaning against titles (`semantic`, MiniLM)",
}
KINDS = {"generate": "{} alone", "hybrid": "{} and retrieval in turn (hybrid)"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table")
    table.add_argument("report", type=Path)
    table.add_argument("--into", type=Path)
    plot = commands.add_parser("plot")
    plot.add_argument("reports", nargs="+", type=Path)
    plot.add_argument("--size", action="append", default=[], help="NAME=BILLIONS; without one, not disclosed")
    plot.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "table":
        _write_table(readme_table(_read(given.report)), given.into)
        return
    sizes = {name: float(size) for name, _, size in (one.partition("=") for one in given.size)}
    lifts = [one for path in given.reports for one in _read(path).lift if one.metric == MAIN]
    svg = drawn(lambda axes: draw(axes, lifts, sizes), width=6.4, height=3.6)
    given.out.write_text(svg, encoding="utf-8")


def _read(path: Path) -> ConversationReport:
    return ConversationReport.model_validate(json.loads(path.read_text(encoding="utf-8")))


def readme_table(report: ConversationReport) -> str:
    """The report's rows in the order of its methods, each with two metrics and their intervals, and the lift."""
    rows = []
    for one in report.methods:
        kind, _, model = one.method.partition("[")
        name = KINDS[kind].format(escaped(model.rstrip("]") or "the model")) if kind in KINDS else ROWS[one.method]
        rows.append([name, *(interval(one.metrics[metric]) for metric in SHOWN)])
    lifts = [one for one in report.lift if one.metric in SHOWN and one.a.startswith("hybrid")]
    said = "; ".join(
        f"{escaped(one.a)} {one.metric} {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in lifts
    )
    return (
        f"{report.users:,} turns of {report.dialogs:,} dialogues, {report.targets:,} targets, "
        f"{report.items:,} films; {report.intervals}.\n\n{markdown_table(['row', *SHOWN], rows)}\n\n"
        f"Lift over `{lifts[0].b}`, the best row without a model: {said}."
    )


def _write_table(text: str, into: Path | None) -> None:
    if into is None:
        print(text)
        return
    before, start, rest = into.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ConfigError(
            f"{into} has no marks", hint=f"put {START.strip()} and {END.strip()} on lines of their own"
        )
    into.write_text(before + START + text + END + after, encoding="utf-8")


def draw(axes: Axes, lifts: list[Any], sizes: dict[str, float]) -> None:
    """The lift of each model alone and in a hybrid; a model of undisclosed size stands right of all others."""
    far = 4 * max([*sizes.values(), 1.0])
    ticks: dict[float, str] = {}
    for kind, colour, shift in zip(KINDS, COLOURS, (0.93, 1.07), strict=False):
        chosen = [one for one in lifts if one.a.startswith(kind)]
        names = [one.a.partition("[")[2].rstrip("]") or "the model" for one in chosen]
        places = [sizes.get(name, far) for name in names]
        for name, place in zip(names, places, strict=True):
            ticks[place] = f"{name}\n{sizes[name]:g}B" if name in sizes else f"{name}\n{UNKNOWN}"
        middles = [one.difference for one in chosen]
        ends = [[one.difference - one.low for one in chosen], [one.high - one.difference for one in chosen]]
        axes.errorbar(
            [place * shift for place in places], middles, yerr=ends, fmt="o", capsize=3, color=colour,
            label=KINDS[kind].format("model"),
        )  # fmt: skip
    axes.axhline(0, color=SOFT, linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min(ticks, default=1.0) / 3, far * 3)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    axes.set(xlabel="parameters", ylabel=f"lift in {MAIN} over {lifts[0].b}")
    axes.legend(loc="upper left", frameon=False)


if __name__ == "__main__":
    try:
        main()
    except ZsrecError as error:
        complain(error)
        raise SystemExit(1) from None
