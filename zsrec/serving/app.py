"""The FastAPI application: routes, error answers and the life of the service."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from json import JSONDecodeError
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

import zsrec
from zsrec.core.errors import LLMError, ZsrecError
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.recommender.loader import Stock
from zsrec.serving import lookups
from zsrec.serving.admission import CallerGoneError, while_connected
from zsrec.serving.auth import Keys, Tenant
from zsrec.serving.docs_page import POLICY, docs_page
from zsrec.serving.middleware import CALLER_GONE, BusyError, Limits, problem_response
from zsrec.serving.observability import log
from zsrec.serving.problem_details import RefusedError, invalid, refusal
from zsrec.serving.schemas import (
    FeedbackIn,
    FeedbackOut,
    GroundIn,
    GroundOut,
    Health,
    Problem,
    Ready,
    RecommendIn,
    RecommendOut,
    ReloadOut,
    TemplateOut,
)
from zsrec.serving.service import Service

_HANDSHAKE_SECONDS = 2.0
router = APIRouter()


def create_app(service: Service, keys: Keys | None = None, allow_hosts: Collection[str] | None = None) -> FastAPI:
    """The ASGI application of a service; it closes the service's client when it ends."""
    app = FastAPI(
        title="zsrec",
        version=zsrec.__version__,
        summary="Zero-shot sequential recommendation, grounded in a catalog.",
        lifespan=_lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; /docs is our own
        redoc_url=None,
    )
    app.state.service = service
    app.state.docs = None
    service.keys = keys
    hosts = None if allow_hosts is None else frozenset(host.lower() for host in allow_hosts)
    app.add_middleware(Limits, max_body=service.options.max_body, capacity=service.capacity, allow_hosts=hosts)
    for kind, handler in (
        (RefusedError, _refused),
        (BusyError, _busy),
        (RequestValidationError, _invalid),
        (HTTPException, _http),
        (CallerGoneError, _gone),
    ):
        app.add_exception_handler(kind, handler)
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
    service.log_start()
    yield
    await service.llm.aclose()
    log("stopped")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    what = {
        400: "The body is not JSON.",
        401: "No key, or an unknown one.",
        403: "The key is not an admin's.",
        413: "The body is too large.",
        422: "The request is wrong.",
        429: "The queue is full, or the key has too many requests under way; see Retry-After.",
        503: "Neither the model nor anything else gives an order.",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": what[status], "content": schema, "model": Problem} for status in statuses}


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _tenant(request: Request) -> Tenant:
    tenant: Tenant = request.state.tenant
    return tenant


class _Caller(HTTPBearer):
    """Notes in the request's state who calls.

    One dependency of every route under /v1: each further one would cost a request 0.05 ms.
    """

    async def __call__(self, request: Request) -> None:  # type: ignore[override]
        """Raise `RefusedError` (401) where a key is needed and none that is known was given."""
        keys: Keys | None = _service(request).keys
        tenant: Tenant | None = Tenant(None, admin=False)
        if keys is not None:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            tenant = keys.tenant(key.strip()) if scheme.lower() == "bearer" else None
        if tenant is None:
            raise RefusedError(401, "Unauthorized", "a key is needed", hint="Authorization: Bearer KEY")
        request.state.tenant = tenant


_caller = _Caller(scheme_name="HTTPBearer", description="A key of the file given as --keys.")


class _Body(Request):
    """A request in whose body no object has a key twice: of one history in two parts, half would be lost."""

    async def json(self) -> Any:  # noqa: ANN401
        try:
            return read_json(await self.body())
        except DuplicateKeyError:  # without the key, which may be anything
            raise JSONDecodeError("an object has a key twice", "", 0) from None


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_Body(request.scope, request.receive))

        return handle


v1 = APIRouter(prefix="/v1", dependencies=[Depends(_caller)], route_class=_Route)


@v1.post("/recommend", responses=_problems(400, 401, 413, 422, 429, 503))
async def recommend(wanted: RecommendIn, request: Request) -> RecommendOut:
    """Recommend items that the user does not know.

    Where the model is down, too slow or unusable, `degraded` says why and the items come in retrieval order.
    """
    work = _service(request).recommend(wanted, _tenant(request), request.state.id)
    return await while_connected(request.receive, work)


@v1.post("/ground", responses=_problems(400, 401, 413, 422, 429))
async def ground(wanted: GroundIn, request: Request) -> GroundOut:
    """Find the catalog's items in a text, without a model."""
    return await lookups.ground(_service(request), wanted, _tenant(request))


@v1.post("/feedback", responses=_problems(400, 401, 413, 422, 429))
async def feedback(given: FeedbackIn, request: Request) -> FeedbackOut:
    """Add feedback to a history and return it; with `user`, add it to the history that the service keeps."""
    return await lookups.feedback(_service(request), given, _tenant(request))


@v1.get("/templates", responses=_problems(401))
async def templates(request: Request) -> list[TemplateOut]:
    """The templates that requests may name."""
    stock = _service(request).stock
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
async def reload(request: Request) -> ReloadOut:
    """Read catalog and templates anew; if anything is wrong with them, what is served stays."""
    if not _tenant(request).admin:
        raise RefusedError(403, "Forbidden", "only an admin's key may reload", hint="or send SIGHUP")
    try:
        stock: Stock = await _service(request).reload()
    except ZsrecError as error:
        raise refusal(error) from error
    return ReloadOut(items=len(stock.recommender.catalog), templates=len(stock.templates))


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process is alive; asks nobody."""
    return Health()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Not ready."}})
async def readyz(request: Request, response: Response) -> Ready:
    """Whether requests can be answered now: by the model, or in retrieval order."""
    service = _service(request)
    stock = service.stock
    state = "breaker_open" if service.breaker.state == "open" else "ok"
    if state == "ok":
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                await service.llm.handshake()
        except (LLMError, TimeoutError):
            state = "unreachable"
    ready = state == "ok" or stock.fallback is not None
    response.status_code = 200 if ready else 503
    items = len(stock.recommender.catalog)
    return Ready.model_validate({"ready": ready, "llm": state, "fallback": stock.fallback, "items": items})


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The metrics, for Prometheus."""
    return Response(_service(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The routes as a page; as open as /openapi.json, since a browser sends no key."""
    app: FastAPI = request.app
    if app.state.docs is None:
        app.state.docs = docs_page(app.openapi())
    return Response(app.state.docs, media_type="text/html", headers={"Content-Security-Policy": POLICY})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101  (registered for it)
    if error.problem.status == 429:
        _service(request).metrics.refused.inc()
    return problem_response(error, request.state.id)


async def _busy(request: Request, error: Exception) -> Response:  # noqa: ARG001
    seconds = _service(request).queue.retry_after()
    refused = RefusedError(429, "Busy", "too many requests are under way", retry_after=seconds)
    return await _refused(request, refused)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    refused = invalid(error.errors(), request.url.path.removeprefix("/v1/"), "/docs")
    return problem_response(refused, request.state.id)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    hint = "/docs lists the routes" if error.status_code in (404, 405) else None
    refused = RefusedError(error.status_code, "Http", str(error.detail), hint=hint)
    response = problem_response(refused, request.state.id)
    response.headers.update(error.headers or {})
    return response


async def _gone(request: Request, error: Exception) -> Response:  # noqa: ARG001
    _service(request).metrics.left.inc()
    return Response(status_code=CALLER_GONE)
