"""Atomic file writes, file locks, and zsrec's own folder."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import platformdirs

from zsrec.core.errors import ConfigError, DataError, ServerError, ZsrecError

HOME_VARIABLE = "ZSREC_HOME"

_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.EACCES)  # file systems on which a folder cannot be synced


@contextmanager
def atomic_write(
    path: Path, *, part: Path | None = None, private: bool = False, hint: str = "check --out"
) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces `path` only once all of it is on the disk.

    The data is synced, then renamed over `path`, then the folder is synced: a reader of `path` gets all of the old
    file or all of the new one, also after a loss of power. Where the block raises, `path` stays as it is.
    """
    part = part or path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        # O_EXCL: never write into a file or link that someone else put there meanwhile.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        opened = os.open(part, flags, 0o600 if private else 0o666)
        try:
            with os.fdopen(opened, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except Exception:
            part.unlink(missing_ok=True)
            raise
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}", hint=hint) from error


def _sync(folder: Path) -> None:
    if sys.platform == "win32":  # folders cannot be opened there
        return
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


@contextmanager
def file_lock(
    path: Path, *, timeout: float = 0.0, waiting: Callable[[], None] | None = None, held: ZsrecError | None = None
) -> Iterator[None]:
    """Hold the lock file at `path`; the system releases it when the holder dies."""
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if timeout <= 0:
                raise
            if waiting is not None:
                waiting()
            lock.acquire(timeout=timeout, poll_interval=0.1)
    except Timeout:
        raise held or ServerError(
            f"another zsrec process has held {path} for more than {timeout:.0f} s",
            hint="wait for it, or end it, then try again",
        ) from None
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> Path:
    """Create a folder with its parents, readable by its owner only, and return it."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(
            f"cannot create the folder {path}: {error.strerror}",
            hint=f"set {HOME_VARIABLE} to a folder that you can write to",
        ) from error
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from error


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that zsrec keeps for itself: engines, models, data sets, logs; made when first needed."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """Return the folder named by `ZSREC_HOME`, else the platform's cache folder for zsrec."""
        named = os.environ.get(HOME_VARIABLE, "").strip()
        root = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("zsrec"))
        return cls(root.absolute())

    def engine(self, name: str, version: str) -> Path:
        """Return the virtual environment of one engine."""
        return self.root / "engines" / f"{name}-{version}"

    def model(self, name: str) -> Path:
        """Return the folder of a model that zsrec fetched itself."""
        return self.root / "models" / name

    @property
    def run(self) -> Path:
        """The folder of the state files; servers run in it as their working directory."""
        return self.root / "run"

    def state(self, port: int) -> Path:
        """Return the state file of the server at `port`."""
        return self.run / f"{port}.json"

    def server_log(self, port: int) -> Path:
        """Return the log of the server at `port`."""
        return self.root / "logs" / f"{port}.log"

    def previous_log(self, port: int) -> Path:
        """Return the log of the server that ran at `port` before."""
        return self.root / "logs" / f"{port}.previous.log"

    def install_log(self, name: str) -> Path:
        """Return the log of installing or fetching `name`."""
        return self.root / "logs" / f"install-{name}.log"

    def lock(self, name: str) -> Path:
        """Return the lock file that guards `name`, for example an engine or a port."""
        return self.root / "locks" / f"{name}.lock"
