"""What would be sent: the flow is run up to its first request, which is kept and not sent.

Of a template with steps it is run on: an earlier step is answered by a mark, so that each question is seen.
"""

from __future__ import annotations

import string
from contextlib import suppress
from dataclasses import dataclass, field

from zsrec.core.errors import LLMError
from zsrec.core.types import Exchange, Message
from zsrec.llm.protocol import LLM, ChatRequest, Label, LabelSet, ServerInfo
from zsrec.playground.state import Question, ask
from zsrec.prompts.diagnostics import unanswered
from zsrec.recommender.recommender import Recommender

_BYTES_PER_TOKEN = 4  # of English text, roughly; only where no server counts
_LETTERS = string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True)
class Prompt:
    """One question as it would be sent."""

    step: str
    request: ChatRequest
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Preview:
    """The prompts as they would be sent."""

    prompts: tuple[Prompt, ...] = ()
    counted: bool = False
    at_once: int = 1
    server: ServerInfo | None = None
    notes: tuple[str, ...] = ()

    @property
    def request(self) -> ChatRequest | None:
        """The first request; None where nothing would be asked."""
        return self.prompts[0].request if self.prompts else None


class _RecordedError(Exception):
    """Ends the flow where it would send something."""


@dataclass
class _Recorder:
    """A model that is asked nothing: it keeps what would be sent, and stands in for a server that is away."""

    llm: LLM
    steps: tuple[str, ...]
    requests: list[ChatRequest] = field(default_factory=list)
    totals: list[list[int] | None] = field(default_factory=list)
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
        number = len(self.requests)
        if number <= len(self.steps) + 1:
            self.totals.append(await self._totals(request.messages))
        if number <= len(self.steps):
            return Exchange(messages=request.messages, answer=unanswered(self.steps[number - 1]))
        raise _RecordedError

    async def _totals(self, messages: tuple[Message, ...]) -> list[int] | None:
        """The tokens of the first message, of the first two, and so on; None where nobody can count them."""
        totals: list[int] = []
        for end in range(1, len(messages) + 1):
            counted = None if self.server is None else await self.count_tokens(messages[:end])
            if counted is None:
                return None
            totals.append(counted)
        return totals

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        try:
            return await self.llm.count_tokens(messages)
        except LLMError:
            return None

    async def labels(self, count: int) -> LabelSet:
        try:
            return await self.llm.labels(count)
        except LLMError as error:
            self.notes.append(f"the labels are stand-ins: {error.message}")
            texts = [_LETTERS[n] if n < len(_LETTERS) else str(n) for n in range(count)]
            return LabelSet(labels=tuple(Label(text=text) for text in texts), by="top_logprobs", most=count)

    async def binds_choices(self) -> bool:
        try:
            return await self.llm.binds_choices()
        except LLMError:
            return False

    async def aclose(self) -> None:
        """Nothing of its own is open."""


def look(recommender: Recommender, question: Question) -> Preview:
    """What a question would send first; a server that is there counts its tokens, and is asked nothing else.

    A ranker that needs to know what the server can do tries that out, once, as it would for the question itself.
    """
    steps = tuple(question.template.steps)
    recorder = _Recorder(recommender.llm, steps)
    watched = recommender.with_llm(recorder)
    with suppress(_RecordedError):
        ask(watched, question)
    if not recorder.requests:
        return Preview(server=recorder.server, notes=(*recorder.notes, "the model would not be asked"))
    prompts, counted = [], True
    for step, request, totals in zip((*steps, ""), recorder.requests, recorder.totals, strict=False):
        counted = counted and totals is not None
        tokens = _differences(totals) if totals else tuple(map(_estimate, request.messages))
        prompts.append(Prompt(step, request, tokens))
    return Preview(
        tuple(prompts),
        counted=counted,
        at_once=max(1, len(recorder.requests) - len(steps)),
        server=recorder.server,
        notes=tuple(recorder.notes),
    )


def _differences(totals: list[int]) -> tuple[int, ...]:
    return tuple(total - before for before, total in zip([0, *totals], totals, strict=False))


def _estimate(message: Message) -> int:
    return max(1, len(message.content.encode()) // _BYTES_PER_TOKEN)
