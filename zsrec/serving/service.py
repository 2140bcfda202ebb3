"""The service: recommendations that hold their deadline, whatever the model does."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from pydantic import Field

from zsrec.core.errors import AnswerError, ConfigError, DataError, LLMError, TemplateError, ZsrecError
from zsrec.core.privacy import Pseudonyms, Redactor, redactor
from zsrec.core.settings import DEFAULT_TEMPLATE, Settings
from zsrec.core.types import Exchange, Frozen, Item, Recommendations
from zsrec.data.history import Event, History
from zsrec.llm.forwarding import ForwardingLLM
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.recommender.candidates import candidate_id
from zsrec.recommender.explanations import DEFAULT_TEMPLATE as EXPLAIN
from zsrec.recommender.explanations import Explanations
from zsrec.recommender.loader import Sources, Stock
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.recommender.request import Request
from zsrec.recommender.strategy import CONVERSATION_TEMPLATE
from zsrec.serving.admission import Breakers, Capacity, FairSlot, Queue, Shares, TooLateError
from zsrec.serving.auth import Keys, Tenant
from zsrec.serving.histories import UserHistories
from zsrec.serving.observability import STATES, Metrics, log, log_failure
from zsrec.serving.problem_details import DETAILS, DOWN, RefusedError, reason, refusal
from zsrec.serving.schemas import (
    Degraded,
    ExplainIn,
    ExplainOut,
    ExplanationOut,
    ItemOut,
    Reason,
    RecommendIn,
    RecommendOut,
    Tokens,
    as_history,
)

Result = TypeVar("Result")

# What is kept back of a deadline for the answer without the model: a share, and at most so many seconds.
_RESERVE = 0.2
_MOST_RESERVE = 0.25


class Options(Frozen):
    """The service's limits."""

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


class MeteredLLM(ForwardingLLM):
    """One request's view of the shared client: it measures, and adds the tenant's cache salt."""

    def __init__(self, llm: LLM, salt: str | None) -> None:
        super().__init__(llm)
        self._salt = salt
        self._calls = 0
        self._since = 0.0
        self.seconds = 0.0
        self.exchanges: list[Exchange] = []

    async def chat(self, request: ChatRequest) -> Exchange:
        """See `LLM.chat`."""
        if self._salt is not None:
            request = request.model_copy(update={"cache_salt": self._salt})
        exchange = await super().chat(request)
        self.exchanges.append(exchange)
        return exchange

    async def aclose(self) -> None:
        """Do nothing: the connections are shared."""

    async def _forward(self, call: Coroutine[Any, Any, Result]) -> Result:
        if not self._calls:
            self._since = time.perf_counter()
        self._calls += 1
        try:
            return await call
        finally:
            self._calls -= 1
            if not self._calls:
                self.seconds += time.perf_counter() - self._since


