"""Files that are there whole or not at all, whenever the process or the machine dies."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from zsrec.errors import ConfigError

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
