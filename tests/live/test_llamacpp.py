"""llama.cpp for real: its wheel from the package index, the packaged GGUF, and every way of asking."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from tests.unit.server_fakes import free_port
from zsrec import Recommender
from zsrec.cli import app
from zsrec.core.errors import CapabilityError, ContextOverflowError, ServerError
from zsrec.core.files import Home
from zsrec.core.settings import Settings
from zsrec.core.types import Message, Sampling
from zsrec.data.movielens import Dataset
from zsrec.llm.client import OpenAIClient
from zsrec.llm.control_tokens import control_tokens
from zsrec.llm.protocol import ChatRequest
from zsrec.llm.vllm_options import ServerOptions
from zsrec.llm.vllm_server import running_server

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]
Found = TypeVar("Found")
HELLO = (Message(role="user", content="Say hello."),)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, with a short context; installed below `ZSREC_HOME` where that is set."""
    home = Home.default() if "ZSREC_HOME" in os.environ else Home(tmp_path_factory.mktemp("home"))
    options = ServerOptions(engine="llamacpp", port=free_port(), max_model_len=1024)
    try:
        with running_server(options, home=home, timeout=300) as base_url:
            yield base_url
    except ServerError as error:
        if "installing" not in error.message and "fetching" not in error.message:
            raise
        pytest.skip(f"the wheel cannot be installed here: {error.message[:200]}")


def ask(base_url: str, question: Callable[[OpenAIClient], Awaitable[Found]]) -> Found:
    async def run() -> Found:
        async with OpenAIClient(Settings.load(base_url=base_url, timeout=300, max_retries=0)) as client:
            return await question(client)

    return asyncio.run(run())


def test_what_it_is(llama: str) -> None:
    async def run(client: OpenAIClient) -> None:
        info = await client.handshake()
        assert (info.model, info.context_length) == ("smollm2", 1024)
        assert (await client.labels(4)).by == "top_logprobs"
        assert await client.binds_choices()
        assert "repeat_penalty" in " ".join((await client.handshake()).notes)
        found = await control_tokens(client._ask_root, info.model, llama_cpp=True)
        assert found == ("<|im_start|>", "<|im_end|>")

    ask(llama, run)


def test_it_generates_and_is_held_to_choices(llama: str) -> None:
    async def run(client: OpenAIClient) -> None:
        said = await client.chat(ChatRequest(messages=HELLO, sampling=Sampling(max_tokens=4)))
        assert said.answer
        assert said.usage.completion_tokens == 4
        assert await client.binds_choices()
        bound = await client.chat(ChatRequest(messages=HELLO, choices=("quokka", "axolotl")))
        assert bound.answer in {"quokka", "axolotl"}

    ask(llama, run)


@pytest.mark.parametrize("template", ["rank/label", "rank/window", "rank/choose"])
def test_it_ranks(llama: str, movielens: Dataset, template: str) -> None:
    candidates = [item.id for item in list(movielens.catalog)[:4]]
    settings = Settings.load(timeout=600)
    with Recommender(movielens.catalog, base_url=llama, template=template, settings=settings) as recommender:
        found = recommender.recommend(["Heat (1995)"], k=3, candidates=candidates)
    assert {one.item.id for one in found} <= set(candidates)
    assert len(found) == 3
    assert "repeat_penalty" in " ".join(found.trace.notes)


def test_doctor_finds_nothing_wrong(llama: str) -> None:
    found = CliRunner().invoke(app, ["doctor", "--base-url", llama])
    assert found.exit_code == 0, found.output
    told = " ".join(found.output.split())
    for line in ("ok chat works", "ok labels works", "ok choices works", "ok images cannot"):
        assert line in told


def test_it_explains(llama: str, movielens: Dataset) -> None:
    films = list(movielens.catalog)[:2]
    with Recommender(movielens.catalog, base_url=llama, settings=Settings.load(timeout=600)) as recommender:
        found = recommender.explain(films, ["Heat (1995)"])
    assert [one.error for one in found] == [None, None]
    assert all(one.exchange.answer for one in found)


def test_a_text_model_refuses_images_and_that_is_said(llama: str) -> None:
    with pytest.raises(CapabilityError, match="image input is not supported"):
        ask(llama, lambda client: client.require_images())


def test_an_overflow_is_one(llama: str) -> None:
    long = (Message(role="user", content="Heat (1995) " * 1500),)
    with pytest.raises(ContextOverflowError):
        ask(llama, lambda client: client.chat(ChatRequest(messages=long, sampling=Sampling(max_tokens=4))))


def test_a_request_that_is_cancelled_leaves_the_server_free(llama: str) -> None:
    async def run(client: OpenAIClient) -> float:
        await client.handshake()
        story = ChatRequest(messages=HELLO, sampling=Sampling(max_tokens=900, temperature=1.0))
        tasks = [asyncio.create_task(client.chat(story)) for _ in range(4)]  # every slot
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        started = time.monotonic()
        await client.chat(ChatRequest(messages=HELLO, sampling=Sampling(max_tokens=1)))
        return time.monotonic() - started

    assert ask(llama, run) < 120


def test_a_gguf_file_is_served_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "mine.Q4.gguf").touch()
    options = ServerOptions(model=str(tmp_path / "mine.Q4.gguf"))
    assert options.by_llama_cpp
    assert options.served_name() == "mine.Q4"
