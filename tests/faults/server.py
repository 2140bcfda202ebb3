"""A scripted HTTP server: it answers chat completions with whatever fault a test asks for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


def completion(text: str | None, finish_reason: str = "stop") -> dict[str, Any]:
    """The body of a good chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "tiny",
        "choices": [
            {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def send(
    handler: BaseHTTPRequestHandler,
    body: object,
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(raw)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(raw)


def answers(text: str | None, finish_reason: str = "stop") -> Script:
    """A script that always answers `text`."""
    return lambda handler, _: send(handler, completion(text, finish_reason))


class ScriptedServer:
    """Runs one script a chat request in turn; the last one goes on for ever.

    `requests` holds the body of every chat request; `most_at_once` the most that were in work together. `listing`
    is the status and body of the list of models, instead of vLLM's.
    """

    def __init__(
        self,
        *scripts: Script,
        models: list[str] | None = None,
        context_length: int = 4096,
        owner: str = "vllm",
        listed: bool = True,
        path: str = "/v1/chat/completions",
        listing: tuple[int, object] | None = None,
    ) -> None:
        self.scripts = list(scripts)
        self._path = path.removesuffix("/chat/completions")
        self.models = ["tiny"] if models is None else models
        self.context_length = context_length
        self.count_tokens: Callable[[list[dict[str, str]]], int] | None = None
        self.tokenize: Callable[[dict[str, Any]], list[int]] | None = None
        self.requests: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_work = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each body waits 40 ms for the client's word about its headers

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                if listing is not None and self.path.partition("?")[0] == f"{outer._path}/models":
                    send(self, listing[1], status=listing[0])
                elif self.path == "/v1/models" and listed:
                    data = [
                        {"id": m, "object": "model", "owned_by": owner, "max_model_len": outer.context_length}
                        for m in outer.models
                    ]
                    send(self, {"object": "list", "data": data})
                else:
                    send(self, {"detail": "Not Found"}, status=404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/tokenize" and outer.count_tokens is not None:
                    send(self, {"count": outer.count_tokens(body["messages"])})
                elif self.path == "/tokenize" and outer.tokenize is not None:
                    tokens = outer.tokenize(body)
                    send(self, {"count": len(tokens), "tokens": tokens})
                elif self.path.partition("?")[0] == path:
                    outer._answer(self, body)
                else:
                    send(self, {"detail": "Not Found"}, status=404)

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # a burst of connections is no fault

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self._lock:
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            self.requests.append(body)
            self._at_work += 1
            self.most_at_once = max(self.most_at_once, self._at_work)
        try:
            script(handler, body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up, as a test wanted
        finally:
            with self._lock:
                self._at_work -= 1

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._path}"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def hang(seconds: float) -> Script:
    """A script that says nothing for `seconds`."""

    def script(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return script


def cut(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """A script that breaks the connection in the middle of the body."""
    raw = json.dumps(completion("1. Heat (1995)")).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw[: len(raw) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def fails(status: int, message: str = "no", **headers: str) -> Script:
    """A script that answers an HTTP error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _: send(
        handler, {"error": {"message": message, "type": "x", "code": status}}, status=status, headers=named
    )


def says(body: str, content_type: str = "application/json") -> Script:
    """A script that answers 200 with any text."""
    return lambda handler, _: send(handler, body, content_type=content_type)
