"""Hostile text in every field of every request: a typed 4xx or a sound answer, never a 5xx."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.hostile.attacks import ATTACKS, Attack
from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, SlowLLM, client, make
from zsrec.core.errors import LLMConnectionError
from zsrec.serving.auth import Tenant
from zsrec.serving.schemas import RecommendIn


class Echo(FakeLLM):
    """Answers with what a test last set."""

    def say(self, text: str) -> None:
        self.answers = [text]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Echo]]:
    llm = Echo(ANSWER)
    with client(make(tmp_path_factory.mktemp("served"), llm)) as http:
        yield http, llm


def bodies(text: str) -> list[tuple[str, object]]:
    full = {"history": ["Heat (1995)"], "k": 3}
    return [
        ("/v1/recommend", full | {"history": [text, "Heat (1995)"]}),
        ("/v1/recommend", full | {"history": [{"item": text, "by": "title"}, {"item": text, "by": "id"}]}),
        ("/v1/recommend", full | {"about": text}),
        ("/v1/recommend", full | {"candidates": [text, "2"], "template": "rank/default"}),
        ("/v1/recommend", full | {"template": text}),
        ("/v1/recommend", full | {"user": text, "names": [text]}),
        ("/v1/recommend", full | {text: text}),
        ("/v1/ground", {"text": text}),
        ("/v1/ground", {"text": "Heat", "candidates": [text], "side": text}),
        ("/v1/feedback", {"history": [text], "feedback": [{"item": text}]}),
    ]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_typed_refusal_or_a_sound_answer(served: tuple[TestClient, Echo], attack: Attack) -> None:
    http, llm = served
    llm.say(f"1. {attack.text}\n2. Ronin (1998)")
    for path, body in bodies(attack.text):
        reply = http.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        assert reply.status_code in {200, 413, 422}, (path, str(body)[:80])
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-type"] in {"application/json", "application/problem+json"}
        found = reply.json()
        if reply.status_code != 200:
            assert set(found) == {"status", "code", "title", "detail", "hint", "request_id"}
        elif path == "/v1/recommend":
            assert {one["id"] for one in found["items"]} <= {"2", "3", "4", "5", "6", "1"}
            assert "/etc/" not in found["template"]
    text = http.get("/metrics").text
    assert "forged" not in text
    assert "passwd" not in text


def test_a_tenant_in_a_hurry_does_not_close_the_model_to_others(tmp_path: Path) -> None:
    """Nothing was ever answered for this template, so nobody knows what is usual."""

    async def run() -> None:
        service = make(tmp_path, SlowLLM(ANSWER, seconds=0.3), breaker_failures=2)
        hurried = RecommendIn.model_validate({"history": ["Heat"], "k": 3, "deadline": 0.1})
        wanted = RecommendIn.model_validate({"history": ["Heat"], "k": 3})
        mine, other = Tenant("in a hurry", admin=False), Tenant("other", admin=False)
        reasons = [(await service.recommend(hurried, mine, str(n))).degraded for n in range(4)]
        assert [one.reason for one in reasons if one is not None] == ["deadline"] * 2 + ["breaker_open"] * 2
        assert service.breaker.state == "closed"
        assert (await service.recommend(wanted, other, "5")).degraded is None

    asyncio.run(run())


def test_a_model_that_is_down_is_closed_to_all(tmp_path: Path) -> None:
    async def run() -> None:
        service = make(tmp_path, FakeLLM(LLMConnectionError("no")), breaker_failures=2)
        wanted = RecommendIn.model_validate({"history": ["Heat"], "k": 3})
        for name in ("a", "b"):
            await service.recommend(wanted, Tenant(name, admin=False), name)
        third = (await service.recommend(wanted, Tenant("c", admin=False), "c")).degraded
        assert third is not None
        assert third.reason == "breaker_open"

    asyncio.run(run())
