"""The service under load: `python benchmarks/serving.py [--rate 100 --seconds 30 --soak 0 --processes 1 …]`.

A scripted model (20 ms an answer) and a bare FastAPI echo run beside `zsrec serve` with a catalog of 10,000 items.
Requests come at a fixed rate whether answered or not. Every answer names one item that follows from the one item
in its prompt's history, so an answer that reached the wrong user is seen. Reported: outcomes; latency beyond what
the model itself took for that request, beside the echo's in the same seconds; processor time a request of the
two and of this driver with its model (which a busy machine does not change); the machine's load; and what a burst
of so many requests at once gets.

With `--processes 2` two of `zsrec serve` run, asked in turn as by a balancer; the memory is the first one's.

With `--faults 0.01`, of every hundred requests to the model one each is refused (503), cut in the body, garbage,
and never answered.

With `--hostile 0.02`, to every hundred requests come two clients that are idle, send a body slowly, send a head
without an end, or ask as a tenant with a deadline of 10 ms.

`--soak 30` runs for 30 minutes with 1% of each fault and without the echo, tells every minute how it goes, and
ends with the slope of the memory: least squares over a sample a second, after the first sixth of the time. It
fails where a request was lost, got another user's answer or an error without a code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from serving_world import (
    ITEMS,
    Caller,
    Hostile,
    Model,
    following,
    memory,
    on_uvloop,
    processor,
    quantiles,
    slope,
    title,
    up,
)

_SETTLING = 1 / 6
KEYS = {"load": "the-key-of-the-load-1", "hurry": "the-key-of-the-hurry"}
ECHO = """
from fastapi import Body, FastAPI
app = FastAPI()
@app.post("/v1/recommend")
async def echo(body: dict = Body()) -> dict:
    return body
"""


class Load:
    """Requests at a fixed rate to one server, or to several in turn as a balancer does, and what became of them.

    Args:
        ports: The servers'.
        model: Whose own time does not count; None for a server without one.

    Attributes:
        outcomes: How many ended how.
        taken: Of answered requests, the seconds beyond the model's own.
    """

    def __init__(self, ports: Sequence[int], model: Model | None = None) -> None:
        self._callers = [Caller(port, KEYS["load"]) for port in ports]
        self._model = model
        self.outcomes = Counter[str]()
        self.taken: list[float] = []

    async def at(self, rate: float, seconds: float) -> None:
        """Sends them and waits for the last."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for place in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begun + place / rate - time.perf_counter()))
                tasks.create_task(self._one(place))

    async def burst(self, size: int) -> None:
        """Sends so many at once."""
        await asyncio.gather(*map(self._one, range(size)))

    async def _one(self, place: int) -> None:
        number = place * 7919 % ITEMS  # a prime: the next user with this item comes 10,000 requests later
        if self._model is not None:
            self._model.took.pop(number, None)
        started = time.perf_counter()
        try:
            content = {"history": [title(number)], "k": 1, "deadline": 2.0}
            status, body = await self._callers[place % len(self._callers)].post("/v1/recommend", content)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.outcomes[f"lost: {type(error).__name__}"] += 1
            return
        seconds = time.perf_counter() - started
        outcome = _outcome(number, status, json.loads(body))
        self.outcomes[outcome] += 1
        if outcome == "answered":
            self.taken.append(seconds - (self._model.took.get(number, 0.0) if self._model else 0.0))

    def close(self) -> None:
        """Closes the connections."""
        for caller in self._callers:
            caller.close()


def _outcome(number: int, status: int, body: dict[str, object]) -> str:
    if status != 200:
        return f"{status} {body.get('code', 'UNTYPED')}"
    match body:
        case {"degraded": {"reason": reason}}:
            return f"degraded: {reason}"
        case {"items": [{"id": found}]} if found != str(following(number)):
            return "WRONG USER"
    return "answered"


def _unsound(outcome: str) -> bool:
    return outcome == "WRONG USER" or outcome.startswith("lost") or outcome.endswith("UNTYPED")


class Watch:
    """Samples the memory of a process once a second and tells every minute how it goes."""

    def __init__(self, pid: int, load: Load, seconds: float) -> None:
        self._pid, self._load, self._length = pid, load, seconds
        self.at: list[float] = []
        self.megabytes: list[float] = []

    async def run(self, *, aloud: bool) -> None:
        """Until cancelled."""
        begun, told = time.perf_counter(), 0
        while True:
            await asyncio.sleep(1)
            self.at.append(time.perf_counter() - begun)
            self.megabytes.append(memory(self._pid))
            if aloud and len(self.at) % 60 == 0:
                since, told = self._load.taken[told:], len(self._load.taken)
                row = {"minute": len(self.at) // 60, "outcomes": dict(self._load.outcomes),
                       "beyond_model_ms": quantiles(since), "memory_mb": round(self.megabytes[-1], 1)}  # fmt: skip
                print(json.dumps(row), flush=True)

    def told(self) -> dict[str, float]:
        """First, last and most memory, and its slope."""
        settled = next((n for n, at in enumerate(self.at) if at > self._length * _SETTLING), 0)
        if len(self.at) - settled < 3:
            return {}
        kept = self.megabytes[settled:]
        return {
            "settled": round(kept[0], 1),
            "end": round(kept[-1], 1),
            "most": round(max(kept), 1),
            "slope_mb_an_hour": round(slope(self.at[settled:], kept), 2),
        }


