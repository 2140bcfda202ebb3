"""Times everything but the model in a turn of a conversation: titles in words, prompt, answer, hybrid.

python benchmarks/conversation_latency.py --turns turns.jsonl --answers answers.jsonl --movielens ml-latest-small
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import numpy as np

from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.data.interactions import Ids, Interactions
from zsrec.llm.offline import OfflineLLM, RecordedReplies
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval.by_name import retriever_named

WARM = 20
"""Turns before the clock starts: the first ones build indexes and compile expressions."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True, help="recorded answers, lines of id and text")
    parser.add_argument("--movielens", type=Path, required=True)
    parser.add_argument("--most", type=int, default=10_000)
    given = parser.parse_args()
    catalog, histories = movielens.load(given.movielens)
    known = Interactions.from_histories(histories, catalog=Ids(catalog.ids))
    turns = [json.loads(line) for line in given.turns.read_text(encoding="utf-8").splitlines()][: given.most]
    replies = RecordedReplies.read("recorded", [given.answers])
    recommender = AsyncRecommender(
        catalog, settings=Settings(), llm=OfflineLLM(""), retriever=retriever_named("cooccurrence", known, catalog)
    )
    seconds = asyncio.run(_timed(recommender, turns, replies))
    wall, cpu = (np.array(one) * 1000 for one in zip(*seconds[WARM:], strict=True))
    for name, found in (("wall clock", wall), ("processor", cpu)):
        p50, p95 = np.percentile(found, [50, 95])
        print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, at most {found.max():.1f} ms")
    print(f"{len(wall)} turns, {len(catalog):,} titles")


async def _timed(
    recommender: AsyncRecommender, turns: list[dict[str, object]], replies: RecordedReplies
) -> list[tuple[float, float]]:
    seconds = []
    for turn in turns:
        talk = turn["conversation"]
        if not isinstance(talk, list) or not any(one["role"] == "user" for one in talk):
            continue
        asked = recommender.with_llm(OfflineLLM(str(turn["id"]), replies=replies))
        wall, cpu = time.perf_counter(), time.process_time()
        await asked.recommend(conversation=talk, k=10)
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    return seconds


if __name__ == "__main__":
    main()
