"""The real vLLM that `zsrec model up` starts."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from zsrec.core.files import Home
from zsrec.core.settings import Settings
from zsrec.llm.client import OpenAIClient
from zsrec.llm.control_tokens import control_tokens
from zsrec.llm.vllm_process import session_members
from zsrec.llm.vllm_server import ServerStatus, status
from zsrec.llm.vllm_state import is_healthy, served_models

pytestmark = pytest.mark.live


@pytest.fixture
def address(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "127.0.0.1", parts.port or 80


@pytest.fixture
def ours(address: tuple[str, int]) -> ServerStatus:
    """The server's status, where `zsrec model up` started it in this home."""
    found = status(address[1])
    if not found:
        pytest.skip(
            f"the server at port {address[1]} was not started by `zsrec model up` in {Home.default().root}"
        )
    return found[0]


def test_it_is_healthy_and_serves_one_model(address: tuple[str, int]) -> None:
    assert is_healthy(*address)
    assert len(served_models(*address)) == 1


def test_it_names_its_control_tokens(base_url: str) -> None:
    async def run() -> tuple[str, ...]:
        async with OpenAIClient(Settings.load(base_url=base_url)) as client:
            return await control_tokens(client._ask_root, (await client.handshake()).model, llama_cpp=False)

    assert {"<|im_start|>", "<|im_end|>"} <= set(asyncio.run(run()))


def test_the_status_agrees_with_the_server(ours: ServerStatus, address: tuple[str, int], base_url: str) -> None:
    assert ours.alive
    assert ours.healthy
    assert ours.base_url == base_url
    assert served_models(*address) == [ours.state.name]


def test_all_of_its_processes_are_known(ours: ServerStatus) -> None:
    """vLLM runs as a server, an engine and a worker: `down` has to find each of them."""
    assert len(session_members(ours.state.process, Home.default().run)) >= 3
    assert ours.rss > 500 * 1024**2
