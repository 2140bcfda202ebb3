"""A report as one HTML page that needs no other file and no other host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from zsrec.evals.lists import LISTS, MEASURES
from zsrec.evals.llm_report import RATES
from zsrec.evals.markdown import measure, measured, number, recites
from zsrec.evals.plots import plots
from zsrec.evals.probe import KINDS
from zsrec.evals.problem import main_metric
from zsrec.evals.report import Report

_TEMPLATE = Path(__file__).parent / "report.html.j2"


def html(report: Report, config: Mapping[str, Any]) -> str:
    """The whole page. Every text is escaped; a policy in the page forbids scripts and other hosts.

    Args:
        report: The report.
        config: The run's configuration.
    """
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page.filters |= {"plain": plain, "metric": number, "percent": lambda share: f"{share:.1%}", "measure": measure}
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


def plain(text: str) -> str:
    """A text on one line without control codes: no title turns the page's writing around."""
    return "".join(c if c.isprintable() else "�" for c in text)
