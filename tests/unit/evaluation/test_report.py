from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPO
from tests.unit.bench_world import FILMS, Quiet, llm_method, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.core.types import Exchange
from zsrec.data.catalog import Catalog
from zsrec.evaluation import charts, report_export
from zsrec.evaluation.benchmark import in_folder, rebuild
from zsrec.evaluation.predictions import Header, Predicted, Prediction, Use
from zsrec.evaluation.report import Bin, Group, _calibration
from zsrec.evaluation.report_markdown import escaped
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.statistics import Comparison, Estimate, estimates, shares
from zsrec.llm.protocol import ChatRequest

HOSTILE = (
    "</td><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)> [a](javascript:b) |`x`| \u202e"
)


class Model(FakeLLM):
    async def chat(self, request: ChatRequest) -> Exchange:
        exchange = told_by_prompt(request)
        listed = [line for line in request.messages[-1].content.splitlines() if line.startswith("- ")]
        answer = "\n".join(listed[:5]) or exchange.answer + "\n" + HOSTILE
        return exchange.model_copy(update={"answer": answer, "model": HOSTILE})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with hostile titles, notes, names of data and models."""
    path = tmp_path_factory.mktemp("run") / "r"
    films = Catalog.from_items(
        [{"id": str(n), "title": f"{title} {HOSTILE}" if n % 2 else title} for n, title in enumerate(FILMS)]
        + [{"id": "canary-id", "title": HOSTILE}]
    )
    methods = [
        llm_method("generate", "generate/default"),
        llm_method("rank", "rank/default", pool=8, shuffled=True),
    ]
    given = task(
        llm_methods=methods, questions=6, notes=(HOSTILE,), skipped={"semantic": HOSTILE}, users=15
    )  # fmt: skip
    object.__setattr__(given, "catalog", films)
    object.__setattr__(given, "data", HOSTILE)
    in_folder(given, RunFolder(path), {"note": HOSTILE}, Quiet(), llm=Model(""))
    return path


class Page(HTMLParser):
    """Reads a page strictly: every tag that opens closes, in order."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_asks_no_other_host(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    names = {name for name, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "link", "a", "form", "base"}
    for _, attributes in page.tags:
        assert not {"src", "action", "style", "xlink:href"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")  # a marker of the same chart
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_hostile_texts_are_shown_as_text(run: Path) -> None:
    page = Page()
    text = (run / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    shown = "".join(page.text)
    assert shown.count("<script>alert(1)</script>") > 10
    assert "\u202e" not in text
    for heading in ("Quality against cost", "Position bias: rank", "What the model can recite", "Who beats whom"):
        assert heading in shown
    assert sum(name == "svg" for name, _ in page.tags) >= 4


def test_markdown_is_escaped(run: Path) -> None:
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "<script" not in re.sub(r"\\<", "", text)
    assert "javascript:b" in text
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", text)
    widths = {}
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()]
        widths[block[:30]] = set(rows)
    assert len(widths) >= 5
    assert all(len(found) == 1 for found in widths.values()), widths


@given(st.text(max_size=60))
def test_escaped_markdown_has_no_bare_mark(text: str) -> None:
    found = escaped(text)
    assert "\n" not in found
    assert not re.search(r"(?<!\\)[`*_\[\]|<>~$@#]", found.replace("\\\\", ""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Heat", r"1\. Heat"),
        ("- Heat", r"\- Heat"),
        ("see http://a.b and www.c.d", r"see http:/\/a.b and www\.c.d"),
        ("a & b: c. d-e (1999)", r"a \& b: c. d-e (1999)"),
    ],
)
def test_escaped_markdown_stays_readable(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_a_verdict_says_what_could_be_shown() -> None:
    same = Comparison(
        metric="NDCG@10", a="x", b="y", difference=0.01, low=-0.01, high=0.03, p=0.04, p_holm=0.2, users=200
    )
    assert "no difference in NDCG@10 that 200 users could show (between -0.0100 and +0.0300" in same.verdict
    worse = same.model_copy(update={"difference": -0.02, "low": -0.03, "high": -0.01, "p_holm": 0.001})
    assert worse.verdict.startswith("y beats x in NDCG@10 by 0.0200")


def figures(picture: str, axis: str) -> list[float]:
    """The numbers along an axis, which stand under it in one line or beside it in one column."""
    ticks = re.findall(
        r'<text font-size="9px" text-anchor="(\w+)"[^>]*fill="var\(--soft\)"[^>]*>([^<]*)</text>', picture
    )
    anchor = {"x": "middle", "y": "end"}[axis]
    return [float(text.replace("−", "-")) for at, text in ticks if at == anchor and re.fullmatch(r"[−\d.]+", text)]


@pytest.mark.parametrize("most", [0, 0.06, 0.1, 0.9, 23, 101])
def test_axes_begin_at_zero_and_reach_the_highest_value(most: float) -> None:
    row = {"m": Estimate(mean=most / 2, low=0, high=most)}
    ticks = figures(charts.interval_chart("t", "", row).picture, "x")
    assert min(ticks) <= 0 <= max(ticks)
    step = ticks[1] - ticks[0]
    assert most - step <= max(ticks) <= most + step or most == 0


def drawn_alone(run: Path, **more: object) -> list[charts.Chart]:
    """The charts of a report with one method, whose figures are all 0 and whose name is hostile."""
    report = rebuild(RunFolder(run))
    zero = Estimate(mean=0, low=0, high=0)
    (one,) = (one for one in report.methods if one.method == "rank")
    llm = (
        None
        if one.llm is None
        else one.llm.model_copy(
            update={"first_places": (0.0, 1.0), "calibration": (Bin(stated=0.5, true=1.0, number=3),)}
        )
    )
    groups = tuple(Group(events=(n, n + 1), users=20, estimate=zero) for n in (0, 2))
    plain = {"method": "<i>$x^2$", "metrics": dict.fromkeys(one.metrics, zero), "by_history": groups, "llm": llm}
    method = one.model_copy(update=plain)
    return charts.charts(report.model_copy(update={"methods": (method,), "same_users": None}))


def test_charts_of_nothing_and_of_one_point_are_drawn(run: Path) -> None:
    found = drawn_alone(run)
    titles = [one.title.split(",")[0] for one in found]
    assert titles == [
        "NDCG@5", "Quality against cost", "By the length of the history", "Position bias: <i>$x^2$",
        "Calibration: <i>$x^2$",
    ]  # fmt: skip
    for title, _, picture, _ in found:
        assert "nan" not in picture
        assert "<i>" not in picture
        assert "&lt;i&gt;$x^2$" in picture, title  # neither HTML nor mathematics


def test_equal_reports_have_equal_charts_without_dates(run: Path) -> None:
    assert [one[:3] for one in drawn_alone(run)] == [one[:3] for one in drawn_alone(run)]
    for one, same in zip(drawn_alone(run), drawn_alone(run), strict=True):
        assert [one.save(kind) == same.save(kind) for kind in ("svg", "png")] == [True, True]
    for one in drawn_alone(run):
        assert not re.search(r"20\d\d-\d\d|<metadata|<style|<!--|clip-path", one.picture)


def test_a_page_without_matplotlib_has_its_tables_and_a_note(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, config = rebuild(RunFolder(run)), RunFolder(run).config()
    whole = report_export.html(report, config)
    assert report_export.NO_CHARTS.split("(")[0] not in whole
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    bare = report_export.html(report, config)
    assert "need matplotlib (pip install &#39;zsrec[bench]&#39;)" in bare
    assert "<svg" not in bare
    assert bare.count("<table>") == whole.count("<table>") > 5


def predicted(scores: list[tuple[float, ...]]) -> Predicted:
    use = Use(candidates=("a", "b", "c"))
    rows = [
        Prediction(f"u{n}", "a", 0, 1, 0, 0, ("a", "b", "c")[: len(one)], one, use) for n, one in enumerate(scores)
    ]
    return Predicted.of(Header(method="m", mode="zero-shot"), rows)


def test_only_probabilities_are_calibrated() -> None:
    assert _calibration(predicted([(1.0, 0.5), (1.0,)])) == ()  # places of an answer
    assert _calibration(predicted([(0.5, 1 / 3), (0.25,)])) == ()  # places, the first ones dropped
    found = _calibration(predicted([(0.75, 0.15, 0.05), (0.72, 0.12, 0.01)]))
    assert [(one.number, round(one.true, 6)) for one in found] == [(2, 0.0), (2, 0.0), (2, 1.0)]
    assert found[-1].stated == pytest.approx(0.735)


@pytest.mark.slow
def test_the_report_of_many_users_is_quick_and_small(tmp_path: Path) -> None:
    """A tenth of the promised size (100,000 users × 100 predictions in 30 s and 1 GB), in a process of its own."""
    users, length = 10_000, 100
    folder = RunFolder(tmp_path / "r")
    rng = np.random.default_rng(0)
    split = {"protocol": "p", "notes": [], "users": users, "items": 50_000, "orders": 1}
    config = {"versions": {}, "data": "synthetic", "ks": [10], "seed": 0, "methods": ["m"], "questions": 0}
    folder.start(config | {"skipped": {}, "notes": [], "prices": [None, None], "server": None, "split": split})
    folder.write_json("times.json", {})
    folder.write_json("titles.json", {})
    above, events = rng.integers(-1, 500, users).tolist(), rng.integers(300, size=users).tolist()
    scores = tuple(1 / place for place in range(1, length + 1))
    folder.write_predictions(
        Header(method="m", mode="zero-shot"),
        (
            Prediction(
                str(u), "1", 0, events[u], above[u], 0, tuple(map(str, rng.integers(50_000, size=length))), scores
            )
            for u in range(users)
        ),
    )
    script = (
        "import sys, time; from zsrec.evaluation.benchmark import rebuild;"
        "from zsrec.evaluation.run_folder import RunFolder;"
        "start = time.process_time(); rebuild(RunFolder(sys.argv[1]));"
        "status = open('/proc/self/status').read();"  # exec keeps the parent's peak in ru_maxrss: pytest's own
        "print(time.process_time() - start, int(status.split('VmHWM:')[1].split()[0]) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder.path)], capture_output=True, text=True, check=True, cwd=REPO
    )
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 10
    assert megabytes < 400


def test_rebuilding_changes_nothing(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    rebuild(RunFolder(run))
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_zeros_for_all_users_are_no_certainty() -> None:
    zeros, ones, mixed = np.zeros(200), np.ones(200), np.r_[np.zeros(199), 1.0]
    found = shares(
        {"0": zeros, "1": ones, "some": mixed, "none": np.zeros(0), "free": ones}, seed=0, free={"free"}
    )
    nothing, everything = found["0"], found["1"]
    assert (nothing.mean, nothing.low, round(nothing.high, 4)) == (0.0, 0.0, 0.0183)
    assert (everything.mean, round(everything.low, 4), everything.high) == (1.0, 0.9817, 1.0)
    assert found["some"] == estimates([mixed], seed=0)[0]
    assert (found["free"].low, "none" in found) == (1.0, False)
    assert (1 - nothing.high) ** 200 == pytest.approx(0.025)  # the largest share that 200 zeros do not rule out
