"""An LLM that forwards to another one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from zsrec.core.types import Exchange, Message
from zsrec.llm.protocol import LLM, ChatRequest, LabelSet, ServerInfo

Result = TypeVar("Result")


class ForwardingLLM:
    """Forwards every call to `llm`; subclasses override single calls, or `_forward` for all of them."""

    def __init__(self, llm: LLM) -> None:
        self.llm = llm

    async def _forward(self, call: Coroutine[Any, Any, Result]) -> Result:
        """Every call to the model passes through here."""
        return await call

    async def handshake(self) -> ServerInfo:
        """See `LLM.handshake`."""
        return await self._forward(self.llm.handshake())

    async def chat(self, request: ChatRequest) -> Exchange:
        """See `LLM.chat`."""
        return await self._forward(self.llm.chat(request))

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """See `LLM.count_tokens`."""
        return await self._forward(self.llm.count_tokens(messages))

    async def labels(self, count: int) -> LabelSet:
        """See `LLM.labels`."""
        return await self._forward(self.llm.labels(count))

    async def binds_choices(self) -> bool:
        """See `LLM.binds_choices`."""
        return await self._forward(self.llm.binds_choices())

    async def aclose(self) -> None:
        """Close the connections; override where they are shared."""
        await self.llm.aclose()
