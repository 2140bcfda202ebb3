"""`zsrec prompts compare` over HTTP: the same users, resumed after a failure, plain errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.faults.server import ScriptedServer, fails
from tests.faults.test_bench_kill import answer, write_data
from zsrec.cli import app
from zsrec.core.errors import ConfigError, LLMServerError

TEMPLATE = """\
---
task: {task}
variables:
  history: {{scope: user, type: items}}
  candidates: {{scope: pool, type: items}}
---
{{% block user %}}
{words} {{% for film in history %}}{{{{ film.display }}}}; {{% endfor %}}{{{{ candidates|join(", ") }}}}
{{% endblock %}}
"""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSREC_MAX_RETRIES", "0")
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.j2").write_text(TEMPLATE.format(task="rank", words=folder), encoding="utf-8")
    return tmp_path


def compare(server: ScriptedServer, *more: str) -> Result:
    tables = ["--interactions", "inter.csv", "--catalog", "items.csv", "--base-url", server.base_url]
    return CliRunner().invoke(app, ["prompts", "compare", *more, *tables])


def test_two_versions_of_one_file(data: Path, server: ScriptedServer) -> None:
    result = compare(server, "old/mine.j2", "new/mine.j2", "generate/default", "--users", "8", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert list(found["means"]["NDCG@10"]) == ["old/mine.j2", "new/mine.j2", "generate/default"]
    assert len(found["verdicts"]) == 3
    assert set(found["reachable"]) == {"old/mine.j2", "new/mine.j2"}
    prompts = [one["messages"][-1]["content"] for one in server.requests]
    old, new = ({p.removeprefix(word) for p in prompts if p.startswith(word)} for word in ("old", "new"))
    assert old == new  # the same users with the same candidates
    assert len(old) == 8
    assert found["means"]["tokens"]["old/mine.j2"]["mean"] == 15


def test_a_failed_comparison_goes_on(data: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_CONCURRENCY", "1")
    server.scripts[:] = [answer] * 10 + [fails(500)]
    arguments = ("old/mine.j2", "new/mine.j2", "--users", "8", "--out", "run")
    failed = compare(server, *arguments)
    assert isinstance(failed.exception, LLMServerError)
    assert "old/mine.j2: 8 of 8 · done in " in failed.stderr  # no terminal, so no bar
    server.scripts[:] = [answer]
    result = compare(server, *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "that 8 users could show" in result.output
    assert "new/mine.j2: 0 of 8\nnew/mine.j2: 8 of 8 · done in " in result.stderr
    for name in ("old/mine.j2", "new/mine.j2"):
        assert (
            f"{name} against its candidates in the order of retrieval: no difference in NDCG@10" in result.stdout
        )
    asked = Counter(one["messages"][-1]["content"] for one in server.requests)
    assert len(asked) == 16
    assert sorted(asked.values()) == [1] * 15 + [2]  # only what failed was sent again


def test_an_edited_template_is_another_run(data: Path, server: ScriptedServer) -> None:
    arguments = ("old/mine.j2", "rank/default", "--users", "4")
    assert compare(server, *arguments).exit_code == 0
    (data / "old" / "mine.j2").write_text(TEMPLATE.format(task="rank", words="edited"), encoding="utf-8")
    assert compare(server, *arguments).exit_code == 0
    assert len(list(data.glob("zsrec-bench-*"))) == 2


def test_own_folders_of_templates(data: Path, server: ScriptedServer) -> None:
    result = compare(server, "mine", "rank/default", "--prompts", "new", "--users", "4", "--against", "mine")
    assert result.exit_code == 0, (result.output, result.exception)
    assert any(one["messages"][-1]["content"].startswith("new") for one in server.requests)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("old/mine.j2",), "nothing to be compared with"),
        (("old/mine.j2", "rank/default", "--data", "100k"), "--interactions and --catalog together"),
        (("old/mine.j2", "explain/default"), "of the task 'explain'"),
        (("old/mine.j2", "old/mine.j2"), "one name"),
        (("old/mine.j2", "rank/default", "--retriever", "magic"), "unknown method 'magic'"),
    ],
)
def test_what_cannot_be_compared(
    data: Path, server: ScriptedServer, arguments: tuple[str, ...], message: str
) -> None:
    result = compare(server, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not server.requests
