"""A model that can be told to stop: what it is asked at that moment is broken off, and nothing more is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from zsrec.llm.chat import LLM, ChatRequest, LabelSet, ServerInfo
from zsrec.types import Exchange, Message

Reply = TypeVar("Reply")


class StoppedError(Exception):
    """Ends a flow whose model was told to stop."""


class Stoppable:
    """Passes everything on to a model, until it is stopped.

    A request that is under way is cancelled, which closes its connection; vLLM then ends its work on it.

    Args:
        llm: The model; closing it is left to its owner.
    """

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Stops it; may be called from any thread, and more than once."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _pass(self, asked: Coroutine[Any, Any, Reply]) -> Reply:
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(asked)
        self._tasks.add(task)
        if self._stopped:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopped:
                raise StoppedError from None
            raise
        finally:
            self._tasks.discard(task)

    async def handshake(self) -> ServerInfo:
        """See `LLM`."""
        return await self._pass(self._llm.handshake())

    async def chat(self, request: ChatRequest) -> Exchange:
        """See `LLM`."""
        return await self._pass(self._llm.chat(request))

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """See `LLM`."""
        return await self._pass(self._llm.count_tokens(messages))

    async def labels(self, count: int) -> LabelSet:
        """See `LLM`."""
        return await self._pass(self._llm.labels(count))

    async def binds_choices(self) -> bool:
        """See `LLM`."""
        return await self._pass(self._llm.binds_choices())

    async def aclose(self) -> None:
        """Nothing of its own is open."""
