"""The application: the service behind its routes."""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zsrec.answers.grounder import Context
from zsrec.answers.grounding import ground_answer, item_ids, resolve_history
from zsrec.core.errors import LLMError, ZsrecError
from zsrec.data.history import History
from zsrec.recommender.loader import Stock
from zsrec.serving.admission import CallerGoneError, Door, FullError, until, while_called
from zsrec.serving.auth import Keys, Tenant
from zsrec.serving.observability import Metrics, log, log_failure
from zsrec.serving.problem_details import RefusedError, refusal
from zsrec.serving.schemas import (
    EventOut,
    FeedbackIn,
    FeedbackOut,
    GroundIn,
    GroundOut,
    Health,
    MentionOut,
    Problem,
    Ready,
    RecommendIn,
    RecommendOut,
    ReloadOut,
    TemplateOut,
    as_history,
)
from zsrec.serving.service import Service


class BusyError(HTTPException):
    """There is no room. An HTTPException, because FastAPI makes a 400 of any other error while it reads a body."""

    def __init__(self) -> None:
        super().__init__(429)


class Limits:
    """ASGI middleware, the outermost: what goes wrong inside is logged by type and place, and answered 500.

    Args:
        app: What it surrounds.
        max_body: Bytes; a larger body is refused as soon as so much of it has come.
        door: Passed when a body has come whole, so that nobody takes up room by sending slowly.
    """

    def __init__(self, app: ASGIApp, max_body: int, door: Door) -> None:
        self._app = app
        self._max_body = max_body
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["id"] = request_id
        started, status, size, inside = time.perf_counter(), 0, 0, False

        async def counted() -> Message:
            nonlocal size, inside
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_body:
                raise _too_large(self._max_body)
            if message["type"] == "http.request" and not message.get("more_body") and not inside:
                inside = self._door.enter()
                if not inside:
                    raise BusyError
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                further = [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
                message["headers"] = [*message["headers"], *further]
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except Exception as error:  # noqa: BLE001  (the last stop: its message may quote the request)
            log_failure("failed", error, request_id=request_id)
            if not status:
                problem = RefusedError(500, "Internal", "this is a fault of the service")
                await answer(problem, request_id)(scope, receive, noted)
        finally:
            if inside:
                self._door.leave()
            metrics: Metrics = scope["app"].state.service.metrics
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            metrics.requests.labels(route, str(status)).inc()
            metrics.seconds.labels(route).observe(seconds)
            if route not in {"/healthz", "/readyz", "/metrics"}:
                log("request", request_id=request_id, route=route, status=status, seconds=round(seconds, 4))


def answer(refused: RefusedError, request_id: str | None) -> JSONResponse:
    """A problem as a response."""
    headers: dict[str, str] = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    if refused.problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content: dict[str, Any] = refused.problem.model_copy(update={"request_id": request_id}).model_dump()
    return JSONResponse(
        content, status_code=refused.problem.status, headers=headers, media_type="application/problem+json"
    )


def _too_large(most: int) -> HTTPException:
    """What FastAPI passes on from the reading of a body; everything else would become a 400."""
    return HTTPException(413, f"the body is larger than {most} bytes")


_HANDSHAKE = 2.0
_bearer = HTTPBearer(auto_error=False, description="A key of the file given as --keys.")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    what = {
        400: "The body is no JSON.",
        401: "No key, or an unknown one.",
        403: "The key is no admin's.",
        413: "The body is too large.",
        422: "The request is wrong.",
        429: "The queue is full, or the key has too many requests under way; see Retry-After.",
        503: "Neither the model nor anything else gives an order.",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": what[status], "content": schema, "model": Problem} for status in statuses}


async def service_of(request: Request) -> Service:  # not sync: FastAPI would send it to a thread
    """The application's service."""
    service: Service = request.app.state.service
    return service


async def caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Tenant:
    """Who calls.

    Raises:
        RefusedError: The service asks for keys, and this is none of them.
    """
    keys: Keys | None = request.app.state.keys
    if keys is None:
        return Tenant(None, admin=False)
    tenant = None if given is None else keys.tenant(given.credentials)
    if tenant is None:
        raise RefusedError(401, "Unauthorized", "a key is needed", hint="Authorization: Bearer KEY")
    return tenant


Called = Annotated[Service, Depends(service_of)]
By = Annotated[Tenant, Depends(caller)]
router = APIRouter()
v1 = APIRouter(prefix="/v1", dependencies=[Depends(caller)])


@v1.post("/recommend", responses=_problems(400, 401, 413, 422, 429, 503))
async def recommend(wanted: RecommendIn, request: Request, service: Called, tenant: By) -> RecommendOut:
    """Recommends items that the user does not know.

    Where the model is down, too slow or of no use, `degraded` says why and the items come in retrieval order.
    """
    return await while_called(request.receive, service.recommend(wanted, tenant, request.state.id))


@v1.post("/ground", responses=_problems(400, 401, 413, 422, 429))
async def ground(wanted: GroundIn, service: Called, tenant: By) -> GroundOut:
    """Finds the catalog's items in a text, without a model."""
    grounder = service.stock.recommender.grounder
    context = Context(candidates=wanted.candidates, history=wanted.history)
    try:
        with service.shares.one(tenant):
            async with service.desk.place():
                found = await asyncio.to_thread(
                    ground_answer, wanted.text, grounder, side=wanted.side, context=context
                )
    except ZsrecError as error:
        raise refusal(error) from error
    return GroundOut(
        items=tuple(item_ids(found)),
        mentions=tuple(
            MentionOut(text=one.mention.text, start=one.mention.start, end=one.mention.end, match=one.match)
            for one in found
        ),
    )


@v1.post("/feedback", responses=_problems(400, 401, 413, 422, 429))
async def feedback(given: FeedbackIn, service: Called, tenant: By) -> FeedbackOut:
    """Adds feedback to a history and gives it back; the service keeps nothing."""
    recommender = service.stock.recommender
    if len(given.history) + len(given.feedback) > service.options.max_history:
        raise RefusedError(
            422, "HistoryTooLong", "the history is too long", f"at most {service.options.max_history} events"
        )
    with service.shares.one(tenant):
        async with service.desk.place():
            known = await asyncio.to_thread(
                resolve_history, History(events=given.feedback), recommender.catalog, recommender.grounder
            )
    return FeedbackOut(
        history=as_history((*given.history, *given.feedback)).events,
        feedback=tuple(
            EventOut(event=one.event, item_id=None if one.item is None else one.item.id, why=one.why)
            for one in known
        ),
    )


@v1.get("/templates", responses=_problems(401))
async def templates(service: Called) -> list[TemplateOut]:
    """The templates that requests may name."""
    stock = service.stock
    return [
        TemplateOut(
            name=name,
            version=one.ref.version,
            task=one.task,
            ranker=one.ranker if one.task == "rank" else None,
            description=one.description,
            sha256=one.ref.sha256,
            default=one.ref.name == stock.recommender.template.ref.name,
        )
        for name, one in stock.templates.items()
    ]


@v1.post("/reload", responses=_problems(401, 403, 422))
async def reload(service: Called, tenant: By) -> ReloadOut:
    """Reads catalog and templates anew; if anything is wrong with them, what is served stays."""
    if not tenant.admin:
        raise RefusedError(403, "Forbidden", "only an admin's key may reload", hint="or send SIGHUP")
    try:
        stock: Stock = await service.reload()
    except ZsrecError as error:
        raise refusal(error) from error
    return ReloadOut(items=len(stock.recommender.catalog), templates=len(stock.templates))


@router.get("/healthz")
async def healthz() -> Health:
    """Says that the process is alive; asks nobody."""
    return Health()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Not ready."}})
async def readyz(service: Called, response: Response) -> Ready:
    """Says whether requests can be answered now: by the model, or in retrieval order."""
    stock = service.stock
    state = "breaker_open" if service.breaker.state == "open" else "ok"
    if state == "ok":
        try:
            await until(_HANDSHAKE, service.llm.handshake())
        except (LLMError, TimeoutError):
            state = "unreachable"
    ready = state == "ok" or stock.fallback is not None
    response.status_code = 200 if ready else 503
    return Ready.model_validate(
        {
            "ready": ready,
            "llm": state,
            "fallback": stock.fallback,
            "items": len(stock.recommender.catalog),
        }
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(service: Called) -> Response:
    """What Prometheus reads."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


_GONE = 499  # nginx's number for a caller that left; nobody reads it but the log and the metrics


def create_app(service: Service, keys: Keys | None = None) -> FastAPI:
    """The ASGI application of a service; it closes the service's client when it ends.

    Args:
        service: With its stock loaded.
        keys: Who may call; None asks for no key.
    """
    app = FastAPI(
        title="zsrec",
        version=version("zsrec"),
        summary="Zero-shot sequential recommendation, grounded in a catalog.",
        lifespan=_lifespan,
        docs_url=None,  # the pages load scripts from elsewhere; /openapi.json is there
        redoc_url=None,
    )
    app.state.service = service
    app.state.keys = keys
    app.add_middleware(Limits, max_body=service.options.max_body, door=service.door)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(FullError, _full)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(CallerGoneError, _gone)
    app.include_router(router)
    app.include_router(v1)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        with suppress(ZsrecError):  # it is in the log and the metrics; what is served stays
            await service.reload()

    def on_signal() -> None:
        task = asyncio.ensure_future(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_signal)
    log("started", items=len(service.stock.recommender.catalog), fallback=service.stock.fallback)
    yield
    await service.llm.aclose()
    log("stopped")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101  (registered for it)
    if error.problem.status == 429:
        request.app.state.service.metrics.refused.inc()
    return answer(error, request.state.id)


async def _full(request: Request, error: Exception) -> Response:
    assert isinstance(error, FullError)  # noqa: S101
    return await _refused(
        request, RefusedError(429, "Busy", "too many requests are waiting", retry_after=error.retry_after)
    )


async def _busy(request: Request, error: Exception) -> Response:  # noqa: ARG001
    seconds = request.app.state.service.queue.retry_after()
    return await _refused(
        request, RefusedError(429, "Busy", "too many requests are under way", retry_after=seconds)
    )


async def _invalid(request: Request, error: Exception) -> Response:
    """The first field that is wrong, without its value: it may be somebody's history."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return answer(RefusedError(400, "BadJson", "the body is no JSON"), request.state.id)
    place = ".".join(str(part) for part in first["loc"][1:4]) or "body"
    problem = RefusedError(422, "Invalid", "the request is wrong", f"{place[:80]}: {first['type']}",
                           hint="/openapi.json says what is expected")  # fmt: skip
    return answer(problem, request.state.id)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    response = answer(RefusedError(error.status_code, "Http", str(error.detail)), request.state.id)
    response.headers.update(error.headers or {})
    return response


async def _gone(request: Request, error: Exception) -> Response:  # noqa: ARG001
    request.app.state.service.metrics.left.inc()
    return Response(status_code=_GONE)
