"""A model's server that is killed in the middle of a thousand requests, and clocks that jump."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.faults.server import ScriptedServer, answers, fails
from tests.unit.server_fakes import free_port
from zsrec.core.errors import LLMRateLimitError
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Message
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest
from zsrec.serving.admission import Breaker

REQUESTS, AT_ONCE, KILLED_AT = 1000, 32, 400
DAY = 86_400.0
REQUEST = ChatRequest(messages=(Message(role="user", content="x"),))
GOOD = answers("1. Ronin (1998)")
# Answers what it was asked, a hundredth of a second later, and notes every question before it answers.
SERVER = """
import asyncio, json, re, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = re.search(rb"content-length: *(\\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            if b"/v1/models" in head:
                reply = {"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "vllm"}]}
            elif b"/v1/chat" in head:
                text = json.loads(body)["messages"][0]["content"]
                print(text, file=asked, flush=True)
                await asyncio.sleep(0.01)
                message = {"role": "assistant", "content": "heard " + text}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                reply = {"id": "c", "object": "chat.completion", "model": "tiny", "created": 0,
                         "choices": [choice]}
            else:
                reply = {}
            status = 200 if reply else 404
            data = json.dumps(reply).encode()
            writer.write(f"HTTP/1.1 {status} x\\r\\nContent-Type: application/json\\r\\n".encode())
            writer.write(f"Content-Length: {len(data)}\\r\\n\\r\\n".encode() + data)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=256)
    await server.serve_forever()
with open(sys.argv[2], "a", encoding="ascii") as asked:
    asyncio.run(main())
"""


async def listens(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    pytest.fail("the server did not start")


def test_a_server_killed_in_the_middle_of_a_thousand_requests(tmp_path: Path) -> None:
    """Everything is answered, each with its own answer; only what was under way is asked again."""
    port, noted = free_port(), tmp_path / "asked"
    command = [sys.executable, "-c", SERVER, str(port), str(noted)]

    async def run() -> list[Exchange]:
        settings = Settings.load(base_url=f"http://127.0.0.1:{port}/v1", restart_wait=60.0, concurrency=AT_ONCE)
        servers = [subprocess.Popen(command)]
        try:
            await listens(port)
            async with OpenAIClient(settings) as client:

                async def one(number: int) -> Exchange:
                    if number == KILLED_AT:
                        servers[0].kill()
                        servers[0].wait()
                        asyncio.get_running_loop().call_later(
                            1.0, lambda: servers.append(subprocess.Popen(command))
                        )
                    return await client.chat(
                        ChatRequest(messages=(Message(role="user", content=f"question {number}"),))
                    )

                places = asyncio.Semaphore(AT_ONCE)

                async def in_turn(number: int) -> Exchange:
                    async with places:
                        return await one(number)

                return await asyncio.gather(*map(in_turn, range(REQUESTS)))
        finally:
            for server in servers:
                server.kill()
                server.wait()

    found = asyncio.run(run())
    assert [one.answer for one in found] == [f"heard question {number}" for number in range(REQUESTS)]
    asked = Counter(re.findall(r"question (\d+)", noted.read_text(encoding="ascii")))
    assert len(asked) == REQUESTS
    again = [int(number) for number, times in asked.items() if times > 1]
    assert len(again) <= AT_ONCE
    assert all(KILLED_AT - 2 * AT_ONCE <= number <= KILLED_AT for number in again)


@pytest.mark.parametrize(("jump", "waited_for"), [(DAY, True), (-DAY, False)])
def test_a_clock_that_jumps_stops_nothing_and_changes_no_measured_time(
    monkeypatch: pytest.MonkeyPatch, jump: float, waited_for: bool
) -> None:
    """By the clock that has not jumped, the server says to come back in a second.

    For a clock that fell back that is in a day, and who is told so is not kept waiting: a typed error, at once.
    """
    real = time.time

    async def run(base_url: str) -> list[Exchange | LLMRateLimitError]:
        async with OpenAIClient(Settings.load(base_url=base_url, max_retries=2, timeout=20.0)) as client:
            await client.chat(REQUEST)
            monkeypatch.setattr(time, "time", lambda: real() + jump)
            found: list[Exchange | LLMRateLimitError] = []
            for _ in range(3):
                try:
                    found.append(await client.chat(REQUEST))
                except LLMRateLimitError as error:
                    found.append(error)
            return found

    soon = formatdate(real() + 1, usegmt=True)
    with ScriptedServer(GOOD, fails(429, Retry_After=soon), GOOD, fails(503), GOOD) as server:
        started = time.monotonic()
        first, *others = asyncio.run(run(server.base_url))
        assert time.monotonic() - started < 10
    assert isinstance(first, Exchange) == waited_for
    assert all(isinstance(one, Exchange) and 0 <= one.seconds < 10 for one in others)


def test_a_breaker_does_not_look_at_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = Breaker(1, 60.0)
    breaker.failed()
    now = time.time()
    for jump in (DAY, -DAY):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert (breaker.state, 0 < breaker.remaining <= 60) == ("open", True)
