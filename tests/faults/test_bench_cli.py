"""`zsrec bench` with methods that ask an LLM, over HTTP."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, answers, fails
from tests.faults.test_bench_kill import FILMS, answer, write_data
from zsrec.cli import app
from zsrec.core.errors import ConfigError, LLMRequestError, LLMServerError, TemplateError, TemplateNotFoundError


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer) as running:
        yield running


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZSREC_MAX_RETRIES", "1")
    return tmp_path


def invoke(server: ScriptedServer, *more: str, command: tuple[str, ...] = ("run",)) -> Result:
    argv = ["bench", *command, *more]
    if command == ("run",):
        argv += ["--interactions", "inter.csv", "--catalog", "items.csv", "--base-url", server.base_url]
    return CliRunner().invoke(app, argv)


def good(result: Result) -> Result:
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def test_a_run_of_twenty_users_with_report_and_comparison(data: Path, server: ScriptedServer) -> None:
    more = ("--methods", "itemknn,generate", "--users", "20", "--template", "rank/default", "--json", "out.json")
    output = good(invoke(server, *more, "--out", "run", "--price-in", "0.5", "--price-out", "1")).output
    found = json.loads((data / "out.json").read_text(encoding="utf-8"))
    assert [(one["method"], one["users"]) for one in found["methods"]] == [
        ("itemknn", 45), ("generate", 20), ("rank/default", 20),
    ]  # fmt: skip
    assert len(server.requests) == 40
    assert "10 + 5 tokens per user, cost 0.000010" in output
    assert "not probed" in output
    good(invoke(server, *more, "--out", "run", "--price-in", "9"))  # prices may change, nothing is asked again
    assert len(server.requests) == 40
    (data / "run" / "report.html").unlink()
    assert "itemknn" in good(invoke(server, "run", command=("report",))).output
    assert (data / "run" / "report.html").stat().st_size > 10_000
    compared = good(invoke(server, "run", "--json", "c.json", command=("compare",))).output
    assert "itemknn" in compared
    assert "that 20 users could show" in compared
    assert len(json.loads((data / "c.json").read_text(encoding="utf-8"))["comparisons"]) == 9
    refused = invoke(server, "--methods", "itemknn,generate", "--users", "21", "--out", "run")
    assert isinstance(refused.exception, ConfigError)
    assert "holds another run: methods" in str(refused.exception)


def test_without_a_folder_one_is_made_up_and_found_again(data: Path, server: ScriptedServer) -> None:
    more = ("--methods", "generate", "--users", "5")
    for _ in range(2):
        good(invoke(server, *more))
    assert len(server.requests) == 5
    assert len(list(data.glob("zsrec-bench-*"))) == 1


def test_any_template_file_is_a_method(data: Path, server: ScriptedServer) -> None:
    head = "---\ntask: generate\nvariables:\n  history: {scope: user, type: items}\n---\n"
    text = head + "{% block user %}\nMine: {{ history[-1] }}\n{% endblock %}\n"
    (data / "mine.j2").write_text(text, encoding="utf-8")
    output = good(
        invoke(server, "--methods", "generate", "--template", "./mine.j2", "--users", "4", "--out", "r")
    ).output
    assert "mine" in output
    assert sum("Mine: Film" in body["messages"][-1]["content"] for body in server.requests) == 4


def test_the_canary_reaches_no_request_over_http(data: Path) -> None:
    """The server fails first, then answers nonsense: neither a retry nor a bad answer brings the target in."""
    inter = (data / "inter.csv").read_text(encoding="utf-8")
    (data / "inter.csv").write_text(inter + "u7,canary-id,99\n", encoding="utf-8")
    with (data / "items.csv").open("a", encoding="utf-8") as file:
        file.write("canary-id,Zanzibar Canary Quux (2099)\n")
    with ScriptedServer(fails(500), fails(429), answers("I cannot say."), answer) as server:
        good(
            invoke(
                server,
                "--methods",
                "pop,itemknn,generate",
                "--template",
                "rank/default",
                "--probe",
                "9",
                "--out",
                "r",
            )
        )
        assert len(server.requests) == 45 + 45 + 18 + 2
        assert "anary" not in json.dumps(server.requests)
        assert "anary" not in (data / "r" / "exchanges.jsonl").read_text(encoding="utf-8")
    assert (
        '"target":"canary-id"'
        in gzip.decompress((data / "r" / "predictions" / "generate.jsonl.gz").read_bytes()).decode()
    )


def test_a_server_that_stays_broken_stops_the_run_with_what_it_said(data: Path, server: ScriptedServer) -> None:
    server.scripts[:] = [answer] * 3 + [fails(500, "out of memory")]
    stopped = invoke(server, "--methods", "generate", "--users", "9", "--out", "r")
    assert isinstance(stopped.exception, LLMServerError)
    kept = len((data / "r" / "exchanges.jsonl").read_text(encoding="utf-8").splitlines())
    assert kept == 3
    server.scripts[:] = [answer]
    asked = len(server.requests)
    good(invoke(server, "--methods", "generate", "--users", "9", "--out", "r"))
    assert len(server.requests) == asked + 6


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        (("--methods", "generate,generate"), ConfigError, "one name"),
        (("--methods", "pop", "--template", "no/such"), TemplateNotFoundError, "no/such"),
        (("--methods", "pop", "--template", "bad.j2"), TemplateError, "bad.j2"),
        (("--methods", "pop", "--template", "explain.j2"), ConfigError, "of the task 'explain'"),
        (("--methods", "pop", "--template", "rank/default", "--retriever", "svd"), ConfigError, "unknown method"),
        (("--methods", "generate", "--tie-orders", "2"), ConfigError, "one order of ties"),
        (("--methods", "generate", "--out", "items.csv"), ConfigError, "cannot be written"),
    ],
)
def test_what_is_refused(
    data: Path, server: ScriptedServer, more: tuple[str, ...], error: type[Exception], match: str
) -> None:
    (data / "bad.j2").write_text("no front matter", encoding="utf-8")
    (data / "explain.j2").write_text(
        "---\ntask: explain\n---\n{% block user %}x{% endblock %}\n", encoding="utf-8"
    )
    found = invoke(server, *more).exception
    assert isinstance(found, error), found
    assert match in str(found)
    assert server.requests == []


def test_a_refusal_for_everybody_stops(data: Path) -> None:
    with ScriptedServer(fails(400, "bad field")) as server:
        stopped = invoke(server, "--methods", "generate", "--users", "3", "--out", "r")
        assert isinstance(stopped.exception, LLMRequestError)


def movielens(folder: Path) -> None:
    write_data(folder)
    rows = (folder / "inter.csv").read_text(encoding="utf-8").splitlines()[1:]
    lines = ["userId,movieId,rating,timestamp"]
    lines += [f"{user},{item},4.0,{time}" for user, item, time in (row.split(",") for row in rows)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = [f"{n},{title},Drama" for n, title in enumerate(FILMS)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *items]) + "\n", encoding="utf-8")


def test_movielens_and_the_script_are_the_same_code(data: Path, server: ScriptedServer) -> None:
    movielens(data)
    more = [str(data), "--methods", "pop,generate", "--users", "6", "--base-url", server.base_url]
    good(CliRunner().invoke(app, ["bench", "movielens", *more, "--out", "a"]))
    assert "best movies" in server.requests[0]["messages"][-1]["content"]
    script = [sys.executable, str(REPO / "benchmarks" / "movielens.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([*script, *more, "--out", "b"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (data / "a" / "metrics.json").read_bytes() == (data / "b" / "metrics.json").read_bytes()
    (data / "README.md").write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n", encoding="utf-8")
    table = [*script, "table", "b"]
    shown = subprocess.run(table, env=environment, capture_output=True, text=True, check=True).stdout
    assert "| pop |" in shown
    subprocess.run([*table, "--into", "README.md"], env=environment, capture_output=True, text=True, check=True)
    assert (data / "README.md").read_text(encoding="utf-8") == (
        f"before\n<!-- bench -->\n{shown.strip()}\n<!-- /bench -->\nafter\n"
    )
    (data / "README.md").write_text("no marks\n", encoding="utf-8")
    refused = subprocess.run([*table, "--into", "README.md"], env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "<!-- bench -->" in refused.stderr
