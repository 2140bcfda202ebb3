"""The real vLLM is killed under a batch and started again: nothing is lost, nothing answered is asked again.

Two starts of vLLM: 517 s on two busy cores (load 17 to 26). So it runs where ZSREC_TEST_KILL=1 asks for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.live.passing import PassThrough
from tests.unit.server_fakes import free_port
from zsrec.core.files import Home
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.movielens import Dataset
from zsrec.llm.client import OpenAIClient
from zsrec.llm.journal import Journal, JournalledLLM
from zsrec.llm.vllm_options import ServerOptions
from zsrec.llm.vllm_process import session_members
from zsrec.llm.vllm_server import down, status, up
from zsrec.recommender.recommender import AsyncRecommender

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]
TEMPLATE = Path(__file__).parent / "short_answer.j2"
USERS, BEFORE_THE_KILL = 16, 5


@asynccontextmanager
async def passing(port: int) -> AsyncIterator[tuple[PassThrough, str]]:
    through = PassThrough(port)
    server = await asyncio.start_server(through.serve, "127.0.0.1", 0)
    try:
        yield through, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


def kill(port: int) -> None:
    """SIGKILL to the server with its engine and worker; all are gone when this returns."""
    (found,) = status(port)
    for pid in session_members(found.state.process, Home.default().run):
        os.kill(pid, signal.SIGKILL)
    while session_members(found.state.process, Home.default().run):
        time.sleep(0.05)


def test_a_batch_lives_through_the_servers_death(
    base_url: str, movielens: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ.get("ZSREC_TEST_KILL") != "1":
        pytest.skip("starts vLLM twice: set ZSREC_TEST_KILL=1")
    if not status():
        pytest.skip(f"no server of `zsrec model up` in {Home.default().root}, so its engine may not be there")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # beside the tests' other server
    options = ServerOptions(port=free_port(), max_model_len=1024)
    histories = [[event.item for event in one.events[-4:]] for one in movielens.histories.values()][:USERS]
    replayed: list[bool] = []

    async def run() -> list[Recommendations | Exception]:
        async with passing(options.port) as (through, url):
            settings = Settings.load(base_url=url, restart_wait=600.0, timeout=600.0)
            with Journal(tmp_path / "journal.jsonl") as journal:
                llm = JournalledLLM(
                    OpenAIClient(settings), journal, on_reply=lambda _, again: replayed.append(again)
                )
                rec = AsyncRecommender(movielens.catalog, template=TEMPLATE, settings=settings, llm=llm)
                batch = asyncio.create_task(rec.recommend_many(histories, 3, concurrency=3))
                while len(journal) < BEFORE_THE_KILL and not batch.done():
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(kill, options.port)
                assert len(journal) < USERS, "the batch was over before the server was killed"
                assert not batch.done()
                await asyncio.to_thread(up, options)
                found = await batch
                await llm.aclose()
                assert len(journal) == USERS
            assert through.asked_again == []
            assert list(through.answered.values()) == [1] * USERS
            assert sum(through.asked.values()) > USERS  # what was under way was sent again
            return list(found)

    up(options)
    try:
        found = asyncio.run(run())
    finally:
        down(options.port)
    assert [type(one) for one in found] == [Recommendations] * USERS
    assert replayed == [False] * USERS
