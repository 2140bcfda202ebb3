"""What a plan may ask of the outside world, and the one driver that does it.

A plan is a generator: it yields a `Step` and receives that step's reply. All of the package's I/O happens in
`drive`, so that the flow itself can be tested by hand and runs the same under every front door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import NamedTuple, TypeVar, cast

from zsrec.errors import LLMError
from zsrec.llm.chat import LLM, ChatRequest, LabelSet, ServerInfo
from zsrec.types import Exchange, Message


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
