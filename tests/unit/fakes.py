"""A model that answers from a script; for tests of the flow, not of any server."""

from __future__ import annotations

import string
from collections.abc import Callable

from zsrec.core.errors import CapabilityError, LLMError
from zsrec.core.types import Exchange, Message, Usage
from zsrec.llm.protocol import ChatRequest, Label, LabelSet, ServerInfo

Answer = str | Exchange | LLMError


class FakeLLM:
    """Answers each request in turn; the last answer goes on for ever.

    `requests` holds what was asked.
    """

    def __init__(self, *answers: Answer, context_length: int | None = 4096, counts: bool = False) -> None:
        self.answers = list(answers)
        self.requests: list[ChatRequest] = []
        self.info = ServerInfo(
            base_url="http://127.0.0.1/v1", model="fake", context_length=context_length, counts_tokens=counts
        )
        self.count: Callable[[str], int] = lambda text: len(text) // 4
        self.closed = False
        self.most_labels = 52
        self.binds = True

    async def handshake(self) -> ServerInfo:
        return self.info

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, LLMError):
            raise answer
        if isinstance(answer, str):
            answer = Exchange(messages=(), answer=answer, finish_reason="stop", model="fake", usage=Usage())
        return answer.model_copy(update={"messages": request.messages})

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        return sum(self.count(m.content) for m in messages) if self.info.counts_tokens else None

    async def labels(self, count: int) -> LabelSet:
        if self.most_labels < count:
            raise CapabilityError(f"at most {self.most_labels} labels", hint="use 'ranker: generate'")
        texts = (string.ascii_uppercase + string.ascii_lowercase)[:count]
        labels = tuple(Label(text=text, token=number) for number, text in enumerate(texts))
        return LabelSet(labels=labels, by="logprob_token_ids", most=self.most_labels)

    async def binds_choices(self) -> bool:
        return self.binds

    async def aclose(self) -> None:
        self.closed = True
