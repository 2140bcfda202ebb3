"""Failed requests as typed errors, with the server's own message as far as it may be quoted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pydantic

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
from zsrec.core.privacy import Redaction
from zsrec.core.types import Message

if TYPE_CHECKING:  # importing the openai package takes a second
    import openai

_MOST_QUOTED = 200
_MOST_READ = 4000  # characters of a server's message that are looked at
_RUN = 20  # a run of so many characters that also stands in the prompt is not quoted
_CUT = "[…]"
_REDACTION = Redaction()
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.I | re.S)
_TAG = re.compile(r"<[^>]*>")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")

# How servers say that a prompt is too long: first by code or type, then in words.
_OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_OVERFLOW = re.compile(
    r"context[ _-]?(?:length|size|window)"  # OpenAI, vLLM, llama.cpp, SGLang, Mistral, LM Studio
    r"|context the overflows"  # LM Studio
    r"|maximum (?:model|input) length|longer than the (?:maximum|model)|max_model_len"  # vLLM
    r"|max_new_tokens`? must be <=|`inputs` must have less than"  # TGI
    r"|(?:prompt|input) (?:is )?too long|input token count"  # Ollama, Anthropic, Gemini
    r"|reduce the length of the (?:messages|prompt)",  # Groq
    re.I,
)
_SUGGESTION = re.compile(r",? did you mean [^,;\n]*", re.I)  # Groq names a field that is not the refused one
_CLOSED = {
    "peer closed": "in the middle of its reply",
    "disconnected without": "before it answered",
}  # h11's words
_NOT_VALID = re.compile(r"\bvalidation errors?\b.*'loc'", re.S)  # llama-cpp-python, with status 500
_QUOTA = re.compile(r"quota|billing|credit", re.I)


def as_llm_error(error: Exception, base_url: str, prompt: Sequence[Message] = ()) -> LLMError:
    """The typed error for what a request raised.

    Args:
        error: Raised by the openai package, or by reading its reply.
        base_url: Where the request went; without a password.
        prompt: What was sent: nothing of it is quoted.
    """
    import openai

    if isinstance(error, LLMError):
        return error
    if isinstance(error, openai.APITimeoutError):
        return LLMTimeoutError(
            f"no answer from {base_url} in time",
            hint="raise ZSREC_TIMEOUT, lower ZSREC_CONCURRENCY or shorten max_tokens in the template",
            retryable=True,
        )
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, base_url, prompt)
    if isinstance(error, openai.APIConnectionError):
        return _of_connection(error, base_url, prompt)
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if place:
            return BadReplyError(
                f"{base_url} sent a reply whose {place[:80]} is not usable: {first['msg'][:80]}",
                hint="see the server's log; is a proxy in between?",
            )
    return BadReplyError(
        f"{base_url} sent a reply that is not in the OpenAI format",
        hint=f"is this an OpenAI-compatible server? {_url_hint(base_url)}",
    )


def _of_connection(error: openai.APIConnectionError, base_url: str, prompt: Sequence[Message]) -> LLMError:
    import httpx2

    why = quoted(str(error.__cause__ or error), prompt)
    broken = isinstance(error.__cause__, httpx2.ReadError | httpx2.WriteError)
    closed = (
        "before its reply was complete" if broken else next((_CLOSED[one] for one in _CLOSED if one in why), "")
    )
    if closed:
        return LLMConnectionError(
            f"the server at {base_url} closed the connection {closed}",
            hint="read the log of the server, or of a proxy in between: was it stopped, or out of memory?",
            retryable=True,
        )
    return LLMConnectionError(
        f"cannot reach a server at {base_url}: {why}",
        hint="start one with `zsrec model up`, or set ZSREC_BASE_URL to the one you run",
        retryable=True,
    )


def error_in_reply(body: object, base_url: str, prompt: Sequence[Message], request_id: str | None) -> LLMError:
    """The error for a reply with status 200 and an error in its body."""
    message = quoted(message_of(body), prompt)
    if _overflows(body):
        return _overflow(message, 200, request_id)
    return BadReplyError(
        f"{base_url} answered with an error: {message}", hint="see the server's log", request_id=request_id
    )


def _of_status(error: openai.APIStatusError, base_url: str, prompt: Sequence[Message]) -> LLMError:
    status, request_id, body = error.status_code, error.request_id, error.body
    message = quoted(message_of(body), prompt) or "no message"
    if status in {400, 413, 422, 500} and _overflows(body):
        return _overflow(message, status, request_id)
    retryable = False
    kind: type[LLMError] = LLMRequestError
    if status == 429:
        kind = LLMRateLimitError
        retryable = not _QUOTA.search(message)
        what = f"{base_url} is too busy (429): {message}" if retryable else f"{base_url}: {message} (429)"
        hint = (
            "lower ZSREC_CONCURRENCY or raise ZSREC_MAX_RETRIES"
            if retryable
            else "check the account's plan and quota"
        )
    elif status >= 500 and not _is_refusal(error):
        kind, retryable = LLMServerError, True
        what, hint = f"{base_url} failed ({status}): {message}", "read the server's log"
    elif 300 <= status < 400:
        what = f"{base_url} redirects elsewhere ({status}); prompts are not sent on to another address"
        hint = "set ZSREC_BASE_URL to the address itself"
    elif status == 404 and "model" in message.lower():
        kind = ModelNotServedError
        what, hint = f"{base_url}: {message}", "`zsrec doctor` lists what is served"
    else:
        what = f"{base_url} refused the request ({status}): {message}"
        hint = "`zsrec doctor` shows what the server can do"
        if status in {401, 403}:
            hint = "check ZSREC_API_KEY; some gateways take the key in a header: ZSREC_EXTRA_HEADERS"
            if "OPENAI_API_KEY" in os.environ:
                hint += "; OPENAI_API_KEY is set, but not sent: ZSREC_API_KEY=$OPENAI_API_KEY"
        elif status in {404, 405}:
            hint = _url_hint(base_url)
    return kind(what, hint=hint, retryable=retryable, status=status, request_id=request_id)


def _overflow(message: str, status: int, request_id: str | None) -> ContextOverflowError:
    return ContextOverflowError(
        f"the prompt does not fit the model's context: {message}",
        hint="send fewer candidates or lower max_tokens, or serve the model with a longer context",
        status=status,
        request_id=request_id,
    )


def _overflows(body: object) -> bool:
    names = {str(body.get(key)) for key in ("code", "type")} if isinstance(body, dict) else set()
    return bool(names & _OVERFLOW_CODES or _OVERFLOW.search(message_of(body)))


def _url_hint(base_url: str) -> str:
    path = urlsplit(base_url).path.rstrip("/")
    if not path:
        return f"the URL has no path: most servers want {base_url.rstrip('/')}/v1"
    if "/openai/deployments/" in path:
        return """Azure wants its API's version: ZSREC_EXTRA_QUERY='{"api-version": "2024-10-21"}'"""
    return "does ZSREC_BASE_URL end where /chat/completions begins, for most servers with /v1?"


