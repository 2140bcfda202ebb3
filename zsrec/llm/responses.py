"""Replies of a server: chat completions and cache counters. Unknown fields are ignored."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from zsrec.core.types import Frozen, Usage

_MOST_TOKENS = 100_000_000  # beyond any model; sums over a user's requests fit the 32 bits of a batch's columns
_ROUNDING = 0.01  # how far above 0 a log-probability may be by rounding

Count = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
Text = Annotated[str, Field(max_length=1000)]


class _Part(Frozen, extra="ignore"):
    """Some fields of a JSON object."""


class _Logprob(_Part):
    token: str
    logprob: float | None  # null where a server computed the logarithm of 0


class _Position(_Logprob):
    top_logprobs: tuple[_Logprob, ...] | None = None


class _Logprobs(_Part):
    content: tuple[_Position, ...] | None = None


class _Message(_Part):
    content: Any = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(_Part):
    message: _Message | None = None
    finish_reason: Text | None = None
    logprobs: _Logprobs | None = None


class _Details(_Part):
    cached_tokens: Count | None = None


class _Reasoning(_Part):
    reasoning_tokens: Count | None = None


class _Usage(_Part):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Reasoning | None = None


class Reply(_Part):
    """A chat completion as a server writes it; servers that fail may send no choices, or an error."""

    id: Text | None = None
    model: Text | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: Any = None
    timings: Any = None  # llama.cpp's, also behind a gateway that hides its name

    @property
    def answer(self) -> str | None:
        """The answer's text, joined where it comes as a list of parts; None where there is none."""
        message = self._message
        content = None if message is None else message.content
        if isinstance(content, list):
            texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
            return "".join(text for text in texts if isinstance(text, str)) if texts else None
        return content if isinstance(content, str) else None

    @property
    def thought(self) -> bool:
        """Whether the model reasoned: in a field of its own, or hidden before an answer that is empty.

        OpenAI counts hidden thoughts; Gemini leaves the content out where they took all of `max_tokens`.
        """
        message = self._message
        if message is None or message.reasoning or message.reasoning_content:
            return message is not None
        details = self.usage.completion_tokens_details if self.usage else None
        counted = bool(details and details.reasoning_tokens)
        cut = self.finish_reason == "length" and message.content is None and self.first_token is None
        return not self.answer and (counted or cut)

    @property
    def _message(self) -> _Message | None:
        return self.choices[0].message if self.choices else None

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def first_token(self) -> str | None:
        """The answer's first token, where log-probabilities were reported."""
        found = self.choices[0].logprobs if self.choices else None
        return found.content[0].token if found is not None and found.content else None

    @property
    def first_logprobs(self) -> tuple[tuple[str, float], ...] | None:
        """The answer's most likely first tokens with their log-probabilities; None where none are reported.

        Raises:
            ValueError: A number is no log-probability.
        """
        found = self.choices[0].logprobs if self.choices else None
        if found is None or not found.content:
            return None
        first = found.content[0]
        # The token itself stands among the most likely ones, if it is one of them.
        listed = {one.token for one in first.top_logprobs or ()}
        pairs = [*(first.top_logprobs or ()), *([] if first.token in listed else [first])]
        known = tuple((one.token, _checked(one.logprob)) for one in pairs if one.logprob not in (None, -math.inf))
        return known or None

    def tokens(self) -> Usage:
        """The usage, as far as the server reports it."""
        usage = self.usage
        if usage is None:
            return Usage()
        details = usage.prompt_tokens_details
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=None if details is None else details.cached_tokens,
        )


def _checked(logprob: float | None) -> float:
    if logprob is None or not logprob <= _ROUNDING:  # NaN is not, either
        raise ValueError(f"{logprob!r} is no log-probability")
    return min(logprob, 0.0)


_SAMPLE = re.compile(r"^vllm:prefix_cache_(queries|hits)_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_BLOCK = re.compile(r'^vllm:cache_config_info\{[^}]*?(?<![a-z_])block_size="(\d{1,9})"', re.MULTILINE)


class CacheCounters(NamedTuple):
    """Counters of a server's prefix cache."""

    queries: int
    hits: int
    block: int | None

    def since(self, before: CacheCounters) -> CacheCounters:
        """The difference to an earlier reading."""
        return CacheCounters(self.queries - before.queries, self.hits - before.hits, self.block)


def read_counters(page: str) -> CacheCounters | None:
    """The counters in a Prometheus page, summed over engines; None where it has none, or no numbers."""
    try:
        queries, hits = (list(_values(page, name)) for name in ("queries", "hits"))
        if not queries or not hits:
            return None
        block = _BLOCK.search(page)
        return CacheCounters(int(sum(queries)), int(sum(hits)), int(block[1]) if block else None)
    except (ValueError, OverflowError):
        return None


def _values(page: str, name: str) -> Iterator[float]:
    return (float(found[2]) for found in _SAMPLE.finditer(page) if found[1] == name)
