"""Limits of a connection, before any key is known: head and body time, head size, number of connections."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS = 10.0  # from the first byte, or from connecting, to the end of the headers
BODY_SECONDS = 30.0
MOST_URL = 4 * 1024  # bytes
MOST_HEAD = 16 * 1024
MOST_HEADERS = 100
MOST_CONNECTIONS = 4096
_SPARE_DESCRIPTORS = 64  # for files, the model's connections and the listening socket
_SLACK = 64 * 1024  # bytes of a message beside its body: chunk sizes and trailers


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with limits on what a client may send before it is answered.

    httptools itself keeps a URL or a header of any length. Where the connections are at their limit, the one that
    has waited longest without a complete request makes room: idle clients take nothing from others.
    """

    most_connections: ClassVar[int] = MOST_CONNECTIONS
    most_body: ClassVar[int] = 1024 * 1024
    waiting: ClassVar[dict[BoundedProtocol, None]]  # those without a complete request, the oldest first

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._until: float | None = None  # the end of the time for what is awaited, on the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._received = 0
        self._silent = True  # nothing came yet: a balancer or browser that connected in advance
        self._refusal = (400, "Invalid HTTP request received.")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            oldest = next(iter(self.waiting), None)
            if oldest is None:
                self._refuse(503, "Too many connections.")
                return
            oldest._drop()
        self._wait(HEAD_SECONDS)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._done_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser as long as the message has not exceeded its limits."""
        idle = self.cycle is None or self.cycle.response_complete
        if self._until is None and idle:  # after an answer on a connection that was kept
            self._wait(HEAD_SECONDS)
        self._received += len(data)
        self._silent = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._set_timer()
        if self._in_head and self._received > MOST_HEAD:
            too_long = not self.headers and len(getattr(self, "url", b"")) > MOST_URL
            self._refuse(*((414, "The URL is too long.") if too_long else (431, "The headers are too large.")))
        elif not self._in_head and self._received > self.most_body + MOST_HEAD + _SLACK:
            self._drop()

    def on_message_begin(self) -> None:
        """Start the time and size of a head."""
        super().on_message_begin()
        self._in_head, self._received = True, 0
        self._wait(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """Check a head that came at once, and start the time of the body."""
        size = sum(len(name) + len(value) for name, value in self.headers)
        if len(self.url) > MOST_URL:
            self._refusal = (414, "The URL is too long.")
        elif size > MOST_HEAD or len(self.headers) > MOST_HEADERS:
            self._refusal = (431, "The headers are too large.")
        if self._refusal[0] != 400:
            raise httptools.HttpParserError(self._refusal[1])  # `send_400_response` answers it
        self._in_head = False
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the time: from here on the service's own deadline counts."""
        self._done_waiting()
        self._in_head, self._received = True, 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close at once where a request has not come in full; others are finished."""
        if self._until is not None:
            self._drop()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's signature
        """Answer what cannot be parsed or was refused."""
        self._refuse(*self._refusal)

    def _wait(self, seconds: float) -> None:
        self._until = self.loop.time() + seconds
        self.waiting.setdefault(self)

    def _set_timer(self) -> None:
        """Set the timer, after all that came was read: most requests come in one piece and need none."""
        if self._until is None or (self._timer is not None and self._timer.when() == self._until):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._until, self._too_slow)

    def _done_waiting(self) -> None:
        self.waiting.pop(self, None)
        self._until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self._silent:
            self._drop()
        else:
            self._refuse(408, "The request took too long.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close; nothing is logged, since a client that is refused can come again at once."""
        self._done_waiting()
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started:
            head = b"content-type: text/plain\r\nconnection: close\r\ncontent-length: "
            body = message.encode()
            self.transport.write(STATUS_LINE[status] + head + str(len(body)).encode() + b"\r\n\r\n" + body)
        self.transport.close()

    def _drop(self) -> None:
        self._done_waiting()
        self.transport.abort()


def bounded_protocol(most_body: int) -> type[BoundedProtocol]:
    """The protocol for one service, with as many connections as the process may have descriptors."""
    most = min(MOST_CONNECTIONS, max(8, _descriptors() - _SPARE_DESCRIPTORS))
    fields = {"most_connections": most, "most_body": most_body, "waiting": {}}
    return type("ServiceProtocol", (BoundedProtocol,), fields)


def _descriptors() -> int:
    """The process's bound on open files, raised as far as the system allows."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return soft
