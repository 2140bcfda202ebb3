"""Clients without a key that hold connections, send slowly, or send heads without an end, to a real process."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.server import ScriptedServer, answers
from tests.faults.service import Process
from zsrec.serving.observability import RateLimit

pytestmark = pytest.mark.alone
WANTED = {"history": ["Heat"], "k": 3}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service whose time for heads and bodies is a second, with room for 40 connections."""
    folder = tmp_path_factory.mktemp("connections")
    setup = (
        "from zsrec.serving import connection as c; c.HEAD_SECONDS = c.BODY_SECONDS = 1.0; c.MOST_CONNECTIONS = 40"
    )
    with ScriptedServer(answers("1. Ronin (1998)")) as server:
        process = Process(folder, server.base_url, setup=setup)
        yield process
        process.stop()


def opened(served: Process, sent: bytes = b"") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    one.sendall(sent)
    return one


def reply(one: socket.socket) -> bytes:
    """Everything until the service closes."""
    received = b""
    try:
        while piece := one.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_idle_connections_do_not_stop_the_service(served: Process) -> None:
    idle = [
        opened(served, b"" if number % 2 else b"POST /v1/recommend HTTP/1.1\r\nHost:") for number in range(300)
    ]
    try:
        started = time.monotonic()
        assert served.post("/v1/recommend", WANTED)[0] == 200
        assert time.monotonic() - started < 5
        assert len(psutil.Process(served.process.pid).net_connections("tcp")) < 80
        assert sum(map(len, served.lines)) < 100_000
    finally:
        for one in idle:
            one.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/ground HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_what_does_not_come_in_time_is_closed(served: Process, sent: bytes) -> None:
    started = time.monotonic()
    with opened(served, sent) as one:
        received = reply(one)
    assert b" 408 " in received if sent else received == b""
    assert time.monotonic() - started < 4


def test_a_head_that_comes_byte_by_byte_is_closed_too(served: Process) -> None:
    started = time.monotonic()
    with opened(served, b"GET /healthz HTTP/1.1\r\nX: ") as one:
        try:
            while time.monotonic() - started < 5:
                one.sendall(b"x")
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert time.monotonic() - started < 4


def test_blank_lines_do_not_keep_a_connection(served: Process) -> None:
    with opened(served, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as one:
        assert b" 200 " in one.recv(65536)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 5:
                one.sendall(b"\r\n")
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("begin", "piece", "status"),
    [
        (b"GET /", b"a" * 4096, b" 414 "),
        (b"GET /healthz HTTP/1.1\r\nX: ", b"a" * 4096, b" 431 "),
        (b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n" * 500, b" 431 "),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", b"", b" 431 "),
        (b"GET /healthz?" + b"q" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"", b" 414 "),
    ],
    ids=["endless url", "endless header", "endless headers", "101 headers", "long url at once"],
)
def test_a_head_without_an_end_is_refused_after_a_few_kilobytes(
    served: Process, begin: bytes, piece: bytes, status: bytes
) -> None:
    before = psutil.Process(served.process.pid).memory_info().rss
    with opened(served, begin) as one:
        one.settimeout(10)
        try:
            for _ in range(20_000 if piece else 0):
                one.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = reply(one)
    assert status in received or not received  # a reset may overtake the answer
    assert psutil.Process(served.process.pid).memory_info().rss - before < 8_000_000
    assert served.post("/v1/recommend", WANTED)[0] == 200


def test_a_body_without_an_end_is_refused(served: Process) -> None:
    head = b"POST /v1/ground HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with opened(served, head) as one:
        try:
            for _ in range(5000):
                one.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert served.post("/v1/recommend", WANTED)[0] == 200


def test_half_a_body_does_not_hold_the_end(tmp_path: Path) -> None:
    with ScriptedServer(answers("1. Ronin (1998)")) as server:
        process = Process(tmp_path, server.base_url)
        head = b"POST /v1/ground HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        with socket.create_connection(("127.0.0.1", process.port)) as one:
            one.sendall(head)
            time.sleep(0.3)
            started = time.monotonic()
            process.stop()
        assert time.monotonic() - started < 10


def test_a_message_that_repeats_is_written_a_few_times() -> None:
    limit = RateLimit(most=3, seconds=10)

    def record(message: str, seconds: float) -> logging.LogRecord:
        made = logging.LogRecord("asyncio", logging.ERROR, "", 0, message, (), None)
        made.created = seconds
        return made

    assert [limit.filter(record("no descriptors", 100.0)) for _ in range(5)] == [True] * 3 + [False] * 2
    assert limit.filter(record("another", 101.0))
    assert limit.filter(record("no descriptors", 110.5))
    own = record("request", 110.6)
    own.fields = {}
    assert all(limit.filter(own) for _ in range(50))
