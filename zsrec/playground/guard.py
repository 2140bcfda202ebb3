"""Who may talk to the playground: pages of its own, under the names that it is known by, and nobody else.

The page needs no password, so a web site must not be able to reach it through the reader's browser: neither under
a name of its own that resolves to this machine (DNS rebinding, told by `Host`) nor by requests and web sockets
from its pages (told by `Origin` and `Sec-Fetch-Site`). Programs on this machine that send no `Origin` are let in:
they could ask the model server itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zsrec.errors import ConfigError
from zsrec.settings import is_loopback

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
    """The host names that requests may carry.

    Args:
        host: Where the playground will listen.
        names: Under which other machines' browsers may reach it; asked for explicitly.

    Raises:
        ConfigError: `host` is not this machine alone, and no name was given.
    """
    given = frozenset(name.strip().lower() for name in names if name.strip())
    if not is_loopback(host) and not given:
        raise ConfigError(
            f"the playground has no password, and {host!r} is not this machine alone",
            hint="leave --host out; or name the host that browsers will use, for example --expose my-box",
        )
    return LOCAL | given | ({host.lower()} if is_loopback(host) else frozenset())


class Guard:
    """ASGI middleware, the outermost: refuses foreign hosts and origins, and says what a page may load.

    Args:
        app: What it guards.
        hosts: The host names that requests may carry, without a port; see `check_exposure`.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or web socket."""
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
        """Why a request is refused; None where it is let in.

        Args:
            headers: The request's.
            secure: Whether it came over TLS.
        """
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in self._hosts:
            return "this host name is not one of the playground's: open it as http://127.0.0.1"
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
