"""A model server that goes away and comes back, under a batch and with another model."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.server import Script, ScriptedServer, answers, cut, fails
from zsrec.core.errors import LLMConnectionError, LLMRequestError, ModelNotServedError
from zsrec.core.settings import Settings
from zsrec.core.types import Message, Recommendations
from zsrec.data.catalog import Catalog
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest
from zsrec.recommender.recommender import Recommender

REQUEST = ChatRequest(messages=(Message(role="user", content="x"),))
GOOD = answers("1. Ronin (1998)")


@pytest.mark.parametrize(
    ("fault", "error"),
    [(fails(404, "The model `tiny` does not exist."), ModelNotServedError), (cut, LLMConnectionError)],
    ids=["404", "cut"],
)
def test_a_server_that_comes_back_with_another_model_is_asked_what_it_serves(
    fault: object, error: type[Exception]
) -> None:
    async def run() -> None:
        async with OpenAIClient(Settings.load(base_url=server.base_url, max_retries=0)) as client:
            await client.chat(REQUEST)
            server.models, server.context_length = ["other"], 512
            with pytest.raises(error):
                await client.chat(REQUEST)
            await client.chat(REQUEST)
            assert (await client.handshake()).context_length == 512

    with ScriptedServer(GOOD, fault, GOOD) as server:  # type: ignore[arg-type]
        asyncio.run(run())
        assert [one["model"] for one in server.requests] == ["tiny", "tiny", "other"]


def test_a_batch_survives_connections_that_break_in_its_middle(films: Catalog) -> None:
    broken = [GOOD, cut, GOOD, fails(503), cut, GOOD, fails(429, Retry_After="0.01"), GOOD]
    with (
        ScriptedServer(*broken) as server,
        Recommender(films, settings=Settings.load(base_url=server.base_url, max_retries=4)) as rec,
    ):
        found = rec.recommend_many([["Heat (1995)"]] * 12, 3, concurrency=3)
        assert [isinstance(one, Recommendations) and one[0].item.id for one in found] == ["2"] * 12
        assert len(server.requests) == 12 + 4  # each broken one again, and nothing else


@pytest.mark.parametrize("gone", [cut, fails(503)], ids=["cut", "503"])
def test_a_server_that_is_away_for_longer_than_the_retries_is_waited_for(gone: Script) -> None:
    async def run() -> None:
        settings = Settings.load(base_url=server.base_url, max_retries=0, restart_wait=30.0)
        async with OpenAIClient(settings) as client:
            assert (await client.chat(REQUEST)).answer == "1. Ronin (1998)"

    with ScriptedServer(gone, gone, GOOD) as server:
        asyncio.run(run())
        assert len(server.requests) == 3


def test_the_wait_for_a_restart_ends_and_a_server_that_never_was_is_not_waited_for() -> None:
    async def run(base_url: str, wait: float) -> float:
        async with OpenAIClient(Settings.load(base_url=base_url, max_retries=0, restart_wait=wait)) as client:
            started = time.monotonic()
            with pytest.raises(LLMConnectionError):
                await client.chat(REQUEST)
            return time.monotonic() - started

    with ScriptedServer(cut) as server:
        assert asyncio.run(run(server.base_url, 1.5)) >= 1.5
        sent = len(server.requests)
        assert 2 <= sent <= 3
    asyncio.run(run(server.base_url, 3600.0))
    assert len(server.requests) == sent


def test_a_refusal_is_not_waited_for() -> None:
    async def run() -> None:
        async with OpenAIClient(Settings.load(base_url=server.base_url, restart_wait=3600.0)) as client:
            with pytest.raises(LLMRequestError):
                await client.chat(REQUEST)

    with ScriptedServer(fails(400)) as server:
        asyncio.run(run())
        assert len(server.requests) == 1


def test_a_name_that_resolves_to_nothing_is_a_typed_error(films: Catalog, tmp_path: Path) -> None:
    settings = Settings.load(base_url="http://no-such-host.invalid/v1", allow_hosts=("no-such-host.invalid",))
    with (
        Recommender(films, settings=settings.replaced(max_retries=0)) as rec,
        pytest.raises(LLMConnectionError, match=r"no-such-host\.invalid"),
    ):
        rec.recommend(["Heat (1995)"])
