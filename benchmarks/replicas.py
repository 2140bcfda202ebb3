"""What a router does to the prefix cache of two replicas.

`python benchmarks/replicas.py --engine E --model M --router R`: E is the Python of an environment with vLLM, M
a model's folder, R the command `vllm-router` or `python -m sglang_router.launch_router`. Two replicas are
started, each with a core of its own. The requests are zsrec's own: `rank/label` for some users of the MovieLens
sample, each in four orders of ten candidates, one token an answer. They are recorded once and then sent in one
shuffled order

- to one replica,
- through the router by round robin, by cache-aware routing, and by consistent hashing of a session header,
- to both replicas without a router, as `zsrec batch` with two --base-url shares users among them.

The caches are emptied before every pass. Reported: requests a second and the share of prompt tokens that came from
the prefix cache, of each replica. `--quiet LOCK` takes a lock for itself
during the passes, and shares it before them.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from zsrec import AsyncRecommender
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange
from zsrec.data import movielens
from zsrec.llm.client import OpenAIClient
from zsrec.llm.dialects import request_fields
from zsrec.llm.protocol import ChatRequest
from zsrec.llm.responses import CacheCounters, read_counters
from zsrec.serving.batch_worker import replica_of

NAME, ORDERS, CANDIDATES, AT_ONCE = "small", 4, 10, 4
Sent = tuple[str, dict[str, Any]]


class Recorder(OpenAIClient):
    """Keeps every request."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.kept: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> Exchange:
        self.kept.append(request)
        return await super().chat(request)


async def recorded(base_url: str, users: int) -> list[Sent]:
    """What zsrec asks for so many users, as (user, body)."""
    sample = movielens.sample()
    found: list[Sent] = []
    recorder = Recorder(Settings.load(base_url=base_url, concurrency=2))
    recommender = AsyncRecommender(sample.catalog, template="rank/label", llm=recorder)
    recommender = recommender.with_ranking(permutations=ORDERS)
    people = [(name, one) for name, one in sample.histories.items() if len(one) >= 20][:users]
    dice = random.Random(0)
    for name, history in people:
        known = {event.item for event in history.events}
        pool = dice.sample([one for one in sample.catalog.ids if one not in known], CANDIDATES)
        recorder.kept.clear()
        await recommender.recommend(history, 5, candidates=pool)
        for request in recorder.kept:
            fields = request_fields(request)
            found.append((name, {"model": NAME, **fields}))
    await recorder.aclose()
    dice.shuffle(found)
    return found


@contextmanager
def replica(args: argparse.Namespace, number: int, folder: Path) -> Iterator[str]:
    """A vLLM server on a core of its own."""
    port = args.port + number
    command = [
        args.engine, "-m", "vllm.entrypoints.openai.api_server", "--model", args.model,
        "--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048",
        "--block-size", "32", "--enforce-eager", "--dtype", "float32",
    ]  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "VLLM_CPU_OMP_THREADS_BIND": str(number),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "1",  # for /reset_prefix_cache
        "HF_HUB_OFFLINE": "1",
    }
    with (folder / f"replica-{number}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)  # noqa: S603
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def router(args: argparse.Namespace, program: str, policy: str, urls: list[str], folder: Path) -> Iterator[str]:
    port = args.port + 2
    command = [
        *shlex.split(program), "--worker-urls", *urls, "--policy", policy, "--host", "127.0.0.1",
        "--port", str(port), "--prometheus-port", str(args.port + 3), "--worker-startup-check-interval", "1",
    ]  # fmt: skip
    with (folder / f"router-{policy}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def ready(url: str, seconds: float) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as http:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if (await http.get(f"{url}/health")).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.5)
    raise SystemExit(f"{url} did not start")


async def answering(url: str, body: dict[str, Any], seconds: float) -> None:
    """Waits until a router answers: some say that they are healthy before they know a replica."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if (await http.post(f"{url}/v1/chat/completions", json=body)).status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            await asyncio.sleep(0.5)
    raise SystemExit(f"{url} does not answer")


async def counters(urls: list[str]) -> list[CacheCounters]:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        found = [read_counters((await http.get(f"{url}/metrics")).text) for url in urls]
    return [one or CacheCounters(0, 0, None) for one in found]


async def one_pass(
    name: str, requests: list[Sent], where: Callable[[str], str], urls: list[str]
) -> dict[str, Any]:
    """Sends all requests, a few at once."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        for url in urls:  # a salt a pass would not do: a router may drop fields that it does not know
            (await http.post(f"{url}/reset_prefix_cache")).raise_for_status()
    before = await counters(urls)
    todo, failed = iter(requests), 0
    async with httpx2.AsyncClient(trust_env=False, timeout=300) as http:

        async def work() -> None:
            nonlocal failed
            for user, body in todo:
                reply = await http.post(
                    f"{where(user)}/v1/chat/completions", json=body, headers={"X-Session-ID": user}
                )
                failed += reply.status_code != 200

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - started
    found = [now.since(then) for now, then in zip(await counters(urls), before, strict=True)]
    queries, hits = sum(one.queries for one in found), sum(one.hits for one in found)
    return {
        "pass": name,
        "requests": len(requests),
        "failed": failed,
        "seconds": round(seconds, 1),
        "requests_a_second": round(len(requests) / seconds, 2),
        "prompt_tokens": queries,
        "hit_rate": round(hits / queries, 3) if queries else None,
        "of_each": [
            {"prompt_tokens": one.queries, "hit_rate": round(one.hits / max(1, one.queries), 3)} for one in found
        ],
    }


@contextmanager
def shared(lock: str | None) -> Iterator[Callable[[], None]]:
    """Shares a lock, and gives what takes it for itself."""
    with Path(lock or os.devnull).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield lambda: fcntl.flock(file, fcntl.LOCK_EX)


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    with shared(args.quiet) as take, replica(args, 0, folder) as first, replica(args, 1, folder) as second:
        urls = [first, second]
        await asyncio.gather(*(ready(url, args.start_seconds) for url in urls))
        requests = await recorded(f"{first}/v1", args.users)
        print(f"{len(requests)} requests recorded", file=sys.stderr, flush=True)
        take()
        began = time.perf_counter()
        passes = []
        if "none" in args.policies:
            passes.append(await one_pass("one replica", requests, lambda _: first, urls))
            by_user = await one_pass("two --base-url", requests, lambda user: urls[replica_of(user, 2)], urls)
            passes.append(by_user)
        for program in args.router:
            for policy in (one for one in args.policies if one != "none"):
                with router(args, program, policy, urls, folder) as url:
                    await answering(url, requests[0][1], 60)
                    name = f"{policy} ({program.split()[-1].rpartition('/')[2]})"
                    found = await one_pass(name, requests, lambda _, url=url: url, urls)  # type: ignore[misc]
                    passes.append(found)
        held = time.perf_counter() - began
    return {"passes": passes, "seconds_quiet": round(held, 1), "load": [round(one, 1) for one in os.getloadavg()]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--router", action="append", default=[], help="a command; several are tried in turn")
    parser.add_argument("--policies", nargs="+", default=["none", "round_robin", "cache_aware", "consistent_hash"])
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--port", type=int, default=8340)
    parser.add_argument("--start-seconds", type=float, default=500)
    parser.add_argument("--quiet")
    parser.add_argument("--keep", type=Path, help="where logs are kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(args, args.keep or Path(folder))), indent=1))


if __name__ == "__main__":
    main()
