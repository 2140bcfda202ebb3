"""What the rankers cost and bring: `python benchmarks/rankers.py tune|run|throughput|report --data DIR …`.

Leave-one-out by time on ml-latest-small; the candidates are the top 20 of item-kNN, and a target is among them
only if it was retrieved. Users are parted by a hash of their id: `tune` looks at one half, `run` measures the
other, and no choice was made on the latter. `reach` asks only where the target is among the candidates, for more
of the other half's events: elsewhere no order changes a metric, so that few requests tell more of a ranker's lift.
Replies are kept in the working folder (`--work`), so that a run that was cut (`--seconds`) goes on where it
stopped: exit code 3 says that there is more to do. `throughput` compares this package's client with a bare loop
over the requests of `run`. `report` writes all of it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rankers_cases import POOL, Case, Data, Recorded, append, cases, counters, figures, rows
from rankers_report import report
from rankers_throughput import throughput

from zsrec import AsyncRecommender, Settings
from zsrec.core.types import Recommendations
from zsrec.llm.client import OpenAIClient
from zsrec.retrieval import top

CHUNK = 25
MORE_TO_DO = 3


class Method(NamedTuple):
    """A template, and options in place of its own."""

    template: str
    options: Mapping[str, Any] = {}


GENERATE = """---
task: rank
version: 1
description: rank/default with the newest 10 events, like the other rankers.
variables:
  history: {scope: user, type: items, last: 10}
---
{% extends "rank/default" %}
"""
LABEL = {
    "label": Method("rank/label", {"permutations": 1, "calibrate": "none"}),
    "label debiased": Method("rank/label", {"permutations": 4, "calibrate": "labels"}),
    "titles x2": Method("rank/label", {"permutations": 2, "calibrate": "titles"}),
    "window": Method("rank/window", {"permutations": 1, "calibrate": "labels"}),
}
TUNING = LABEL
TEST = LABEL | {"generate": Method("generate")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "run", "reach", "throughput", "report"])
    parser.add_argument("--data", type=Path, help="the folder of ml-latest-small")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--work", type=Path, required=True, help="a folder for replies; not for publishing")
    parser.add_argument("--users", type=int, default=100, help="cases, of either half")
    parser.add_argument(
        "--depths", type=int, default=4, help="newest events a tuning user that are targets in turn"
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="stop after this time, between two chunks")
    parser.add_argument("--only", help="methods, with commas between")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rankers.json")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    (args.work / "generate.j2").write_text(GENERATE, encoding="utf-8")
    if args.what == "report":
        found = report(args.work)
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif args.what == "throughput":
        asyncio.run(throughput(args.work, args.base_url))
    else:
        sys.exit(MORE_TO_DO if asyncio.run(measure(args)) else 0)


async def measure(args: argparse.Namespace) -> bool:
    """Asks until all is done or the time is up; says whether there is more to do."""
    started = time.perf_counter()
    tuning, skip = args.what == "tune", args.what != "run"
    data = cases(args.data, "tuning" if tuning else "test", args.depths if skip else 1)
    chosen = ([case for case in data.cases if reachable(case)] if skip else data.cases)[: args.users]
    methods = TUNING if tuning else TEST
    if args.only:
        methods = {name: methods[name] for name in args.only.split(",")}
    log = args.work / f"{args.what}.jsonl"
    done = {(row["method"], row["case"]) for row in rows(log) if "case" in row}
    for start in range(0, len(chosen), CHUNK):
        for name, method in methods.items():
            chunk = [case for case in chosen[start : start + CHUNK] if (name, case.name) not in done]
            if not chunk:
                continue
            if time.perf_counter() - started > args.seconds:
                return True
            await ask_chunk(args, data, name, method, chunk, log)
    return False


def reachable(case: Case) -> bool:
    """Whether the target is among the candidates: elsewhere no ranker changes a metric, and need not be asked."""
    return case.target in top(case.retriever, case.history, POOL).ids


async def ask_chunk(
    args: argparse.Namespace, data: Data, name: str, method: Method, chunk: Sequence[Case], log: Path
) -> None:
    """Asks one method about some users, all at once, and writes what came of it and what it cost."""
    # A salt of its own keeps one method from finding another's prompts in the server's cache.
    settings = Settings.load(base_url=args.base_url, timeout=900, cache_salt=name.replace(" ", "-"))
    template = args.work / "generate.j2" if method.template == "generate" else method.template
    async with OpenAIClient(settings) as client:
        llm = Recorded(client, args.work / f"{args.what}-{name.replace(' ', '-')}.replies.jsonl")
        rec = AsyncRecommender(data.catalog, llm=llm, template=template, settings=settings)
        rec = rec.with_ranking(**method.options)
        await llm.labels(POOL)  # trying the server out is no part of a user's time
        _ = rec.grounder
        before, began = counters(figures(args.base_url)), time.perf_counter()
        results = await asyncio.gather(*(recommend(rec, case) for case in chunk))
        seconds, after = time.perf_counter() - began, counters(figures(args.base_url))
    for case, result in zip(chunk, results, strict=True):
        append(log, row_of(name, case, result))
    requests = sum(len(result.trace.exchanges) for result in results)
    spent = {key: after[key] - before[key] for key in after}
    live = llm.live >= requests - 1  # the blank prompt of calibration is asked once for all chunks
    costs = {"chunk": len(chunk), "seconds": seconds, "live": live, "requests": requests, **spent}
    append(log, {"method": name, **costs})
    print(f"{name:24} {costs}", flush=True)


async def recommend(rec: AsyncRecommender, case: Case) -> Recommendations:
    return await rec.with_retriever(case.retriever, pool=POOL).recommend(case.history, 10)


def row_of(name: str, case: Case, result: Recommendations) -> dict[str, Any]:
    trace = result.trace
    if trace.pool is None or trace.ranking is None:
        raise SystemExit(f"{name} ranked no candidates")
    usage = [one.usage for one in trace.exchanges]
    return {
        "method": name,
        "case": case.name,
        "target": case.target,
        "pool": trace.pool.ids,
        "order": trace.ranking.order,
        "fused": [one.item.id for one in result],
        "label_logprobs": [one.label_logprobs for one in trace.exchanges],
        "permutations": trace.ranking.permutations,
        "stability": trace.ranking.stability,
        "label_mass": trace.ranking.label_mass,
        "prompt_tokens": sum(one.prompt_tokens or 0 for one in usage),
        "completion_tokens": sum(one.completion_tokens or 0 for one in usage),
        "unresolved": len(trace.unresolved),
    }


if __name__ == "__main__":
    main()
