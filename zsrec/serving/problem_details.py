"""Errors and wrong bodies as HTTP answers (RFC 9457), the model's failures as reasons for a degraded answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from zsrec.core import errors
from zsrec.core.errors import ZsrecError
from zsrec.core.types import Frozen
from zsrec.serving.schemas import EventIn, ExplainIn, FeedbackIn, GroundIn, Problem, Reason, RecommendIn, TurnIn

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


_BODIES: Mapping[str, type[Frozen]] = {
    "recommend": RecommendIn,
    "ground": GroundIn,
    "feedback": FeedbackIn,
    "explain": ExplainIn,
}
_ENTRIES: Mapping[str, type[Frozen]] = {"history": EventIn, "feedback": EventIn, "conversation": TurnIn}
_BRANCHES = frozenset(one.__name__ for one in _ENTRIES.values())  # pydantic names them in an error's place
_PART = re.compile(r"[A-Za-z_]{1,40}|\d{1,9}")  # of a place: a field or an index
_NEAR = 0.75  # "titel" is near to "title", "title" not to "time"
_COUNTED = ("less_than_equal", "greater_than_equal", "greater_than", "int_type", "finite_number")
_EXPECTED = {
    "less_than_equal": "at most {le:,}",
    "greater_than_equal": "at least {ge:,}",
    "greater_than": "more than {gt:,}",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "too_long": "at most {most}",
    "too_short": "at least {least}",
    "string_too_long": "at most {most}",
    "string_type": "a text",
    "string_unicode": "a text in Unicode",
    "tuple_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "datetime_type": "a time",
    "value_error": "a text or a whole number",
    "literal_error": "{expected}",
    "enum": "{expected}",
}


def invalid(errors: Sequence[Mapping[str, Any]], operation: str, described: str) -> RefusedError:
    """The answer to a body that is not valid: the first wrong field, without its value, which may be a history.

    Args:
        errors: As pydantic gives them, with "body" before each place and the `input`.
        operation: What was asked for, as "recommend".
        described: Where the caller finds what is expected.
    """
    if errors[0]["type"] == "json_invalid":
        return RefusedError(400, "BadJson", "the body is not JSON", str(errors[0].get("ctx", {}).get("error", "")))
    if isinstance(errors[0]["input"], bytes):  # FastAPI reads a body of another type as it is
        return RefusedError(
            422, "Invalid", "the request is wrong", "the body is not declared as JSON",
            hint="send the header Content-Type: application/json",
        )  # fmt: skip
    meant = [_meant(operation, one) for one in errors]
    # Of a union's errors the one that went deepest; a misspelt field before one that is missing for it.
    first, field = max(zip(errors, meant, strict=True), key=lambda one: (len(one[0]["loc"]), one[1] is not None))
    parts = [part for part in map(str, first["loc"][1:]) if _PART.fullmatch(part) and part not in _BRANCHES]
    place = ".".join(parts)[:80] or "body"
    hint = f"{described} says what is expected"
    if field is not None:
        hint = f"did you mean {field!r}?"
    return RefusedError(422, "Invalid", "the request is wrong", f"{place}: {_wrong(first)}", hint=hint)


def _wrong(error: Mapping[str, Any]) -> str:
    """What is wrong with a field; of its value only what tells nothing of a user."""
    kind, value = error["type"], error["input"]
    if kind in ("missing", "extra_forbidden"):
        return "is missing" if kind == "missing" else "there is no such field"
    limits = dict(error.get("ctx", {}))
    limits["most"], limits["least"] = (_size(value, limits.get(f"{one}_length", 0)) for one in ("max", "min"))
    expected = _EXPECTED.get(kind, "another value").format_map(limits)
    is_option = len(error["loc"]) == 2 and kind in _COUNTED  # `k` or `deadline`, and no part of a history
    return f"expected {expected}, found {_found(value, shown=is_option)}"


def _size(value: object, length: int) -> str:
    one, several = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
    return f"{length:,} {one if length == 1 else several}"


def _found(value: object, *, shown: bool) -> str:
    """The kind and size of a JSON value; a number itself where it may be `shown`."""
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return f"a text of {_size(value, len(value))}"
        case list() | tuple():
            return _size(value, len(value))
        case int() | float():
            return f"{value:,}"[:40] if shown else "a number"
    return "an object"


def _meant(operation: str, error: Mapping[str, Any]) -> str | None:
    """The field that a misspelt one probably stands for; None where none is near, or the error is another."""
    place = error["loc"]
    model = _BODIES.get(operation) if len(place) == 2 else _ENTRIES.get(str(place[1])) if len(place) > 2 else None
    if error["type"] != "extra_forbidden" or model is None:
        return None
    near = get_close_matches(str(place[-1]).lower(), model.model_fields, n=1, cutoff=_NEAR)
    return near[0] if near else None
