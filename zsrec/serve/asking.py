"""The model as one request sees it: with the tenant's cache salt, and with a count of what it cost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zsrec.llm.chat import LLM, ChatRequest, LabelSet, ServerInfo
from zsrec.types import Exchange, Message


class Asking:
    """An `LLM` that passes everything on to another one.

    Args:
        llm: The shared client.
        salt: Keeps the tenant's part of vLLM's prefix cache apart; None leaves the client's own.

    Attributes:
        seconds: Wall-clock time in which at least one call was on its way.
        exchanges: What was answered, also where the request failed later on.
    """

    def __init__(self, llm: LLM, salt: str | None) -> None:
        self._llm = llm
        self._salt = salt
        self._under_way = 0
        self._since = 0.0
        self.seconds = 0.0
        self.exchanges: list[Exchange] = []

    async def handshake(self) -> ServerInfo:
        """See `LLM.handshake`."""
        async with self._timed():
            return await self._llm.handshake()

    async def chat(self, request: ChatRequest) -> Exchange:
        """See `LLM.chat`."""
        if self._salt is not None:
            request = request.model_copy(update={"cache_salt": self._salt})
        async with self._timed():
            exchange = await self._llm.chat(request)
        self.exchanges.append(exchange)
        return exchange

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """See `LLM.count_tokens`."""
        async with self._timed():
            return await self._llm.count_tokens(messages)

    async def labels(self, count: int) -> LabelSet:
        """See `LLM.labels`."""
        async with self._timed():
            return await self._llm.labels(count)

    async def binds_choices(self) -> bool:
        """See `LLM.binds_choices`."""
        async with self._timed():
            return await self._llm.binds_choices()

    async def aclose(self) -> None:
        """Does nothing: the connections are shared."""

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        if not self._under_way:
            self._since = time.perf_counter()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.seconds += time.perf_counter() - self._since
