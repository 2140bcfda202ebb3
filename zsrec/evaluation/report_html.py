"""A report as one HTML page that needs no other file and no other host."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from zsrec.core.untrusted_text import printable
from zsrec.evaluation.beyond_accuracy import LISTS, MEASURES
from zsrec.evaluation.memorization import KINDS
from zsrec.evaluation.protocols import main_metric
from zsrec.evaluation.report import MethodReport, Report
from zsrec.evaluation.report_llm import RATES
from zsrec.evaluation.report_markdown import measure, measured, number, recites
from zsrec.evaluation.statistics import Estimate

WIDTH = 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 18, 10, 40
COLOURS = 6
"""Series that can be told apart in one picture."""
_LINE = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
_DOT = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>')
_TEXT = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
_BAR = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
_WHOLE = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>')


class Row(NamedTuple):
    """One line of an interval plot."""

    name: str
    estimate: Estimate


class Point(NamedTuple):
    """One point with an interval above and below it; the series gives the colour."""

    name: str
    x: float
    estimate: Estimate
    series: int = 0


def intervals(title: str, rows: Sequence[Row]) -> Markup:
    """Means with their intervals, one row each, on one axis from 0.

    Args:
        title: What is shown, for those who cannot see it.
        rows: The rows, from the top.
    """
    step, top = 36, 4
    height = top + step * len(rows) + 26
    most = nice(max([row.estimate.high for row in rows], default=0.0))
    parts = [_axis_x(most, top, height - 22)]
    for place, (name, estimate) in enumerate(rows):
        y = top + step * place + 12
        low, mean, high = (_at(value, most) for value in (estimate.low, estimate.mean, estimate.high))
        parts += [
            _TEXT.format("name", _LEFT / 4, y, name),
            _TEXT.format("value end", WIDTH - _RIGHT, y, f"{estimate.mean:.4f}"),
            _LINE.format(f"range c{place % COLOURS}", low, y + 12, high, y + 12),
            _DOT.format(f"dot c{place % COLOURS}", mean, y + 12),
        ]
    return _svg(title, height, parts)


def scatter(title: str, points: Sequence[Point], x_name: str, y_name: str) -> Markup:
    """Points with intervals on two axes from 0, each with its name beside it.

    Args:
        title: What is shown.
        points: The points.
        x_name: The horizontal axis.
        y_name: The vertical axis.
    """
    height = 260
    most_x = nice(max([point.x for point in points], default=0.0))
    most_y = nice(max([point.estimate.high for point in points], default=0.0))
    parts = [*_axes(height, most_x, most_y, x_name, y_name)]
    labels: list[tuple[float, float]] = []
    for name, x, estimate, series in points:
        colour = f"c{series % COLOURS}"
        across = _at(x, most_x)
        low, mean, high = (_up(value, most_y, height) for value in (estimate.low, estimate.mean, estimate.high))
        right = across > WIDTH * 0.6
        parts += [
            _LINE.format(f"range {colour}", across, low, across, high),
            _DOT.format(f"dot {colour}", across, mean),
        ]
        y = mean - 4
        while any(abs(y - other) < 13 and abs(across - beside) < 120 for beside, other in labels):
            y -= 13
        labels.append((across, y))
        parts.append(_TEXT.format("value end" if right else "value", across + (-8 if right else 8), y, name))
    return _svg(title, height, parts)


def lines(
    title: str, names: Sequence[str], series: Sequence[Sequence[Point]], y_name: str, most: float = 0.0
) -> Markup:
    """Series over named places, with intervals; a legend stands above.

    Args:
        title: What is shown.
        names: The places of the horizontal axis, from the left.
        series: Points by series; `x` is the place. Colours repeat after `COLOURS`.
        y_name: The vertical axis.
        most: A value that the vertical axis reaches at least, so that several pictures share their scale.
    """
    legend = 16 * len(series)
    height = 230 + legend
    most = nice(max([most, *(point.estimate.high for one in series for point in one)]))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(names), 1)
    parts = [*_axis_y(height, most, y_name, top=_TOP + legend)]
    for place, name in enumerate(names):
        parts.append(_TEXT.format("tick middle", _LEFT + step * (place + 0.5), height - _BOTTOM + 16, name))
    for index, one in enumerate(series):
        colour = f"c{index % COLOURS}"
        shift = (index - (len(series) - 1) / 2) * min(7.0, step / (len(series) + 1))
        parts.append(_DOT.format(f"dot {colour}", _LEFT + 4, 8 + 16 * index))
        parts.append(_TEXT.format("value", _LEFT + 14, 12 + 16 * index, one[0].name if one else ""))
        before: tuple[float, float] | None = None
        for point in one:
            x = _LEFT + step * (point.x + 0.5) + shift
            low, mean, high = (
                _up(value, most, height, top=_TOP + legend)
                for value in (point.estimate.low, point.estimate.mean, point.estimate.high)
            )
            if before is not None:
                parts.append(_LINE.format(f"thin {colour}", *before, x, mean))
            before = (x, mean)
            parts += [_LINE.format(f"range {colour}", x, low, x, high), _DOT.format(f"dot {colour}", x, mean)]
    return _svg(title, height, parts)


def bars(title: str, shares: Sequence[float], even: float, x_name: str, y_name: str) -> Markup:
    """Shares as bars from place 1 on, with a line where all would be if they were alike.

    Args:
        title: What is shown.
        shares: One a place, in [0, 1].
        even: The share that all would have.
        x_name: The horizontal axis.
        y_name: The vertical axis.
    """
    height = 220
    most = nice(max([even, *shares]))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(shares), 1)
    parts = [*_axis_y(height, most, y_name)]
    for place, share in enumerate(shares):
        top = _up(share, most, height)
        parts.append(
            _BAR.format("bar c0", _LEFT + step * (place + 0.12), top, step * 0.76, height - _BOTTOM - top)
        )
        if place == 0 or (place + 1) % 5 == 0:
            x = _LEFT + step * (place + 0.5)
            parts.append(_TEXT.format("tick middle", x, height - _BOTTOM + 14, place + 1))
    level = _up(even, most, height)
    parts += [
        _LINE.format("even", _LEFT, level, WIDTH - _RIGHT, level),
        _TEXT.format("tick middle", (WIDTH + _LEFT - _RIGHT) / 2, height - 6, x_name),
    ]
    return _svg(title, height, parts)


def diagonal(title: str, points: Sequence[tuple[float, float, int]], x_name: str, y_name: str) -> Markup:
    """Stated against true probabilities; the diagonal is where both are the same.

    Args:
        title: What is shown.
        points: Stated, true, and how many there are.
        x_name: The horizontal axis.
        y_name: The vertical axis.
    """
    height = 300
    parts = [
        *_axes(height, 1.0, 1.0, x_name, y_name),
        _LINE.format("even", _at(0, 1), _up(0, 1, height), _at(1, 1), _up(1, 1, height)),
    ]
    for stated, true, count in points:
        x, y = _at(stated, 1.0), _up(true, 1.0, height)
        parts += [_DOT.format("dot c0", x, y), _TEXT.format("tick", x + 6, y - 6, f"{count:,}")]
    return _svg(title, height, parts)


def nice(most: float) -> float:
    """The end of an axis: 1, 2, 2.5, 4, 5 or 8 times a power of ten, at least `most`."""
    if most <= 0 or not math.isfinite(most):
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= most * (1 - 1e-9))


def _svg(title: str, height: float, parts: Sequence[Markup]) -> Markup:
    return _WHOLE.format(WIDTH, round(height), title, title, Markup().join(parts))


def _at(value: float, most: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(value / most, 0.0), 1.0)


def _up(value: float, most: float, height: float, top: float = _TOP) -> float:
    return height - _BOTTOM - (height - _BOTTOM - top) * min(max(value / most, 0.0), 1.0)


def _ticks(most: float) -> list[float]:
    return [most * part / 4 for part in range(5)]


def _axis_x(most: float, top: float, y: float) -> Markup:
    parts = []
    for value in _ticks(most):
        x = _at(value, most)
        parts += [_LINE.format("grid", x, top, x, y), _TEXT.format("tick middle", x, y + 15, f"{value:.4g}")]
    return Markup().join(parts)


def _axis_y(height: float, most: float, name: str, top: float = _TOP) -> list[Markup]:
    parts = []
    for value in _ticks(most):
        y = _up(value, most, height, top)
        parts += [
            _LINE.format("grid", _LEFT, y, WIDTH - _RIGHT, y),
            _TEXT.format("tick end", _LEFT - 5, y + 4, f"{value:.3g}"),
        ]
    return [*parts, _TEXT.format("tick", 2, height - 6, name)]


def _axes(height: float, most_x: float, most_y: float, x_name: str, y_name: str) -> list[Markup]:
    parts = _axis_y(height, most_y, y_name)
    for value in _ticks(most_x):
        parts.append(_TEXT.format("tick middle", _at(value, most_x), height - _BOTTOM + 15, f"{value:.4g}"))
    return [*parts, _TEXT.format("tick end", WIDTH - _RIGHT, height - 6, x_name)]


class Plot(NamedTuple):
    """A plot with what to see in it."""

    title: str
    text: str
    picture: Markup


def plots(report: Report) -> list[Plot]:
    """All plots that the report has figures for."""
    return [*_quality(report), *_cost(report), *_by_history(report), *_positions(report), *_calibrations(report)]


def _quality(report: Report) -> Iterator[Plot]:
    key = main_metric(list(report.methods[0].metrics))
    many = report.same_users is not None
    who = "each on its own users" if many else f"{report.users:,} users"
    rows = [
        Row(f"{one.method} ({one.users:,})" if many else one.method, one.metrics[key]) for one in report.methods
    ]
    yield Plot(f"{key}, {who}", "Means with 95% intervals.", intervals(f"{key} by method", rows))
    if report.same_users is not None:
        rows = [Row(name, metrics[key]) for name, metrics in report.same_users.metrics.items()]
        title = f"{key}, the same {report.same_users.users:,} users"
        text = "All methods on the users that all of them were asked for. Only these rows may be compared."
        yield Plot(title, text, intervals(title, rows))


def _cost(report: Report) -> Iterator[Plot]:
    asked = [one for one in report.methods if one.llm is not None]
    if not asked:
        return
    key = main_metric(list(report.methods[0].metrics))
    priced = all(one.llm is not None and one.llm.cost is not None for one in asked)
    same = None if report.same_users is None else report.same_users.metrics
    points = [
        Point(
            one.method, _spent(one, priced=priced), one.metrics[key] if same is None else same[one.method][key], n
        )
        for n, one in enumerate(report.methods)
    ]
    unit = "money for 1,000 users" if priced else "tokens a user, in and out"
    yield Plot(
        "Quality against cost", "Methods without an LLM stand at 0.",
        scatter(f"{key} against {unit}", points, unit, key),
    )  # fmt: skip


def _spent(one: MethodReport, *, priced: bool) -> float:
    if one.llm is None:
        return 0.0
    if priced and one.llm.cost is not None:
        return 1000 * one.llm.cost.mean
    return one.llm.prompt_tokens.mean + one.llm.completion_tokens.mean


def _by_history(report: Report) -> Iterator[Plot]:
    key = main_metric(list(report.methods[0].metrics))
    bins = sorted(
        {group.events for one in report.methods for group in one.by_history}, key=lambda events: events[0]
    )
    if len(bins) < 2:
        return
    names = [f"{low}+" if high is None else str(low) if high == low else f"{low}–{high}" for low, high in bins]
    series = [
        [Point(one.method, bins.index(group.events), group.estimate) for group in one.by_history]
        for one in report.methods
        if one.by_history
    ]
    text = "From cold users on the left to those with long histories. Groups of at least 20 users are shown."
    most = max(point.estimate.high for one in series for point in one)
    for start in range(0, len(series), COLOURS):
        some = series[start : start + COLOURS]
        yield Plot(
            "By the length of the history", text,
            lines(f"{key} by the number of events in the history", names, some, f"{key} by events", most),
        )  # fmt: skip


def _positions(report: Report) -> Iterator[Plot]:
    for one in report.methods:
        if one.llm is None or not one.llm.first_places:
            continue
        shares = one.llm.first_places
        shuffled = "shuffled" in str(one.llm.how.get("candidates"))
        text = (
            "The candidates were shuffled: a choice free of position bias would follow the dashed line."
            if shuffled
            else "The candidates stood in the order of retrieval, so good ones stand first: only a run with "
            "--shuffle tells position bias from a good choice."
        )
        picture = bars(
            f"first choice by place, {one.method}", shares, 1 / len(shares),
            "place in the prompt", "share ranked first",
        )  # fmt: skip
        yield Plot(f"Position bias: {one.method}", text, picture)


def _calibrations(report: Report) -> Iterator[Plot]:
    for one in report.methods:
        if one.llm is not None and one.llm.calibration:
            points = [(each.stated, each.true, each.number) for each in one.llm.calibration]
            picture = diagonal(
                f"calibration of {one.method}", points, "stated probability", "share that was right"
            )
            yield Plot(f"Calibration: {one.method}", "Numbers are predictions in each tenth.", picture)


_TEMPLATE = Path(__file__).parent / "report.html.j2"


def html(report: Report, config: Mapping[str, Any]) -> str:
    """The whole page. Every text is escaped; a policy in the page forbids scripts and other hosts.

    Args:
        report: The report.
        config: The run's configuration.
    """
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page.filters |= {
        "plain": printable,
        "metric": number,
        "percent": lambda share: f"{share:.1%}",
        "measure": measure,
    }
    keys = list(report.methods[0].metrics)
    notes = [f"{one.method}: {note}" for one in report.methods for note in one.notes]
    notes += [f"{name} was left out: {why}" for name, why in report.skipped.items()]
    same = report.same_users
    about = {one.method: [f"the model recites: {recites(report)}"] if one.llm else [] for one in report.methods}
    return page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        config=config,
        config_text=json.dumps(config, indent=1),
        keys=keys,
        about_lists=LISTS,
        measures={name: MEASURES[name.partition("@")[0]] for name in measured(report)},
        rows=[
            (one.method, ", ".join((f"{one.mode}, {one.users:,} users", *about[one.method])), one.metrics)
            for one in report.methods
        ],
        same_rows=[]
        if same is None
        else [(name, ", ".join(about[name]), metrics) for name, metrics in same.metrics.items()],
        plots=plots(report),
        verdicts=[pair for pair in report.comparisons if pair.metric == main_metric(keys)],
        explained=RATES,
        kinds=KINDS,
        recited=recites(report),
        notes=[*notes, *report.notes],
    )
