"""The playground's web application: one page that other sites cannot reach; nothing typed is stored or logged."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from fastapi import FastAPI
from nicegui import ui
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import zsrec
from zsrec.core.errors import ConfigError
from zsrec.core.settings import is_loopback
from zsrec.playground.page import Page
from zsrec.playground.state import Workshop

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_CLOSED = 1008  # a web socket's "policy violation"

# NiceGUI's pages start with scripts of their own in the page and evaluate handlers; nothing comes from elsewhere.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def check_exposure(host: str, names: Iterable[str]) -> frozenset[str]:
    """The host names that requests may have: this machine's, and `names` for the browsers of other machines."""
    given = frozenset(name.strip().lower() for name in names if name.strip())
    if not is_loopback(host) and not given:
        raise ConfigError(
            f"the playground has no password, and {host!r} is not this machine alone",
            hint="leave --host out; or name the host that browsers will use, for example --expose my-box",
        )
    return LOCAL | given | ({host.lower()} if is_loopback(host) else frozenset())


class Guard:
    """The outermost ASGI middleware: refuses other hosts and origins, and limits what a page may load."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or web socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        why = self.refusal(Headers(scope=scope), secure=scope.get("scheme") in ("https", "wss"))
        if why is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _CLOSED, "reason": why})
        else:
            await PlainTextResponse(why + "\n", status_code=403)(scope, receive, send)

    def refusal(self, headers: Headers, *, secure: bool = False) -> str | None:
        """Why a request is refused, or None; `secure` says that it came over TLS."""
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in self._hosts:
            return "this is not one of the playground's host names: open it as http://127.0.0.1"
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{'https' if secure else 'http'}://{host}".lower():
            return "requests from other sites are refused"
        site, navigates = headers.get("sec-fetch-site"), headers.get("sec-fetch-dest") == "document"
        if site in ("cross-site", "same-site") and not navigates:
            return "requests from other sites are refused"
        return None


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_HEADERS]
        await send(message)

    return sent


_RECONNECT = 60.0  # seconds for which a tab that lost its connection keeps its state


def create_app(workshop: Workshop, hosts: frozenset[str]) -> ASGIApp:
    """The ASGI application; one per process, since NiceGUI's pages are global. For `hosts` see `Guard`."""
    redact_log()

    @ui.page("/")
    async def index() -> None:
        page = Page(workshop)
        await ui.context.client.connected(timeout=_RECONNECT)
        await page.connected()

    app = FastAPI(
        title="zsrec playground", version=zsrec.__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    ui.run_with(
        app,
        title="zsrec playground",
        favicon="🎬",
        language="en-US",
        reconnect_timeout=_RECONNECT,
        tailwind=False,
        show_welcome_message=False,
    )
    return Guard(app, hosts)


def redact_log() -> None:
    """Keep what a person typed out of the log: of an unexpected error only its type and place are written."""
    logging.getLogger("nicegui").addFilter(_type_and_place)  # adding it twice adds it once


def _type_and_place(record: logging.LogRecord) -> bool:
    """A log filter that rewrites errors and lets every record pass."""
    error = record.msg if isinstance(record.msg, BaseException) else None
    error = error or (record.exc_info[1] if record.exc_info else None)
    if error is not None:
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else ""
        record.msg, record.args = f"an error in the playground: {type(error).__name__}{place}", ()
        record.exc_info, record.exc_text = None, None
    return True
