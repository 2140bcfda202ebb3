"""Who is let in to the playground."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from typer.testing import CliRunner

from zsrec.cli import app
from zsrec.core.errors import ConfigError
from zsrec.playground.app import LOCAL, Guard, check_exposure


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


GUARD = Guard(_nothing, LOCAL)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8400"},
        {"host": "localhost:8400", "origin": "http://localhost:8400"},
        {"host": "[::1]:8400", "origin": "http://[::1]:8400", "sec-fetch-site": "same-origin"},
        {"host": "127.0.0.1:8400", "sec-fetch-site": "cross-site", "sec-fetch-dest": "document"},  # a link
    ],
)
def test_its_own_pages_are_let_in(headers: dict[str, str]) -> None:
    assert GUARD.refusal(Headers(headers)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "rebound.example:8400"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.example#127.0.0.1"},
        {"host": "[::1"},
        {"host": "127.0.0.1:8400", "origin": "http://evil.example"},
        {"host": "127.0.0.1:8400", "origin": "http://127.0.0.1:9000"},
        {"host": "127.0.0.1:8400", "origin": "null"},
        {"host": "127.0.0.1:8400", "origin": "https://127.0.0.1:8400"},
        {"host": "127.0.0.1:8400", "sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"},
        {"host": "127.0.0.1:8400", "sec-fetch-site": "same-site", "sec-fetch-dest": "script"},
    ],
)
def test_others_are_refused(headers: dict[str, str]) -> None:
    assert GUARD.refusal(Headers(headers)) is not None


def _sent(scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(GUARD(scope, receive, send))
    return sent


def test_a_web_socket_of_another_site_is_closed() -> None:
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "headers": [(b"host", b"127.0.0.1"), (b"origin", b"http://x.example")],
    }
    assert [message["type"] for message in _sent(scope)] == ["websocket.close"]


def test_pages_may_load_nothing_from_elsewhere_nor_be_framed() -> None:
    scope = {"type": "http", "scheme": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1")]}
    headers = dict(_sent(scope)[0]["headers"])
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    refused = _sent({**scope, "headers": [(b"host", b"evil.example")]})
    assert refused[0]["status"] == 403


def test_other_machines_are_let_in_only_when_asked_for() -> None:
    assert check_exposure("127.0.0.1", ()) == LOCAL
    assert check_exposure("0.0.0.0", ["My-Box"]) == LOCAL | {"my-box"}
    with pytest.raises(ConfigError, match="no password"):
        check_exposure("0.0.0.0", ())


def test_the_command_refuses_an_open_host_and_two_catalogs() -> None:
    pytest.importorskip("nicegui", reason="the extra 'playground' is not installed")
    refused = CliRunner().invoke(app, ["playground", "--host", "0.0.0.0"])
    assert isinstance(refused.exception, ConfigError)
    twice = CliRunner().invoke(app, ["playground", "--data", "x", "--catalog", "y.csv"])
    assert isinstance(twice.exception, ConfigError)
    assert "two catalogs" in str(twice.exception)
