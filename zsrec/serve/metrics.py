"""What Prometheus reads. Labels take few values: no user, no tenant, no title is ever one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from zsrec.serve.breaker import State
from zsrec.types import Exchange, Grounded

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STATES: tuple[State, ...] = ("closed", "half_open", "open")


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self.requests = Counter("zsrec_requests", "Answered requests.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "zsrec_request_seconds", "From a request to its answer.", ["route"], buckets=_SECONDS, registry=own
        )
        self.stages = Histogram(
            "zsrec_stage_seconds",
            "Parts of a recommendation: queue (waiting), llm (asking), own (the rest).",
            ["stage"],
            buckets=_SECONDS,
            registry=own,
        )
        self.tokens = Counter("zsrec_tokens", "As the model's server counts them.", ["kind"], registry=own)
        self.mentions = Counter(
            "zsrec_mentions",
            "Titles in answers: matched, or why not (not_in_catalog, …).",
            ["outcome"],
            registry=own,
        )
        self.retries = Counter("zsrec_llm_retries", "Requests to the model that were sent again.", registry=own)
        self.degraded = Counter("zsrec_degraded", "Answers without the model.", ["reason"], registry=own)
        self.refused = Counter(
            "zsrec_refused", "Requests refused because the queue or the tenant's share was full.", registry=own
        )
        self.left = Counter("zsrec_callers_gone", "Callers who left before their answer.", registry=own)
        self.reloads = Counter("zsrec_reloads", "Reloads of catalog and templates.", ["outcome"], registry=own)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Adds a gauge that is read when Prometheus asks."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def asked(self, exchanges: Iterable[Exchange], grounded: Iterable[Grounded]) -> None:
        """Counts what a recommendation cost and what its answers named."""
        for exchange in exchanges:
            usage = exchange.usage
            self.tokens.labels("prompt").inc(usage.prompt_tokens or 0)
            self.tokens.labels("completion").inc(usage.completion_tokens or 0)
            self.tokens.labels("cached").inc(usage.cached_tokens or 0)
            self.retries.inc(exchange.retries)
        for one in grounded:
            self.mentions.labels(one.match.reason or "matched").inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
