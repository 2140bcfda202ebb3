"""A lock between processes, so that two `zsrec model up` at once do not build one folder twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zsrec.errors import ServerError
from zsrec.server.paths import make_folder


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
