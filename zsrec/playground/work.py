"""Work beside the event loop, so that no page waits for another one's model or template."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

CHECKS = ThreadPoolExecutor(2, "zsrec-check")
"""Checks of templates: a few hundredths of a second each."""
LOOKS = ThreadPoolExecutor(4, "zsrec-look")
"""Previews: they count tokens at the server."""
ASKS = ThreadPoolExecutor(16, "zsrec-ask")
"""Questions to the model: each may take minutes."""


async def beside(pool: ThreadPoolExecutor, job: Callable[[*Given], Result], *given: *Given) -> Result:
    """The result of a blocking call, made in one of a pool's threads.

    Args:
        pool: `CHECKS`, `LOOKS` or `ASKS`.
        job: What to call.
        given: Its arguments.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, job, *given)


class Latest:
    """Runs a job for the newest state only: what is asked for while it runs makes it run once more.

    Args:
        job: Reads the state itself.
        wait: Seconds without another asking before each run.
    """

    def __init__(self, job: Callable[[], Awaitable[None]], wait: float = 0.0) -> None:
        self._job = job
        self._wait = wait
        self._wanted = False
        self._running = False

    async def ask(self) -> None:
        """Asks for a run; returns at once where one is going on, which then runs again."""
        self._wanted = True
        if self._running:
            return
        self._running = True
        try:
            while self._wanted:
                self._wanted = False
                await asyncio.sleep(self._wait)
                if not self._wanted:
                    await self._job()
        finally:
            self._running = False
