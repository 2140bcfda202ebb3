"""What zsrec remembers about a server that it started: one JSON file per port."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from zsrec.server.health import server_url
from zsrec.server.options import ServerOptions
from zsrec.server.paths import Home, make_folder
from zsrec.server.proc import ProcessId


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server that was started.

    Attributes:
        process: The server's leading process.
        host: The address that it listens at.
        port: Its port.
        name: The name that requests use.
        model: The folder or hub id; None for the built-in model.
        engine: The name of its engine's recipe.
        max_model_len: The longest prompt plus answer, in tokens.
        block_size: Tokens per block of the prefix cache.
        extra_args: Further arguments of vLLM's server.
        since: When it was started, ISO 8601 with time zone.
        log: The path of its log.
    """

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

    @classmethod
    def of(cls, process: ProcessId, options: ServerOptions, engine: str, log: Path) -> ServerState:
        """The state of a server that was just started."""
        return cls(
            process=process,
            host=options.host,
            port=options.port,
            name=options.served_name(),
            model=options.resolved_model(),
            engine=engine,
            max_model_len=options.max_model_len,
            block_size=options.block_size,
            extra_args=options.extra_args,
            since=datetime.now().astimezone().isoformat(timespec="seconds"),
            log=str(log),
        )

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible base URL, with the `/v1`."""
        return f"{server_url(self.host, self.port)}/v1"

    def differences(self, options: ServerOptions) -> list[str]:
        """What the caller asks for and this server is not, as "model is x, not y"; [] where it fits."""
        wanted: dict[str, Any] = {
            "model": options.resolved_model(),
            "name": options.served_name(),
            "host": options.host,
            "max_model_len": options.max_model_len,
            "block_size": options.block_size,
            "extra_args": options.extra_args,
        }
        if options.engine != "auto":
            wanted["engine"] = options.engine
        return [
            f"{field} is {_shown(getattr(self, field))}, not {_shown(value)}"
            for field, value in wanted.items()
            if getattr(self, field) != value
        ]


def _shown(value: object) -> str:
    return "the built-in one" if value is None else repr(value)


def write_state(home: Home, state: ServerState) -> None:
    """Writes a server's state in one move, so that no reader sees half of it."""
    path = home.state(state.port)
    make_folder(path.parent)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read_state(home: Home, port: int) -> ServerState | None:
    """The state of the server at `port`; None where there is none, or none that this version wrote."""
    try:
        raw = json.loads(home.state(port).read_text(encoding="utf-8"))
        process = ProcessId(**raw.pop("process"))
        return ServerState(process=process, **{**raw, "extra_args": tuple(raw["extra_args"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remove_state(home: Home, state: ServerState) -> None:
    """Forgets a server, unless another has taken its port's file since."""
    if read_state(home, state.port) == state:
        home.state(state.port).unlink(missing_ok=True)


def known_ports(home: Home) -> list[int]:
    """The ports that have a state file, ascending."""
    return sorted(int(path.stem) for path in home.run.glob("*.json") if path.stem.isdecimal())
