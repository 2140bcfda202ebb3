"""The service's log and metrics.

The log is one JSON object per line, without histories, titles, texts or keys: fields are named one by one, and of
what a caller sends only the user's id is among them, as a keyed hash. Errors are logged by type and place, since
their messages may quote a request.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zsrec.core.types import Exchange, Grounded
from zsrec.serving.admission import State

STATES: tuple[State, ...] = ("closed", "half_open", "open")
_LOGGER = logging.getLogger("zsrec.serving")
_VERBOSE = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class JsonLines(logging.Formatter):
    """Formats the service's own records; of others' (uvicorn's) the message without any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = getattr(record, "fields", None)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage() if fields is not None else "uvicorn",
            **(fields if fields is not None else _others_fields(record)),
        }
        return json.dumps(line)


def _others_fields(record: logging.LogRecord) -> dict[str, str]:
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    fields = {"logger": record.name, "message": record.getMessage().partition("\n")[0][:300]}
    return fields | ({"error": kind} if kind else {})


class RateLimit(logging.Filter):
    """Passes so many of a library's equal messages in ten seconds; the service's own lines always pass.

    Whoever fills the descriptors of a process would otherwise fill its disk with one line per attempt.
    """

    def __init__(self, most: int = 20, seconds: float = 10.0) -> None:
        super().__init__()
        self._most = most
        self._seconds = seconds
        self._counts: dict[str, int] = {}
        self._until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        if hasattr(record, "fields"):
            return True
        if record.created >= self._until:
            self._counts.clear()
            self._until = record.created + self._seconds
        key = f"{record.name} {str(record.msg)[:100]}"
        self._counts[key] = count = self._counts.get(key, 0) + 1
        return count <= self._most


def log(event: str, *, level: int = logging.INFO, **fields: str | float | bool | None) -> None:
    """Write one line; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    _LOGGER.log(level, event, extra={"fields": given})


def log_failure(event: str, error: BaseException, **fields: str | float | bool | None) -> None:
    """Write an error's type and place, without its message."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{place[0].filename}:{place[0].lineno}" if place else None
    log(event, level=logging.ERROR, error=type(error).__name__, where=where, **fields)


def config(*, debug: bool = False) -> dict[str, object]:
    """For `logging.config.dictConfig`: all to standard error, nothing from libraries that quote requests."""
    level = "DEBUG" if debug else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "filters": {"rate": {"()": RateLimit}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["rate"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "zsrec.serving": {"level": level},
            "uvicorn": {"level": level},
            "uvicorn.access": {"level": "CRITICAL"},  # it would write query strings
            **{name: {"level": "WARNING"} for name in _VERBOSE},
        },
    }


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        counter, histogram = partial(Counter, registry=own), partial(Histogram, buckets=_SECONDS, registry=own)
        self.requests = counter("zsrec_requests", "Answered requests.", ["route", "status"])
        self.seconds = histogram("zsrec_request_seconds", "From a request to its answer.", ["route"])
        stages = "Parts of a recommendation: queue (waiting), llm (asking), own (the rest)."
        self.stages = histogram("zsrec_stage_seconds", stages, ["stage"])
        self.tokens = counter("zsrec_tokens", "As the model's server counts them.", ["kind"])
        outcomes = "Titles in answers: matched, or why not (not_in_catalog, …)."
        self.mentions = counter("zsrec_mentions", outcomes, ["outcome"])
        self.retries = counter("zsrec_llm_retries", "Requests to the model that were sent again.")
        self.degraded = counter("zsrec_degraded", "Answers without the model.", ["reason"])
        full = "Requests refused because the queue or the tenant's share was full."
        self.refused = counter("zsrec_refused", full)
        self.left = counter("zsrec_callers_gone", "Callers who left before their answer.")
        self.reloads = counter("zsrec_reloads", "Reloads of catalog and templates.", ["outcome"])

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when Prometheus asks."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def asked(self, exchanges: Iterable[Exchange]) -> None:
        """Count what a recommendation cost. A number that no counter takes is logged, and fails no request."""
        try:
            for exchange in exchanges:
                usage = exchange.usage
                self.tokens.labels("prompt").inc(usage.prompt_tokens or 0)
                self.tokens.labels("completion").inc(usage.completion_tokens or 0)
                self.tokens.labels("cached").inc(usage.cached_tokens or 0)
                self.retries.inc(exchange.retries)
        except (ValueError, OverflowError) as error:
            log_failure("metrics failed", error)

    def named(self, grounded: Iterable[Grounded]) -> None:
        """Count what the answers named."""
        for one in grounded:
            self.mentions.labels(one.match.reason or "matched").inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
