"""The tables of a report, which Markdown, HTML, the terminal, CSV and LaTeX show."""

from __future__ import annotations

from typing import NamedTuple

from zsrec.evaluation.beyond_accuracy import LISTS, MEASURES
from zsrec.evaluation.report import RATES, MethodReport, Report, Seconds
from zsrec.evaluation.statistics import LEVEL, Comparison, Estimate

QUEUEING = (
    "Seconds of methods that ask an LLM are a user's requests one after the other, each with its wait for the "
    "other requests in flight: under load most of it is queueing, and it is no latency of a single request."
)
MATRIX = "Row minus column in {}; * is shown at the 5% level after Holm's correction over all pairs."
LIFT = (
    "Each method minus its own candidates in the order of retrieval, cut at the same length; * is shown at the 5% "
    "level after Holm's correction over the methods."
)
_OLD_NAMES = {"newest events in the prompt": "newest events that the template was given"}


class Difference(NamedTuple):
    """A difference with its interval, and whether it is shown."""

    value: float
    low: float
    high: float
    p: float  # corrected

    @classmethod
    def of(cls, pair: Comparison, *, turned: bool = False) -> Difference:
        """Of a pair, or of the pair the other way round."""
        sign = -1.0 if turned else 1.0
        low, high = sorted((sign * pair.low, sign * pair.high))
        return cls(sign * pair.difference, low, high, pair.p_holm)

    @property
    def is_shown(self) -> bool:
        """Whether the corrected test shows it."""
        return self.p < LEVEL

    def short(self) -> str:
        """The difference alone, as in a matrix; `*` where it is shown."""
        return signed(self.value) + "*" * self.is_shown


class Share(NamedTuple):
    """A share that reads as percent."""

    estimate: Estimate


Cell = str | int | float | Estimate | Difference | Share | None


class Table(NamedTuple):
    """A table; cells are values, and each format writes them in its own way."""

    name: str  # of its file
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    about: str = ""
    columns: dict[str, str] = {}  # noqa: RUF012  (what columns mean; never changed)
    intervals: bool = True  # whether intervals are shown


def tables(report: Report) -> list[Table]:
    """All tables that a report has figures for, what the LLM adds first."""
    made = (lift(report), quality(report), same_users(report), matrix(report), lists(report), usage(report))
    return [one for one in (*made, seconds(report)) if one is not None]


def lift(report: Report) -> Table | None:
    """What each ranking by an LLM adds to its candidates."""
    rows: list[tuple[Cell, ...]] = []
    for one in report.methods:
        if one.llm is not None and one.llm.lift:
            found = {pair.metric: Difference.of(pair) for pair in one.llm.lift}
            reach = one.llm.reachable and Share(one.llm.reachable)
            rows.append(
                (one.method, str(one.llm.how.get("candidates", "")), *map(found.get, report.metrics), reach)
            )
    head = ("method", "candidates", *report.metrics, "target among them")
    return Table("lift", "What the LLM adds", head, tuple(rows), LIFT) if rows else None


def quality(report: Report) -> Table:
    """Each method on its own users."""
    asked = any(one.llm for one in report.methods)
    rows: list[tuple[Cell, ...]] = []
    for one in report.methods:
        recites = () if not asked else ("" if one.llm is None else report.recites,)
        rows.append((one.method, one.mode, one.users, *(one.metrics[key] for key in report.metrics), *recites))
    head = ("method", "mode", "users", *report.metrics, *(("recites",) if asked else ()))
    about = ""
    if report.same_users is not None:
        about = "Each method on its own users: rows with different users cannot be compared; the next table can."
    return Table("quality", "Quality", head, tuple(rows), about)


def same_users(report: Report) -> Table | None:
    """All methods on the users that all of them were asked for."""
    same = report.same_users
    if same is None:
        return None
    rows: list[tuple[Cell, ...]] = [
        (name, *(metrics[key] for key in report.metrics)) for name, metrics in same.metrics.items()
    ]
    title = f"All methods on the same {same.users:,} users"
    return Table("same_users", title, ("method", *report.metrics), tuple(rows))


def matrix(report: Report, key: str | None = None) -> Table | None:
    """Every method against every other in one metric."""
    key = key or report.main_metric
    names = [one.method for one in report.methods]
    pairs = {(pair.a, pair.b): pair for pair in report.comparisons if pair.metric == key}
    if not pairs:
        return None

    def cell(a: str, b: str) -> Cell:
        if (pair := pairs.get((a, b))) is not None:
            return Difference.of(pair)
        return None if (pair := pairs.get((b, a))) is None else Difference.of(pair, turned=True)

    rows: list[tuple[Cell, ...]] = [
        (f"{n} {name}", *(cell(name, other) for other in names)) for n, name in enumerate(names, start=1)
    ]
    users = sorted({pair.users for pair in pairs.values()})
    several = f" to {users[-1]:,} users, each pair on its common ones" if len(users) > 1 else " users"
    about = f"{MATRIX.format(key)} {users[0]:,}{several}."
    head = ("", *map(str, range(1, len(names) + 1)))
    return Table("pairs", "Who beats whom", head, tuple(rows), about, intervals=False)


