"""The middleware around the application."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zsrec.serving.admission import Capacity
from zsrec.serving.observability import Metrics, log, log_failure
from zsrec.serving.problem_details import RefusedError

CALLER_GONE = 499  # nginx's status for a caller that left; only the log and the metrics show it


class BusyError(HTTPException):
    """The service is full. An HTTPException: FastAPI turns any other error while it reads a body into a 400."""

    def __init__(self) -> None:
        super().__init__(429)


_HOST_HINT = "the operator can allow it: zsrec serve --allow-host NAME"


class Limits:
    """The outermost ASGI middleware: limits, the request's id, its log line, and 500 for faults of ours."""

    def __init__(
        self, app: ASGIApp, max_body: int, capacity: Capacity, allow_hosts: Collection[str] | None = None
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._capacity = capacity
        self._allow_hosts = allow_hosts

    def _answers_to(self, scope: Scope) -> bool:
        named = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
        return self._allow_hosts is None or (len(named) == 1 and _host_name(named[0]) in self._allow_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
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
                raise HTTPException(413, f"the body is larger than {self._max_body} bytes")
            if message["type"] == "http.request" and not message.get("more_body") and not inside:
                inside = self._capacity.acquire()
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
            if not self._answers_to(scope):
                problem = RefusedError(421, "UnknownHost", "this name is not answered", hint=_HOST_HINT)
                await problem_response(problem, request_id)(scope, receive, noted)
                return
            await self._app(scope, counted, noted)
        except ClientDisconnect:
            status = status or CALLER_GONE
        except Exception as error:  # noqa: BLE001  (the last stop: its message may quote the request)
            log_failure("failed", error, request_id=request_id)
            if not status:
                problem = RefusedError(500, "Internal", "this is a fault of the service")
                await problem_response(problem, request_id)(scope, receive, noted)
        finally:
            if inside:
                self._capacity.release()
            metrics: Metrics = scope["app"].state.service.metrics
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            metrics.requests.labels(route, str(status)).inc()
            metrics.seconds.labels(route).observe(seconds)
            if route not in {"/healthz", "/readyz", "/metrics"}:
                log("request", request_id=request_id, route=route, status=status, seconds=round(seconds, 4))


def _host_name(value: str) -> str:
    """The name in a Host header, without the port."""
    name = value.lower().strip()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def problem_response(refused: RefusedError, request_id: str | None) -> JSONResponse:
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
