"""The parts of a chat completion that are read. Whatever else a server says is passed over."""

from __future__ import annotations

from typing import Any

from zsrec.frozen import Frozen
from zsrec.types import Usage


class _Part(Frozen, extra="ignore"):
    """Some fields of a JSON object."""


class _Logprob(_Part):
    token: str
    logprob: float


class _Place(_Logprob):
    top_logprobs: tuple[_Logprob, ...] | None = None


class _Logprobs(_Part):
    content: tuple[_Place, ...] | None = None


class _Message(_Part):
    content: Any = None


class _Choice(_Part):
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Details(_Part):
    cached_tokens: int | None = None


class _Usage(_Part):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class Reply(_Part):
    """A chat completion as a server writes it; `Reply.model_validate_json` reads one.

    Attributes:
        id: The server's id of the request.
        model: The model that answered.
        choices: One an answer; servers that fail may send none.
        usage: Tokens in and out.
    """

    id: str | None = None
    model: str | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None

    @property
    def answer(self) -> object:
        """What stands in the text's place: a text, unless the server says something unusual."""
        message = self.choices[0].message if self.choices else None
        return None if message is None else message.content

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def first_logprobs(self) -> dict[str, float] | None:
        """The reported log-probabilities by token, of the answer's first token; None where there are none."""
        found = self.choices[0].logprobs if self.choices else None
        if found is None or not found.content:
            return None
        first = found.content[0]
        return {first.token: first.logprob} | {one.token: one.logprob for one in first.top_logprobs or ()}

    def tokens(self) -> Usage:
        """Tokens in and out, as far as the server says."""
        usage = self.usage
        if usage is None:
            return Usage()
        details = usage.prompt_tokens_details
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=None if details is None else details.cached_tokens,
        )
