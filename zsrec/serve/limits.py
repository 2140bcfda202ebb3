"""What surrounds every request: its id, the bound on its body, room for it, and that no error escapes untold."""

from __future__ import annotations

import secrets
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zsrec.serve.door import Door
from zsrec.serve.logs import log, log_failure
from zsrec.serve.metrics import Metrics
from zsrec.serve.problems import RefusedError


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
