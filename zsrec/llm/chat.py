"""What goes to a model and what comes back, free of any library's types."""

from __future__ import annotations

from typing import Protocol

from zsrec.types import Exchange, Frozen, Message, Sampling


class ChatRequest(Frozen):
    """One request for a chat completion.

    Attributes:
        messages: The roles in order.
        sampling: Every sampling field.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()


class ServerInfo(Frozen):
    """What a server says of itself.

    Attributes:
        base_url: Where it was asked.
        model: The served model that requests will name.
        context_length: Tokens that prompt and answer may have together; None where the server does not say.
        version: The server's version; None where it does not say.
        counts_tokens: Whether it counts the tokens of a chat (vLLM's /tokenize).
        vllm: Whether it takes vLLM's further sampling fields (top_k, min_p, repetition_penalty).
    """

    base_url: str
    model: str
    context_length: int | None = None
    version: str | None = None
    counts_tokens: bool = False
    vllm: bool = False


class LLM(Protocol):
    """A model behind a server. Implementations raise `zsrec.errors.LLMError`, never anything else."""

    async def handshake(self) -> ServerInfo:
        """Says which model is served and what the server can do; asked once and kept."""
        ...

    async def chat(self, request: ChatRequest) -> Exchange:
        """Sends a request and returns it together with its answer."""
        ...

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """The tokens of a prompt, chat template included; None where the server cannot count."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...
