"""`zsrec serve` as a process, before a scripted model: signals, cancelled requests, and what reaches the log."""

from __future__ import annotations

import itertools
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.faults.server import ScriptedServer, completion, fails, send
from tests.faults.service import ADMIN, KEY, Process
from tests.unit.serve_fakes import ANSWER, CATALOG

SECRETS = [KEY, ADMIN, "planted-model-key-zz", "planted-hash-key-zz-9", "PlantedHistory", "PlantedAbout",
           "planted-user-17", "PlantedText", "PlantedCandidate", "PlantedHeader"]  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(base_url: str, *further: str) -> Process:
        started.append(Process(tmp_path, base_url, *further))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.stop()


def after(seconds: float) -> Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]:
    def script(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        time.sleep(seconds)
        send(handler, completion(ANSWER))

    return script


class Closed:
    """A script that answers nothing and waits for its client to close the connection."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.seen = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        self.asked.set()
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":
            self.seen.set()
        handler.close_connection = True


def test_deadline_and_leaving_close_the_connection_to_the_model(start: Callable[..., Process]) -> None:
    late, left = Closed(), Closed()
    with ScriptedServer(late, left) as server:
        service = start(server.base_url)
        status, body = service.post("/v1/recommend", {"history": ["Heat"], "k": 2, "deadline": 1.0})
        assert (status, body["degraded"]["reason"]) == (200, "deadline")
        assert [one["id"] for one in body["items"]] == ["2", "6"]
        assert late.seen.wait(5)

        http = service.connection()
        wanted = json.dumps({"history": ["Heat"]})
        told = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        http.request("POST", "/v1/recommend", wanted, told)
        assert left.asked.wait(10)
        http.close()
        assert left.seen.wait(5)
        service.wait_for('"status": 499')


def test_a_burst_beyond_the_queue_is_refused_at_once_and_told_when_to_come_back(
    start: Callable[..., Process],
) -> None:
    gate = threading.Event()

    def held(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        gate.wait(30)
        send(handler, completion(ANSWER))

    with ScriptedServer(held) as server, ThreadPoolExecutor(40) as pool:
        service = start(server.base_url, "--in-work", "2", "--waiting", "3", "--per-key", "5")

        def ask(_: int) -> tuple[int, str | None]:
            http = service.connection()
            told = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            http.request("POST", "/v1/recommend", json.dumps({"history": ["Heat"], "k": 2}), told)
            reply = http.getresponse()
            reply.read()
            http.close()
            return reply.status, reply.getheader("Retry-After")

        asked = [pool.submit(ask, number) for number in range(40)]
        refused = [one.result() for one in itertools.islice(as_completed(asked, 30), 35)]  # before any answer
        gate.set()
        answered = [one.result() for one in asked if one.result()[0] != 429]
    assert {status for status, _ in refused} == {429}
    assert all(int(after or 0) >= 1 for _, after in refused)
    assert answered == [(200, None)] * 5


def test_sigterm_finishes_what_was_accepted(start: Callable[..., Process]) -> None:
    with ScriptedServer(after(1.5)) as server, ThreadPoolExecutor(6) as pool:
        service = start(server.base_url, "--in-work", "2")
        asked = [pool.submit(service.post, "/v1/recommend", {"history": ["Heat"], "k": 2}) for _ in range(6)]
        for _ in range(200):
            if len(server.requests) == 2:
                break
            time.sleep(0.05)
        time.sleep(1.0)  # the others are in the queue by now
        assert service.stop() in (0, -signal.SIGTERM)
        found = [one.result() for one in asked]
    assert [(status, body["degraded"], len(body["items"])) for status, body in found] == [(200, None, 2)] * 6
    assert any('"event": "stopped"' in line for line in service.lines)


def test_sighup_reloads_and_refuses_what_is_bad(start: Callable[..., Process]) -> None:
    with ScriptedServer(after(0.0)) as server:
        service = start(server.base_url)
        catalog = service.folder / "films.csv"
        catalog.write_text(CATALOG + "7,John Wick (2014),Action\n")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for('"event": "reloaded", "items": 7')
        catalog.write_text(CATALOG + '8,"broken')
        service.process.send_signal(signal.SIGHUP)
        service.wait_for('"event": "reload refused"')
        status, body = service.post("/v1/recommend", {"history": ["Heat"], "k": 3})
        assert status == 200
        assert [one["id"] for one in body["items"]] == ["3", "2", "7"]


def test_no_planted_secret_is_in_any_line_or_file(start: Callable[..., Process], tmp_path: Path) -> None:
    echo = fails(400, "PlantedHistory PlantedAbout")  # servers quote prompts in their errors
    with ScriptedServer(after(0.0), echo, fails(500, "PlantedHistory")) as server:
        service = start(server.base_url, "--deadline", "2")
        full = {
            "history": ["Heat", "PlantedHistory"], "about": "PlantedAbout", "user": "planted-user-17", "k": 2,
        }  # fmt: skip
        for _ in range(3):
            status, body = service.post("/v1/recommend", full, x_note="PlantedHeader")
            assert (status, len(body["items"])) == (200, 2)
        assert service.post("/v1/recommend", full | {"candidates": ["PlantedCandidate"]})[0] == 422
        assert service.post("/v1/recommend", full | {"history": [{"PlantedHistory": 1}]})[0] == 422
        assert service.post("/v1/recommend?PlantedHistory=PlantedAbout", full, key="PlantedHeader" * 2)[0] == 401
        assert service.post("/v1/ground", {"text": "1. PlantedText"})[0] == 200
        assert service.post("/v1/feedback", {"feedback": [{"item": "PlantedHistory"}]})[0] == 200
        assert service.post("/v1/PlantedHistory", {})[0] == 404
        http = service.connection()
        http.request("GET", "/metrics")
        metrics = http.getresponse().read().decode()
        http.close()
        assert service.stop() in (0, -signal.SIGTERM)
        assert any("PlantedAbout" in json.dumps(one) for one in server.requests)
        assert not [one for one in server.requests if "planted-user-17" in json.dumps(one)]
    log = "".join(service.lines)
    assert log.count('"event": "recommend"') == 4
    assert re.search(r'"user": "[0-9a-f]{16}"', log)
    for line in service.lines:
        assert isinstance(json.loads(line), dict)
    written = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    planted = {"keys", "model.key", "hash.key"}
    for secret in SECRETS:
        assert secret.lower() not in log.lower()
        assert secret.lower() not in metrics.lower()
        assert not [path for path, text in written.items() if secret in text and path.name not in planted]
