"""`zsrec batch` killed again and again: every user once in the output, and nobody who is done is asked again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, send
from zsrec.cli import app, console

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

USERS, CONCURRENCY, CHUNK = 240, 6, 32
KILL_AT = (10, 70, 71, 180)  # requests, in all


def number_in(body: dict[str, Any]) -> int:
    return int(re.findall(r"Story (\d+)", repr(body["messages"]))[-1])


def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Names the story after the user's, after a moment; user 100's request is refused."""
    time.sleep(0.06)
    number = number_in(body)
    if number == 100:
        send(handler, {"error": {"message": "no"}}, status=400)
    else:
        send(handler, completion(f"1. Story {number + 1:04d}"))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer) as running:
        yield running


def start(folder: Path, server: ScriptedServer, *further: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "zsrec", "batch", "--input", "in.parquet", "--columns", "user,item,timestamp",
        "--catalog", "stories.csv", "--domain", "stories", "--out", "out", "--k", "1", "--chunk", str(CHUNK),
        "--base-url", server.base_url, "--concurrency", str(CONCURRENCY), *further,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def write_data(folder: Path) -> None:
    stories = "".join(f"{n},Story {n:04d}\n" for n in range(USERS + 1))
    (folder / "stories.csv").write_text("movieId,title\n" + stories, encoding="utf-8")
    ids = [str(n) for n in range(USERS)]
    pq.write_table(pa.table({"user": [f"u{n}" for n in ids], "item": ids, "timestamp": [1] * USERS}),
                   folder / "in.parquet")  # fmt: skip


def wait_for(server: ScriptedServer, process: subprocess.Popen[bytes], requests: int) -> None:
    while process.poll() is None and len(server.requests) < requests:
        time.sleep(0.005)


def check_output(folder: Path) -> None:
    rows = pq.read_table(folder / "out").to_pylist()
    assert sorted(row["user"] for row in rows) == sorted(f"u{n}" for n in range(USERS))
    for row in rows:
        number = int(row["user"][1:])
        expected = (None, "llm_refused") if number == 100 else (str(number + 1), None)
        assert (row["item"], row["error"]) == expected


def killed_and_finished(folder: Path, server: ScriptedServer, under_way: int, *further: str) -> None:
    write_data(folder)
    kills = 0
    for requests in KILL_AT:
        process = start(folder, server, *further)
        wait_for(server, process, requests)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
        kills += 1
        time.sleep(0.1)
    last = start(folder, server, *further)
    log = last.communicate()[0].decode()
    assert last.returncode == 0, log
    check_output(folder)
    asked = Counter(number_in(body) for body in server.requests)
    assert set(asked) == set(range(USERS))
    assert USERS <= asked.total() <= USERS + kills * under_way
    before = len(server.requests)
    again = start(folder, server, *further)
    again.communicate()
    assert again.returncode == 0
    assert len(server.requests) == before
    assert "Story" not in log  # histories are personal data


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_lose_nothing_and_repeat_nothing_but_what_was_under_way(
    tmp_path: Path, server: ScriptedServer
) -> None:
    killed_and_finished(tmp_path, server, CONCURRENCY)


@pytest.mark.slow
@pytest.mark.timeout(900)  # Ray is started six times
def test_the_same_on_ray_data(tmp_path: Path, server: ScriptedServer) -> None:
    pytest.importorskip("ray.data", reason="needs the extra 'batch': pip install 'zsrec[batch]'")
    workers = 2
    killed_and_finished(tmp_path, server, workers * CONCURRENCY, "--engine", "ray", "--workers", str(workers))


@pytest.mark.slow
def test_a_server_that_goes_away_stops_the_job_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write_data(tmp_path)
    with ScriptedServer(answer) as server:
        process = start(tmp_path, server, "--stop-after", "3")
        wait_for(server, process, 60)
        server.scripts[:] = [lambda handler, _: send(handler, {"error": {"message": "down"}}, status=403)]
        log = process.communicate()[0].decode()
        assert process.returncode == 1, log
        assert "the server failed for 3 users in a row" in log
        assert "the same command resumes" in log
        assert not (tmp_path / "out" / "_zsrec" / "summary.json").exists()
        server.scripts[:] = [answer]
        last = start(tmp_path, server, "--stop-after", "3")
        log = last.communicate()[0].decode()
        assert last.returncode == 0, log
    check_output(tmp_path)


def test_a_file_gets_lines_of_progress(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "EVERY", 0.0)
    command = ["batch", "--input", "in.parquet", "--catalog", "stories.csv", "--out", "out", "--k", "1"]
    result = CliRunner().invoke(app, [*command, "--columns", "user,item,timestamp", "--base-url", server.base_url])
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"users: {USERS} of {USERS} · done in " in result.stderr
