"""What would be sent: the flow runs up to its first request, which is recorded and not sent.

If a template has steps, each earlier one gets a placeholder as its answer, so that every question is seen.
"""

from __future__ import annotations

import string
from contextlib import suppress
from dataclasses import dataclass, field

from zsrec.core.errors import LLMError
from zsrec.core.types import Exchange, Message
from zsrec.llm.protocol import LLM, ChatRequest, Label, LabelSet, Plan, ServerInfo, count_tokens
from zsrec.playground.state import Question, ask
from zsrec.prompts.diagnostics import unanswered
from zsrec.recommender.recommender import Recommender

_BYTES_PER_TOKEN = 4  # of English text, roughly; only where no server counts
_LETTERS = string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True)
class Prompt:
    """One question as it would be sent."""

    step: str  # empty for the template's own question
    request: ChatRequest
    tokens: tuple[int, ...]  # of each message, the chat template's own tokens included


@dataclass(frozen=True)
class Preview:
    """The prompts as they would be sent."""

    prompts: tuple[Prompt, ...] = ()  # one per question, in order; "[the answer of …]" stands for an answer
    counted: bool = False  # by the served model's tokenizer, or estimated from bytes
    at_once: int = 1  # how many requests of the last question are sent together: orders, windows
    server: ServerInfo | None = None  # None if it does not answer
    notes: tuple[str, ...] = ()

    @property
    def request(self) -> ChatRequest | None:
        """The first request; None if nothing would be asked."""
        return self.prompts[0].request if self.prompts else None


class _RecordedError(Exception):
    """Ends the flow before its first request."""


@dataclass
class _Recorder:
    """A model that records what would be sent and replaces a server that does not answer.

    The first answers are placeholders, one for each of `steps`; the next request ends the flow.
    """

    llm: LLM
    steps: tuple[str, ...]
    requests: list[ChatRequest] = field(default_factory=list)
    server: ServerInfo | None = None
    notes: list[str] = field(default_factory=list)

    async def handshake(self) -> ServerInfo:
        try:
            self.server = await self.llm.handshake()
        except LLMError:
            return ServerInfo(base_url="", model="")
        return self.server

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        if len(self.requests) <= len(self.steps):
            answer = unanswered(self.steps[len(self.requests) - 1])
            return Exchange(messages=request.messages, answer=answer)
        raise _RecordedError

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        try:
            return await self.llm.count_tokens(messages)
        except LLMError:
            return None

    async def labels(self, count: int) -> LabelSet:
        try:
            return await self.llm.labels(count)
        except LLMError as error:
            self.notes.append(f"the labels are placeholders: {error.message}")
            texts = [_LETTERS[n] if n < len(_LETTERS) else str(n) for n in range(count)]
            return LabelSet(labels=tuple(Label(text=text) for text in texts), by="top_logprobs", most=count)

    async def binds_choices(self) -> bool:
        try:
            return await self.llm.binds_choices()
        except LLMError:
            return False

    async def aclose(self) -> None:
        """The model is closed by its owner."""


def look(recommender: Recommender, question: Question) -> Preview:
    """What a question would send first; a server only counts tokens, and tells a ranker once what it can do.

    Raises:
        ZsrecError: The question cannot be asked; see `Recommender.recommend`. An absent server is no error.
    """
    steps = tuple(question.template.steps)
    recorder = _Recorder(recommender.llm, steps)
    watched = recommender.with_llm(recorder)
    with suppress(_RecordedError):
        ask(watched, question)
    if not recorder.requests:
        return Preview(server=recorder.server, notes=(*recorder.notes, "the model would not be asked"))
    prompts, counted = [], recorder.server is not None
    for step, request in zip((*steps, ""), recorder.requests, strict=False):
        totals = watched.run(_totals(request.messages)) if counted else None
        counted = totals is not None
        tokens = _differences(totals) if totals else tuple(map(_estimate, request.messages))
        prompts.append(Prompt(step, request, tokens))
    return Preview(
        tuple(prompts),
        counted=counted,
        at_once=max(1, len(recorder.requests) - len(steps)),
        server=recorder.server,
        notes=tuple(recorder.notes),
    )


def _totals(messages: tuple[Message, ...]) -> Plan[list[int] | None]:
    """The tokens of the first message, of the first two, and so on; None if the server cannot count them."""
    totals: list[int] = []
    for end in range(1, len(messages) + 1):
        counted = yield from count_tokens(messages[:end])
        if counted is None:
            return None
        totals.append(counted)
    return totals


def _differences(totals: list[int]) -> tuple[int, ...]:
    return tuple(total - before for before, total in zip([0, *totals], totals, strict=False))


def _estimate(message: Message) -> int:
    return max(1, len(message.content.encode()) // _BYTES_PER_TOKEN)
