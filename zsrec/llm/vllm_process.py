"""Processes of an embedded server: start, identify and end them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from zsrec.core.errors import ServerError
from zsrec.core.untrusted_text import printable
from zsrec.llm.vllm_install import quoted_tail, tail

_TERM_GRACE = 15.0  # seconds between SIGTERM and SIGKILL
_KILL_GRACE = 90.0  # seconds for the kernel to clear a killed group away; seen: over 35 s at a load of 15
_TICK = 0.1  # seconds between two looks

# Servers that this very process started: only their parent can collect their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start: int
    boot: str


def boot_id() -> str:
    """The id of the running boot; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(pid: int) -> ProcessId | None:
    """The identity of a living process; None where there is none or only its exit status is left."""
    try:
        process = psutil.Process(pid)
        # A zombie whose other threads still wind down (up to a minute on a busy machine) holds its memory: alive.
        if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD} and process.num_threads() <= 1:
            return None
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return ProcessId(pid, int(fields[19]), boot_id())
    except (psutil.Error, OSError):
        return None


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def session_members(process: ProcessId, folder: Path) -> list[int]:
    """The living processes of a server's session, even where its leader is gone.

    Once the leader is gone, its number may belong to a stranger: then only processes that work in `folder`, the
    servers' working directory, count.
    """
    if process.boot != boot_id():
        return []
    leader = identify(process.pid)
    if leader is not None and leader != process:
        return []
    return [
        pid
        for pid in psutil.pids()
        if _session(pid) == process.pid
        and identify(pid) is not None
        and (leader is not None or _works_in(pid, folder))
    ]


def leaders_in(folder: Path, *arguments: str) -> list[ProcessId]:
    """The session leaders that work in `folder` with these adjacent arguments: servers that no record names."""
    found = []
    for pid in psutil.pids():
        if _session(pid) != pid or not _works_in(pid, folder):
            continue
        with suppress(psutil.Error):
            command = psutil.Process(pid).cmdline()
            starts = range(len(command) - len(arguments) + 1)
            if any(tuple(command[at : at + len(arguments)]) == arguments for at in starts):
                found.append(identify(pid))
    return [one for one in found if one is not None]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(psutil.Process(pid).cwd()) == folder.resolve()
    except (psutil.Error, OSError):
        return False


def resident_bytes(pids: list[int]) -> int:
    """The memory that processes hold, in bytes; shared pages count once for each."""
    total = 0
    for pid in pids:
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total


def port_owner(port: int) -> str | None:
    """Who listens at a TCP port, as "pid 12 (python -m http.server)"; None where that cannot be seen."""
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.pid and one.laddr and one.laddr.port == port:
                return f"pid {one.pid} ({_command_line(one.pid)})"
    return None


def _command_line(pid: int, longest: int = 80) -> str:
    try:
        text = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return "?"
    shown = printable(text, "?")
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def start(command: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]) -> ProcessId:
    """Start a program in a session of its own and return at once; its output replaces `log`."""
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(  # noqa: S603  a list, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"cannot run {command[0]}: {error.strerror}", log=log) from error
    _children[child.pid] = child
    process = identify(child.pid)
    if process is None:
        raise ended(child.pid, log)
    return process


def stop(process: ProcessId, folder: Path, *, grace: float = _TERM_GRACE) -> None:
    """End a server with all its processes: SIGTERM, and SIGKILL for what is left after `grace` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_GRACE)):
        if not _signalled(process, folder, number) or _gone(process, folder, seconds):
            break
    else:
        raise ServerError(
            f"processes {session_members(process, folder)} of the server with pid {process.pid} do not end",
            hint="look at them with ps; they may hang in the kernel",
        )
    _exit_status(process.pid)


def _signalled(process: ProcessId, folder: Path, number: signal.Signals) -> bool:
    members = session_members(process, folder)
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(members)


def _gone(process: ProcessId, folder: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while session_members(process, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def _exit_status(pid: int) -> int | None:
    child = _children.pop(pid, None)
    return None if child is None else child.wait()


def ended(pid: int, log: Path) -> ServerError:
    """The error for a server that ended while it started, with the end of its log and what to do."""
    status = _exit_status(pid)
    how = "ended" if status is None else f"ended with exit status {status}"
    return ServerError(
        f"the server {how} while it started; {quoted_tail(log)}\n", hint=hint_for(status, log), log=log
    )


_MEMORY = "memory ran out: a smaller model, VLLM_CPU_KVCACHE_SPACE=1, or a shorter --max-model-len"
_HUB = "the model could not be fetched from the hub: check its id, your access and the network"

# What the log of a failed start says, in lower case, and what to do; the first match is shown.
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


def hint_for(status: int | None, log: Path) -> str:
    """What to do, from the exit status and the log of a failed start."""
    if status == -signal.SIGKILL:
        return _MEMORY
    text = "\n".join(tail(log, 200)).lower()
    matching = (hint for sign, hint in _HINTS.items() if sign in text)
    return next(matching, "read the log; `zsrec model up` again starts afresh")


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does.

    Without effect outside the main thread, where Python cannot set signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # An ignored SIGHUP stays ignored: that is what nohup asks for. (Windows has none.)
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
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
