"""Seconds of one `recommend` call on a real server, one after another and so many at once.

    python benchmarks/latency.py --data DIR --base-url URL --alone 200 --together 200 --json out.json

Users drawn by hash, the newest 20 events of each, the top 20 of item-kNN as candidates where the template ranks.
The rounds ask for different users, and the server is warmed with others still, so that no prompt was asked before.
What the server itself took is the mean of vLLM's own `e2e_request_latency_seconds` over the same requests; the
rest of a call is zsrec, HTTP and, with many at once, waiting for this one process's turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rankers_cases import figures, summed

from zsrec import AsyncRecommender
from zsrec.data import movielens
from zsrec.data.history import History
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval import ItemKNN, top

OWN = "e2e_request_latency_seconds"
NEWEST, POOL, K, WARM, SEED = 20, 20, 10, 8, 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the format of MovieLens")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--alone", type=int, default=200, help="calls, one after another")
    parser.add_argument("--together", type=int, default=200, help="calls, --at-once in flight")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--templates", default="rank/label,generate/default", help="names, with commas between")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments))
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


async def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Both rounds of every template."""
    movies = movielens.load(arguments.data)
    items = Ids(movies.catalog.ids)
    retriever = ItemKNN(Interactions.from_histories(movies.histories, catalog=items))
    users = Ids(movies.histories)
    order = users.hashes(range(len(users)), SEED).argsort(kind="stable").tolist()
    drawn = [movies.histories[users.ids[place]] for place in order]
    newest = [History(events=one.events[-NEWEST:]) for one in drawn]
    histories = [
        one for one in newest if len(top(retriever, one, POOL).ids) == POOL
    ]  # nobody shares one user's films
    end = WARM + arguments.alone
    rounds = {
        "one after another": (1, histories[WARM:end]),
        f"{arguments.at_once} at once": (arguments.at_once, histories[end : end + arguments.together]),
    }
    found: dict[str, object] = {}
    async with AsyncRecommender(movies.catalog, base_url=arguments.base_url) as recommender:
        served = await recommender.server()
        for name in arguments.templates.split(","):
            mine = recommender.with_template(name)
            if mine.template.task == "rank":
                mine = mine.with_retriever(retriever, pool=POOL)
            await _round(mine, histories[:WARM], 1, arguments.base_url)
            found[name] = {
                kind: await _round(mine, chosen, at_once, arguments.base_url)
                for kind, (at_once, chosen) in rounds.items()
            }
    return {"protocol": __doc__, "model": served.model, "vllm": served.version, "templates": found}


async def _round(
    recommender: AsyncRecommender, histories: Sequence[History], at_once: int, base_url: str
) -> dict[str, float]:
    """So many calls in flight until all histories are done."""
    free, taken = asyncio.Semaphore(at_once), list[float]()

    async def one(history: History) -> None:
        async with free:
            began = time.perf_counter()
            await recommender.recommend(history, K)
            taken.append(time.perf_counter() - began)

    before = figures(base_url)
    began = time.perf_counter()
    await asyncio.gather(*map(one, histories))
    seconds = time.perf_counter() - began
    after = figures(base_url)
    requests, own, prompt, generated = (
        summed(after, name) - summed(before, name)
        for name in (f"{OWN}_count", f"{OWN}_sum", "prompt_tokens_total", "generation_tokens_total")
    )
    p50, p95, p99 = np.quantile(taken, (0.5, 0.95, 0.99))
    return {
        "calls": len(taken),
        "p50_ms": round(1000 * float(p50), 1),
        "p95_ms": round(1000 * float(p95), 1),
        "p99_ms": round(1000 * float(p99), 1),
        "mean_ms": round(1000 * float(np.mean(taken)), 1),
        "calls_per_s": round(len(taken) / seconds, 2),
        "requests": requests,
        "server_mean_ms_a_request": round(1000 * own / max(requests, 1.0), 1),
        "prompt_tokens": prompt,
        "generated_tokens": generated,
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    main()
