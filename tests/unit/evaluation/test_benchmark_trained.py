"""Trained baselines as rows of the benchmark. Where RecTools is not installed, a stand-in takes its place."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from typer.testing import CliRunner, Result

from tests.unit.bench_world import FILMS, Quiet, contacts, task
from zsrec.cli import app
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.evaluation.benchmark import in_folder, rebuild
from zsrec.evaluation.report_markdown import readme_table
from zsrec.evaluation.run_folder import RunFolder
from zsrec.retrieval import ItemKNN, Mode
from zsrec.retrieval import by_name as known
from zsrec.retrieval.trained import EaseConfig, SasRecConfig


@dataclass(frozen=True, eq=False)
class Trained(ItemKNN):
    name: ClassVar[str] = "ease"
    mode: ClassVar[Mode] = "trained"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = [f"{one.user},{one.item},{one.time}" for one in contacts()]
    (tmp_path / "inter.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n", encoding="utf-8")
    items = [f"{n},{title}" for n, title in enumerate(FILMS)]
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *items]) + "\n", encoding="utf-8")
    return tmp_path


def invoke(files: Path, *more: object) -> Result:
    argv = ["bench", "run", "--interactions", files / "inter.csv", "--catalog", files / "items.csv", *more]
    return CliRunner().invoke(app, [str(part) for part in argv])


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rectools.models", None)


def test_trained_stands_in_every_table(tmp_path: Path) -> None:
    given = task(llm_methods=(), methods={"pop": ItemKNN, "ease": Trained})
    found = in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet())
    assert [one.mode for one in found.methods] == ["training-free", "trained"]
    again = rebuild(RunFolder(tmp_path / "r"))
    assert [one.mode for one in again.methods] == ["training-free", "trained"]
    line = next(line for line in (tmp_path / "r/report.md").read_text("utf-8").splitlines() if "| ease |" in line)
    assert "| trained |" in line
    assert "<bdi>trained</bdi>" in (tmp_path / "r/report.html").read_text("utf-8")
    assert "| ease | trained |" in readme_table(again, RunFolder(tmp_path / "r").config())


def test_without_the_extra_the_others_run_and_the_reason_is_said(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent(monkeypatch)
    result = invoke(files, "--methods", "pop,ease,sasrec", "--json", files / "o.json")
    assert result.exit_code == 0, result.exception
    found = json.loads((files / "o.json").read_text("utf-8"))
    assert [one["method"] for one in found["methods"]] == ["pop"]
    assert list(found["skipped"]) == ["ease", "sasrec"]
    assert "zsrec[trained]" in found["skipped"]["sasrec"]
    assert "sasrec: left out" in result.output
    alone = invoke(files, "--methods", "ease").exception
    assert isinstance(alone, MissingExtraError)
    assert alone.extra == "trained"


def test_hyper_parameters_reach_the_method_and_the_configuration(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, EaseConfig | None, SasRecConfig | None]] = []
    library = ModuleType("rectools.models")
    library.EASEModel = library.SASRecModel = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rectools", ModuleType("rectools"))
    monkeypatch.setitem(sys.modules, "rectools.models", library)

    def trained(name: str, *, ease: EaseConfig | None, sasrec: SasRecConfig | None) -> type[ItemKNN]:
        asked.append((name, ease, sasrec))
        return Trained

    monkeypatch.setattr(known, "trained", trained)
    more = ("--methods", "ease,sasrec", "--ease", "regularization=100", "--sasrec", "epochs=7, loss=gBCE")
    result = invoke(files, *more, "--out", files / "r")
    assert result.exit_code == 0, result.exception
    assert "trained" in result.output
    config = SasRecConfig(epochs=7, loss="gBCE")
    assert asked == [(name, EaseConfig(regularization=100), config) for name in ("ease", "sasrec")]
    arguments = json.loads((files / "r" / "config.json").read_text("utf-8"))["arguments"]
    assert (arguments["ease"], arguments["sasrec"]) == ("regularization=100", "epochs=7, loss=gBCE")
    other = invoke(files, "--methods", "ease,sasrec", "--ease", "regularization=1", "--out", files / "r").exception
    assert "arguments.ease" in str(other)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--methods", "pop,ease", "--strict-time"), "trained for each user"),
        (("--methods", "ease", "--ease", "lambda=3"), "NAME=VALUE"),
        (("--methods", "sasrec", "--sasrec", "epochs"), "NAME=VALUE"),
        (("--methods", "pop,label", "--retriever", "ease"), "'ease' for --retriever"),
    ],
)
def test_what_is_refused(files: Path, more: tuple[str, ...], match: str) -> None:
    found = invoke(files, *more).exception
    assert isinstance(found, ConfigError)
    assert match in str(found)


def test_the_library_itself(files: Path) -> None:
    pytest.importorskip("rectools")
    more = ("--methods", "pop,ease,sasrec", "--sasrec", "factors=8,heads=1,epochs=1,session=5")
    result = invoke(files, *more, "--json", files / "o.json")
    assert result.exit_code == 0, result.exception
    found = json.loads((files / "o.json").read_text("utf-8"))
    assert [one["mode"] for one in found["methods"]] == ["training-free", "trained", "trained"]
