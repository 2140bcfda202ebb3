"""The documentation does what it says: the tutorial's commands run; no key, name or page is missing."""

from __future__ import annotations

import hashlib
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import zsrec
from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, send
from tests.unit.judges import LabelLLM
from zsrec.cli import app
from zsrec.core.types import Sampling
from zsrec.prompts import Library
from zsrec.prompts.front_matter import FrontMatter, Ranking, Variable

DOCS = REPO / "docs"
SHOP = DOCS / "examples" / "bookshop"
TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, re.M | re.S)


def from_the_shelf(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """A model that copies some titles of the prompt's list, in an order that depends on the prompt alone."""
    prompt = body["messages"][-1]["content"]
    shelf = re.findall(r"^(?:On the shelf|Candidates):\n((?:- .*\n)+)", prompt, re.M)  # not what the reader has
    titles = re.findall(r"^- (.*?)(?: \([^()]*, [^()]*\))?$", "".join(shelf) or prompt, re.M)[:20]
    rng = random.Random(hashlib.sha256(prompt.encode()).hexdigest())
    named = rng.sample(titles, min(5, len(titles)))
    send(handler, completion("\n".join(f"{n}. {title}" for n, title in enumerate(named, 1))))


def test_the_fashion_example_is_free_of_findings_and_shows_the_pictures() -> None:
    folder = DOCS / "examples" / "fashion"
    checked = CliRunner().invoke(app, ["prompts", "check", "--strict", str(folder / "style.j2")])
    assert checked.exit_code == 0, checked.output
    clothes = zsrec.Catalog.from_csv(folder / "clothes.csv", id="sku", domain="clothes")
    llm = LabelLLM({})
    with zsrec.Recommender(clothes, template=folder / "style.j2").with_llm(llm) as recommender:
        found = recommender.recommend(["f1", "f5"], 2, candidates=["f2", "f3", "f4", "f6"])
    assert not any("image" in note for note in found.trace.notes)
    first = llm.requests[0].messages[-1]
    assert [image.caption[:11] for image in first.images] == [
        f"Image {n}: {label}." for n, label in enumerate("ABCD", 1)
    ]
    assert all(image.url.startswith("data:image/png;base64,") for image in first.images)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(from_the_shelf) as running:
        monkeypatch.setenv("ZSREC_BASE_URL", running.base_url)
        yield running


def test_the_tutorial_from_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ScriptedServer
) -> None:
    monkeypatch.chdir(tmp_path)
    (template,) = blocks("jinja")
    (tmp_path / "genre.j2").write_text(template, encoding="utf-8")
    said: dict[str, str] = {}
    for line in "".join(blocks("sh")).splitlines():
        if line.startswith("zsrec model up"):
            continue  # the server of this test answers instead
        if not line.startswith("zsrec"):
            subprocess.run(
                line.replace("CHECKOUT", shlex.quote(str(REPO))), shell=True, check=True, capture_output=True
            )
            continue
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
        said[" ".join(line.split()[1:3])] = result.output
    assert set(said) == {"bench run", "prompts check", "prompts render", "recommend --catalog", "prompts compare"}
    assert "genre.j2: ok" in said["prompts check"]
    assert "- Kim (adventure, " in said["prompts render"]
    assert "NDCG@10: no difference that 20 users could show" in said["prompts compare"]
    assert "ask more users" in said["prompts compare"]
    assert "crime, 11.50" in "".join(one["messages"][-1]["content"] for one in model.requests)
    asked = len(model.requests)
    assert asked == 1 + 2 * 20
    compare = next(line for line in "".join(blocks("sh")).splitlines() if "prompts compare" in line)
    CliRunner().invoke(app, shlex.split(compare)[1:])
    assert len(model.requests) == asked  # the same command asks nothing again


def test_the_mistake_that_the_tutorial_makes(tmp_path: Path) -> None:
    (template,) = blocks("jinja")
    broken = tmp_path / "genre.j2"
    shelf, bought = template.split("The reader bought")
    broken.write_text(f"{shelf}The reader bought{bought.replace('book.display', 'book.dispay')}", encoding="utf-8")
    result = CliRunner().invoke(app, ["prompts", "check", str(broken)])
    assert result.exit_code == 1
    assert f"{broken}:24:" in result.output
    assert "did you mean 'display'" in result.output