def refused_fields(error: LLMError) -> frozenset[str]:
    """The request fields that a refusal names; empty for other errors."""
    import openai

    cause = error.__cause__
    if not isinstance(cause, openai.APIStatusError) or not _is_refusal(cause):
        return frozenset()
    return frozenset(_names(cause.body))


def _is_refusal(error: openai.APIStatusError) -> bool:
    """Whether a server refused a request as it stands, and did not fail at it."""
    return error.status_code in {400, 422} or (
        error.status_code == 500 and _NOT_VALID.search(message_of(error.body)) is not None
    )


def _names(body: object) -> Iterator[str]:
    """Names in `param`, in the `loc` of pydantic's error lists, and in quotes within messages."""
    if isinstance(body, str):
        text = _SUGGESTION.sub("", body[:_MOST_READ])
        yield from re.findall(r"""["'`]([a-z_]{3,40})["'`]""", text)
        yield from re.findall(r"\b([a-z]+_[a-z_]{1,40}|seed|stop|temperature)\b", text)
    elif isinstance(body, list):
        for one in body[:20]:
            yield from _names(one)
    elif isinstance(body, dict):
        place = body.get("loc")
        if isinstance(place, list):
            yield from (part for part in place if isinstance(part, str))
        if isinstance(body.get("param"), str):
            yield body["param"].split(".")[0]
        for key in ("message", "detail", "error", "msg"):
            yield from _names(body.get(key))


def message_of(body: object) -> str:
    """The message in a server's error body: OpenAI's `error`, `detail`, lists, plain text, or a page's title."""
    if isinstance(body, str):
        text = body[:_MOST_READ]
        if "<html" in text.lower() or "<!doctype" in text.lower():
            title = _TITLE.search(text)
            return _TAG.sub(" ", title[1] if title else text)
        return text
    if isinstance(body, list):
        return "; ".join(filter(None, (message_of(one) for one in body[:3])))
    if isinstance(body, dict):
        parts = (message_of(body.get(key)) for key in ("message", "msg", "detail", "error", "reason"))
        message = next(filter(None, parts), "")
        place = body.get("loc")
        return f"{'.'.join(str(part) for part in place)}: {message}" if isinstance(place, list) else message
    return ""


def quoted(text: str, prompt: Sequence[Message] = ()) -> str:
    """A server's text, fit to be shown and logged.

    Runs of 20 characters or more that also stand in the prompt are cut out (a server may echo a user's history),
    personal data are redacted, control characters removed, and at most 200 characters are left.
    """
    shown = _plain(_ESCAPE.sub(_unescaped, text[:_MOST_READ]))
    if prompt:
        shown = _without(shown, _plain(" ".join(message.content for message in prompt)))
    shown = _REDACTION(shown)
    return shown if len(shown) <= _MOST_QUOTED else shown[: _MOST_QUOTED - 1] + "…"


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else {"n": " ", "t": " ", "r": " "}.get(found[2], found[2])


def _plain(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _without(text: str, prompt: str) -> str:
    """The text without the runs of at least `_RUN` characters that the prompt has, too."""
    lowered, known = text.lower(), prompt.lower()
    if len(lowered) != len(text):  # a letter whose lower case has another length; seldom
        lowered, known = text, prompt
    runs = {known[start : start + _RUN] for start in range(len(known) - _RUN + 1)}
    kept: list[str] = []
    start = 0
    while start < len(text):
        if lowered[start : start + _RUN] not in runs:
            kept.append(text[start])
            start += 1
            continue
        end = start + _RUN
        while end < len(text) and lowered[end - _RUN + 1 : end + 1] in runs:
            end += 1
        kept.append(_CUT)
        start = end
    return "".join(kept)
