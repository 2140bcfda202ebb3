"""Charts of a report as SVG that is part of the page, drawn by matplotlib (extra `bench`)."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup, escape

from zsrec.core.errors import MissingExtraError
from zsrec.evaluation.report import Bin, LLMReport, MethodReport, Report
from zsrec.evaluation.statistics import Estimate

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes

COLOURS = ("#1667b7", "#b5530c", "#1b7f4d", "#8a3fb0", "#b0243b", "#5f6b00")
"""As many series as one chart can show; the page has another shade of each for dark screens."""
INK, SOFT, RULE = "#1b1d21", "#5b616b", "#dcdfe4"
_VARIABLES = {INK: "ink", SOFT: "soft", RULE: "line"} | {one: f"c{n}" for n, one in enumerate(COLOURS)}
_STYLE: Any = {
    "svg.hashsalt": "zsrec", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9, "text.color": INK,
    "axes.labelcolor": SOFT, "axes.edgecolor": RULE, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": RULE, "xtick.color": SOFT, "ytick.color": SOFT,
    "legend.frameon": False, "lines.markersize": 5,
}  # fmt: skip


class Chart(NamedTuple):
    """A chart with what to see in it."""

    title: str
    text: str
    picture: Markup  # as part of a page
    save: Callable[[str], bytes]  # as a file of its own, of the kind "svg" or "png"


def charts(report: Report) -> list[Chart]:
    """All charts that the report has figures for. Equal reports give equal charts."""
    asked = [(one.method, one.llm) for one in report.methods if one.llm is not None]
    positions = [_positions(name, llm) for name, llm in asked if llm.first_places]
    calibrations = [_calibration(name, llm.calibration) for name, llm in asked if llm.calibration]
    return [*_quality(report), *_cost(report), *_by_history(report), *positions, *calibrations]


def figures(report: Report) -> Iterator[tuple[str, Callable[[str], bytes]]]:
    """The charts as files: each one's name without its ending, and what makes its content."""
    for chart in charts(report):
        yield re.sub(r"[^a-z0-9]+", "_", chart.title.lower()).strip("_")[:60], chart.save


def drawn(draw: Callable[[Axes], None], *, width: float = 5.0, height: float = 3.0) -> str:
    """A chart as an SVG file; no date and no random id is in it."""
    return saved(draw, "svg", width=width, height=height, transparent=True).decode()


def saved(
    draw: Callable[[Axes], None], kind: str, *, width: float = 5.0, height: float = 3.0, transparent: bool = False
) -> bytes:
    """A chart as a file of a kind, "svg" or "png"; equal charts give equal bytes."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("charts", "bench") from error
    written = io.BytesIO()
    with rc_context(_STYLE), warnings.catch_warnings():
        # a glyph that its font lacks: the reader's font draws the text
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type") if kind == "svg" else ("Software",))
        figure.savefig(written, format=kind, transparent=transparent, metadata=nothing, dpi=200)
    return written.getvalue()


def inline(svg: str, title: str) -> Markup:
    """An SVG file of matplotlib's as an element of a page that forbids style attributes and other hosts."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style.*?</style>|<metadata.*?</metadata>|<clipPath.*?</clipPath>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^<>]+>", _plain_tag, " ".join(body.split()).replace("> <", "><"))
    label = escape(title)
    start = f'<svg role="img" aria-label="{label}"'
    return Markup(body.replace("<svg", start, 1).replace(">", f"><title>{label}</title>", 1))  # noqa: S704


def _plain_tag(found: re.Match[str]) -> str:
    """A tag with attributes for its style, the page's colours, and neither ids nor sizes of its own."""
    tag = re.sub(r' style="([^"]*)"', _attributes, re.sub(r"(\.\d\d)\d+", r"\1", found[0]))
    tag = re.sub(r' (?:clip-path|xmlns:xlink|version|width|height)="[^"]*"', "", tag) if "rect" not in tag else tag
    if tag.startswith("<g"):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = tag.replace("xlink:href", "href")
    return re.sub(r'"(#[0-9a-f]{6})"', lambda one: f'"{_colour(one[1])}"', tag)


def _attributes(found: re.Match[str]) -> str:
    pairs = (one.split(":", 1) for one in found[1].split(";") if ":" in one)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs if name.strip() != "font-family")


def _colour(value: str) -> str:
    return f"var(--{_VARIABLES[value]})" if value in _VARIABLES else value


def _chart(title: str, text: str, draw: Callable[[Axes], None], *, height: float = 3.0) -> Chart:
    picture = inline(drawn(draw, height=height), title)
    return Chart(title, text, picture, lambda kind: saved(draw, kind, height=height))


def _point(axes: Axes, x: float, estimate: Estimate, colour: str, *, across: bool = False) -> None:
    """A mean with its interval, upright or across."""
    ends = [[max(estimate.mean - estimate.low, 0.0)], [max(estimate.high - estimate.mean, 0.0)]]
    if across:
        axes.errorbar([estimate.mean], [x], xerr=ends, fmt="o", color=colour, elinewidth=2)
    else:
        axes.errorbar([x], [estimate.mean], yerr=ends, fmt="o", color=colour, elinewidth=2)


