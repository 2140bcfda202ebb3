from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from zsrec.cli import prompts as commands
from zsrec.errors import TemplateError

GOOD = """\
---
task: rank
version: 3
variables: {k: {scope: user, type: int}}
---
{% block user %}
Take {{ k }}.
{% endblock %}
"""


@pytest.fixture
def run():
    app = typer.Typer()
    commands.register(app)

    def run(*arguments: str):
        return CliRunner().invoke(app, ["prompts", *arguments])

    return run


def test_list_shows_every_template_and_what_hides_what(run, tmp_path: Path) -> None:
    (tmp_path / "rank").mkdir()
    (tmp_path / "rank" / "default.j2").write_text(GOOD)
    (tmp_path / "broken.j2").write_text("---\n")
    (tmp_path / "broken2.j2").write_bytes(b"\xff")
    lines = run("list", "--prompts", str(tmp_path)).stdout.splitlines()
    rows = {tuple(line.split()[:4]) for line in lines}
    assert ("rank/default", "rank", "3", "prompts=") in rows
    assert ("generate/default", "generate", "2", "built-in") in rows
    assert [line for line in lines if line.startswith("rank/default") and line.endswith("(hidden by prompts=)")]
    assert len([line for line in lines if line.startswith("broken") and "zsrec prompts check" in line]) == 2


def test_show_prints_path_front_matter_and_text(run) -> None:
    out = run("show", "generate/json").stdout
    assert "generate/json@" in out
    assert "extends: generate/default" in out
    assert "temperature=0.0" in out
    assert "variable: history (items, shared by user)" in out
    assert '{% extends "generate/default" %}' in out


def test_render_prints_the_roles_as_they_will_be_sent(run) -> None:
    out = run(
        "render", "rank/default", "--history", "Heat; Matrix, The (1999)", "--candidates", "Up; Ronin", "--k", "1"
    ).stdout
    assert out.startswith("--- system\n")
    assert "- The Matrix (1999)\n" in out
    assert "- Ronin\n" in out
    about = run("render", "generate/default", "--about", "slow films", "--domain", "books").stdout
    assert "slow films" in about
    assert "books" in about


def test_check_says_what_is_wrong_and_exits_with_one(run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.j2", tmp_path / "bad.j2"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("{{ k }}", "{{ kk }}"))
    fine = run("check", str(good), "rank/terse")
    assert fine.exit_code == 0
    assert "two users of one pool share the first" in fine.stdout
    wrong = run("check", str(tmp_path))
    assert wrong.exit_code == 1
    assert f"{bad}:7:9: undeclared variable 'kk' (did you mean 'k'?)" in wrong.stdout
    as_json = run("check", str(tmp_path), "--json")
    assert as_json.exit_code == 1
    assert {
        "path": str(bad),
        "line": 7,
        "message": "undeclared variable 'kk' (did you mean 'k'?)",
        "severity": "error",
        "rule": "undeclared-variable",
        "column": 9,
    } in json.loads(as_json.stdout)["problems"]


def test_check_without_names_checks_all(run) -> None:
    done = run("check")
    assert done.exit_code == 0
    assert "generate/default: ok" in done.stdout


def test_errors_go_up_to_the_front_door(run, tmp_path: Path) -> None:
    assert isinstance(run("render", "rank/nosuch").exception, TemplateError)
    missing = run("check", str(tmp_path / "none.j2"))
    assert missing.exit_code == 1
    assert "there is no such template file" in missing.stdout
