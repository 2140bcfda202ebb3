"""Files that are there whole or not at all, whenever the process or the machine dies."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

from zsrec.core.errors import ConfigError, DataError, ServerError

_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.EACCES)  # file systems on which a folder cannot be synced


@contextmanager
def written_whole(
    path: Path, *, part: Path | None = None, private: bool = False, hint: str = "check --out"
) -> Iterator[IO[bytes]]:
    """A file to write to, which gets its name when all of it is on the disk.

    What was written goes to the disk, then the file takes the place of the one that is there, then the folder goes
    to the disk: whoever opens `path` reads all of the old file or all of the new one, also after a loss of power.
    Where the block raises, `path` stays as it is. Folders are made where they are missing.

    Args:
        path: The file.
        part: What it is called until then, on the same disk; `path` and ".part" by default. What has this name
            is removed first: a killed process left it.
        private: Whether only its owner may read it, from its first byte on.
        hint: What to do where it cannot be written.

    Yields:
        The open file, in bytes.

    Raises:
        ConfigError: The file cannot be written.
    """
    part = part or path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        # O_EXCL: nobody's file or link that came to stand there meanwhile is written to.
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
    if sys.platform == "win32":  # its folders cannot be opened
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


HOME_VARIABLE = "ZSREC_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of the embedded server; nothing is created before it is needed.

    Attributes:
        root: The folder itself, absolute.
    """

    root: Path

    @classmethod
    def default(cls) -> Home:
        """The folder named by `ZSREC_HOME`, else the platform's cache folder for zsrec."""
        named = os.environ.get(HOME_VARIABLE, "").strip()
        root = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("zsrec"))
        return cls(root.absolute())

    def engine(self, name: str, version: str) -> Path:
        """The virtual environment of one engine."""
        return self.root / "engines" / f"{name}-{version}"

    def model(self, name: str) -> Path:
        """The folder of a model that zsrec fetched itself."""
        return self.root / "models" / name

    @property
    def run(self) -> Path:
        """The folder of the state files; servers run in it as their working directory."""
        return self.root / "run"

    def state(self, port: int) -> Path:
        """The state file of the server at `port`."""
        return self.run / f"{port}.json"

    def server_log(self, port: int) -> Path:
        """The log of the server at `port`."""
        return self.root / "logs" / f"{port}.log"

    def previous_log(self, port: int) -> Path:
        """The log of the server that ran at `port` before."""
        return self.root / "logs" / f"{port}.previous.log"

    def install_log(self, name: str) -> Path:
        """The log of installing or fetching `name`."""
        return self.root / "logs" / f"install-{name}.log"

    def lock(self, name: str) -> Path:
        """The lock file that guards `name`, for example an engine or a port."""
        return self.root / "locks" / f"{name}.lock"


def make_folder(path: Path) -> Path:
    """Creates a folder with its parents, readable by its owner only, and returns it.

    Raises:
        ServerError: It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(
            f"cannot create the folder {path}: {error.strerror}",
            hint=f"set {HOME_VARIABLE} to a folder that you can write to",
        ) from error
    return path


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None], timeout: float) -> Iterator[None]:
    """Holds the lock file at `path`; the system frees it when the holder dies.

    Args:
        path: The lock file; it stays behind, empty.
        waiting: Called once when another process holds the lock.
        timeout: How long to wait for it, in seconds.

    Raises:
        ServerError: Another process held it for longer than `timeout`.
    """
    import fcntl  # not on Windows, where the rest of zsrec still has to import

    make_folder(path.parent)
    deadline = time.monotonic() + timeout
    told = False
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"another zsrec process has held {path} for more than {timeout:.0f} s",
                        hint="wait for it, or end it, then try again",
                    ) from None
            if not told:
                waiting()
                told = True
            time.sleep(0.1)
        yield


_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from error
    return digest.hexdigest()


CONFIG = "config.json"


class ResumableFolder:
    """A folder of a job that may be killed and go on: its configuration, its lock, and files written atomically.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def start(self, config: Mapping[str, Any]) -> None:
        """Takes a configuration, or makes sure that the folder's is the same.

        Raises:
            ConfigError: The folder belongs to another configuration (the message names the first field that
                differs), holds something else, or cannot be written.
        """
        wanted: dict[str, Any] = json.loads(json.dumps(config))
        if (self.path / CONFIG).exists():
            for field, here, there in _differences(*self._comparable(self.config(), wanted)):
                raise ConfigError(
                    f"{self.path} holds another run: {field} is {_short(here)} there and {_short(there)} here",
                    hint="take another --out, or the same arguments and data to go on",
                )
        elif self.path.is_dir() and any(one.name != ".lock" for one in self.path.iterdir()):
            raise ConfigError(f"{self.path} holds files and no {CONFIG}", hint="take a new folder for --out")
        self.write_json(CONFIG, wanted)

    def _comparable(self, found: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What of two configurations has to be equal: all of it, unless a kind of folder says otherwise."""
        return found, wanted

    def config(self) -> dict[str, Any]:
        """The configuration.

        Raises:
            DataError: There is none, or it cannot be read.
        """
        return self.read_json(CONFIG)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process away from the folder; the system frees the lock when this one dies.

        Raises:
            ConfigError: Another process works in the folder, or it cannot be made.
        """
        import fcntl  # not on Windows, where the rest of zsrec still has to import

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}", hint="check --out") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"another process works in {self.path}", hint="wait for it, or take another --out"
                ) from None
            yield

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder.

        Raises:
            DataError: It is missing or is no JSON object.
        """
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError("cannot be read as JSON", path=path, hint="is this the folder of a run?") from error
        if not isinstance(found, dict):
            raise DataError("expected a JSON object", path=path, hint="is this the folder of a run?")
        return found

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(content, ensure_ascii=True, indent=1) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(self.path / name, [text])

    def write_private(self, name: str, text: str) -> None:
        """Writes a text file that only its owner may read, whole or not at all.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(self.path / name, [text], private=True)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there.

        Raises:
            ConfigError: It cannot be removed.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path / name}: cannot be removed: {error.strerror}", hint="check the folder's owner"
            ) from error

    def _write(self, path: Path, parts: Iterable[str], *, private: bool = False) -> None:
        with written_whole(path, private=private) as file:
            file.writelines(part.encode("utf-8", "replace") for part in parts)


def _differences(here: object, there: object, field: str = "") -> Iterator[tuple[str, object, object]]:
    """Fields that differ, the nested ones as `data.items.sha256`."""
    if isinstance(here, dict) and isinstance(there, dict):
        for name in dict.fromkeys([*here, *there]):
            yield from _differences(here.get(name), there.get(name), f"{field}.{name}" if field else str(name))
    elif here != there:
        yield field, here, there


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
