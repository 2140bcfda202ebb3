"""What candidates cost at scale: `python benchmarks/candidates.py [--interactions 10000000 --items 100000 ...]`.

A synthetic power law: users' activity and items' popularity both follow a Zipf law. Every queried user's newest 8
items are drawn like all contacts, so popular items, the expensive ones, are in most histories. Vectors are random.
Reported: seconds to index, milliseconds per user of the whole `top` and per new event, and memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from zsrec.data.interactions import Arrays, Codes, Ids, Interactions
from zsrec.retrieval import Cooccurrence, Fused, ItemKNN, Popularity, Retriever, Semantic, top


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("interactions", 10_000_000), ("items", 100_000), ("users", 100_000), ("queries", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    items, users = (Ids(map(str, range(n))) for n in (args.items, args.users))
    # More are drawn than asked for: a repeated pair counts once.
    drawn = int(args.interactions * 1.08)
    by, of, at = _zipf(rng, args.users, drawn, 0.6), _zipf(rng, args.items, drawn, 0.8), rng.random(drawn) * 1e8
    columns = Arrays(by, of, at)
    before = _memory()
    started, worked = time.perf_counter(), time.process_time()
    known = Interactions(users, items, columns)
    result: dict[str, object] = {
        "interactions": len(known),
        "largest_item": int(known.users_per_item.max()),
        "largest_user": int(known.items_per_user.max()),
        "interactions_s": round(time.perf_counter() - started, 2),
        "interactions_cpu_s": round(time.process_time() - worked, 2),
        "index_mb": round(_size(known) / 1e6),
        "peak_mb_of_indexing": round(_memory() - before),
    }
    del by, of, at, columns
    vectors = rng.standard_normal((args.items, args.dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    result["vectors_mb"] = round(vectors.nbytes / 1e6)
    asked = rng.choice(args.users, args.queries)
    queries = [[items[code] for code in known.items_of(int(user))[-8:]] for user in asked]
    started, worked = time.perf_counter(), time.process_time()
    cooccurrence = Cooccurrence(known)
    result["cooccurrence_index_s"] = round(time.perf_counter() - started, 2)
    result["cooccurrence_index_cpu_s"] = round(time.process_time() - worked, 2)
    result["cooccurrence_index_mb"] = round(cooccurrence.sequences.nbytes / 1e6)
    result["newest_users_read"] = cooccurrence.sequences.newest
    fused = Fused(known, vectors, behaviour=cooccurrence)
    retrievers: tuple[Retriever, ...] = (Popularity(known), cooccurrence, Semantic(items, vectors), fused)
    for retriever in retrievers:
        top(retriever, queries[0], 100)  # what is made on first use
        result[f"{retriever.name}_top100_ms"] = _percentiles([_timed(retriever, query) for query in queries])
    knn, few = ItemKNN(known), queries[:10]  # seconds per user: it reads every user of every item
    result["itemknn_top100_ms"] = _percentiles([_timed(knn, query) for query in few])
    result["one_new_event_ms"] = _percentiles(
        [_added(cooccurrence, f"new{n % 200}" if n % 2 else str(asked[n % len(asked)]), items[code])
         for n, code in enumerate(rng.integers(args.items, size=2000).tolist())]
    )  # fmt: skip
    result["cooccurrence_top100_ms_after_2000_events"] = _percentiles(
        [_timed(cooccurrence, query) for query in queries]
    )
    result["peak_mb"] = round(_memory())
    print(json.dumps(result, indent=1))


def _zipf(rng: np.random.Generator, size: int, drawn: int, exponent: float) -> Codes:
    sums = np.cumsum(np.arange(1, size + 1) ** -exponent)
    ranks = np.searchsorted(sums, rng.random(drawn) * sums[-1])
    codes: Codes = rng.permutation(size).astype(np.int32)[np.minimum(ranks, size - 1)]
    return codes


def _timed(retriever: Retriever, history: list[str]) -> tuple[float, float]:
    started, worked = time.perf_counter(), time.process_time()
    top(retriever, history, 100)
    return time.perf_counter() - started, time.process_time() - worked


def _added(retriever: Cooccurrence, user: str, item: str) -> tuple[float, float]:
    started, worked = time.perf_counter(), time.process_time()
    retriever.add(user, item)
    return time.perf_counter() - started, time.process_time() - worked


def _percentiles(seconds: list[tuple[float, float]]) -> dict[str, float]:
    """Of wall-clock and of processor time in ms; on a busy machine the first is mostly waiting."""
    columns = np.array(seconds).T * 1e3
    return {
        f"{kind}p{q}": round(float(np.percentile(column, q)), 2)
        for kind, column in zip(("", "cpu_"), columns, strict=True)
        for q in (50, 95, 99)
    }


def _size(known: Interactions) -> int:
    columns = known.columns
    return 2 * columns.item.nbytes + columns.time.nbytes


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
