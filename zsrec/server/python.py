"""Finding an interpreter that an engine has wheels for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from zsrec.errors import ServerError

# venv alone is not enough: some systems ship it without ensurepip, and then no pip comes into the venv.
_PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2])"


def find_python(
    oldest: tuple[int, int],
    newest: tuple[int, int],
    *,
    wanted: Path | None = None,
    candidates: Iterable[str | None] | None = None,
) -> Path:
    """The interpreter to build an engine's environment with.

    Args:
        oldest: The oldest (major, minor) that will do.
        newest: The newest (major, minor) that will do.
        wanted: The caller's choice; it is checked, and nothing else is tried.
        candidates: Where to look; None for the running interpreter, then `python3.x` on the path.

    Raises:
        ServerError: None will do; the message says what was found.
    """
    if candidates is None:
        names = (f"python3.{minor}" for minor in range(oldest[1], newest[1] + 1))
        candidates = (sys.executable, *(shutil.which(name) for name in names))
    seen: list[str] = []
    for path in [str(wanted)] if wanted else filter(None, candidates):
        version = python_version(path)
        if version is not None and oldest <= version <= newest:
            return Path(path)
        seen.append(f"{path} ({'no venv or ensurepip' if version is None else '.'.join(map(str, version))})")
    span = f"{'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))}"
    raise ServerError(
        f"no Python from {span} with venv and ensurepip; tried {', '.join(seen) or 'nothing'}",
        hint=f"install one (on Debian also python3-venv) and pass it with --python, for example python{span[:4]}",
    )


def python_version(path: str) -> tuple[int, int] | None:
    """The (major, minor) of an interpreter that can build environments; None where it cannot."""
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [path, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
