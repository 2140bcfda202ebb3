"""The application: the service behind its routes."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from zsrec.errors import ZsrecError
from zsrec.serve.deadline import CallerGoneError
from zsrec.serve.keys import Keys
from zsrec.serve.limits import BusyError, Limits, answer
from zsrec.serve.logs import log
from zsrec.serve.problems import RefusedError
from zsrec.serve.queue import FullError
from zsrec.serve.routes import router, v1
from zsrec.serve.service import Service

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
