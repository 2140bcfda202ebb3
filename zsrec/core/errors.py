"""Every error that zsrec raises on purpose.

    ZsrecError
    ├── ConfigError               a setting or an argument is wrong
    │   ├── MissingExtraError     an optional dependency is not installed
    │   └── HostNotAllowedError   the LLM's host is not on the allow-list
    ├── DataError(path, line)     a file of data is wrong
    │   ├── BadRowError           one row cannot be read
    │   ├── MissingColumnError    a named column is not there
    │   ├── EncodingError         the bytes are not in the stated encoding
    │   ├── DuplicateItemError    an item id stands twice
    │   └── UnknownItemError      an item id or title is not in the catalog
    ├── TemplateError(path, line) a prompt template is wrong
    │   └── TemplateNotFoundError no template has that name
    ├── LLMError(retryable, status, request_id)
    │   ├── LLMConnectionError    nothing answers at the base URL, or the connection broke
    │   ├── LLMTimeoutError       no answer in time
    │   ├── LLMRateLimitError     the server is too busy (429)
    │   ├── LLMServerError        the server failed (5xx)
    │   ├── LLMRequestError       the server refused the request (4xx)
    │   ├── ContextOverflowError  the prompt does not fit the model's context
    │   ├── ModelNotServedError   the server serves other models
    │   ├── CapabilityError       the server lacks something that the call needs
    │   └── BadReplyError         the server answered with something that is no chat completion
    ├── AnswerError(raw)          the model's answer cannot be used
    ├── BatchStoppedError         a batch job stopped: the model's server failed for many users in a row
    └── ServerError(log)          the embedded vLLM server could not be installed or started

What the model named and the catalog lacks is *data* (`trace.unresolved`), never an error.
"""

from __future__ import annotations

from pathlib import Path


class ZsrecError(Exception):
    """Base of all errors of this package.

    Args:
        message: What is wrong, with the file, line or field it was found at.
        hint: What to do about it, in one sentence.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(ZsrecError):
    """A setting or an argument is wrong."""


class MissingExtraError(ConfigError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for, for example "reading Parquet files".
        extra: The name of the extra that brings it, for example "parquet".
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}'", hint=f"pip install 'zsrec[{extra}]'")
        self.extra = extra


class HostNotAllowedError(ConfigError):
    """The LLM's host is not on the allow-list, so nothing was sent to it."""


class _Located(ZsrecError):  # noqa: N818  (a base, never raised)
    """An error at a place in a file; the message starts with `path:line:`."""

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        place = ":".join(str(part) for part in (self.path, line) if part is not None)
        super().__init__(f"{place}: {message}" if place else message, hint=hint)


class DataError(_Located):
    """A catalog or interactions file is wrong."""


class BadRowError(DataError):
    """One row cannot be read."""


class MissingColumnError(DataError):
    """A column that the caller named is not in the file."""


class EncodingError(DataError):
    """The file's bytes are not in the stated encoding."""


class DuplicateItemError(DataError):
    """An item id stands twice in a catalog."""


class UnknownItemError(DataError):
    """An item id or title is not in the catalog."""


class TemplateError(_Located):
    """A prompt template is wrong; the message names file and line."""


class TemplateNotFoundError(TemplateError):
    """No template has that name."""


class LLMError(ZsrecError):
    """A call to the LLM server failed.

    Args:
        message: What happened.
        hint: What to do.
        retryable: Whether the same request may succeed later.
        status: The HTTP status, where there was one.
        request_id: The id that the server or the client gave the request, for its logs.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool = False,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable
        self.status = status
        self.request_id = request_id


class LLMConnectionError(LLMError):
    """Nothing answers at the base URL, or the connection broke."""


class LLMTimeoutError(LLMError):
    """No answer came in time."""


class LLMRateLimitError(LLMError):
    """The server is too busy (HTTP 429) and stayed so over all retries."""


class LLMServerError(LLMError):
    """The server failed (HTTP 5xx) and stayed so over all retries."""


class LLMRequestError(LLMError):
    """The server refused the request (HTTP 4xx)."""


class ContextOverflowError(LLMError):
    """The prompt does not fit the model's context, even with the shortest history."""


class ModelNotServedError(LLMError):
    """The server serves other models than the one asked for."""


class CapabilityError(LLMError):
    """The server lacks a capability that the call needs."""


class BadReplyError(LLMError):
    """The server answered with something that is no chat completion."""


class AnswerError(ZsrecError):
    """The model's answer cannot be used.

    Args:
        message: What is wrong with it.
        raw: The answer's text as received.
        hint: What to do.
    """

    def __init__(self, message: str, *, raw: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.raw = raw


class BatchStoppedError(ZsrecError):
    """A batch job stopped: the model's server failed for many users in a row. The same command goes on."""


class ServerError(ZsrecError):
    """The embedded vLLM server could not be installed, started or stopped.

    Args:
        message: What happened.
        hint: What to do.
        log: The log file that tells more, where there is one.
    """

    def __init__(self, message: str, *, hint: str | None = None, log: str | Path | None = None) -> None:
        super().__init__(f"{message} (log: {log})" if log else message, hint=hint)
        self.log = None if log is None else str(log)
