"""The folder of a job that can be killed and resumed, with the checksums of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from zsrec.core.checksums import SUMS, Checksums
from zsrec.core.errors import ConfigError, DamagedError, DataError
from zsrec.core.files import atomic_write, file_lock, sha256

CONFIG = "config.json"

_LOCK = ".lock"


class ResumableFolder:
    """The folder of a job that can be killed and resumed: its configuration, its lock, and atomic, checked files.

    Files that are read again have a checksum in `SHA256SUMS` (`zsrec.core.checksums`). A folder of before
    checksums gets them at its next write; `notes` says so.
    """

    LASTING: ClassVar[Sequence[str]] = (CONFIG,)
    """Files that no command makes again."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.sums = Checksums(self.path)
        self.notes: list[str] = []

    def start(self, config: Mapping[str, Any]) -> None:
        """Store a configuration, or make sure that the folder already holds the same one."""
        wanted: dict[str, Any] = json.loads(json.dumps(config))
        if self.sums.is_recorded(CONFIG, _json(wanted)):
            pass  # the same, also where the file is damaged
        elif (self.path / CONFIG).exists():
            for field, here, there in _differences(*self._comparable(self.config(), wanted)):
                raise ConfigError(
                    f"{self.path} holds another run: {field} is {_short(here)} there and {_short(there)} here",
                    hint="use another --out, or the same arguments and data to resume",
                )
        elif self.path.is_dir() and not all(map(_is_left, self.path.iterdir())):
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
        if path.exists():
            self.sums.check(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            hint = "name a folder that zsrec wrote"
            raise DataError(f"there is no {name}", path=self.path, hint=hint) from error
        except (OSError, ValueError) as error:
            raise DataError("cannot be read as JSON", path=path, hint="is this the folder of a run?") from error
        if not isinstance(found, dict):
            raise DataError("expected a JSON object", path=path, hint="is this the folder of a run?")
        return found

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file atomically, with its checksum; errors as in `write_text`."""
        with self.writing(name) as file:
            file.write(_json(content))

    def write_text(self, name: str, text: str, *, private: bool = False) -> None:
        """Write a text file that is not read again atomically; only its owner may read a `private` one."""
        with atomic_write(self.path / name, private=private) as file:
            file.write(text.encode("utf-8", "replace"))

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for writing, atomically; its checksum is recorded before it takes its name."""
        self.adopt()
        path = self.path / name
        part = path.with_name(path.name + ".part")
        with atomic_write(path, part=part) as file:
            yield file
            file.flush()
            self.sums.record({name: sha256(part)})

    def adopt(self) -> None:
        """Record the files of a folder of before checksums as they are now."""
        if self.sums.exists or not (names := list(self._stored())):
            return
        self.notes.append(f"{self.path}: made before there were checksums: taken as it is, checked from now on")
        self.sums.adopt(names)

    def _stored(self) -> Iterator[str]:
        """The files that have checksums."""
        return (one.name for one in self.path.glob("*.json"))

    def faults(self) -> Iterator[DamagedError]:
        """What in the folder is damaged."""
        yield from self.sums.faults(sorted({*self.sums.read(), *self._stored()}))

    def repair(self) -> list[DamagedError]:
        """Remove what is damaged, so that the same command makes it again, and return what it was.

        Raises:
            ConfigError: No command could make one of these files again.
        """
        if self.sums.exists:
            self.sums.record({}, whole=False)
        found = list(self.faults())
        for error in found:
            if Path(error.path or "").name in self.LASTING:
                raise ConfigError(
                    f"{error.message}, and no command can make it again",
                    hint=f"the very same command writes a lost {CONFIG} again; else put it back from a copy",
                )
        for path in dict.fromkeys(error.path for error in found if error.path):
            self._repair(Path(path))
        return found

    def _repair(self, path: Path) -> None:
        self.remove(self.sums.name(path))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there, and its checksum."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path / name}: cannot be removed: {error.strerror}", hint="check the folder's owner"
            ) from error
        if self.sums.exists and name in self.sums.read():
            self.sums.record({}, forget=[name])


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=True, indent=1) + "\n").encode()


def _is_left(path: Path) -> bool:
    """Whether a process that was killed at its start may have left this."""
    return path.name in (_LOCK, SUMS) or path.suffix == ".part"


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
