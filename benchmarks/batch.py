"""A batch job of many users: `python benchmarks/batch.py [--users 100000 --kill-at 0.5 --engine local]`.

A scripted model (20 ms an answer) runs in a process of its own, counts, and answers with ten titles that follow
from the user's newest item. `zsrec batch` runs over a Parquet file of so many users with a catalog of
10,000 items, is killed (SIGKILL) when the server has seen so large a share of the users, and is started again.
Reported: users a second, wall time, the client's processor time a user and its memory; and checked: every user
stands in the output once, with the items that belong to that user, and the server saw no more requests than users
and those under way at the kill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

ITEMS, ANSWER_SECONDS, K = 10_000, 0.02, 10


def title(number: int) -> str:
    return f"Story of {number:05d}"


def following(number: int) -> list[int]:
    """The ten items that the model names after this one; none of them is in a history that ends with it."""
    return [(number + 100 + n) % ITEMS for n in range(K)]


# -- the scripted model, a process of its own ---------------------------------------------------------


class Model(asyncio.Protocol):
    """One connection: just enough HTTP, without a task a request."""

    asked = 0
    at_work = 0
    most_at_work = 0

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        size = int(found[1]) if found else 0
        if len(rest) < size:
            return
        self._buffer = rest[size:]
        path = head.split(b" ", 2)[1]
        if path == b"/v1/chat/completions":
            Model.asked += 1
            Model.at_work += 1
            Model.most_at_work = max(Model.most_at_work, Model.at_work)
            asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._answer, rest[:size])
        elif path == b"/v1/models":
            card = {"id": "tiny", "object": "model", "owned_by": "scripted", "max_model_len": 4096}
            self._send(json.dumps({"object": "list", "data": [card]}))
        elif path == b"/count":
            self._send(json.dumps({"asked": Model.asked, "most": Model.most_at_work}))
        else:
            self._send("{}", 404)

    def _answer(self, body: bytes) -> None:
        Model.at_work -= 1
        number = int(re.findall(rb"Story of (\d+)", body)[-1])
        text = "".join(f"{n}. {title(one)}\n" for n, one in enumerate(following(number), start=1))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160}
        reply = {"id": "c", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]}
        self._send(json.dumps(reply | {"usage": usage}))

    def _send(self, body: str, status: int = 200) -> None:
        if not self._transport.is_closing():
            head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write((head + body).encode())


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


# -- the measurement ----------------------------------------------------------------------------------


def newest(user: int) -> int:
    return (user * 7919) % ITEMS


def write_data(folder: Path, users: int) -> None:
    """A catalog, and interactions of five items a user in a shuffled order of rows."""
    rows = "".join(f"{number},{title(number)}\n" for number in range(ITEMS))
    (folder / "items.csv").write_text("id,title\n" + rows, encoding="utf-8")
    who, what, when = [], [], []
    for time_ in (3, 0, 4, 1, 2):
        who += [f"user-{user}" for user in range(users)]
        what += [str((newest(user) - 4 + time_) % ITEMS) for user in range(users)]
        when += [1_700_000_000 + time_] * users
    pq.write_table(pa.table({"user": who, "item": what, "timestamp": when}), folder / "users.parquet")


def count(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=30) as reply:
        found: dict[str, int] = json.loads(reply.read())
        return found


def ready(port: int) -> None:
    for _ in range(300):
        try:
            count(port)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the scripted model did not start")


class Watched:
    """A process with its children: processor seconds and the most memory, by /proc, while it runs (Linux)."""

    def __init__(self, command: list[str], folder: Path, log: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)  # noqa: S603
        self.started = time.perf_counter()
        self.processor = self.memory = 0.0
        self._by_process: dict[int, float] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            memory = 0.0
            for pid in self._family():
                try:
                    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
                except (OSError, ValueError):
                    continue
                self._by_process[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                found = re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)
                memory += int(found[1]) / 1024 if found else 0.0
            self.memory = max(self.memory, memory)
            self.processor = sum(self._by_process.values())
            time.sleep(1.0)

    def _family(self) -> list[int]:
        family = [self.process.pid]
        for pid in family:
            try:
                tasks = Path(f"/proc/{pid}/task").iterdir()
                family += [int(one) for task in tasks for one in (task / "children").read_text().split()]
            except OSError:
                continue
        return family

    def wait(self) -> int:
        code = self.process.wait()
        self._thread.join()
        return code


def checked(out: Path, users: int) -> dict[str, Any]:
    """What the output holds, looked at row by row."""
    found: dict[str, list[str]] = {}
    rows = twice = 0
    for path in sorted(out.glob("part-*.parquet")):
        here: dict[str, list[str]] = {}
        for row in pq.read_table(path, columns=["user", "item", "rank"]).to_pylist():
            rows += 1
            here.setdefault(row["user"], []).append(row["item"])
        twice += len(found.keys() & here.keys())
        found |= here
    wrong = sum(
        found.get(f"user-{user}") != [str(one) for one in following(newest(user))] for user in range(users)
    )
    return {"users": len(found), "rows": rows, "twice": twice, "wrong_or_missing": wrong}


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_data(folder, args.users)
    here = str(Path(__file__).resolve())
    model = subprocess.Popen([sys.executable, here, "--serve", str(args.port)])  # noqa: S603  (our own)
    command = [
        sys.executable, "-m", "zsrec", "batch", "--input", "users.parquet", "--columns", "user,item,timestamp",
        "--catalog", "items.csv", "--id", "id", "--domain", "stories", "--out", "out", "--k", str(K),
        "--base-url", f"http://127.0.0.1:{args.port}/v1", "--concurrency", str(args.concurrency),
        "--engine", args.engine, *(["--workers", str(args.workers)] if args.engine == "ray" else []),
        "--chunk", str(args.chunk),
    ]  # fmt: skip
    runs: list[Watched] = []
    at_kill: list[int] = []
    try:
        ready(args.port)
        for share in [*args.kill_at, None]:
            runs.append(Watched(command, folder, folder / "log"))
            while runs[-1].process.poll() is None and share is not None:
                if (asked := count(args.port)["asked"]) >= share * args.users:
                    runs[-1].process.send_signal(signal.SIGKILL)
                    at_kill.append(asked)
                    break
                time.sleep(0.05)
            code = runs[-1].wait()
            runs[-1].seconds = time.perf_counter() - runs[-1].started  # type: ignore[attr-defined]
            if share is not None:
                time.sleep(2)  # what Ray's workers still do: they end with their driver
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")
        if code != 0:
            raise SystemExit(f"zsrec batch ended with {code}:\n{log[-3000:]}")
        served = count(args.port)
        again = Watched(command, folder, folder / "log")  # a finished job asks nobody
        again.wait()
        after = count(args.port)
    finally:
        model.terminate()
        model.wait()
    seconds = sum(one.seconds for one in runs)  # type: ignore[attr-defined]
    under_way = args.concurrency * (args.workers if args.engine == "ray" else 1) * len(args.kill_at)
    return {
        "users": args.users,
        "engine": args.engine,
        "seconds": [round(one.seconds, 1) for one in runs],  # type: ignore[attr-defined]
        "users_a_second": round(args.users / seconds, 1),
        "processor_ms_a_user": round(1000 * sum(one.processor for one in runs) / args.users, 2),
        "memory_mb": [round(one.memory) for one in runs],
        "asked_when_killed": at_kill,
        "asked": served["asked"],
        "asked_twice": served["asked"] - args.users,
        "under_way_at_most": under_way,
        "most_at_once": served["most"],
        "asked_by_a_finished_job": after["asked"] - served["asked"],
        "output": checked(folder / "out", args.users),
        "load": [round(one, 1) for one in os.getloadavg()],
        "log": log[-600:] if args.log else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--kill-at", type=float, nargs="*", default=[0.5], help="shares of the users")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=1000)
    parser.add_argument("--port", type=int, default=8349)
    parser.add_argument("--log", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(args, Path(folder)), indent=1))


if __name__ == "__main__":
    main()
