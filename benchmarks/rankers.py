"""What the rankers cost and bring: `python benchmarks/rankers.py tune|run|report --data DIR --base-url URL --work DIR`.

Leave-one-out by time on ml-latest-small; the candidates are the top 20 of item-kNN, and a target is among them only
if it was retrieved. Users are parted by a hash of their id: `tune` looks at one half, `run` measures the other, and
no choice was made on the latter. Replies are kept in the working folder, so that a run that was cut (`--seconds`)
goes on where it stopped: exit code 3 says that there is more to do. `report` writes the result as JSON.
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

import numpy as np
from rankers_cases import POOL, Case, Data, Recorded, append, cases, counters, metrics, places, rows

from zsrec import AsyncRecommender, Settings
from zsrec.candidates import top
from zsrec.evals.intervals import bootstrap, paired_p_values
from zsrec.evals.metrics import Values
from zsrec.llm.client import OpenAIClient
from zsrec.prompts.ranking import DEFAULT_LLM_WEIGHT
from zsrec.rank import places as by_place
from zsrec.types import Recommendations

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
    "window": Method("rank/window", {"permutations": 1, "calibrate": "labels"}),
}
TUNING = LABEL | {"label by titles": Method("rank/label", {"permutations": 1, "calibrate": "titles"})}
TEST = LABEL | {"generate": Method("generate")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tune", "run", "report"])
    parser.add_argument("--data", type=Path, required=True, help="the folder of ml-latest-small")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--work", type=Path, required=True, help="a folder for replies; not for publishing")
    parser.add_argument("--users", type=int, default=100, help="cases, of either half")
    parser.add_argument("--depths", type=int, default=4, help="newest events a tuning user that are targets in turn")
    parser.add_argument("--seconds", type=float, default=300.0, help="stop after this time, between two chunks")
    parser.add_argument("--only", help="methods, with commas between")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "rankers.json")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    (args.work / "generate.j2").write_text(GENERATE, encoding="utf-8")
    if args.what == "report":
        report(args)
    else:
        sys.exit(MORE_TO_DO if asyncio.run(measure(args)) else 0)


async def measure(args: argparse.Namespace) -> bool:
    """Asks until all is done or the time is up; says whether there is more to do."""
    started = time.perf_counter()
    tuning = args.what == "tune"
    data = cases(args.data, "tuning" if tuning else "test", args.depths if tuning else 1)
    chosen = ([case for case in data.cases if reachable(case)] if tuning else data.cases)[: args.users]
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
    """Whether the target is among the candidates: elsewhere no ranker changes anything, and tuning can skip it."""
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
        before, began = counters(args.base_url), time.perf_counter()
        results = await asyncio.gather(*(recommend(rec, case) for case in chunk))
        seconds, after = time.perf_counter() - began, counters(args.base_url)
    for case, result in zip(chunk, results, strict=True):
        append(log, row_of(name, case, result))
    requests = sum(len(result.trace.exchanges) for result in results)
    spent = {key: after[key] - before[key] for key in after}
    live = llm.live == requests
    append(log, {"method": name, "chunk": len(chunk), "seconds": seconds, "live": live, "requests": requests, **spent})
    print(f"{name:24} {len(chunk)} users {seconds:6.1f} s  {requests} requests{'' if live else ' (some recorded)'}", flush=True)


async def recommend(rec: AsyncRecommender, case: Case) -> Recommendations:
    return await rec.with_retriever(case.retriever, pool=POOL).recommend(case.history, 10)


def row_of(name: str, case: Case, result: Recommendations) -> dict[str, Any]:
    trace = result.trace
    assert trace.pool is not None
    assert trace.ranking is not None
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


# -- reports ------------------------------------------------------------------------------------------


def fused_order(pool: Sequence[str], order: Sequence[str], weight: float) -> tuple[str, ...]:
    """The pool by (1 - w) · prior + w · llm, as `zsrec.rank.fuse` has it."""
    number = {item: place for place, item in enumerate(pool)}
    prior = by_place(tuple(range(len(pool))), len(pool))
    llm = by_place(tuple(number[item] for item in order), len(pool))
    score = {one: (1 - weight) * prior[one] + weight * llm[one] for one in prior}
    return tuple(pool[one] for one in sorted(score, key=lambda one: (-score[one], one)))


def summary(values: Mapping[str, Values], base: Mapping[str, Values], scale: float = 1.0) -> dict[str, Any]:
    """Means with 95% bootstrap intervals, and lifts over the retriever's order with paired ones."""
    found: dict[str, Any] = {}
    for key, one in values.items():
        lift = one - base[key]
        ends = bootstrap(np.stack([one, lift], axis=1))
        found[key] = [scale * float(x) for x in (one.mean(), ends[0, 0], ends[1, 0])]
        found[f"{key} lift"] = [scale * float(x) for x in (lift.mean(), ends[0, 1], ends[1, 1])]
        found[f"{key} lift p"] = float(paired_p_values(lift[:, None])[0])
    return found


