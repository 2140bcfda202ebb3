"""Every error that zsrec raises on purpose.

    ZsrecError
    ├── ConfigError               a setting or an argument is not valid
    │   ├── MissingExtraError     an optional dependency is not installed
    │   └── HostNotAllowedError   the LLM's host is not on the allow-list
    ├── DataError(path, line)     a data file is not valid
    │   ├── BadRowError           one row cannot be read
    │   │   └── BadValueError     a value of the row is not what its column holds
    │   ├── MissingColumnError    a named column is not there
    │   ├── EncodingError         the bytes do not fit the stated encoding
    │   ├── DuplicateItemError    an item id appears twice
    │   ├── DamagedError          a file is not as zsrec wrote it
    │   └── UnknownItemError      an item id or title is not in the catalog
    ├── TemplateError(path, line) a prompt template is not valid
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
    │   ├── BadReplyError         the reply is not a chat completion
    │   └── MissingReplyError     recorded replies hold none for a request
    ├── AnswerError(raw)          the model's answer cannot be used
    ├── ClosedError               a recommender was used after it was closed
    ├── BatchStoppedError         a batch job stopped: the model's server failed for many users in a row
    └── ServerError(log)          the embedded vLLM server could not be installed or started

A title that the model named and the catalog lacks is *data* (`trace.unresolved`), never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ZsrecError(Exception):
    """Base of all errors of this package: what is wrong (with file, line or field), and a hint what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(ZsrecError):
    """A setting or an argument is not valid."""


class MissingExtraError(ConfigError):
    """An optional dependency is not installed: a feature ("reading Parquet files") needs an extra ("parquet")."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}'", hint=f"pip install 'zsrec[{extra}]'")
        self.extra = extra


class ConversationTooLongError(ConfigError):
    """A conversation has too many turns, or a turn too many characters."""


class HostNotAllowedError(ConfigError):
    """The LLM's host is not on the allow-list; nothing was sent to it."""


class _Located(ZsrecError):  # noqa: N818  (a base, never raised)
    """An error at a place in a file; the message starts with `path:line:`."""

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        place = ":".join(str(part) for part in (self.path, line) if part is not None)
        super().__init__(f"{place}: {message}" if place else message, hint=hint)


class DataError(_Located):
    """A catalog or interactions file is not valid."""


class BadRowError(DataError):
    """One row cannot be read."""


class BadValueError(BadRowError):
    """A value of a row is not what its column holds; `user` is the row's user if that is known."""

    user: str | None = None
    is_empty = False


class MissingColumnError(DataError):
    """A column that the caller named is not in the file; `argument` is what names it, where that is known.

    `found` are the columns that are there.
    """

    def __init__(
        self,
        name: str,
        found: Sequence[str],
        *,
        argument: str | None = None,
        advice: str = "",
        path: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        self.argument, self.found, self._advice = argument, found, advice
        super().__init__(f"no column {name!r}", path=path, line=line)
        self.hint = self.hint_for("{}=")

    def hint_for(self, spelling: str) -> str:
        """What the file has and which argument names its column, spelled "{}=" in Python, "--{} " in a shell."""
        hints = [f"the file has: {', '.join(map(repr, self.found)) or 'no columns'}", self._advice]
        other = next((one for one in ";\t|," if one in self.found[0]), "") if len(self.found) == 1 else ""
        if other:
            hints.append(f"if {other!r} separates the fields, say so with {spelling.format('delimiter')}{other!r}")
        elif self.argument is not None:
            named = spelling.format(self.argument).rstrip()
            hints.append(f"name yours with {'columns=Columns(…)' if named == 'columns=' else named}")
        return "; ".join(filter(None, hints))


class EncodingError(DataError):
    """The file's bytes do not fit the stated encoding."""


class DuplicateItemError(DataError):
    """An item id appears twice in a catalog."""


class DamagedError(DataError):
    """A file of zsrec's own is not as it was written: something in it was changed, lost, repeated or replaced."""


class UnknownItemError(DataError):
    """An item id or title is not in the catalog."""


class TemplateError(_Located):
    """A prompt template is not valid; the message names file and line."""


class TemplateNotFoundError(TemplateError):
    """No template has that name."""


class LLMError(ZsrecError):
    """A call to the LLM server failed.

    Args:
        message: What happened.
        hint: What to do.
        retryable: Whether the same request may succeed later.
        status: The HTTP status, if there was one.
        request_id: The request's id at the server or client, for its logs.
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
    """The server was too busy (HTTP 429) for all retries."""


class LLMServerError(LLMError):
    """The server failed (HTTP 5xx) for all retries."""


class LLMRequestError(LLMError):
    """The server refused the request (HTTP 4xx)."""


class ContextOverflowError(LLMError):
    """The prompt does not fit the model's context, even with the shortest history."""


class ModelNotServedError(LLMError):
    """The server does not serve the requested model."""


class CapabilityError(LLMError):
    """The server lacks a capability that the call needs."""


class BadReplyError(LLMError):
    """The reply is not a chat completion."""


class MissingReplyError(LLMError):
    """Recorded replies hold none for a request (`zsrec.llm.offline`)."""


class AnswerError(ZsrecError):
    """The model's answer cannot be used; `raw` is its text as received."""

    def __init__(self, message: str, *, raw: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.raw = raw


class ClosedError(ZsrecError):
    """A recommender, or the client of its model, was used after it was closed."""


class BatchStoppedError(ZsrecError):
    """A batch job stopped: the model's server failed for many users in a row. The same command resumes it."""


class ServerError(ZsrecError):
    """The embedded vLLM server could not be installed, started or stopped; `log` is its log file, if any."""

    def __init__(self, message: str, *, hint: str | None = None, log: str | Path | None = None) -> None:
        super().__init__(f"{message} (log: {log})" if log else message, hint=hint)
        self.log = None if log is None else str(log)
