"""Cases, recorded replies and server counters for `benchmarks/rankers.py`."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zsrec.core.types import Exchange, Message
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids
from zsrec.data.movielens import load
from zsrec.data.readers import Columns, read_interactions
from zsrec.evaluation import leave_one_out
from zsrec.evaluation.metrics import Counts, Values, hit_rate, ndcg
from zsrec.llm.forwarding import ForwardingLLM
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.retrieval import ItemKNN

POOL = 20
COUNTERS = ("prefix_cache_queries", "prefix_cache_hits", "prompt_tokens", "generation_tokens")


class Case(NamedTuple):
    """One target to be found: the history before it, and the statistics without it."""

    name: str
    history: History
    target: str
    retriever: ItemKNN


class Data(NamedTuple):
    catalog: Catalog
    cases: list[Case]


def in_test_half(user: str) -> bool:
    """Whether a user belongs to the half that no choice was made on."""
    return bool(_hash(user)[0] & 1)


def cases(folder: Path, half: str, depths: int = 1) -> Data:
    """Leave-one-out by time on ml-latest-small, users of one half in an order drawn by hash.

    Args:
        folder: With movies.csv and ratings.csv.
        half: "test" or "tuning".
        depths: Also leave out each user's second to n-th newest event, each in a split of its own whose statistics
            hold nothing newer.
    """
    catalog = load(folder).catalog
    known = read_interactions(
        folder / "ratings.csv",
        columns=Columns(user="userId", item="movieId", time="timestamp", rating=None),
        catalog=Ids(catalog.ids),
    ).interactions
    found = []
    for depth in range(depths):
        split = leave_one_out(known)
        retriever = ItemKNN(split.training)
        ids = split.training.items
        for number, code in enumerate(split.users.tolist()):
            user = split.training.users[code]
            if in_test_half(user) == (half == "test"):
                events = tuple(Event(item=ids[one], by="id") for one in split.history(number).tolist())
                history = History(events=events, user=user)
                found.append(Case(f"{user}/{depth}", history, ids[int(split.targets[number])], retriever))
        known = split.training
    return Data(catalog, sorted(found, key=lambda case: _hash(case.name)))


def places(order: list[tuple[str, ...]], targets: list[str]) -> Counts:
    """Where each target stands in its ranking, from 0; -1 where it does not."""
    return np.array(
        [one.index(t) if t in one else -1 for one, t in zip(order, targets, strict=True)], dtype=np.int64
    )


def metrics(above: Counts) -> dict[str, Values]:
    tied = np.zeros_like(above)
    return {"HR@10": hit_rate(above, tied, 10), "NDCG@10": ndcg(above, tied, 10)}


class Recorded(ForwardingLLM):
    """A model whose replies are kept in a file: a run that was cut goes on without asking again."""

    def __init__(self, llm: LLM, path: Path) -> None:
        super().__init__(llm)
        self._path = path
        self._known: dict[str, Exchange] = {}
        self.live = 0
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                messages = tuple(Message(**one) for one in row["messages"])
                self._known[row["key"]] = Exchange(messages=messages, **row["exchange"])

    async def chat(self, request: ChatRequest) -> Exchange:
        key = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
        if key not in self._known:
            exchange = await self.llm.chat(request)
            self.live += 1
            self._known[key] = exchange
            row = {
                "key": key,
                "messages": [one.model_dump() for one in exchange.messages],
                "exchange": exchange.model_dump(mode="json", exclude={"messages"}),
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        return self._known[key]


def figures(base_url: str) -> list[str]:
    """The lines of vLLM's Prometheus page."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/metrics", timeout=30) as reply:  # noqa: S310
        lines: list[str] = reply.read().decode().splitlines()
    return lines


def counters(lines: list[str]) -> dict[str, float]:
    """vLLM's counters in such a page, summed over engines."""
    return {name: summed(lines, f"{name}_total") for name in COUNTERS}


def summed(lines: list[str], name: str) -> float:
    """One of vLLM's figures, summed over engines."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"vllm:{name}{{"))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
