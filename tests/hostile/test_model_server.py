"""A model server, or what stands in its place, that sends too much, too slowly, or nonsense; and proxies."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.faults.server import Script, ScriptedServer, answers, completion, fails, send
from tests.unit.serve_fakes import client as service_client
from tests.unit.serve_fakes import make
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Message
from zsrec.llm.client import OpenAIClient
from zsrec.llm.failures import quoted
from zsrec.llm.protocol import ChatRequest, Label, LabelSet
from zsrec.llm.transport import MOST_BYTES, environment_proxy

HISTORY = "1. Heat (1995)\n2. The Secret of Roan Inish (1994)\n3. Ronin (1998)"
LABELS = LabelSet(labels=(Label(text="A"), Label(text="B")), by="top_logprobs", most=5)


def chat(base_url: str, labels: LabelSet | None = None, **settings: object) -> Exchange:
    request = ChatRequest(messages=(Message(role="user", content=HISTORY),), labels=labels)

    async def run() -> Exchange:
        loaded = Settings.load(**{"base_url": base_url, "max_retries": 0, "model": "tiny", **settings})
        async with OpenAIClient(loaded) as llm:
            return await llm.chat(request)

    return asyncio.run(run())


# -- proxies ------------------------------------------------------------------------------------------


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """Something that takes connections, keeps what it is sent, and answers nothing of use."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    seen.append(connection.recv(65536))
                    connection.sendall(
                        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that ends in .test is this machine."""
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return real("127.0.0.1" if name.endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "HTTPS_PROXY",
        "NO_PROXY",
        "REQUEST_METHOD",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_a_history_does_not_leave_through_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with listener() as (port, seen):
        monkeypatch.delenv("HTTP_PROXY", raising=False)
        monkeypatch.setenv(variable, f"http://proxy.test:{port}")
        with pytest.raises(errors.LLMConnectionError) as caught:
            chat("http://model.test:9/v1", allow_hosts=("model.test",), api_key="planted-key")
    assert seen == []
    assert "proxy.test is not used" in str(caught.value.hint)
    assert "ZSREC_ALLOW_HOSTS" in str(caught.value.hint)


@pytest.mark.usefixtures("names")
def test_a_proxy_whose_host_is_allowed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as (port, seen):
        monkeypatch.setenv("HTTP_PROXY", f"http://proxy.test:{port}")
        with pytest.raises(errors.LLMServerError):
            chat("http://model.test:9/v1", allow_hosts=("model.test", "proxy.test"))
    assert seen
    assert seen[0].startswith(b"GET http://model.test:9/v1/models")


@pytest.mark.usefixtures("names")
def test_no_proxy_for_this_machine_or_where_no_proxy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert environment_proxy("http://127.0.0.1:8000/v1", ()) == (None, None)
    assert environment_proxy("http://model.test/v1", ("model.test",)) == ("http://127.0.0.1:9", None)
    monkeypatch.setenv("NO_PROXY", "model.test")
    assert environment_proxy("http://model.test/v1", ("model.test",)) == (None, None)


# -- time and size ------------------------------------------------------------------------------------


def slowly(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """A byte every twentieth of a second, for as long as somebody listens."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _count in range(2000):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def endlessly(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """A reply of 2.8 GB, if it is read."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(2_800_000_000))
    handler.end_headers()
    piece = b" " * 1_000_000
    for _count in range(2800):
        handler.wfile.write(piece)


def packed(handler: BaseHTTPRequestHandler, _: dict[str, Any], encoding: str = "gzip") -> None:
    """Half a gigabyte of blanks in half a megabyte."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Encoding", encoding)
    handler.send_header("Content-Length", str(len(BOMB)))
    handler.end_headers()
    handler.wfile.write(BOMB)


BOMB = gzip.compress(b" " * 500_000_000, compresslevel=9)


def test_the_time_limit_bounds_the_whole_reply() -> None:
    started = time.monotonic()
    with ScriptedServer(slowly) as server, pytest.raises(errors.LLMTimeoutError):
        chat(server.base_url, timeout=0.5)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("script", [endlessly, packed], ids=["plain", "gzip"])
def test_a_reply_that_is_too_large_is_given_up(script: Script) -> None:
    tracemalloc.start()
    try:
        with ScriptedServer(script) as server, pytest.raises(errors.BadReplyError, match="larger than 16 MiB"):
            chat(server.base_url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * MOST_BYTES
    assert len(server.requests) == 1  # it is not asked for again


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x-own"])
def test_a_reply_in_another_encoding_is_refused(encoding: str) -> None:
    with (
        ScriptedServer(lambda handler, body: packed(handler, body, encoding)) as server,
        pytest.raises(errors.BadReplyError, match="not asked for"),
    ):
        chat(server.base_url)


def test_a_compressed_reply_is_read() -> None:
    def compressed(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        raw = gzip.compress(json.dumps(completion("1. Up (2009)")).encode())
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    with ScriptedServer(compressed) as server:
        assert chat(server.base_url).answer == "1. Up (2009)"


# -- numbers ------------------------------------------------------------------------------------------


def with_usage(**usage: object) -> Script:
    body = completion("1. Up (2009)") | {"usage": usage}
    return lambda handler, _: send(handler, body)


ODD = [
    with_usage(prompt_tokens=2147483648),
    with_usage(prompt_tokens=-1),
    with_usage(completion_tokens=10**400),
    with_usage(completion_tokens="many"),
    with_usage(prompt_tokens=5, prompt_tokens_details={"cached_tokens": -7}),
]


@pytest.mark.parametrize("script", ODD)
def test_an_impossible_count_is_a_typed_error_that_names_it(script: Script) -> None:
    with ScriptedServer(script) as server, pytest.raises(errors.BadReplyError, match=r"usage\.\w+_tokens"):
        chat(server.base_url)


def with_logprob(value: object, second: object = -1.0) -> Script:
    body = completion("A", "length")
    top = [{"token": "A", "logprob": value}, {"token": "B", "logprob": second}]
    body["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    raw = json.dumps(body)
    return lambda handler, _: send(handler, raw)


@pytest.mark.parametrize("value", [1e308, 0.5, float("nan"), float("inf"), "high"])
def test_an_impossible_log_probability_is_a_typed_error(value: object) -> None:
    with ScriptedServer(with_logprob(value)) as server, pytest.raises(errors.BadReplyError):
        chat(server.base_url, labels=LABELS)


@pytest.mark.parametrize("missing", [None, float("-inf")])
def test_a_probability_of_zero_counts_as_not_reported(missing: object) -> None:
    with ScriptedServer(with_logprob(-0.5, missing)) as server:
        assert chat(server.base_url, labels=LABELS).label_logprobs == {"A": -0.5}


@pytest.mark.parametrize("port", [99999, 0, -1])
def test_an_impossible_port_is_a_setting_that_is_wrong(port: int) -> None:
    with pytest.raises(errors.ConfigError, match="not an http"):
        Settings.load(base_url=f"http://127.0.0.1:{port}/v1")


@pytest.mark.parametrize("script", ODD)
def test_the_service_answers_in_retrieval_order_and_never_500(tmp_path: Path, script: Script) -> None:
    with ScriptedServer(script) as server:
        llm = OpenAIClient(Settings.load(base_url=server.base_url, max_retries=0))
        with service_client(make(tmp_path, llm)) as http:
            reply = http.post("/v1/recommend", json={"history": ["Heat"], "k": 3})
            assert http.get("/metrics").status_code == 200
    assert reply.status_code == 200
    assert reply.json()["items"]


# -- what a server says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        f"invalid prompt: {HISTORY}",
        f"invalid prompt: {json.dumps(HISTORY)}",
        "invalid prompt: " + HISTORY.upper(),
        "invalid prompt: …ecret of Roan Inish (1994) and more",
    ],
)
def test_a_server_that_quotes_the_prompt_is_not_quoted(said: str) -> None:
    with ScriptedServer(fails(400, said)) as server, pytest.raises(errors.LLMRequestError) as caught:
        chat(server.base_url)
    assert "invalid prompt" in str(caught.value)
    assert "roan inish" not in str(caught.value).lower()


def test_a_quote_is_printable_short_and_without_personal_data() -> None:
    said = quoted("\x1b[31mred\x07 \u202egnp.exe ann@example.org " + "word " * 500)
    assert said.isprintable()
    assert len(said) <= 200
    assert "[email]" in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "engine dead"}, "engine dead"),
        ({"detail": "Not authorised for this"}, "Not authorised for this"),
        ({"detail": [{"loc": ["body", "n"], "msg": "too big", "type": "x"}]}, "body.n: too big"),
        ({"object": "error", "message": "no such adapter"}, "no such adapter"),
        ("plain words", "plain words"),
        ("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
    ],
)
def test_the_servers_own_words_reach_the_user(body: object, said: str) -> None:
    with (
        ScriptedServer(lambda handler, _: send(handler, body, status=418)) as server,
        pytest.raises(errors.LLMRequestError) as caught,
    ):
        chat(server.base_url)
    assert said in caught.value.message


def test_a_password_in_the_url_is_not_shown() -> None:
    with ScriptedServer(fails(400, "no")) as server, pytest.raises(errors.LLMRequestError) as caught:
        chat(server.base_url.replace("//", "//user:planted-password@"))
    assert "planted-password" not in str(caught.value)
    with pytest.raises(errors.ConfigError) as wrong:
        Settings.load(base_url="ftp://user:planted-password@host/v1")
    assert "planted-password" not in str(wrong.value)


def test_a_good_reply_is_still_read() -> None:
    with ScriptedServer(answers("1. Up (2009)")) as server:
        assert chat(server.base_url).answer == "1. Up (2009)"
