"""Which plots a report has: those that its run holds figures for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from zsrec.evals import svg
from zsrec.evals.problem import main_metric
from zsrec.evals.report import MethodReport, Report
from zsrec.evals.svg import Point, Row


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
    yield Plot(f"{key}, {who}", "Means with 95% intervals.", svg.intervals(f"{key} by method", rows))
    if report.same_users is not None:
        rows = [Row(name, metrics[key]) for name, metrics in report.same_users.metrics.items()]
        title = f"{key}, the same {report.same_users.users:,} users"
        text = "All methods on the users that all of them were asked for. Only these rows may be compared."
        yield Plot(title, text, svg.intervals(title, rows))


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
        svg.scatter(f"{key} against {unit}", points, unit, key),
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
    for start in range(0, len(series), svg.COLOURS):
        some = series[start : start + svg.COLOURS]
        yield Plot(
            "By the length of the history", text,
            svg.lines(f"{key} by the number of events in the history", names, some, f"{key} by events", most),
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
        picture = svg.bars(
            f"first choice by place, {one.method}", shares, 1 / len(shares),
            "place in the prompt", "share ranked first",
        )  # fmt: skip
        yield Plot(f"Position bias: {one.method}", text, picture)


def _calibrations(report: Report) -> Iterator[Plot]:
    for one in report.methods:
        if one.llm is not None and one.llm.calibration:
            points = [(each.stated, each.true, each.number) for each in one.llm.calibration]
            picture = svg.diagonal(
                f"calibration of {one.method}", points, "stated probability", "share that was right"
            )
            yield Plot(f"Calibration: {one.method}", "Numbers are predictions in each tenth.", picture)
