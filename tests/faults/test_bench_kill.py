"""A benchmark that is killed at any moment goes on: nothing is lost, and no paid reply is asked for twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, send

KILLS, RATION = 20, 2
FILMS = [f"Film {chr(65 + n // 26)}{chr(65 + n % 26)} ({1950 + n})" for n in range(60)]


def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Names ten films that depend on the prompt alone, after a moment."""
    rng = random.Random(hashlib.sha256(repr(body["messages"]).encode()).hexdigest())
    time.sleep(0.07)
    send(handler, completion("\n".join(f"{n}. {title}" for n, title in enumerate(rng.sample(FILMS, 10), 1))))


class Rationed:
    """Answers only so many requests of a process that is to be killed: on no machine is it done before.

    The others wait until that process is dead.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._left = sys.maxsize

    def __call__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self._lock:
            self._left -= 1
            wait, over = self._left < 0, self._over
        if wait:
            over.wait()
            handler.close_connection = True
        else:
            answer(handler, body)

    def begin(self, most: int = sys.maxsize) -> None:
        """Ends the waiting of those before, and answers so many from now on."""
        with self._lock:
            self._over.set()
            self._over, self._left = threading.Event(), most


@pytest.fixture
def rationed() -> Rationed:
    return Rationed()


@pytest.fixture
def server(rationed: Rationed) -> Iterator[ScriptedServer]:
    with ScriptedServer(rationed) as running:
        yield running


def write_data(folder: Path) -> None:
    rng = random.Random(0)
    rows = [f"u{u},{i},{t}" for u in range(45) for t, i in enumerate(rng.sample(range(60), 12))]
    (folder / "inter.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n", encoding="utf-8")
    items = [f"{n},{title}" for n, title in enumerate(FILMS)]
    (folder / "items.csv").write_text("\n".join(["item,title", *items]) + "\n", encoding="utf-8")


def start(data: Path, out: Path, server: ScriptedServer) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "zsrec", "bench", "run", "--interactions", "inter.csv", "--catalog", "items.csv",
        "--methods", "pop,itemknn,generate", "--template", "rank/default", "--users", "40", "--probe", "5",
        "--base-url", server.base_url, "--out", str(out),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPO), "ZSREC_CONCURRENCY": "4"}
    return subprocess.Popen(command, cwd=data, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def journalled(out: Path) -> set[str]:
    """The prompts whose replies are safe."""
    path = out / "exchanges.jsonl"
    if not path.exists():
        return set()
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {json.dumps(json.loads(line)["request"]["messages"]) for line in whole}


def prompts(server: ScriptedServer) -> list[str]:
    return [json.dumps(body["messages"]) for body in server.requests]


@pytest.mark.slow
@pytest.mark.timeout(900)  # 24 processes are started: over a minute on a machine at rest
def test_twenty_kills_lose_nothing_and_repeat_nothing(
    tmp_path: Path, server: ScriptedServer, rationed: Rationed
) -> None:
    write_data(tmp_path)
    rng = random.Random(7)
    kills = killed_at_work = 0
    safe: set[str] = set()
    while kills < KILLS:
        asked = len(server.requests)
        rationed.begin(RATION)
        process = start(tmp_path, tmp_path / "killed", server)
        # Half of the kills come after some requests, half at any time, the start of the process included.
        wanted, deadline = rng.randint(1, 4), time.monotonic() + rng.uniform(0.3, 3.0)
        by_time = kills % 2 == 0
        while process.poll() is None:
            if (time.monotonic() > deadline) if by_time else (len(server.requests) >= asked + wanted):
                time.sleep(rng.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        assert process.returncode == -signal.SIGKILL, "the run ended before it was killed often enough"
        kills += 1
        time.sleep(0.1)  # what the server had under way
        assert not safe & set(prompts(server)[asked:]), "a reply in the journal was asked for again"
        now = journalled(tmp_path / "killed")
        assert safe <= now, "a reply was lost"
        killed_at_work += len(server.requests) > asked
        safe = now
    assert killed_at_work >= KILLS // 3

    rationed.begin()
    asked = len(server.requests)
    last = start(tmp_path, tmp_path / "killed", server)
    assert last.communicate()[1] is not None
    assert last.returncode == 0
    assert not safe & set(prompts(server)[asked:])
    before = len(server.requests)
    again = start(tmp_path, tmp_path / "killed", server)  # a finished run asks for nothing
    again.communicate()
    assert again.returncode == 0
    assert len(server.requests) == before
    # Each prompt was sent once, but for those whose replies were under way when the process died.
    assert before - len(set(prompts(server))) <= killed_at_work * 4

    unbroken = start(tmp_path, tmp_path / "unbroken", server)
    unbroken.communicate()
    assert unbroken.returncode == 0
    assert len(server.requests) - before == len(journalled(tmp_path / "unbroken")) > KILLS * RATION
    assert journalled(tmp_path / "killed") == journalled(tmp_path / "unbroken")
    for name in ("config.json", "metrics.json", "probe.json", "titles.json", *(
        f"predictions/{path.name}" for path in (tmp_path / "unbroken" / "predictions").iterdir()
    )):  # fmt: skip
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes(), name