def test_the_bookshop() -> None:
    books = zsrec.Catalog.from_csv(SHOP / "books.csv", id="item", title="title")
    assert {"author", "genre", "price"} <= set(books.attribute_names)
    sales = (SHOP / "sales.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert f"{len(books)} books" in TUTORIAL
    assert f"{len(sales)} sales to {len({line.split(',')[0] for line in sales})} readers" in TUTORIAL


def test_the_reference_has_every_key(tmp_path: Path) -> None:
    page = tmp_path / "templates.md"
    subprocess.run([sys.executable, REPO / ".ci" / "template_reference.py", page], check=True, cwd=REPO)
    text = page.read_text(encoding="utf-8")
    for model in (FrontMatter, Variable, Sampling, Ranking):
        for name in model.model_fields:
            row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` | "))
            assert len(row.split(" | ")) == 4
            assert not row.endswith("|  |"), f"{model.__name__}.{name} is not described"
    assert "| `temperature` | `float`, ≥ 0, ≤ 2 | `0.0` |" in text
    for entry in Library().entries():
        front = entry.source.front
        for name in front.variables if front else ():
            assert f"| `{name}` | " in text, f"{entry.name} uses {name}, which the reference lacks"


def test_every_page_is_on_the_map() -> None:
    nav = yaml.safe_load((REPO / ".mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = [page for part in nav for pages in part.values() for one in pages for page in one.values()]
    made = {"reference/templates.md", "gallery.md", "notebook.md"}  # before each build
    here = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | made
    assert sorted(listed) == sorted(here)


def test_the_api_reference_has_every_public_name() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    described = re.findall(r"^::: (zsrec\.[\w.]+)$", text, re.M)
    assert [name for name in zsrec.__all__ if f"zsrec.{name}" not in described] == []
    for name in described:
        _resolve(name)


PAGES = [REPO / "README.md", *sorted(DOCS.rglob("*.md"))]


def _commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every complete `zsrec …` command in a page's shell blocks."""
    fences = re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.M | re.S)
    for block in (block for language, block in fences if language in ("", "sh", "console")):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:\$ )?(?:\w+=\S+ )*zsrec (.*)", line)
            if found and not re.search("[…\\[]", found[1].partition(" #")[0]):
                yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_on_every_page_are_accepted(page: Path) -> None:
    for arguments in _commands(page):
        command, rest = get_command(app), arguments
        with command.make_context("zsrec", [], resilient_parsing=True) as context:
            while isinstance(getattr(command, "commands", None), dict) and rest:
                name, *rest = rest
                found = command.get_command(context, name)  # type: ignore[attr-defined]
                assert found is not None, arguments
                command = found
        try:
            command.make_context("zsrec", list(rest), parent=context)
        except typer.Exit:
            assert "--help" in arguments


def test_the_commands_are_found() -> None:
    found = [" ".join(arguments) for page in PAGES for arguments in _commands(page)]
    assert len(found) > 55
    assert "model up" in found
    assert "data info 20m" in found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_names_on_every_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in sorted(set(re.findall(r"`(zsrec(?:\.\w+)+)", text))):
        _resolve(name)
    for module, names in re.findall(r"^from (zsrec[\w.]*) import \(?([\w, \n]+?)\)?$", text, re.M):
        for name in names.replace("\n", " ").split(","):
            if name.strip():
                _resolve(f"{module}.{name.strip()}")
    for path in re.findall(r"`((?:tests|benchmarks|\.ci|docker)/[\w./-]+)`", text):
        assert (REPO / path).exists(), path
    for path in re.findall(r"`((?!zsrec_)\w+/\w+\.py)`", text):
        assert (REPO / "zsrec" / path).exists() or (REPO / path).exists(), path


def _resolve(name: str) -> None:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("zsrec"):
                pytest.skip(f"{name} needs {error.name}")
            continue
        for part in parts[end:]:
            found = getattr(found, part, None) or getattr(found, "model_fields", {})[part]
        return
    raise AssertionError(name)


def test_no_page_holds_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
    assert [page for page in (*PAGES, REPO / "CHANGELOG.md") if marks.search(page.read_text("utf-8"))] == []
