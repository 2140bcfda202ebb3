"""From the rows of `benchmarks/rankers.py` to figures: quality, cost, position bias."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rankers_cases import POOL, metrics, places, rows

from zsrec.evaluation.metrics import Values
from zsrec.evaluation.statistics import bootstrap, paired_p_values
from zsrec.llm.protocol import Label, LabelSet
from zsrec.prompts.front_matter import DEFAULT_LLM_WEIGHT
from zsrec.ranking.fusion import places as by_place
from zsrec.ranking.label import kendall, log_softmax, orders, ranked, read_labels

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
SEED = 7
CALIBRATED = {"label debiased": "labels", "titles x2": "titles"}
LABELS = LabelSet(
    labels=tuple(Label(text=chr(ord("A") + slot)) for slot in range(POOL)), by="logprob_token_ids", most=128
)
Row = dict[str, Any]


def report(work: Path) -> dict[str, Any]:
    """All figures of a working folder."""
    result: dict[str, Any] = {"default_llm_weight": DEFAULT_LLM_WEIGHT, "pool": POOL}
    for what in ("tune", "run", "reach"):
        found = rows(work / f"{what}.jsonl")
        if not found:
            continue
        by_method: dict[str, list[Row]] = {}
        for row in found:
            if "case" in row:
                by_method.setdefault(row["method"], []).append(row)
        weights = WEIGHTS if what == "tune" else (DEFAULT_LLM_WEIGHT, 1.0)
        result[what] = {
            "quality": {name: quality(one, weights) for name, one in by_method.items()},
            "cost": cost(found),
            "position": {name: position(one, name) for name, one in by_method.items() if name in CALIBRATED},
        }
    path = work / "throughput.json"
    result["throughput"] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return result


def fused_order(pool: Sequence[str], order: Sequence[str], weight: float) -> tuple[str, ...]:
    """The pool by (1 - w) · prior + w · llm, as `zsrec.ranking.fusion` has it."""
    number = {item: place for place, item in enumerate(pool)}
    prior = by_place(tuple(range(len(pool))), len(pool))
    llm = by_place(tuple(number[item] for item in order), len(pool))
    return tuple(
        pool[one] for one in ranked({one: (1 - weight) * prior[one] + weight * llm[one] for one in prior})
    )


def quality(found: Sequence[Row], weights: Sequence[float]) -> dict[str, Any]:
    """Metrics and lifts of one method, alone (w = 1) and fused."""
    targets = [row["target"] for row in found]
    pools = [tuple(row["pool"]) for row in found]
    base = metrics(places(pools, targets))
    entry: dict[str, Any] = {
        "users": len(found),
        "target_in_pool": sum(target in pool for target, pool in zip(targets, pools, strict=True)),
        "retrieval": summary(base, base),
    }
    for weight in weights:
        fused = [fused_order(pool, row["order"], weight) for pool, row in zip(pools, found, strict=True)]
        entry[f"w={weight}"] = summary(metrics(places(fused, targets)), base)
    masses = [row["label_mass"] for row in found if row["label_mass"] is not None]
    last = [row["stability"][-1] for row in found if row["stability"]]
    return entry | {
        "named": float(np.mean([len(row["order"]) for row in found])),
        "permutations": float(np.mean([row["permutations"] for row in found])),
        "last_overlap_and_kendall": np.mean(last, axis=0).round(4).tolist() if last else None,
        "label_mass": float(np.mean(masses)) if masses else None,
    }


def summary(values: Mapping[str, Values], base: Mapping[str, Values]) -> dict[str, Any]:
    """Means with 95% bootstrap intervals, and lifts over the retriever's order with paired ones."""
    found: dict[str, Any] = {}
    for key, one in values.items():
        lift = one - base[key]
        ends = bootstrap(np.stack([one, lift], axis=1))
        found[key] = [round(float(x), 4) for x in (one.mean(), ends[0, 0], ends[1, 0])]
        found[f"{key} lift"] = [round(float(x), 4) for x in (lift.mean(), ends[0, 1], ends[1, 1])]
        found[f"{key} lift p"] = round(float(paired_p_values(lift[:, None])[0]), 4)
    return found


def cost(found: Sequence[Row]) -> dict[str, Any]:
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


def position(found: Sequence[Row], method: str) -> dict[str, Any]:
    """Where in one random order, the first of those asked about, the best candidate stood; 1/20 each is fair."""
    asked = list(islice(orders(range(POOL), SEED), 64))
    blank = next((b for row in found for b in _split(row, method)[1]), None)  # for "labels" one serves all
    slots: dict[str, list[int]] = {}
    steps: dict[str, list[float]] = {}
    for row in found:
        replies, blanks = _split(row, method)
        for calibrated in (False, True):
            sums = dict.fromkeys(range(POOL), 0.0)
            before: tuple[int, ...] = ()
            for count, (order, reply) in enumerate(zip(asked, replies, strict=False), start=1):
                values = read_labels(reply, LABELS, "").logprobs
                if calibrated:
                    without = blanks[count - 1] if CALIBRATED[method] == "titles" else blank
                    prior = read_labels(without or {}, LABELS, "").logprobs
                    values = log_softmax([a - b for a, b in zip(values, prior, strict=True)])
                for one, value in zip(order, values, strict=True):
                    sums[one] += value
                best = ranked(sums)
                name = f"{count} order{'s' if count > 1 else ''}{', calibrated' if calibrated else ''}"
                if before:
                    steps.setdefault(name, []).append(kendall(before, best))
                before = best
                slots.setdefault(name, []).append(asked[0].index(best[0]))
    return {
        "calibrated_by": CALIBRATED[method],
        "fair_share": 1 / POOL,
        "distance_by_chance": _noise(len(found)),
        "settings": {name: _shares(one) for name, one in slots.items()},
        "kendall_to_one_order_less": {name: round(float(np.mean(one)), 4) for name, one in steps.items()},
    }


def _split(row: Row, method: str) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """The replies with the user, and those without, in the order of the orders asked about."""
    replies, count = row["label_logprobs"], row["permutations"]
    if CALIBRATED[method] == "titles":  # the first two orders together, then one at a time, each with its twin
        users = replies[:2] + replies[4::2]
        return users, replies[2:4] + replies[5::2]
    asked_blank = len(replies) > count  # once, after the first two orders, where no other user had it yet
    return (replies[:2] + replies[3:], [replies[2]]) if asked_blank else (replies, [])


def _shares(slots: Sequence[int]) -> dict[str, Any]:
    shares = np.bincount(slots, minlength=POOL) / len(slots)
    return {
        "users": len(slots),
        "share_by_slot": shares.round(4).tolist(),
        "largest": float(shares.max()),
        "distance_from_fair": round(float(np.abs(shares - 1 / POOL).sum() / 2), 4),
    }


def _noise(users: int) -> float:
    """The mean distance from fair (total variation) that as many fair draws have by chance."""
    draws = np.random.default_rng(0).multinomial(users, np.full(POOL, 1 / POOL), size=2000) / users
    return round(float(np.abs(draws - 1 / POOL).sum(axis=1).mean() / 2), 4)
