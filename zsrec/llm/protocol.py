"""What goes to a model and what comes back, free of any library's types."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from typing import Literal, NamedTuple, Protocol, TypeVar, cast

from pydantic import Field

from zsrec.core.errors import LLMError
from zsrec.core.types import Exchange, Frozen, Message, Sampling

LabelsBy = Literal["logprob_token_ids", "top_logprobs"]
Capability = Literal["logprob_token_ids", "top_logprobs", "tokenize", "structured_outputs"]


class Label(Frozen):
    """A name that candidates carry in a prompt and that the model answers with.

    Attributes:
        text: For example "A".
        token: The id of the one token that it is at the start of an answer, from the server's own tokenizer;
            None where the server does not tell, then the label is recognised by its text.
    """

    text: str
    token: int | None = None


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
        vllm: Whether it takes vLLM's further sampling fields (top_k, min_p, repetition_penalty).
        capabilities: What was tried out so far, and whether it worked. Only what a ranker needed is in it.
    """

    base_url: str
    model: str
    context_length: int | None = None
    version: str | None = None
    counts_tokens: bool = False
    vllm: bool = False
    capabilities: Mapping[Capability, bool] = Field(default_factory=dict)


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


class Handshake(NamedTuple):
    """Say what is served. Reply: a ServerInfo."""


class Ask(NamedTuple):
    """Send these requests, all at once. Reply: their exchanges, in the same order."""

    requests: tuple[ChatRequest, ...]


class AskEach(NamedTuple):
    """Send these requests, all at once; none costs another. Reply: for each its exchange, or its LLMError."""

    requests: tuple[ChatRequest, ...]


class CountTokens(NamedTuple):
    """Count a prompt's tokens. Reply: an int, or None where the server cannot."""

    messages: tuple[Message, ...]


class FindLabels(NamedTuple):
    """Find labels for so many candidates. Reply: a LabelSet."""

    wanted: int


class BindsChoices(NamedTuple):
    """Find out whether the server holds answers to given choices. Reply: a bool."""


Step = Handshake | Ask | AskEach | CountTokens | FindLabels | BindsChoices
StepReply = ServerInfo | tuple[Exchange | LLMError, ...] | LabelSet | int | None
Result = TypeVar("Result")
Plan = Generator[Step, StepReply, Result]


def handshake() -> Plan[ServerInfo]:
    """Learns from within a plan what is served."""
    reply = yield Handshake()
    assert isinstance(reply, ServerInfo)  # noqa: S101  (tells the type checker which reply goes with which step)
    return reply


def ask(*requests: ChatRequest) -> Plan[tuple[Exchange, ...]]:
    """Sends requests from within a plan."""
    reply = yield Ask(requests)
    assert isinstance(reply, tuple)  # noqa: S101
    return cast("tuple[Exchange, ...]", reply)


def ask_each(*requests: ChatRequest) -> Plan[tuple[Exchange | LLMError, ...]]:
    """Sends requests from within a plan; where one fails, its error stands in the place of its exchange."""
    reply = yield AskEach(requests)
    assert isinstance(reply, tuple)  # noqa: S101
    return reply


def count_tokens(messages: tuple[Message, ...]) -> Plan[int | None]:
    """Counts a prompt's tokens from within a plan."""
    reply = yield CountTokens(messages)
    assert reply is None or isinstance(reply, int)  # noqa: S101
    return reply


def find_labels(count: int) -> Plan[LabelSet]:
    """Finds labels for so many candidates from within a plan."""
    reply = yield FindLabels(count)
    assert isinstance(reply, LabelSet)  # noqa: S101
    return reply


def binds_choices() -> Plan[bool]:
    """Finds out from within a plan whether the server holds answers to given choices."""
    reply = yield BindsChoices()
    assert isinstance(reply, bool)  # noqa: S101
    return reply


async def drive(plan: Plan[Result], llm: LLM) -> Result:
    """Runs a plan to its end.

    An `LLMError` is thrown into the plan, which may go another way (a shorter history) or let it pass.

    Args:
        plan: A fresh generator.
        llm: The model that its steps ask.

    Raises:
        LLMError: The plan did not handle it.
    """
    try:
        step = next(plan)
        while True:
            try:
                reply = await _perform(step, llm)
            except LLMError as error:
                step = plan.throw(error)
            else:
                step = plan.send(reply)
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        plan.close()


async def _perform(step: Step, llm: LLM) -> StepReply:
    if isinstance(step, Handshake):
        return await llm.handshake()
    if isinstance(step, CountTokens):
        return await llm.count_tokens(step.messages)
    if isinstance(step, FindLabels):
        return await llm.labels(step.wanted)
    if isinstance(step, BindsChoices):
        return await llm.binds_choices()
    if isinstance(step, Ask) and len(step.requests) == 1:
        return (await llm.chat(step.requests[0]),)
    # All of them end before the first error goes on: no request is left running, no reply comes too late.
    replies = await asyncio.gather(*map(llm.chat, step.requests), return_exceptions=True)
    kept: list[Exchange | LLMError] = []
    for reply in replies:
        if isinstance(reply, BaseException) and not (isinstance(step, AskEach) and isinstance(reply, LLMError)):
            raise reply
        kept.append(reply)
    return tuple(kept)
