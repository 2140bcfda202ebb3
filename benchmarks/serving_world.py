"""What surrounds the service in `serving.py`: a scripted model, a caller, and a look at processes.

Model and caller share the machine's cores with the service that they measure. So both speak just enough HTTP over
asyncio streams: a request costs them a tenth of what a general client would take.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

ITEMS, ANSWER_SECONDS, HANG_SECONDS = 10_000, 0.02, 60.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STORY = re.compile(rb"Story of (\d+)")


def title(number: int) -> str:
    """The title of an item."""
    return f"Story of {number:05d}"


def following(number: int) -> int:
    """The item that the model names to a user whose only item is `number`."""
    return (number * 7 + 3) % ITEMS


class Model:
    """A server that speaks just enough of the protocol.

    Args:
        faults: The share of each fault: 503, a body that is cut, garbage, no answer at all.

    Attributes:
        asked: Chats that reached it.
        left: Of those that it did not answer, how many the client gave up.
        took: By the user's item, the seconds from a request's last byte to its answer's; of a request that was
            sent again, all of them together.
    """

    def __init__(self, faults: float) -> None:
        self._faults = faults
        self._dice = random.Random(0)
        self.asked = self.left = 0
        self.took: dict[int, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the client left, or is to see a cut body
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(head.split(b" ", 2)[1], body, reader, writer)
        writer.close()

    async def _answer(
        self, path: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if path == b"/v1/models":
            card = {"id": "tiny", "object": "model", "owned_by": "scripted", "max_model_len": 4096}
            _send(writer, 200, json.dumps({"object": "list", "data": [card]}))
            return
        if path != b"/v1/chat/completions":
            _send(writer, 404, "{}")
            return
        self.asked += 1
        started = time.perf_counter()
        number = int(_STORY.findall(body)[-1])
        fault = int(self._dice.random() / self._faults) if self._faults else None
        if fault == 3:
            await self._hang(reader)
        await asyncio.sleep(ANSWER_SECONDS)
        if fault == 0:
            _send(writer, 503, '{"error": {"message": "busy"}}')
        elif fault == 1:
            _send(writer, 200, _reply(number)[:99], len(_reply(number)))
            raise ConnectionError
        else:
            _send(writer, 200, '{"choices": [' if fault == 2 else _reply(number))
        self.took[number] = self.took.get(number, 0.0) + time.perf_counter() - started

    async def _hang(self, reader: asyncio.StreamReader) -> None:
        """Says nothing, and notes whether the client closes the connection."""
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), HANG_SECONDS)
            self.left += 1
        raise ConnectionError


def _reply(number: int) -> str:
    message = {"role": "assistant", "content": f"1. {title(following(number))}"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]})


def _send(writer: asyncio.StreamWriter, status: int, body: str, size: int | None = None) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {size or len(body)}\r\n\r\n"
    writer.write((head + body).encode())


class Caller:
    """Posts JSON to one server over connections that are kept.

    Args:
        port: The server's, on this machine.
        key: The API key; none without it.
    """

    def __init__(self, port: int, key: str | None = None) -> None:
        self._port = port
        self._key = "" if key is None else f"\r\nAuthorization: Bearer {key}"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, content: object) -> tuple[int, bytes]:
        """A reply's status and body.

        Raises:
            OSError: There is no connection.
            asyncio.IncompleteReadError: It broke.
        """
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json{self._key}"
        head += f"\r\nContent-Length: {len(body)}"
        reader, writer = await self._connection()
        writer.write(head.encode() + b"\r\n\r\n" + body)
        try:
            reply = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(reply)
            found = await reader.readexactly(int(length[1]) if length else 0)
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(reply[9:12]), found

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)

    def close(self) -> None:
        """Closes what is idle."""
        for _, writer in self._idle:
            writer.close()


class Hostile:
    """Clients that hold connections, send slowly, send heads without an end, or ask in a hurry.

    Args:
        port: The server's, on this machine.
        key: Of the tenant that asks in a hurry.

    Attributes:
        done: How many of each kind there were.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._caller = Caller(port, key)
        self.done = Counter[str]()

    async def at(self, rate: float, seconds: float) -> None:
        """Starts so many a second, and waits for the last."""
        kinds = (self._idle, self._slow_body, self._long_head, self._hurry)
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                tasks.create_task(self._one(kinds[number % len(kinds)]))
                await asyncio.sleep(1 / rate)

    async def _one(self, act: Callable[[], Awaitable[None]]) -> None:
        self.done[act.__name__.lstrip("_")] += 1
        # uvloop raises RuntimeError where the service closed a connection that is being written to.
        with suppress(OSError, asyncio.IncompleteReadError, RuntimeError):
            await act()

    async def _idle(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await reader.read()
        writer.close()

    async def _slow_body(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"POST /v1/ground HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.5)
        writer.close()

    async def _long_head(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
        await reader.read()
        writer.close()

    async def _hurry(self) -> None:
        content = {"history": [title(1)], "k": 1, "deadline": 0.01}
        await self._caller.post("/v1/recommend", content)


async def up(port: int) -> None:
    """Waits until something listens.

    Raises:
        SystemExit: Nothing does within a minute.
    """
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return
    raise SystemExit(f"nothing listens at port {port}")


def memory(pid: int) -> float:
    """Resident memory of a process, in MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor(pid: int) -> float:
    """Processor seconds of all threads so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(seconds: list[float], values: list[float]) -> float:
    """The least squares line's rise an hour."""
    return float(np.polyfit(np.array(seconds) / 3600, values, 1)[0])


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    return {f"p{q}": round(float(np.percentile(seconds, q)) * 1000, 1) for q in (50, 95, 99)} if seconds else {}


@contextmanager
def on_uvloop() -> Iterator[asyncio.Runner]:
    """An event loop as the service has it."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner
