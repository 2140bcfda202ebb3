"""Atomic file writes, file locks, folders of resumable jobs, and zsrec's own folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

from zsrec.core.errors import ConfigError, DataError, ServerError, ZsrecError

CONFIG = "config.json"
HOME_VARIABLE = "ZSREC_HOME"

_LOCK = ".lock"
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


class ResumableFolder:
    """The folder of a job that can be killed and resumed: its configuration, its lock, and atomic writes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def start(self, config: Mapping[str, Any]) -> None:
        """Store a configuration, or make sure that the folder already holds the same one."""
        wanted: dict[str, Any] = json.loads(json.dumps(config))
        if (self.path / CONFIG).exists():
            for field, here, there in _differences(*self._comparable(self.config(), wanted)):
                raise ConfigError(
                    f"{self.path} holds another run: {field} is {_short(here)} there and {_short(there)} here",
                    hint="use another --out, or the same arguments and data to resume",
                )
        elif self.path.is_dir() and any(one.name != _LOCK for one in self.path.iterdir()):
            raise ConfigError(f"{self.path} holds files and no {CONFIG}", hint="use a new folder for --out")
        self.write_json(CONFIG, wanted)

    def _comparable(self, found: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parts of two configurations that must be equal; a subclass may leave some out."""
        return found, wanted

    def config(self) -> dict[str, Any]:
        """Return the configuration."""
        return self.read_json(CONFIG)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder; the system releases the lock when this process dies."""
        held = ConfigError(f"another process works in {self.path}", hint="wait for it, or use another --out")
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(file_lock(self.path / _LOCK, held=held))
            except OSError as error:
                raise ConfigError(
                    f"{self.path}: cannot be written: {error.strerror}", hint="check --out"
                ) from error
            yield

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object from a file of the folder."""
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError("cannot be read as JSON", path=path, hint="is this the folder of a run?") from error
        if not isinstance(found, dict):
            raise DataError("expected a JSON object", path=path, hint="is this the folder of a run?")
        return found

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file atomically; errors as in `write_text`."""
        self.write_text(name, json.dumps(content, ensure_ascii=True, indent=1) + "\n")

    def write_text(self, name: str, text: str, *, private: bool = False) -> None:
        """Write a text file atomically; only its owner may read a `private` one."""
        self._write(self.path / name, [text], private=private)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path / name}: cannot be removed: {error.strerror}", hint="check the folder's owner"
            ) from error

    def _write(self, path: Path, parts: Iterable[str], *, private: bool = False) -> None:
        with atomic_write(path, private=private) as file:
            file.writelines(part.encode("utf-8", "replace") for part in parts)


def _differences(here: object, there: object, field: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield the fields that differ; nested ones are named like `data.items.sha256`."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in dict.fromkeys([*here, *there]):
            yield from _differences(here.get(name), there.get(name), f"{field}.{name}" if field else str(name))
    elif here != there:
        yield field, here, there


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
