"""Asking a server whether it is up, and which models it serves."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import urllib.request

# The server is on this machine: a proxy from the environment would be asked for its own loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def server_url(host: str, port: int) -> str:
    """The server's address for a client on this machine, without the `/v1`."""
    return f"http://{_bracketed(_reachable(host))}:{port}"


def is_healthy(host: str, port: int, *, timeout: float = 2.0) -> bool:
    """Whether `/health` answers 200 within `timeout` seconds."""
    try:
        with _OPENER.open(f"{server_url(host, port)}/health", timeout=timeout) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def served_models(host: str, port: int, *, timeout: float = 5.0) -> list[str]:
    """The names in `/v1/models`; [] where nothing answers or the answer is something else."""
    try:
        with _OPENER.open(f"{server_url(host, port)}/v1/models", timeout=timeout) as reply:
            return [str(entry["id"]) for entry in json.load(reply)["data"]]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        OSError: `host` is no address of this machine, or the port is reserved for root.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections that were just closed do not stop a server from listening, so they are no reason here.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  it is what we connect around


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