class _ModelFailedError(Exception):
    """The model has no part in this answer."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class _Call:
    """One validated request."""

    wanted: RecommendIn
    history: History
    recommender: AsyncRecommender
    llm: MeteredLLM
    tenant: Tenant


class Service:
    """Everything that requests share."""

    def __init__(
        self,
        sources: Sources,
        settings: Settings,
        llm: LLM,
        options: Options,
        pseudonyms: Pseudonyms,
        histories: UserHistories | None = None,
        *,
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._sources = sources
        self._settings = settings
        self.llm = llm
        self.options = options
        self._pseudonyms = pseudonyms
        self._loaded = loaded
        self.histories = histories or UserHistories()
        self.stock: Stock = sources.load(llm, settings)
        self.histories.serve(self.stock.known, self.stock.recommender.pipeline.retriever)
        loaded()
        self._breakers = Breakers(options.breaker_failures, options.breaker_seconds)
        self.breaker = self._breakers.shared
        self.capacity = Capacity(options.in_work + options.waiting)
        self.queue = Queue(options.in_work, options.waiting)
        self.shares = Shares(options.per_tenant)
        self.cpu_slot = FairSlot(options.waiting)
        self.keys: Keys | None = None
        self.metrics = Metrics()
        self._reloading = asyncio.Lock()
        watch = self.metrics.watch
        watch("zsrec_inside", "Requests that were read and are not answered.", lambda: self.capacity.in_use)
        watch("zsrec_in_work", "Requests that hold a place.", lambda: self.queue.in_work)
        watch("zsrec_waiting", "Requests that wait for a place.", lambda: self.queue.waiting)
        watch("zsrec_breaker_state", f"0 to 2: {', '.join(STATES)}.", lambda: STATES.index(self.breaker.state))
        watch("zsrec_catalog_items", "Items served.", lambda: len(self.stock.recommender.catalog))

    async def recommend(self, wanted: RecommendIn, tenant: Tenant, request_id: str) -> RecommendOut:
        """Recommend before the deadline: with the model, or in retrieval order and marked so."""
        with self.shares.hold(tenant):
            return await self._recommend(wanted, tenant, request_id)

    async def _recommend(self, wanted: RecommendIn, tenant: Tenant, request_id: str) -> RecommendOut:
        arrived = time.perf_counter()
        call = self._validated(wanted, tenant)
        seconds = self._deadline(call)
        degraded: Degraded | None = None
        try:
            found = await self._by_model(call, seconds - min(_RESERVE * seconds, _MOST_RESERVE), self._ask)
        except _ModelFailedError as failure:
            degraded = Degraded(reason=failure.reason, detail=DETAILS[failure.reason])
            self.metrics.degraded.labels(failure.reason).inc()
            found = self._without_model(call, failure.reason)
        finally:
            why = None if degraded is None else degraded.reason
            self._log(
                "recommend", call, request_id, arrived, k=wanted.k, turns=len(wanted.conversation), degraded=why
            )
        self.metrics.named(found.trace.grounded)
        return _response(found, degraded, call.llm.exchanges, request_id)

    async def explain(self, wanted: ExplainIn, tenant: Tenant, request_id: str) -> ExplainOut:
        """Explain items before the deadline, or raise `RefusedError`: without the model there is no sentence."""
        with self.shares.hold(tenant):
            arrived = time.perf_counter()
            user = {name: value for name, value in wanted if name != "items"}
            call = self._validated(RecommendIn.model_validate(user), tenant)
            catalog, grounder = call.recommender.catalog, call.recommender.grounder
            failed: Reason | None = None
            try:
                items = [catalog[candidate_id(one, catalog, grounder, "item")] for one in wanted.items]
                call = replace(call, recommender=call.recommender.with_template(EXPLAIN))
                found = await self._by_model(call, self._deadline(call), partial(_explained, items))
            except ZsrecError as error:
                raise refusal(error) from error
            except _ModelFailedError as failure:
                failed = failure.reason
                hint = "try again later; recommend works without the model"
                wait = max(1, round(self.breaker.remaining))
                raise RefusedError(
                    503, failed, DETAILS[failed], "there is no explanation without the model", hint=hint,
                    retry_after=wait,
                ) from failure  # fmt: skip
            finally:
                self._log("explain", call, request_id, arrived, items=len(wanted.items), failed=failed)
        return ExplainOut(
            request_id=request_id,
            items=tuple(
                ExplanationOut(
                    id=one.item.id, title=one.item.title, text=one.text, cited=one.cited, error=one.error
                )
                for one in found.items
            ),
            template=str(found.template),
            notes=found.notes,
            tokens=_tokens(call.llm.exchanges),
        )

    def _deadline(self, call: _Call) -> float:
        """The seconds that a request may take."""
        return min(call.wanted.deadline or self.options.deadline, self.options.deadline)

    def _log(self, what: str, call: _Call, request_id: str, arrived: float, **more: str | int | None) -> None:
        """Count a request's exchanges, and log it without a word of its user's."""
        self.metrics.asked(call.llm.exchanges)
        log(
            what,
            level=logging.INFO,
            request_id=request_id,
            tenant=call.tenant.name,
            user=None if call.wanted.user is None else self._pseudonyms.of("user", call.wanted.user),
            events=len(call.wanted.history),
            **more,
            seconds=round(time.perf_counter() - arrived, 4),
            llm_seconds=round(call.llm.seconds, 4),
        )

    async def reload(self) -> Stock:
        """Read the sources anew; requests under way finish with the old ones."""
        async with self._reloading:
            try:
                if self.keys is not None:  # first: a revoked key stops working even if the catalog is wrong
                    await asyncio.to_thread(self.keys.reload)
                stock = await asyncio.to_thread(self._sources.load, self.llm, self._settings)
            except Exception as error:
                self.metrics.reloads.labels("refused").inc()
                log_failure("reload refused", error)
                if isinstance(error, ZsrecError):
                    raise
                raise ConfigError(
                    f"the reload failed ({type(error).__name__})", hint="the service's log names the place"
                ) from error
            self.histories.serve(stock.known, stock.recommender.pipeline.retriever)
            self.stock = stock
            self._loaded()
            self.metrics.reloads.labels("done").inc()
            items, templates = len(stock.recommender.catalog), len(stock.templates)
            log("reloaded", items=items, templates=templates, notes="; ".join(stock.notes) or None)
            return stock

    def keep(self, user: str, events: Sequence[Event]) -> None:
        """Add feedback to the history of a user."""
        try:
            self.histories.add(user, [Event.model_validate(one.model_dump()) for one in events])
        except DataError as error:
            raise RefusedError(503, "JournalFailed", "the feedback was not kept", "the journal failed") from error

    def log_start(self) -> None:
        """Log what is served, and what was noted when it was read."""
        stock = self.stock
        notes = "; ".join(stock.notes) or None
        log("started", items=len(stock.recommender.catalog), fallback=stock.fallback, notes=notes)

    def check_history(self, events: int) -> None:
        """Raise `RefusedError` (422) where a history has too many events."""
        most = self.options.max_history
        if events > most:
            detail = f"at most {most:,} events, found {events:,}"
            raise RefusedError(422, "HistoryTooLong", "the history is too long", detail)

    def _validated(self, wanted: RecommendIn, tenant: Tenant) -> _Call:
        self.check_history(len(wanted.history))
        if wanted.k > self.options.max_k:
            detail = f"at most {self.options.max_k:,} items, found {wanted.k:,}"
            raise RefusedError(422, "KTooLarge", "k is too large", detail)
        recommender, templates = self.stock.recommender, self.stock.templates
        if wanted.template is not None:
            if wanted.template not in templates:
                raise RefusedError(
                    422,
                    "UnknownTemplate",
                    "there is no such template",
                    hint="GET /v1/templates or zsrec prompts list lists them",
                )
            recommender = recommender.with_template(templates[wanted.template])
        elif wanted.conversation and recommender.template.ref.name == DEFAULT_TEMPLATE:
            recommender = recommender.with_template(templates.get(CONVERSATION_TEMPLATE, recommender.template))
        if wanted.names or not self.options.redact:
            recommender = recommender.with_redaction(self._redactor(wanted.names))
        salt = None if tenant.name is None else self._pseudonyms.of("salt", tenant.name)
        llm = MeteredLLM(self.llm, salt)
        return _Call(wanted, self._history(wanted), recommender.with_llm(llm), llm, tenant)

    def _history(self, wanted: RecommendIn) -> History:
        """The request's history, or else what the service knows of its user."""
        if wanted.user is None or wanted.history:
            return as_history(wanted.history, wanted.user)
        known = self.histories.of(wanted.user)
        if known is None:
            return History(user=wanted.user)
        return known.model_copy(update={"events": known.events[-self.options.max_history :]})

    def _redactor(self, names: tuple[str, ...]) -> Redactor | None:
        try:
            return redactor(self._settings.redact if self.options.redact else "off", names)
        except ConfigError as error:
            raise refusal(error) from error

    async def _by_model(self, call: _Call, seconds: float, ask: Callable[[_Call], Awaitable[Result]]) -> Result:
        started = time.perf_counter()
        template = call.recommender.template.ref.name
        admitted = False
        try:
            async with asyncio.timeout(seconds), self.queue.slot(seconds):
                waited = time.perf_counter() - started
                self.metrics.stages.labels("queue").observe(waited)
                self._require_closed_breaker(call.tenant)
                admitted = True
                found = await _asked(ask(call))
                for breaker in self._breakers.of(call.tenant):
                    breaker.succeeded()
                    breaker.took(call.llm.seconds, template)
                admitted = False
                own = time.perf_counter() - started - waited - call.llm.seconds
                self.metrics.stages.labels("llm").observe(call.llm.seconds)
                self.metrics.stages.labels("own").observe(max(0.0, own))
                return found
        except TooLateError:
            raise _ModelFailedError("busy") from None
        except TimeoutError:
            if not admitted:  # it passed in the queue, which says nothing of the model
                raise _ModelFailedError("busy") from None
            if getattr(self.llm, "unreachable", False):  # a refused connection is tried again until the deadline
                for breaker in self._breakers.of(call.tenant):
                    breaker.failed()
                admitted = False
                raise _ModelFailedError("llm_unreachable") from None
            shortened = (call.wanted.deadline or math.inf) < self.options.deadline
            self._breakers.timed_out(call.tenant, call.llm.seconds, template, shortened=shortened)
            admitted = False
            raise _ModelFailedError("deadline") from None
        except _ModelFailedError as failure:
            if admitted:
                for breaker in self._breakers.of(call.tenant):
                    report = breaker.failed if failure.reason in DOWN else breaker.succeeded
                    report()
                admitted = False
            raise
        finally:
            if admitted:
                for breaker in self._breakers.of(call.tenant):
                    breaker.gave_up()

    def _require_closed_breaker(self, tenant: Tenant) -> None:
        if not self._breakers.admits(tenant):
            raise _ModelFailedError("breaker_open")

    async def _ask(self, call: _Call) -> Recommendations:
        wanted = call.wanted
        return await call.recommender.recommend(
            call.history,
            wanted.k,
            about=wanted.about,
            conversation=wanted.conversation,
            candidates=wanted.candidates,
            fill=wanted.fill,
            ambiguous=wanted.ambiguous,
            where=wanted.where,
        )

    def _without_model(self, call: _Call, why: Reason) -> Recommendations:
        wanted = call.wanted
        try:
            request = Request.of(call.history, about=wanted.about, conversation=wanted.conversation)
            if request.is_empty:
                hint = "give a history, about, or a conversation"
                raise refusal(ConfigError("nothing is known of the user", hint=hint))
            return call.recommender.retrieval_order(
                call.history,
                wanted.k,
                about=wanted.about,
                conversation=wanted.conversation,
                candidates=wanted.candidates,
                where=wanted.where,
            )
        except ConfigError as error:
            raise RefusedError(
                503,
                why,
                DETAILS[why],
                "and there is no other order to fall back to",
                hint="try again later; an operator can give --interactions, a caller candidates",
                retry_after=max(1, round(self.breaker.remaining)),
            ) from error
        except ZsrecError as error:
            raise refusal(error) from error