def interval_chart(title: str, text: str, rows: Mapping[str, Estimate]) -> Chart:
    """Means with their intervals, one named row each, on one axis from 0."""

    def draw(axes: Axes) -> None:
        for place, (name, estimate) in enumerate(rows.items()):
            _point(axes, -place, estimate, COLOURS[place % len(COLOURS)], across=True)
            axes.text(0, 0.32 - place, name, weight="bold", va="center")
            axes.text(
                1, 0.32 - place, f"{estimate.mean:.4f}", ha="right", va="center",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
        axes.set(ylim=(0.6 - max(len(rows), 1), 0.6), yticks=[])
        axes.set_xlim(left=min(0.0, *(one.low for one in rows.values()), 0.0))
        axes.grid(axis="y", visible=False)

    return _chart(title, text, draw, height=0.7 + 0.48 * len(rows))


def _quality(report: Report) -> Iterator[Chart]:
    key, same = report.main_metric, report.same_users
    rows = {
        one.method if same is None else f"{one.method} ({one.users:,})": one.metrics[key] for one in report.methods
    }
    who = f"{report.users:,} users" if same is None else "each on its own users"
    yield interval_chart(f"{key}, {who}", "Means with 95% intervals.", rows)
    if same is not None:
        rows = {name: metrics[key] for name, metrics in same.metrics.items()}
        text = "All methods on the users that all of them were asked for. Only these rows may be compared."
        yield interval_chart(f"{key}, the same {same.users:,} users", text, rows)


def _cost(report: Report) -> Iterator[Chart]:
    asked = [one.llm for one in report.methods if one.llm is not None]
    if not asked:
        return
    key, same = report.main_metric, report.same_users
    priced = all(llm.cost is not None for llm in asked)

    def draw(axes: Axes) -> None:
        metrics = {one.method: one.metrics for one in report.methods} if same is None else same.metrics
        points = [(one.method, _spent(one, priced=priced), metrics[one.method][key]) for one in report.methods]
        widest, highest = max(x for _, x, _ in points), max(estimate.high for *_, estimate in points)
        names: list[tuple[float, float]] = []
        for place, (name, x, estimate) in enumerate(points):
            _point(axes, x, estimate, COLOURS[place % len(COLOURS)])
            y, near = estimate.mean, 0.055 * highest
            while any(abs(y - other) < near and abs(x - beside) < 0.2 * widest for beside, other in names):
                y += near  # a name that would cover another one moves up
            names.append((x, y))
            axes.annotate(name, (x, y), xytext=(6, 3), textcoords="offset points")
        axes.set(xlabel="money per 1,000 users" if priced else "tokens per user, in and out", ylabel=key)
        axes.set(xlim=(-0.02 * widest or -1, 1.3 * widest or 1), ylim=(0, 1.05 * highest or 1))

    yield _chart("Quality against cost", "Methods without an LLM are at 0.", draw)


def _spent(one: MethodReport, *, priced: bool) -> float:
    if one.llm is None:
        return 0.0
    if priced and one.llm.cost is not None:
        return 1000 * one.llm.cost.mean
    return one.llm.prompt_tokens.mean + one.llm.completion_tokens.mean


def _by_history(report: Report) -> Iterator[Chart]:
    events = {group.events for one in report.methods for group in one.by_history}
    bins = sorted(events, key=lambda ends: ends[0])
    if len(bins) < 2:
        return
    names = [f"{low}+" if high is None else str(low) if high == low else f"{low}–{high}" for low, high in bins]
    series = [one for one in report.methods if one.by_history]
    most = max(group.estimate.high for one in series for group in one.by_history)
    text = "From cold users on the left to those with long histories. Groups of at least 20 users are shown."
    for start in range(0, len(series), len(COLOURS)):
        some = series[start : start + len(COLOURS)]

        def draw(axes: Axes, some: list[MethodReport] = some) -> None:
            for number, one in enumerate(some):
                shift = (number - (len(some) - 1) / 2) * 0.6 / len(some)
                places = [bins.index(group.events) + shift for group in one.by_history]
                means = [group.estimate.mean for group in one.by_history]
                axes.plot(places, means, color=COLOURS[number], linewidth=0.8, label=one.method)
                for place, group in zip(places, one.by_history, strict=True):
                    _point(axes, place, group.estimate, COLOURS[number])
            axes.set_xticks(range(len(bins)), names)
            axes.set(ylim=(0, 1.05 * most or 1.0), xlabel="events in the history", ylabel=report.main_metric)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

        yield _chart("By the length of the history", text, draw, height=2.8 + 0.1 * len(some))


def _positions(name: str, llm: LLMReport) -> Chart:
    shares = llm.first_places
    text = (
        "The candidates were shuffled: a choice free of position bias would follow the dashed line."
        if "shuffled" in str(llm.how.get("candidates"))
        else "The candidates stood in the order of retrieval, so good ones stand first: only a run with "
        "--shuffle tells position bias from a good choice."
    )

    def draw(axes: Axes) -> None:
        axes.bar(range(1, len(shares) + 1), shares, color=COLOURS[0])
        axes.axhline(1 / len(shares), color=SOFT, linestyle="--", linewidth=1)
        axes.set(xlabel="place in the prompt", ylabel="share ranked first")
        axes.locator_params(axis="x", integer=True)

    return _chart(f"Position bias: {name}", text, draw, height=2.6)


def _calibration(name: str, bins: tuple[Bin, ...]) -> Chart:
    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
        for one in bins:
            axes.plot([one.stated], [one.true], "o", color=COLOURS[0])
            axes.annotate(f"{one.number:,}", (one.stated, one.true), xytext=(5, 4), textcoords="offset points")
        axes.set(xlabel="stated probability", ylabel="share that was right", xlim=(0, 1.08), ylim=(0, 1.08))

    return _chart(f"Calibration: {name}", "Numbers are predictions in each tenth.", draw, height=3.4)
