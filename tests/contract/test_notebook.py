"""The notebook of the documentation, run from its first cell to its last, and its page."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPO
from tests.contract.test_readme import named
from tests.faults.server import ScriptedServer

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("pandas")
pytest.importorskip("polars")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook_page", REPO / ".ci" / "notebook_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook: Any) -> str:
    return "\n".join(
        str(output.get("text") or output["data"].get("text/html") or output["data"].get("text/plain"))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def executed(base_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ZSREC_BASE_URL", base_url)
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    notebook = nbformat.read(script().NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return script().executed(notebook)


def check(notebook: Any) -> None:
    """Every cell ran, and what a reader is promised is there, whatever the model says."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = outputs(notebook)
    assert re.search(r"Catalog\([\d,]+ movies\)", shown)
    assert "how matched" in shown  # Recommendations as a table
    assert "cooccurrence" in shown  # a row of the benchmark
    assert "Answer with 3 film titles in a numbered list." in shown  # the own template's prompt
    assert "Traceback" not in shown


@pytest.mark.slow
def test_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(named) as model:
        check(executed(model.base_url, monkeypatch))
        assert "Somebody saw" in str(model.requests)


@pytest.mark.live
@pytest.mark.timeout(1500)
def test_it_runs_on_a_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    base_url = os.environ.get("ZSREC_TEST_BASE_URL")
    if not base_url:
        pytest.skip("no real server: run `make test`, or set ZSREC_TEST_BASE_URL to one that runs")
    check(executed(base_url, monkeypatch))


def test_what_is_stored_is_small_and_from_no_machine() -> None:
    text = script().NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 100_000
    for trace in ("/root/", "/home/", "/tmp/", "/work/", "image/png"):
        assert trace not in text


def test_the_page_has_the_code_and_what_came_out(tmp_path: Path) -> None:
    notebook = nbformat.read(script().NOTEBOOK, as_version=4)
    page = script().page(notebook)
    assert page.count("```python") == sum(cell.cell_type == "code" for cell in notebook.cells)
    assert page.startswith("# First steps in a notebook")
    assert "<table" in page
    assert "<style" not in page
