"""Hostile titles, ids, users and names in a benchmark's reports: the page and the Markdown stay what they are."""

from __future__ import annotations

import csv
import random
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import REPO
from tests.hostile.attacks import ATTACKS, Attack
from tests.unit.bench_world import Quiet, llm_method
from tests.unit.fakes import FakeLLM
from zsrec.core.untrusted_text import printable
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Contact, Ids, Interactions
from zsrec.evaluation import leave_one_out
from zsrec.evaluation.benchmark import Task, in_folder, rebuild
from zsrec.evaluation.report_export import export
from zsrec.evaluation.report_markdown import escaped
from zsrec.evaluation.run_folder import RunFolder
from zsrec.retrieval import ItemKNN, Popularity

SHORT = [one for one in ATTACKS if len(one.text) < 1000]
TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "h1", "h2", "h3", "p", "div",
    "table", "thead", "tbody", "tr", "th", "td", "small", "bdi", "figure", "figcaption", "ul", "li", "pre", "svg",
    "text", "line", "circle", "rect", "path", "polyline", "g", "defs", "use", "details", "summary", "b",
    "code", "br", "span",
}  # fmt: skip


class Page(HTMLParser):
    """Keeps what a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.comments: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action", "data"}]

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every text that data can bring is an attack."""
    rng = random.Random(0)
    films = Catalog.from_items(
        [{"id": one.text, "title": one.text, "genres": one.text} for one in SHORT], domain=SHORT[0].text
    )
    ids = list(films.ids)
    rows = [
        Contact(user.text, item, float(time))
        for user in SHORT[:40]
        for time, item in enumerate(rng.sample(ids, 9))
    ]
    evil = "</td><script>alert(1)</script> | [x](javascript:y) `z`\n# Heading"
    task = Task(
        data=evil,
        catalog=films,
        problems=[leave_one_out(Interactions.from_contacts(rows, catalog=Ids(films.ids)))],
        methods={"pop": Popularity, "itemknn": ItemKNN, evil: Popularity},
        llm_methods=[llm_method("../../<b>generate</b>", "generate/default")],
        users=10,
        skipped={evil: evil},
        notes=(evil, *(one.text for one in SHORT)),
    )
    path = tmp_path_factory.mktemp("hostile") / "run"
    answer = "\n".join(f"{n}. {one.text}" for n, one in enumerate(SHORT[:20], 1))
    in_folder(task, RunFolder(path), {"files": {evil: evil}}, Quiet(), llm=FakeLLM(answer))
    return path


def test_the_page_has_its_own_elements_only(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "alert(1)" in text  # the attacks are there, as text
    assert page.tags <= TAGS, page.tags - TAGS
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not [link for link in page.links if not link.startswith("#")]
    assert page.comments == []
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x1b]", text)


def test_markdown_has_no_html_no_link_and_no_more_headings(run: Path) -> None:
    text = (run / "report.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    kinds = {token.type for token in flat}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "s_open"}, kinds
    fences = [token.content for token in flat if token.type in {"fence", "code_block", "code_inline"}]
    assert not [content for content in fences if "alert" in content or "system" in content]
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert "Heading" not in headings
    assert not [name for name in headings if name == "System"]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_each_text_alone_is_one_plain_line(attack: Attack) -> None:
    cell = escaped(attack.text)
    row = f"| a | b |\n|---|---|\n| {cell} | last |\n"
    tokens = MarkdownIt("commonmark").enable("table").parse(row)
    flat = [child for token in tokens for child in (token, *(token.children or ()))]
    assert not {token.type for token in flat} & {"html_block", "html_inline", "link_open", "image", "code_inline"}
    assert [token.type for token in tokens].count("td_open") == 2
    assert "\n" not in printable(attack.text)
    assert all(char.isprintable() for char in printable(attack.text))


def test_no_file_that_zsrec_writes_leaves_its_folder(run: Path) -> None:
    written = [path for path in run.parent.rglob("*") if path.is_file()]
    assert all(path.resolve().is_relative_to(run.resolve()) for path in written)
    assert {path.parent for path in written} == {run, run / "predictions"}


def test_no_sheet_takes_a_cell_for_a_formula_and_latex_is_text(run: Path, tmp_path: Path) -> None:
    files = export(rebuild(RunFolder(run)), tmp_path / "out")
    assert {path.suffix for path in files} == {".csv", ".tex", ".svg", ".png"}
    for path in files:
        if path.suffix == ".csv":
            for row in csv.reader(path.read_text(encoding="utf-8").splitlines()):
                for cell in row:
                    assert cell[:1] not in ("=", "+", "@", "\t") or re.fullmatch(r"[+-]?[\d.e-]+", cell)
                    assert cell[:1] != "-" or re.fullmatch(r"-[\d.e-]+", cell)
        if path.suffix == ".tex":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\\(?:input|write|include|def)\b", text)
    quality = (tmp_path / "out" / "quality.tex").read_text(encoding="utf-8")
    assert quality.count("\\\\") == 1 + 4  # the head and four methods
    assert "\\textless{}script\\textgreater{}" in quality


def test_only_the_export_writes_sheets() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (REPO / "zsrec").rglob("*.py")}
    writers = [
        path.name for path, text in sources.items() if re.search(r"csv\.(?:Dict)?[wW]riter|to_csv|write_csv", text)
    ]
    assert set(writers) == {"report_export.py", "split_files.py"}  # the second writes the caller's own ids
