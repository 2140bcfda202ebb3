"""What the openai package raises, as errors of this package."""

from __future__ import annotations

import re

import openai

from zsrec.errors import (
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

_OVERFLOW = re.compile(
    r"context[ _]length|maximum (?:model|input) length|longer than the maximum|max_model_len", re.I
)
_MAX_DETAIL = 300


def as_llm_error(error: Exception, base_url: str) -> LLMError:
    """The typed error for what a request raised.

    The server's message is quoted up to 300 characters: servers may echo the prompt, and a prompt holds a
    history.

    Args:
        error: Raised by the openai package, or by reading its reply.
        base_url: Where the request went.
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
        f"{base_url} answered with something that an OpenAI-compatible server does not say",
        hint="is this such a server, and does the URL end in /v1?",
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
            hint="the server's log tells more",
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
