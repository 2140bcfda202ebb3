"""Looking at processes through Linux's /proc: who is it, is it still the same, what does it hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
