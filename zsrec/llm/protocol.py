"""What goes to a model and what comes back, free of any library's types."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, cast

from pydantic import Field

from zsrec.core.errors import LLMError
from zsrec.core.types import Exchange, Frozen, Message, Sampling

LabelsBy = Literal["logprob_token_ids", "top_logprobs"]
Capability = Literal["logprob_token_ids", "top_logprobs", "tokenize", "structured_outputs", "images"]


class Label(Frozen):
    """A name that candidates carry in a prompt and that the model answers with.

    Attributes:
        text: For example "A".
        token: The id of the one token that it is at the start of an answer, from the server's own tokenizer;
            None where the server does not tell, then the label is recognised by its text.
    """

    text: str
    token: int | None = None


def wire(message: Message) -> dict[str, object]:
    """A message as the API takes it: its text, or with images parts of which each has a caption before it."""
    if not message.images:
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, object]] = [{"type": "text", "text": message.content}]
    for image in message.images:
        parts += [{"type": "text", "text": image.caption}, {"type": "image_url", "image_url": {"url": image.url}}]
    return {"role": message.role, "content": parts}


class LabelSet(Frozen):
    """Labels whose log-probabilities a server reports, each one token where an answer starts.

    Attributes:
        labels: As many as were asked for.
        by: How the server reports them: exactly the ids asked for, or the most likely tokens and no more.
        most: The most labels of one request.
    """

    labels: tuple[Label, ...]
    by: LabelsBy
    most: int


class ChatRequest(Frozen):
    """One request for a chat completion.

    Attributes:
        messages: The roles in order.
        sampling: Every sampling field.
        labels: The reply shall carry their log-probabilities as the answer's first token; from `LLM.labels`.
        choices: The answer shall be one of these texts; only for servers with `LLM.binds_choices`.
        pattern: The answer shall match this regular expression as a whole; only for such servers, too, and not
            beside `choices`.
        cache_salt: Instead of `Settings.cache_salt`, for callers who serve several tenants.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    labels: LabelSet | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    cache_salt: str | None = None


class ServerInfo(Frozen):
    """What a server says of itself.

    Attributes:
        base_url: Where it was asked.
        model: The served model that requests will name.
        context_length: Tokens that prompt and answer may have together; None where the server does not say.
        version: The server's version; None where it does not say.
        counts_tokens: Whether it counts the tokens of a chat (vLLM's /tokenize).
        vllm: Whether it says that it is vLLM.
        capabilities: What was tried out so far, and whether it worked. Only what a ranker needed is in it.
        field_names: Fields of a request that it takes under another name, or (None) not at all.
        unneeded: Fields of which it refuses the value that changes nothing.
        notes: What is sent to it in another way than a template says, as sentences.
        control_tokens: Those of its tokenizer that cannot be told by their shape (`zsrec.llm.control_tokens`).
    """

    base_url: str
    model: str
    context_length: int | None = None
    version: str | None = None
    counts_tokens: bool = False
    vllm: bool = False
    capabilities: Mapping[Capability, bool] = Field(default_factory=dict)
    field_names: Mapping[str, str | None] = Field(default_factory=dict)
    unneeded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    control_tokens: tuple[str, ...] = ()


class LLM(Protocol):
    """A model behind a server. Implementations raise `zsrec.core.errors.LLMError`, never anything else."""

    async def handshake(self) -> ServerInfo:
        """Says which model is served and what the server can do; asked once and kept."""
        ...

    async def chat(self, request: ChatRequest) -> Exchange:
        """Sends a request and returns it together with its answer."""
        ...

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """The tokens of a prompt, chat template included; None where the server cannot count."""
        ...

    async def labels(self, count: int) -> LabelSet:
        """Labels for `count` candidates; what the server can do is tried out on the first call.

        Raises:
            CapabilityError: The server reports no log-probabilities, or not of so many labels.
        """
        ...

    async def binds_choices(self) -> bool:
        """Whether `ChatRequest.choices` really binds the answer; tried out on the first call."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...


async def chat_each(llm: LLM, requests: Iterable[ChatRequest]) -> tuple[Exchange | LLMError, ...]:
    """Sends requests together; where one fails, its error takes the place of its exchange."""
    # All of them end before an error of another kind is raised: no request is left running.
    replies = await asyncio.gather(*map(llm.chat, requests), return_exceptions=True)
    for reply in replies:
        if isinstance(reply, BaseException) and not isinstance(reply, LLMError):
            raise reply
    return tuple(cast("list[Exchange | LLMError]", replies))


async def chat_all(llm: LLM, requests: Iterable[ChatRequest]) -> tuple[Exchange, ...]:
    """Sends requests together; all of them end before the first error is raised."""
    replies = await chat_each(llm, requests)
    for reply in replies:
        if isinstance(reply, LLMError):
            raise reply
    return cast("tuple[Exchange, ...]", replies)
