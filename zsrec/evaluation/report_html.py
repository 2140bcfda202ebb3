"""A report as one HTML page that needs no other file and no other host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from zsrec.core.errors import MissingExtraError
from zsrec.core.untrusted_text import printable
from zsrec.evaluation.beyond_accuracy import LISTS, MEASURES
from zsrec.evaluation.charts import charts
from zsrec.evaluation.memorization import KINDS
from zsrec.evaluation.report import RATES, Report
from zsrec.evaluation.report_markdown import measure, number

NO_CHARTS = "The charts are left out: they need matplotlib (pip install 'zsrec[bench]')."
_TEMPLATE = Path(__file__).parent / "report.html.j2"


def html(report: Report, config: Mapping[str, Any]) -> str:
    """The whole page. Every text is escaped; a policy in the page forbids scripts and other hosts.

    Without matplotlib the page has its tables, and a note in place of the charts.
    """
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page.filters |= {
        "plain": printable,
        "metric": number,
        "percent": lambda share: f"{share:.1%}",
        "measure": measure,
    }
    try:
        drawn, no_charts = charts(report), None
    except MissingExtraError:
        drawn, no_charts = [], NO_CHARTS
    return page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        config=config,
        config_text=json.dumps(config, indent=1),
        about_lists=LISTS,
        measures={name: MEASURES[name.partition("@")[0]] for name in report.list_measures},
        charts=drawn,
        no_charts=no_charts,
        explained=RATES,
        kinds=KINDS,
    )
