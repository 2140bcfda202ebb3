"""The checksums of a folder's files, in a file `SHA256SUMS` that `sha256sum -c` reads too."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zsrec.core.errors import DamagedError, DataError
from zsrec.core.files import atomic_write, sha256

SUMS = "SHA256SUMS"
REPAIR = "`zsrec verify {} --repair` removes what is damaged; the same command then makes it again"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

Sums = dict[str, tuple[str, ...]]
"""By name, the SHA-256 that a file may have: two where a process may have died while it replaced the file."""


class Checksums:
    """What the files of a folder must hold.

    A new content is recorded before it takes its name, beside the old one, so a process may be killed at any
    moment. A folder without the file is of an older version: nothing in it is checked until `adopt`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / SUMS

    @property
    def exists(self) -> bool:
        """Whether there are any."""
        return self.path.exists()

    def read(self, *, whole: bool = True) -> Sums:
        """All that is recorded; without `whole`, lines that cannot be read are left out."""
        found: Sums = {}
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines() if self.exists else []
        except (OSError, ValueError) as error:
            raise DataError("cannot be read as text", path=self.path, hint="put it back from a copy") from error
        for number, line in enumerate(lines, start=1):
            match = _LINE.fullmatch(line)
            if match is not None:
                found[match[2]] = (*found.get(match[2], ()), match[1])
            elif whole:
                raise DamagedError(
                    "is no checksum and name", path=self.path, line=number, hint=REPAIR.format(self.folder)
                )
        return found

    def record(self, sums: Mapping[str, str], *, forget: Iterable[str] = (), whole: bool = True) -> None:
        """Records what files are about to hold, and forgets others; `whole` as in `read`."""
        found = {name: self._settled(name, digests) for name, digests in self.read(whole=whole).items()}
        for name in forget:
            found.pop(name, None)
        for name, digest in sums.items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), digest)))
        with atomic_write(self.path) as file:
            file.writelines(f"{one}  {name}\n".encode() for name in sorted(found) for one in found[name])

    def adopt(self, names: Iterable[str]) -> None:
        """Records files of before checksums as they are now."""
        self.record({name: sha256(self.folder / name) for name in names})

    def is_recorded(self, name: str, content: bytes) -> bool:
        """Whether a file is recorded with this content."""
        return hashlib.sha256(content).hexdigest() in self.read().get(name, ())

    def check(self, name: str) -> None:
        """Raises `DamagedError` where a file is not as recorded."""
        for error in self.faults([name]):
            raise error

    def faults(self, names: Iterable[str] | None = None, sums: Sums | None = None) -> Iterator[DamagedError]:
        """The damage in some files, or in all that are recorded; `sums` are those already read."""
        if not self.exists:
            return
        found = self.read() if sums is None else sums
        for name in found if names is None else names:
            path = Path(os.path.normpath(self.folder / name))
            if name not in found:
                yield DamagedError(
                    f"{SUMS} does not name it: it was put here by hand", path=path, hint=REPAIR.format(self.folder)
                )
            elif not path.exists():
                yield DamagedError("is missing", path=path, hint=REPAIR.format(self.folder))
            elif sha256(path) not in found[name]:
                what = "is damaged or of another run: its SHA-256 is not the recorded one"
                yield DamagedError(what, path=path, hint=REPAIR.format(self.folder))

    def name(self, path: Path) -> str:
        """A file's name in the records."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def _settled(self, name: str, digests: tuple[str, ...]) -> tuple[str, ...]:
        """Of two contents the one that the file has."""
        if len(digests) == 1 or not (self.folder / name).exists():
            return digests
        now = sha256(self.folder / name)
        return (now,) if now in digests else digests
