"""The HTTP connection to a model server: bounded in time and bytes, and through no proxy that is not allowed."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from zsrec.core.errors import ClosedError, ConfigError
from zsrec.core.settings import is_allowed_host, is_loopback

MOST_BYTES = 16 * 1024 * 1024  # of a reply after decompression: thousands of times an answer's size
_ENCODINGS = {"", "identity", "gzip", "deflate"}  # httpx2 decompresses these in bounded pieces
_CONNECTIONS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)


class BoundedClient(httpx2.AsyncClient):
    """An HTTP client whose requests end after `seconds`, and whose replies after `MOST_BYTES`.

    A reply that is too large or in another encoding becomes an error body in the OpenAI format, so that nobody
    takes a part for the whole and the request is not sent again. Redirects are not followed.

    Attributes:
        unreachable: Whether the newest attempt to connect failed; the openai package may be about to try again.
    """

    unreachable = False

    def __init__(self, seconds: float, *, proxy: str | None, **options: Any) -> None:  # noqa: ANN401
        try:
            super().__init__(
                timeout=seconds,
                limits=_CONNECTIONS,
                follow_redirects=False,
                proxy=proxy,
                trust_env=False,  # it would take proxies from the environment; SSL_CERT_FILE is read below
                verify=httpx2.create_ssl_context(trust_env=True),
                **options,
            )
        except (ValueError, ImportError) as error:
            raise ConfigError(
                "the proxy of the environment cannot be used",
                hint="correct or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY",
            ) from error
        self._seconds = seconds
        self.headers["Accept-Encoding"] = "gzip, deflate"

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send a request and read its whole reply; `ClosedError` after `aclose`."""
        if self.is_closed:
            raise ClosedError(
                "the connections to the model's server are closed",
                hint="ask inside the `with` block, before close(), or make a new recommender; "
                "recommenders derived by with_…() share the connections",
            )
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    response = await super().send(request, **{**options, "stream": True})
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    self.unreachable = True
                    raise
                self.unreachable = False
                try:
                    if _says_its_size(response):
                        await response.aread()
                        return response
                    content = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise httpx2.ReadTimeout("the reply took too long", request=request) from error
        framing = {"content-encoding", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in framing]
        return httpx2.Response(
            response.status_code, headers=headers, content=content, request=request, extensions=response.extensions
        )


def _says_its_size(response: httpx2.Response) -> bool:
    """Whether a reply is as large as its head says, and not too large; nothing has to be counted then."""
    headers = response.headers
    size = headers.get("content-length", "")
    if "content-encoding" in headers or "transfer-encoding" in headers:
        return False
    return size.isdecimal() and len(size) <= len(str(MOST_BYTES)) and int(size) <= MOST_BYTES


async def _read(response: httpx2.Response) -> bytes:
    if response.headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
        return _refused("is compressed in a way that was not asked for")
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            return _refused(f"is larger than {MOST_BYTES // 1024**2} MiB")
    return bytes(content)


def _refused(why: str) -> bytes:
    return json.dumps({"error": {"message": f"the reply {why}", "type": "reply_refused"}}).encode()


def environment_proxy(base_url: str, allow_hosts: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The environment's proxy for a URL, and the host of one that is not used because it is not allowed.

    A proxy sees every prompt that is sent over http, so its host has to be allowed like the server's own.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None, None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None, None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        proxy_host = urlsplit(proxy).hostname or ""
    except ValueError:
        proxy_host = ""
    return (proxy, None) if is_allowed_host(proxy_host, allow_hosts) else (None, proxy_host or "unreadable")
