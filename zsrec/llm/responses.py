"""Replies of a server: chat completions, cache counters and errors. Unknown fields are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import openai

from zsrec.core.errors import (
    BadReplyError,
    ContextOverflowError,
    LLMConnectionError,
    LLMError,
    LLMRateLimitError,
    LLMRequestError,
    LLMServerError,
    LLMTimeoutError,
    ModelNotServedError,
)
from zsrec.core.types import Frozen, Usage
from zsrec.llm.protocol import Label, LabelsBy


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
    """A chat completion as a server writes it; servers that fail may send no choices."""

    id: str | None = None
    model: str | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None

    @property
    def answer(self) -> object:
        """The content: a text, unless the server sends something unusual."""
        message = self.choices[0].message if self.choices else None
        return None if message is None else message.content

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped."""
        return self.choices[0].finish_reason if self.choices else None

    @property
    def first_logprobs(self) -> dict[str, float] | None:
        """The log-probabilities of the answer's first token, by token; None where there are none."""
        found = self.choices[0].logprobs if self.choices else None
        if found is None or not found.content:
            return None
        first = found.content[0]
        return {first.token: first.logprob} | {one.token: one.logprob for one in first.top_logprobs or ()}

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


_SAMPLE = re.compile(r"^vllm:prefix_cache_(queries|hits)_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_BLOCK = re.compile(r'^vllm:cache_config_info\{[^}]*?(?<![a-z_])block_size="(\d+)"', re.MULTILINE)


class CacheCounters(NamedTuple):
    """Counters of a server's prefix cache."""

    queries: int
    hits: int
    block: int | None

    def since(self, before: CacheCounters) -> CacheCounters:
        """The difference to an earlier reading."""
        return CacheCounters(self.queries - before.queries, self.hits - before.hits, self.block)


def read_counters(page: str) -> CacheCounters | None:
    """The counters in a Prometheus page, summed over engines; None where it has none."""
    queries, hits = (list(_values(page, name)) for name in ("queries", "hits"))
    if not queries or not hits:
        return None
    block = _BLOCK.search(page)
    return CacheCounters(int(sum(queries)), int(sum(hits)), int(block[1]) if block else None)


def _values(page: str, name: str) -> Iterator[float]:
    return (float(found[2]) for found in _SAMPLE.finditer(page) if found[1] == name)


_OVERFLOW = re.compile(
    r"context[ _]length|maximum (?:model|input) length|longer than the maximum|max_model_len", re.I
)
_MAX_DETAIL = 300


def as_llm_error(error: Exception, base_url: str) -> LLMError:
    """The typed error for what a request to `base_url` raised.

    The server's message is quoted up to 300 characters only: servers may echo the prompt, which holds a history.
    """
    if isinstance(error, LLMError):
        return error
    if isinstance(error, openai.APITimeoutError):
        return LLMTimeoutError(
            f"no answer from {base_url} in time",
            hint="raise ZSREC_TIMEOUT, lower ZSREC_CONCURRENCY or shorten max_tokens in the template",
            retryable=True,
        )
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, base_url)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        return LLMConnectionError(
            f"cannot reach a server at {base_url}: {cause or error}",
            hint="start one with `zsrec model up`, or set ZSREC_BASE_URL to the one you run",
            retryable=True,
        )
    return BadReplyError(
        f"{base_url} sent a reply that is not in the OpenAI format",
        hint="is this an OpenAI-compatible server, and does the URL end in /v1?",
    )


def _of_status(error: openai.APIStatusError, base_url: str) -> LLMError:
    status, request_id = error.status_code, error.request_id
    detail = _detail(error)
    if status == 429:
        return LLMRateLimitError(
            f"{base_url} is too busy (429): {detail}",
            hint="lower ZSREC_CONCURRENCY or raise ZSREC_MAX_RETRIES",
            retryable=True,
            status=status,
            request_id=request_id,
        )
    if status >= 500:
        return LLMServerError(
            f"{base_url} failed ({status}): {detail}",
            hint="read the server's log",
            retryable=True,
            status=status,
            request_id=request_id,
        )
    if 300 <= status < 400:
        return LLMRequestError(
            f"{base_url} redirects elsewhere ({status}); prompts are not sent on to another address",
            hint="set ZSREC_BASE_URL to the address itself",
            status=status,
            request_id=request_id,
        )
    if status in {400, 413, 422} and _OVERFLOW.search(detail):
        return ContextOverflowError(
            f"the prompt does not fit the model's context: {detail}",
            hint="send fewer candidates or lower max_tokens, or serve the model with a longer context",
            status=status,
            request_id=request_id,
        )
    if status == 404 and "model" in detail.lower():
        return ModelNotServedError(
            f"{base_url}: {detail}",
            hint="`zsrec doctor` lists what is served",
            status=status,
            request_id=request_id,
        )
    hint = "check ZSREC_API_KEY" if status in {401, 403} else "`zsrec doctor` shows what the server can do"
    return LLMRequestError(
        f"{base_url} refused the request ({status}): {detail}", hint=hint, status=status, request_id=request_id
    )


def _detail(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    text = " ".join(str(message or error.message).split())
    return text if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL] + "…"


_ID = "token_id:"


def label_fields(labels: Sequence[Label], by: LabelsBy, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The standard fields and vLLM's own that ask for the labels' log-probabilities.

    Tokens come back as ids where ids are known, since two tokens may have the same text. `most` is the number of
    tokens to report for "top_logprobs".
    """
    further: dict[str, Any] = {}
    if any(label.token is not None for label in labels):
        further["return_tokens_as_token_ids"] = True
    if by == "logprob_token_ids":
        return {"logprobs": True}, further | {"logprob_token_ids": [label.token for label in labels]}
    return {"logprobs": True, "top_logprobs": most}, further


def read_labels(reply: Reply, labels: Sequence[Label], base_url: str) -> Mapping[str, float]:
    """The natural log-probability of each label as the answer's first token; those not reported are left out."""
    first = reply.first_logprobs
    if first is None:
        raise BadReplyError(
            f"{base_url} answered without the log-probabilities that the request asked for",
            hint="does a proxy in between remove them? Otherwise use a template without labels",
            request_id=reply.id,
        )
    names = {label.text if label.token is None else f"{_ID}{label.token}": label.text for label in labels}
    return {names[token]: logprob for token, logprob in first.items() if token in names}
