"""What is wrong with a request's body, said without quoting it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from zsrec.core.types import Frozen
from zsrec.serving.problem_details import RefusedError
from zsrec.serving.schemas import EventIn, ExplainIn, FeedbackIn, GroundIn, RecommendIn, TurnIn

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


def invalid(errors: Sequence[Mapping[str, Any]], operation: str, described: str) -> RefusedError:
    """The answer to a body that is not valid: the first wrong field, without its value, which may be a history.

    Args:
        errors: As pydantic gives them, with "body" before each place.
        operation: What was asked for, as "recommend".
        described: Where the caller finds what is expected.
    """
    if errors[0]["type"] == "json_invalid":
        return RefusedError(400, "BadJson", "the body is not JSON")
    meant = [_meant(operation, one) for one in errors]
    # Of a union's errors the one that went deepest; a misspelt field before one that is missing for it.
    first, field = max(zip(errors, meant, strict=True), key=lambda one: (len(one[0]["loc"]), one[1] is not None))
    parts = [part for part in map(str, first["loc"][1:]) if _PART.fullmatch(part) and part not in _BRANCHES]
    place = ".".join(parts)[:80] or "body"
    hint = f"{described} says what is expected"
    if field is not None:
        hint = f"did you mean {field!r}?"
    elif expected := first.get("ctx", {}).get("expected"):
        hint = f"one of {expected}"
    return RefusedError(422, "Invalid", "the request is wrong", f"{place}: {first['type']}", hint=hint)


def _meant(operation: str, error: Mapping[str, Any]) -> str | None:
    """The field that a misspelt one probably stands for; None where none is near, or the error is another."""
    place = error["loc"]
    model = _BODIES.get(operation) if len(place) == 2 else _ENTRIES.get(str(place[1])) if len(place) > 2 else None
    if error["type"] != "extra_forbidden" or model is None:
        return None
    near = get_close_matches(str(place[-1]).lower(), model.model_fields, n=1, cutoff=_NEAR)
    return near[0] if near else None
