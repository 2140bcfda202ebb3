"""What an operator may set, beside the model's settings (`ZSREC_*`)."""

from __future__ import annotations

from pydantic import Field

from zsrec.types import Frozen


class Options(Frozen):
    """The service's limits.

    Attributes:
        deadline: Seconds for one request, waiting included; a caller may ask for less, never for more. What the
            model has not answered shortly before is answered in retrieval order.
        in_work: Requests that may ask the model at once.
        waiting: Requests that may wait for one of those places; further ones are refused with 429. `in_work` and
            `waiting` together bound all requests inside, whatever they do there.
        per_tenant: Requests that one tenant (a key's name) may have under way, waiting ones included; further ones
            are refused with 429. None sets no such limit.
        max_body: The largest request body, in bytes.
        max_history: The longest history, in events.
        max_k: The longest list that may be asked for.
        redact: Whether personal data are taken out of the user's own words (`zsrec.redact`).
        breaker_failures: Failures in a row after which the model is no longer asked.
        breaker_seconds: For how long; then one request tries it.
    """

    deadline: float = Field(default=30.0, gt=0, le=3600)
    in_work: int = Field(default=32, ge=1, le=4096)
    waiting: int = Field(default=64, ge=0, le=65536)
    per_tenant: int | None = Field(default=None, ge=1)
    max_body: int = Field(default=262_144, ge=1024)
    max_history: int = Field(default=200, ge=1, le=5000)
    max_k: int = Field(default=100, ge=1, le=1000)
    redact: bool = True
    breaker_failures: int = Field(default=5, ge=1)
    breaker_seconds: float = Field(default=10.0, gt=0)