async def _explained(items: list[Item], call: _Call) -> Explanations:
    about, template = call.wanted.about, call.recommender.template
    return await call.recommender.explain(items, call.history, about=about, template=template)


async def _asked(answer: Awaitable[Result]) -> Result:
    """The model's answer; its failures and a wrong request's errors as the service's own."""
    try:
        return await answer
    except (LLMError, AnswerError, TemplateError) as error:
        why = reason(error)
        assert why is not None  # noqa: S101  (each of these kinds has one)
        raise _ModelFailedError(why) from error
    except ZsrecError as error:
        raise refusal(error) from error


def _tokens(exchanges: list[Exchange]) -> Tokens:
    usage = [exchange.usage for exchange in exchanges]
    return Tokens(
        prompt=sum(one.prompt_tokens or 0 for one in usage),
        completion=sum(one.completion_tokens or 0 for one in usage),
        cached=sum(one.cached_tokens or 0 for one in usage),
    )


def _rounded(score: float) -> float:
    """A score without the noise of binary fractions (0.92 and not 0.9199999999999999)."""
    return round(score, 9)


def _response(
    found: Recommendations, degraded: Degraded | None, exchanges: list[Exchange], request_id: str
) -> RecommendOut:
    trace = found.trace
    return RecommendOut(
        request_id=request_id,
        items=tuple(
            ItemOut(
                rank=one.rank,
                id=one.item.id,
                title=one.item.title,
                score=_rounded(one.score),
                source=one.source,
                reason=one.reason,
                confidence=None if one.provenance is None else _rounded(one.provenance.match.score),
            )
            for one in found
        ),
        degraded=degraded,
        mode=trace.mode,
        template=str(trace.template),
        not_in_catalog=tuple(one.mention.text for one in trace.unresolved),
        unknown_history=tuple(name for name, _ in trace.history.unresolved),
        notes=(*(f"{name!r} was read as {title!r}" for name, title in trace.history.guessed), *trace.notes),
        tokens=_tokens(exchanges),
    )
