"""This package's client against a bare loop: the same requests to the same server, in turns, in one run."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import openai
from rankers_cases import rows

from zsrec import Settings
from zsrec.core.types import Message, Sampling
from zsrec.llm.client import OpenAIClient
from zsrec.llm.dialects import request_fields
from zsrec.llm.protocol import ChatRequest

AT_ONCE = 32
LABELS = 20
TURNS = 6


async def throughput(work: Path, base_url: str) -> None:
    """Asks in turns A B B A …, cold (nothing is in the server's cache) and warm (all of it is).

    Warm is the harder test: the server does little, so that the client's own work shows.
    """
    stored = rows(work / "run-label.replies.jsonl")
    path = work / "throughput.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for kind, distinct, times, turns in (("cold", 10, 1, 3), ("warm", 12, 4, TURNS)):
        if kind in found:
            continue  # of a run that was cut
        prompts = [tuple(Message(**one) for one in row["messages"]) for row in stored[:distinct]] * times
        rates: dict[str, list[float]] = {"client": [], "bare": []}
        count = len(prompts)
        if kind == "warm":
            await _client(prompts[:distinct], base_url, kind)
        for turn in range(turns):
            for name in ("client", "bare") if turn % 2 else ("bare", "client"):
                salt = kind if kind == "warm" else f"{kind}-{turn}-{name}"
                ask = _client if name == "client" else _bare
                rates[name].append(count / await ask(prompts, base_url, salt))
        totals = {name: len(one) / sum(1 / rate for rate in one) for name, one in rates.items()}
        found[kind] = {
            "requests_per_turn": count,
            "rates": rates,
            **totals,
            "ratio": totals["client"] / totals["bare"],
        }
        print(kind, found[kind], flush=True)
        path.write_text(json.dumps(found), encoding="utf-8")


def _settings(base_url: str, salt: str) -> Settings:
    return Settings.load(base_url=base_url, timeout=900, cache_salt=salt, concurrency=AT_ONCE)


async def _client(prompts: list[tuple[Message, ...]], base_url: str, salt: str) -> float:
    async with OpenAIClient(_settings(base_url, salt)) as client:
        labels = await client.labels(LABELS)
        requests = [ChatRequest(messages=one, sampling=Sampling(max_tokens=1), labels=labels) for one in prompts]
        began = time.perf_counter()
        await asyncio.gather(*map(client.chat, requests))
        return time.perf_counter() - began


async def _bare(prompts: list[tuple[Message, ...]], base_url: str, salt: str) -> float:
    async with OpenAIClient(_settings(base_url, salt)) as client:
        model, labels = (await client.handshake()).model, await client.labels(LABELS)
    bodies: list[dict[str, Any]] = []
    for messages in prompts:
        request = ChatRequest(messages=messages, sampling=Sampling(max_tokens=1), labels=labels)
        fields = request_fields(request)
        bodies.append({"model": model, **fields, "cache_salt": salt})
    free = asyncio.Semaphore(AT_ONCE)
    async with openai.DefaultAsyncHttpxClient(timeout=900, trust_env=False) as http:
        # As many connections as the client has opened by now for the tokens of the labels.
        await asyncio.gather(*(http.get(f"{base_url}/models") for _ in range(LABELS)))

        async def one(body: dict[str, Any]) -> None:
            async with free:
                reply = await http.post(f"{base_url}/chat/completions", json=body)
                reply.raise_for_status()
                reply.json()

        began = time.perf_counter()
        await asyncio.gather(*map(one, bodies))
        return time.perf_counter() - began