def _commands(folder: Path, args: argparse.Namespace, model: int) -> list[list[str]]:
    """The service and the echo, with their files."""
    rows = "".join(f"{number},{title(number)}\n" for number in range(ITEMS))
    (folder / "items.csv").write_text("id,title\n" + rows, encoding="utf-8")
    contacts = "".join(f"u{n % 500},{(n * 37) % ITEMS}\n" for n in range(20_000))
    (folder / "contacts.csv").write_text("userId,movieId\n" + contacts, encoding="utf-8")
    (folder / "keys").write_text("".join(f"{name}:{key}\n" for name, key in KEYS.items()), encoding="utf-8")
    (folder / "echo.py").write_text(ECHO, encoding="utf-8")
    base = [sys.executable, "-m"]
    services = [
        [*base, "zsrec", "serve", "--port", str(args.port + place), "--base-url", f"http://127.0.0.1:{model}/v1",
         "--catalog", "items.csv", "--id", "id", "--interactions", "contacts.csv",
         "--columns", "userId,movieId", "--deadline", "5", "--keys", "keys"]
        for place in range(args.processes)
    ]  # fmt: skip
    echo = ["uvicorn", "echo:app", "--port", str(args.port + args.processes), "--no-access-log"]
    return [*services, [*base, *echo, "--timeout-keep-alive", "75"]]


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Everything in one run."""
    model = Model(args.faults)
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0, backlog=1024)
    commands = _commands(folder, args, server.sockets[0].getsockname()[1])
    if args.soak:
        del commands[-1]
    path = os.pathsep.join((str(Path(__file__).parent.parent), str(folder)))
    with (args.log or folder / "log").open("wb") as log:
        running = [
            subprocess.Popen(one, stderr=log, stdout=log, env={**os.environ, "PYTHONPATH": path}, cwd=folder)  # noqa: S603
            for one in commands
        ]
        try:
            return await _loaded(args, model, [one.pid for one in running])
        finally:
            for one in running:
                one.terminate()
            for one in running:
                one.wait()
            server.close()


async def _loaded(args: argparse.Namespace, model: Model, pids: list[int]) -> dict[str, object]:
    ports = [args.port + place for place, _ in enumerate(pids)]
    services, echoes = ports[: args.processes], ports[args.processes :]
    await asyncio.gather(*map(up, ports))
    warm = Load(services)
    await warm.at(5, 2)
    warm.close()
    loads = [Load(services, model), *(Load([port]) for port in echoes)]
    watch = Watch(pids[0], loads[0], args.seconds)
    watching = asyncio.ensure_future(watch.run(aloud=bool(args.soak)))
    before = [*map(processor, pids), time.process_time()]
    hostile = Hostile(services[0], KEYS["hurry"])
    attacks = [hostile.at(args.rate * args.hostile, args.seconds)] if args.hostile else []
    await asyncio.gather(*attacks, *(load.at(args.rate, args.seconds) for load in loads))
    busy = [now - then for now, then in zip([*map(processor, pids), time.process_time()], before, strict=True)]
    watching.cancel()
    requests = sum(loads[0].outcomes.values())
    flood = Load(services)
    await flood.burst(args.burst)
    for load in (*loads, flood):
        load.close()
    spent = {"service": sum(busy[: args.processes]), "echo": sum(busy[args.processes : -1]), "driver": busy[-1]}
    return {
        "rate": args.rate,
        "processes": args.processes,
        "requests": requests,
        "outcomes": dict(loads[0].outcomes),
        "beyond_model_ms": quantiles(loads[0].taken),
        "echo_outcomes": [dict(load.outcomes) for load in loads[1:]],
        "echo_ms": [quantiles(load.taken) for load in loads[1:]],
        "processor_ms_a_request": {name: round(1000 * one / requests, 2) for name, one in spent.items()},
        "memory_mb": watch.told(),
        "burst": dict(flood.outcomes),
        "hostile": dict(hostile.done),
        "model": {"asked": model.asked, "hung_and_left": model.left},
        "machine_load": [round(one, 1) for one in os.getloadavg()],
        "sound": not any(_unsound(one) for one in loads[0].outcomes + flood.outcomes),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--hostile", type=float, default=0.0)
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--soak", type=float, default=0, metavar="MINUTES")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--port", type=int, default=8490)
    parser.add_argument("--log", type=Path, help="where the service's log goes; nowhere without it")
    args = parser.parse_args()
    if args.soak:
        args.seconds, args.faults = args.soak * 60, args.faults or 0.01
    with tempfile.TemporaryDirectory() as folder, on_uvloop() as runner:
        found = runner.run(measure(args, Path(folder)))
    print(json.dumps(found, indent=1))
    sys.exit(not found["sound"])


if __name__ == "__main__":
    main()
