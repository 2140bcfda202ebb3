"""A report as one HTML page that needs no other file and no other host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from zsrec.core.errors import MissingExtraError
from zsrec.core.untrusted_text import printable
from zsrec.evaluation.charts import charts
from zsrec.evaluation.memorization import KINDS
from zsrec.evaluation.report import Report
from zsrec.evaluation.report_markdown import model_of
from zsrec.evaluation.report_tables import Cell, Share, is_number, tables, written

NO_CHARTS = "The charts are left out: they need matplotlib (pip install 'zsrec[bench]')."
_TEMPLATE = Path(__file__).parent / "report.html.j2"


def html(report: Report, config: Mapping[str, Any]) -> str:
    """The whole page. Every text is escaped; a policy in the page forbids scripts and other hosts.

    Without matplotlib the page has its tables, and a note in place of the charts.
    """
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    filters: dict[str, Callable[..., object]] = {
        "plain": printable,
        "percent": lambda share: f"{share:.1%}",
        "lines": _lines,
        "share": Share,
    }
    page.filters |= filters
    page.tests["number_cell"] = is_number
    try:
        drawn, no_charts = charts(report), None
    except MissingExtraError:
        drawn, no_charts = [], NO_CHARTS
    return page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        config=config,
        config_text=json.dumps(config, indent=1),
        tables=tables(report),
        model=model_of(config),
        charts=drawn,
        no_charts=no_charts,
        kinds=KINDS,
    )


def _lines(cell: Cell, intervals: bool) -> list[str]:
    """A cell with its interval on a line of its own."""
    return [printable(line) for line in written(cell, interval="\n{} – {}" if intervals else "").split("\n", 1)]
