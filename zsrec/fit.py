"""Fitting a prompt into the model's context: the newest events stay, the oldest go.

No I/O here: what needs the server's tokenizer is asked for by yielding, like everything in `zsrec.plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from zsrec.errors import ContextOverflowError
from zsrec.llm.chat import ChatRequest
from zsrec.steps import Plan, ask, count_tokens, handshake
from zsrec.types import Exchange, Message, Sampling

# A byte-level tokenizer spends at most one token a byte; the chat template adds its own around each message.
_TEMPLATE_TOKENS = 16
# Where nobody counts: text in Latin letters takes about 4 bytes a token; half of that errs on the safe side.
_BYTES_PER_TOKEN_GUESS = 2
# A prompt that leaves less than this share of its room unused is full enough.
_SLACK = 0.05


class Fitted(NamedTuple):
    """A prompt that fits.

    Attributes:
        messages: The rendered roles.
        kept: How many of the newest events stand in it.
    """

    messages: tuple[Message, ...]
    kept: int


Render = Callable[[int], tuple[Message, ...]]
Answer = TypeVar("Answer")


def ask_fitting(
    render: Render, events: int, max_tokens: int, ask: Callable[[Fitted], Plan[Answer]]
) -> Plan[tuple[Answer, Fitted]]:
    """Asks with a prompt that fits; where it is too long after all, with half of the history each time.

    Args:
        render: Renders the prompt with the newest n events.
        events: How many events there are.
        max_tokens: Tokens that the answer may have.
        ask: Asks with what fits.

    Raises:
        ContextOverflowError: The prompt does not fit even without a history.
        LLMError: What `ask` raises.
    """
    server = yield from handshake()
    budget = None if server.context_length is None else server.context_length - max_tokens
    fitted = yield from fit_history(render, events, budget)
    while True:
        try:
            answer = yield from ask(fitted)
        except ContextOverflowError:
            if fitted.kept <= 1:
                raise
            fitted = Fitted(render(fitted.kept // 2), fitted.kept // 2)
        else:
            return answer, fitted


def ask_once(render: Render, events: int, sampling: Sampling) -> Plan[tuple[Exchange, Fitted]]:
    """Asks one question with a prompt that fits; see `ask_fitting`."""

    def one(fitted: Fitted) -> Plan[Exchange]:
        (exchange,) = yield from ask(ChatRequest(messages=fitted.messages, sampling=sampling))
        return exchange

    return (yield from ask_fitting(render, events, sampling.max_tokens, one))


def fit_history(render: Render, events: int, budget: int | None) -> Plan[Fitted]:
    """The prompt with as many of the newest events as the context takes.

    Tokens grow about evenly with the events, so a straight line between a prompt that fits and one that does
    not lands near the answer: few prompts are counted, however long the history is.

    Args:
        render: Renders the prompt with the newest n events.
        events: How many events there are.
        budget: Tokens that the prompt may have; None where the context's length is unknown.

    Raises:
        ContextOverflowError: The prompt does not fit even without a history.
    """
    messages = render(events)
    if budget is None or _most_tokens(messages) <= budget:
        return Fitted(messages, events)
    tokens = yield from _tokens(messages)
    if tokens <= budget:
        return Fitted(messages, events)
    bare = render(0)
    bare_tokens = yield from _tokens(bare)
    if bare_tokens > budget:
        raise ContextOverflowError(
            f"the prompt takes {bare_tokens:,} tokens without any history, and only {budget:,} are free for it",
            hint="send fewer candidates or lower max_tokens in the template, or serve a longer context",
        )
    fits, fitting, most = Fitted(bare, 0), bare_tokens, tokens
    too_many = events
    while too_many - fits.kept > 1 and budget - fitting > budget * _SLACK:
        between = fits.kept + (budget - fitting) * (too_many - fits.kept) // (most - fitting)
        guess = min(max(between, fits.kept + 1), too_many - 1)
        messages = render(guess)
        tokens = yield from _tokens(messages)
        if tokens <= budget:
            fits, fitting = Fitted(messages, guess), tokens
        else:
            too_many, most = guess, tokens
    return fits


def _tokens(messages: tuple[Message, ...]) -> Plan[int]:
    counted = yield from count_tokens(messages)
    return _most_tokens(messages) // _BYTES_PER_TOKEN_GUESS if counted is None else counted


def _most_tokens(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.encode()) + _TEMPLATE_TOKENS for message in messages)
