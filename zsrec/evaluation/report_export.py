"""A report as files: one HTML page, its tables as CSV and LaTeX, its figures as SVG and PNG."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from zsrec.core.errors import MissingExtraError
from zsrec.core.files import atomic_write
from zsrec.core.untrusted_text import printable
from zsrec.evaluation.charts import charts, figures
from zsrec.evaluation.memorization import KINDS
from zsrec.evaluation.report import Report
from zsrec.evaluation.report_markdown import model_of
from zsrec.evaluation.report_tables import Cell, Difference, Share, Table, all_pairs, is_number, tables, written
from zsrec.evaluation.statistics import Estimate

NO_CHARTS = "The charts are left out: they need matplotlib (pip install 'zsrec[bench]')."
_TEMPLATE = Path(__file__).parent / "report.html.j2"
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "−": "$-$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
} | {one: f"\\{one}" for one in "&%$#_"}  # fmt: skip


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


def export(report: Report, folder: Path) -> list[Path]:
    """Writes every table and figure of a report to a folder, and returns their files.

    Raises:
        ConfigError: The folder cannot be written.
        MissingExtraError: matplotlib is not installed; the tables are written by then.
    """
    made: list[Path] = []
    for table in (*tables(report), all_pairs(report)):
        made.append(_write(folder / f"{table.name}.csv", csv_of(table).encode()))
        made.append(_write(folder / f"{table.name}.tex", latex_of(table).encode()))
    for name, picture in figures(report):
        made += [_write(folder / f"{name}.{kind}", picture(kind)) for kind in ("svg", "png")]
    return made


def csv_of(table: Table) -> str:
    """A table with a column per number: a mean or a difference is followed by the ends of its interval."""
    parts = [_parts([row[n] for row in table.rows], intervals=table.intervals) for n in range(len(table.head))]
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    head = [f"{name} {part}".strip() for name, of in zip(table.head, parts, strict=True) for part in of]
    sheet.writerow(map(defused, head))
    for row in table.rows:
        sheet.writerow([_value(cell, part) for cell, of in zip(row, parts, strict=True) for part in of])
    return text.getvalue()


def latex_of(table: Table) -> str:
    """A `tabular` for a document with the package booktabs."""
    numbers = "".join(
        "l" if any(isinstance(row[n], str) for row in table.rows) else "r" for n in range(len(table.head))
    )
    lines = [
        *(f"% {printable(line)}" for line in (table.title, table.about) if line),
        f"\\begin{{tabular}}{{{numbers}}}", "\\toprule", _row(list(map(_escaped, table.head))), "\\midrule",
        *(_row([_cell(cell, intervals=table.intervals) for cell in row]) for row in table.rows),
        "\\bottomrule", "\\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula, on one line."""
    plain = printable(text)
    return f"'{plain}" if plain.lstrip()[:1] in ("=", "+", "-", "@") and plain.strip() else plain


def _parts(column: Sequence[Cell], *, intervals: bool) -> tuple[str, ...]:
    """The parts of a column's cells that become columns of their own."""
    if not intervals:
        return ("",)
    if any(isinstance(cell, Difference) for cell in column):
        return ("", "low", "high", "corrected p")
    return ("", "low", "high") if any(isinstance(cell, Estimate | Share) for cell in column) else ("",)


def _value(cell: Cell, part: str) -> str | float | int:
    match cell:
        case None:
            return ""
        case str():
            return "" if part else defused(cell)
        case Share(one) | (Estimate() as one):
            return {"": one.mean, "low": one.low, "high": one.high}.get(part, "")
        case Difference() as one:
            return {"": one.value, "low": one.low, "high": one.high, "corrected p": one.p}[part]
    return "" if part else cell


def _cell(cell: Cell, *, intervals: bool) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    text = _escaped(written(cell, interval=" [{}, {}]" if intervals else "")).replace("-", "$-$")
    return re.sub(r"(\S+) (\[.*\])$", r"\1 {\\footnotesize \2}", text)


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(one, one) for one in printable(text))


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _write(path: Path, content: bytes) -> Path:
    with atomic_write(path, hint="check --export") as file:
        file.write(content)
    return path
