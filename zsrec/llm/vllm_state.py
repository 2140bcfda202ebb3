"""The record of each embedded server that runs, and whether it answers."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import urllib.request
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from zsrec.core.files import Home, atomic_write, make_folder
from zsrec.llm.vllm_options import ServerOptions
from zsrec.llm.vllm_process import ProcessId

# The server is on this machine: a proxy from the environment would be asked for its own loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server that was started."""

    process: ProcessId
    host: str
    port: int
    name: str
    model: str | None
    engine: str
    max_model_len: int
    block_size: int
    extra_args: tuple[str, ...]
    since: str
    log: str
    program: str = ""  # the vLLM that was installed already; empty for an engine of zsrec's own

    @classmethod
    def of(
        cls, process: ProcessId, options: ServerOptions, engine: str, log: Path, *, program: str = ""
    ) -> ServerState:
        """The state of a server that was just started."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        requested = _requested(options)
        return cls(
            process, port=options.port, engine=engine, since=now, log=str(log), program=program, **requested
        )

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible base URL, with the `/v1`."""
        return f"{server_url(self.host, self.port)}/v1"

    def differences(self, options: ServerOptions) -> list[str]:
        """What the options ask for and this server is not, as "model is x, not y"; [] where it fits."""
        wanted = _requested(options) | ({} if options.engine == "auto" else {"engine": options.engine})
        return [
            f"{field} is {_shown(getattr(self, field))}, not {_shown(value)}"
            for field, value in wanted.items()
            if getattr(self, field) != value
        ]


def _requested(options: ServerOptions) -> dict[str, Any]:
    return {
        "model": options.resolved_model(),
        "name": options.served_name(),
        "host": options.host,
        "max_model_len": options.max_model_len,
        "block_size": options.block_size,
        "extra_args": options.extra_args,
    }


def _shown(value: object) -> str:
    return "the built-in one" if value is None else repr(value)


def write_state(home: Home, state: ServerState) -> None:
    """Write a server's state atomically."""
    path = home.state(state.port)
    make_folder(path.parent)
    with atomic_write(path, private=True, hint="check ZSREC_HOME") as file:
        file.write((json.dumps(asdict(state), indent=2) + "\n").encode())


def read_state(home: Home, port: int) -> ServerState | None:
    """The state of the server at `port`; None where there is none, or none that this version wrote."""
    try:
        raw = json.loads(home.state(port).read_text(encoding="utf-8"))
        process = ProcessId(**raw.pop("process"))
        return ServerState(process=process, **{**raw, "extra_args": tuple(raw["extra_args"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remove_state(home: Home, state: ServerState) -> None:
    """Forget a server, unless another has taken its port's file since."""
    if read_state(home, state.port) == state:
        home.state(state.port).unlink(missing_ok=True)


def known_ports(home: Home) -> list[int]:
    """The ports that have a state file, ascending."""
    return sorted(int(path.stem) for path in home.run.glob("*.json") if path.stem.isdecimal())


def server_url(host: str, port: int) -> str:
    """The server's address for a client on this machine, without the `/v1`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


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
    """Whether a server could listen there now."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections that were just closed do not stop a server from listening, so they do not count here.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