def all_pairs(report: Report) -> Table:
    """Every pair in every metric, a row each."""
    rows = tuple((one.metric, one.a, one.b, Difference.of(one), one.p, one.users) for one in report.comparisons)
    return Table("all_pairs", "All pairs", ("metric", "a", "b", "a minus b", "p", "users"), rows, report.tests)


def lists(report: Report) -> Table | None:
    """What the lists are like beyond hits."""
    names = report.list_measures
    if not names:
        return None
    rows: list[tuple[Cell, ...]] = [
        (one.method, one.lists.users, one.lists.empty, *(one.lists.measures.get(name) for name in names))
        for one in report.methods
        if one.lists is not None
    ]
    meaning = {name: MEASURES[name.partition("@")[0]] for name in names}
    return Table(
        "lists", "What the lists are like", ("method", "users", "empty", *names), tuple(rows), LISTS, meaning
    )


def usage(report: Report) -> Table | None:
    """What LLMs were asked and what they got wrong, a column per method."""
    asked = [(one, one.llm) for one in report.methods if one.llm is not None]
    if not asked:
        return None
    names = dict.fromkeys(name for _, llm in asked for name in llm.how if name not in ("sha256", "candidates"))
    rows: list[tuple[Cell, ...]] = [
        (_OLD_NAMES.get(name, name), *(str(llm.how.get(name, "")) for _, llm in asked)) for name in names
    ]
    rows += [
        ("tokens in, per user", *(llm.prompt_tokens for _, llm in asked)),
        ("tokens out, per user", *(llm.completion_tokens for _, llm in asked)),
        ("requests, per user", *(llm.requests for _, llm in asked)),
    ]
    if any(llm.cost for _, llm in asked):
        rows.append(("cost, per user", *(llm.cost for _, llm in asked)))
    for name in RATES:
        if any(name in llm.rates for _, llm in asked):
            of = (llm.rates.get(name) for _, llm in asked)
            rows.append((RATES[name], *(None if one is None else Share(one) for one in of)))
    return Table("usage", "LLM usage and errors", ("", *(one.method for one, _ in asked)), tuple(rows))


def seconds(report: Report) -> Table | None:
    """Seconds per user, and where they were measured."""
    rows = [_timed(one, one.seconds) for one in report.methods if one.seconds is not None]
    if not rows:
        return None
    about = QUEUEING if any(one.llm and one.seconds for one in report.methods) else ""
    head = ("method", "median", "95th percentile", "requests at once", "model server", "measured on")
    used = [n for n, name in enumerate(head) if n < 3 or any(row[n] for row in rows)]
    cells = tuple(tuple(row[n] for n in used) for row in rows)
    return Table("seconds", "Seconds per user", tuple(head[n] for n in used), cells, about)


def _timed(one: MethodReport, took: Seconds) -> tuple[Cell, ...]:
    known = took.measured
    on = [str(known[name]) for name in ("processor", "gpu", "system") if name in known]
    on += [f"Python {known['python']}"] if "python" in known else []
    at_once = known.get("requests_at_once", "not recorded" if one.llm else None)
    where = "; ".join(on) or "not recorded"
    return (one.method, took.p50, took.p95, at_once, known.get("model_server"), where)


def written(cell: Cell, *, interval: str = " [{}, {}]") -> str:
    """A cell as text."""
    match cell:
        case None:
            return ""
        case Share(Estimate() as one):
            return f"{one.mean:.1%}" + interval.format(f"{one.low:.1%}", f"{one.high:.1%}")
        case Estimate() as one:
            return number(one.mean) + interval.format(number(one.low), number(one.high))
        case Difference() as one:
            return one.short() + interval.format(signed(one.low), signed(one.high))
        case bool() | str():
            return str(cell)
        case int():
            return f"{cell:,}"
    return f"{cell:.4f}"


def number(value: float) -> str:
    """A number with four digits that tell something, and no leading zero below 1."""
    if abs(value) > 1.0:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
    text = f"{value:.4f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def signed(value: float) -> str:
    """A difference with its sign; 0 has none."""
    return "0" if value == 0 else f"{'-' if value < 0 else '+'}{number(abs(value))}"


def is_number(cell: Cell) -> bool:
    """Whether a cell stands on the right of its column."""
    return not isinstance(cell, str)