def report(args: argparse.Namespace) -> None:
    result: dict[str, Any] = {"default_llm_weight": DEFAULT_LLM_WEIGHT, "pool": POOL}
    for what in ("tune", "run"):
        found = rows(args.work / f"{what}.jsonl")
        by_method: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            if "case" in row:
                by_method.setdefault(row["method"], []).append(row)
        if by_method:
            result[what] = quality(by_method, tuning=what == "tune")
            result[what]["cost"] = cost(found)
            result[what]["position"] = {
                name: position(one) for name, one in by_method.items() if name in (BIAS if what == "run" else ())
            }
    throughput = args.work / "throughput.json"
    if throughput.exists():
        result["throughput"] = json.loads(throughput.read_text(encoding="utf-8"))
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def quality(by_method: Mapping[str, list[dict[str, Any]]], *, tuning: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in by_method.items():
        if name in BIAS:
            continue
        targets = [row["target"] for row in one]
        pools = [tuple(row["pool"]) for row in one]
        base = metrics(places(pools, targets))
        entry: dict[str, Any] = {"users": len(one), "retrieval": summary(base, base)}
        weights = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0) if tuning else (1.0, DEFAULT_LLM_WEIGHT)
        for weight in weights:
            orders = [fused_order(pool, row["order"], weight) for pool, row in zip(pools, one, strict=True)]
            entry[f"w={weight}"] = summary(metrics(places(orders, targets)), base)
        entry["target_in_pool"] = sum(t in pool for t, pool in zip(targets, pools, strict=True))
        entry["named"] = float(np.mean([len(row["order"]) for row in one]))
        entry["permutations"] = float(np.mean([row["permutations"] for row in one]))
        last = [row["stability"][-1] for row in one if row["stability"]]
        entry["last_stability"] = np.mean(last, axis=0).tolist() if last else None
        masses = [row["label_mass"] for row in one if row["label_mass"] is not None]
        entry["label_mass"] = float(np.mean(masses)) if masses else None
        found[name] = entry
    return found


def cost(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per method, from the chunks in which nothing came from a record."""
    costs: dict[str, Any] = {}
    for name in dict.fromkeys(row["method"] for row in found):
        chunks = [row for row in found if row["method"] == name and row.get("chunk") and row["live"]]
        if chunks:
            sums = {key: sum(row[key] for row in chunks) for key in chunks[0] if key not in ("method", "live")}
            costs[name] = {
                "users": sums["chunk"],
                "users_per_s": sums["chunk"] / sums["seconds"],
                "requests_per_user": sums["requests"] / sums["chunk"],
                "prompt_tokens_per_user": sums["prompt_tokens"] / sums["chunk"],
                "generated_tokens_per_user": sums["generation_tokens"] / sums["chunk"],
                "prefix_hit_rate": sums["prefix_cache_hits"] / max(sums["prefix_cache_queries"], 1.0),
            }
    return costs


def position(one: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Where in one random order the best answers stood; 1/20 each would be fair."""
    slots = np.bincount([row["pool"].index(row["order"][0]) for row in one], minlength=POOL) / len(one)
    fair = 1.0 / POOL
    return {
        "users": len(one),
        "share_by_slot": slots.round(4).tolist(),
        "largest": float(slots.max()),
        "total_variation_from_fair": float(np.abs(slots - fair).sum() / 2),
        "permutations": float(np.mean([row["permutations"] for row in one])),
        "stability": [row["stability"][-1] for row in one if row["stability"]][:0]
        or (np.mean([row["stability"][-1] for row in one if row["stability"]], axis=0).tolist()
            if any(row["stability"] for row in one) else None),
    }


if __name__ == "__main__":
    main()
