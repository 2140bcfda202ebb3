"""The service under load: `python benchmarks/serving.py [--rate 50 --seconds 30 --faults 0.0 --burst 400]`.

A scripted model (20 ms an answer) and a bare FastAPI echo run beside `zsrec serve` with a catalog of 10,000 items.
Requests come at a fixed rate whether answered or not. Every answer names one item that follows from the one item
in its prompt's history, so an answer that reached the wrong user is seen. Reported: outcomes; latency beyond the
model's 20 ms beside the echo's in the same seconds; processor time a request of the two (which a busy
machine does not change); and what a burst of so many requests at once gets.

With `--faults 0.01`, of every hundred requests to the model one each is refused (503), cut in the body, garbage,
and never answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
import numpy as np

ITEMS, ANSWER_SECONDS = 10_000, 0.02
ECHO = """
from fastapi import Body, FastAPI
app = FastAPI()
@app.post("/v1/recommend")
async def echo(body: dict = Body()) -> dict:
    return body
"""


class Model:
    """A server that speaks just enough of the protocol."""

    def __init__(self, faults: float) -> None:
        self._faults = faults
        self._dice = random.Random(0)
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int((re.search(rb"content-length: (\d+)", head, re.IGNORECASE) or [b"", b"0"])[1])
                await self._answer(head.split(b" ")[1], await reader.readexactly(size), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # the client left, or the measurement is over
        finally:
            writer.close()

    async def _answer(self, path: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == b"/v1/models":
            card = {"id": "tiny", "object": "model", "owned_by": "scripted", "max_model_len": 4096}
            _send(writer, 200, json.dumps({"object": "list", "data": [card]}))
            return
        if path != b"/v1/chat/completions":
            _send(writer, 404, "{}")
            return
        self.asked += 1
        fault = int(self._dice.random() / self._faults) if self._faults else 99
        await asyncio.sleep(ANSWER_SECONDS if fault != 3 else 60)
        number = int(re.findall(rb"Story of (\d+)", body)[-1])
        text = f"1. {title(following(number))}"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        reply = json.dumps(
            {"id": "c", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]}
        )
        if fault == 0:
            _send(writer, 503, '{"error": {"message": "busy"}}')
        elif fault == 1:
            _send(writer, 200, reply[: len(reply) // 2], len(reply))
            raise ConnectionError
        else:
            _send(writer, 200, reply if fault != 2 else '{"choices": [')


def _send(writer: asyncio.StreamWriter, status: int, body: str, size: int | None = None) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {size or len(body)}\r\n\r\n"
    writer.write((head + body).encode())


def title(number: int) -> str:
    return f"Story of {number:05d}"


def following(number: int) -> int:
    return (number * 7 + 3) % ITEMS


async def ask(http: httpx2.AsyncClient, url: str, number: int, taken: list[float] | None = None) -> str:
    """One request; its outcome in a word."""
    started = time.perf_counter()
    try:
        reply = await http.post(f"{url}/v1/recommend", json={"history": [title(number)], "k": 1, "deadline": 2.0})
    except httpx2.HTTPError as error:
        return f"lost: {type(error).__name__}"
    seconds = time.perf_counter() - started
    body = reply.json()
    if reply.status_code != 200:
        return f"{reply.status_code} {body['code']}"
    if taken is not None and not body.get("degraded"):
        taken.append(seconds)
    if body.get("degraded"):
        return f"degraded: {body['degraded']['reason']}"
    if "items" in body and [one["id"] for one in body["items"]] != [str(following(number))]:
        return "WRONG USER"
    return "answered"


async def load(url: str, rate: float, seconds: float, taken: list[float]) -> Counter[str]:
    """Requests at a fixed rate."""
    dice = random.Random(1)
    async with httpx2.AsyncClient(timeout=30, trust_env=False, limits=httpx2.Limits(max_connections=500)) as http:
        begun, tasks = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(http, url, dice.randrange(ITEMS), taken)))
        return Counter(await asyncio.gather(*tasks))


async def burst(url: str, size: int) -> Counter[str]:
    """Requests all at once."""
    async with httpx2.AsyncClient(timeout=60, trust_env=False, limits=httpx2.Limits(max_connections=size)) as http:
        return Counter(await asyncio.gather(*(ask(http, url, number) for number in range(size))))


async def ready(url: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        for _ in range(300):
            try:
                await http.get(f"{url}/openapi.json")
            except httpx2.HTTPError:
                await asyncio.sleep(0.2)
            else:
                return
    raise SystemExit(f"{url} did not start")


def memory(process: subprocess.Popen[bytes]) -> int:
    """Resident memory in kB (Linux)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
    return int(found[1]) if found else 0


def processor(process: subprocess.Popen[bytes]) -> float:
    """Processor seconds used so far, of all threads (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    model = Model(args.faults)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rows = "".join(f"{number},{title(number)}\n" for number in range(ITEMS))
    (folder / "items.csv").write_text("id,title\n" + rows, encoding="utf-8")
    contacts = "".join(f"u{n % 500},{(n * 37) % ITEMS}\n" for n in range(20_000))
    (folder / "contacts.csv").write_text("userId,movieId\n" + contacts, encoding="utf-8")
    (folder / "echo.py").write_text(ECHO, encoding="utf-8")
    zsrec, echo = (f"http://127.0.0.1:{args.port + n}" for n in (0, 1))
    base = [sys.executable, "-m"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path.cwd()), str(folder)))}
    with (folder / "log").open("wb") as log:
        commands = [
            [*base, "zsrec", "serve", "--port", str(args.port), "--base-url", f"http://127.0.0.1:{port}/v1",
             "--catalog", "items.csv", "--id", "id", "--interactions", "contacts.csv",
             "--columns", "userId,movieId", "--deadline", "5"],
            [*base, "uvicorn", "echo:app", "--port", str(args.port + 1), "--no-access-log"],
        ]  # fmt: skip
        running = [
            subprocess.Popen(one, stderr=log, stdout=log, env=environment, cwd=folder)  # noqa: S603  (our own)
            for one in commands
        ]
        try:
            await asyncio.gather(ready(zsrec), ready(echo))
            await load(zsrec, 5, 2, [])
            before, ours, theirs = memory(running[0]), list[float](), list[float]()
            busy = [-processor(one) for one in running]
            found, echoed = await asyncio.gather(
                load(zsrec, args.rate, args.seconds, ours), load(echo, args.rate, args.seconds, theirs)
            )
            after = memory(running[0])
            busy = [since + processor(one) for since, one in zip(busy, running, strict=True)]
            flood = await burst(zsrec, args.burst)
        finally:
            for one in running:
                one.terminate()
            for one in running:
                one.wait()
    server.close()
    return {
        "rate": args.rate,
        "requests": sum(found.values()),
        "outcomes": dict(found),
        "beyond_model_ms": _quantiles(np.array(ours) - ANSWER_SECONDS),
        "echo_outcomes": dict(echoed),
        "echo_ms": _quantiles(np.array(theirs)),
        "processor_ms_a_request": [round(1000 * one / sum(found.values()), 2) for one in busy],
        "memory_mb": [round(before / 1024, 1), round(after / 1024, 1)],
        "burst": dict(flood),
        "model_asked": model.asked,
    }


def _quantiles(seconds: np.ndarray) -> dict[str, float]:
    return (
        {f"p{q}": round(float(np.percentile(seconds, q)) * 1000, 1) for q in (50, 95, 99)} if len(seconds) else {}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--burst", type=int, default=400)
    parser.add_argument("--port", type=int, default=8490)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(args, Path(folder))), indent=1))


if __name__ == "__main__":
    main()
