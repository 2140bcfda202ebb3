"""Errors as HTTP answers (RFC 9457), and the model's failures as reasons for a degraded answer."""

from __future__ import annotations

from zsrec.core import errors
from zsrec.core.errors import ZsrecError
from zsrec.serving.schemas import Problem, Reason

_REASONS: tuple[tuple[type[ZsrecError], Reason, str], ...] = (
    (
        errors.LLMConnectionError,
        "llm_unreachable",
        "the model's server cannot be reached, or ended the connection",
    ),
    (errors.LLMTimeoutError, "llm_timeout", "the model did not answer in time"),
    (errors.LLMRateLimitError, "llm_busy", "the model's server refuses further requests"),
    (errors.LLMServerError, "llm_failed", "the model's server failed"),
    (errors.LLMRequestError, "llm_refused", "the model's server refused the request"),
    (
        errors.ContextOverflowError,
        "context_overflow",
        "the request does not fit the model's context, even without a history",
    ),
    (errors.ModelNotServedError, "model_not_served", "the server serves other models"),
    (errors.CapabilityError, "capability_missing", "the server lacks something that the template needs"),
    (errors.BadReplyError, "bad_reply", "the server's reply is not a chat completion"),
    (errors.LLMError, "llm_failed", "the model's server failed"),
    (errors.AnswerError, "answer_unusable", "the model's answer cannot be used"),
    (errors.TemplateError, "template_failed", "the template fails on these values"),
)

DETAILS: dict[Reason, str] = {
    "breaker_open": "the model failed repeatedly and is not asked for a while",
    "busy": "too many requests were before this one to ask the model before the deadline",
    "deadline": "the model did not answer before the deadline",
    **{name: detail for _, name, detail in _REASONS},
}

DOWN = frozenset[Reason]({"deadline", "llm_unreachable", "llm_timeout", "llm_busy", "llm_failed", "bad_reply"})
"""Reasons that count against the model's server, and not only against this request."""


class RefusedError(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        hint: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.retry_after = retry_after
        self.problem = Problem(status=status, code=code, title=title, detail=detail, hint=hint)


def reason(error: ZsrecError) -> Reason | None:
    """Why the model could not be used; None where the request itself is wrong."""
    return next((name for kind, name, _ in _REASONS if isinstance(error, kind)), None)


def refusal(error: ZsrecError) -> RefusedError:
    """The answer to a request that is wrong in itself; the message goes to the caller, and to no log."""
    code = type(error).__name__.removesuffix("Error")
    return RefusedError(422, code, "the request cannot be fulfilled", error.message, hint=error.hint)
