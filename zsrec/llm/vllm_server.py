"""The embedded server: up, down and status."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zsrec.core.errors import ConfigError, ServerError
from zsrec.core.files import Home, file_lock, make_folder
from zsrec.core.settings import is_loopback
from zsrec.llm.vllm_found import SERVER_MODULE, FoundVLLM, find_vllm
from zsrec.llm.vllm_install import (
    GPU,
    Recipe,
    choose_recipe,
    engine_environment,
    ensure_engine,
    found_recipe,
    quoted_tail,
    tail,
)
from zsrec.llm.vllm_model import SMOLLM2, ensure_gguf, ensure_model
from zsrec.llm.vllm_options import Progress, ServerOptions
from zsrec.llm.vllm_process import (
    ProcessId,
    ended,
    interruptible,
    is_alive,
    leaders_in,
    port_owner,
    resident_bytes,
    session_members,
    start,
    stop,
)
from zsrec.llm.vllm_state import (
    ServerState,
    is_healthy,
    known_ports,
    port_is_free,
    read_state,
    remove_state,
    served_models,
    write_state,
)

START_TIMEOUT = 600.0
LLAMACPP_SCRIPT = Path(__file__).with_name("llamacpp_serve.py")
_TICK = 0.1  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up, or on its way up."""

    state: ServerState
    started: bool
    ready: bool

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible base URL, with the `/v1`."""
        return self.state.base_url


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is now."""

    state: ServerState
    alive: bool
    healthy: bool
    rss: int

    @property
    def base_url(self) -> str:
        """The OpenAI-compatible base URL, with the `/v1`."""
        return self.state.base_url


def up(
    options: ServerOptions,
    *,
    home: Home | None = None,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    wait: bool = True,
    timeout: float = START_TIMEOUT,
) -> Server:
    """Bring a server up; its engine and model are installed first where they are missing.

    Where the same server runs already, it is returned as it is. When anything goes wrong on the way, an
    interrupt included, what this call started is ended again.
    """
    home = home or Home.default()
    progress = progress or Progress()
    options.served_name()  # wrong names are found before a long installation
    with file_lock(
        home.lock(f"port-{options.port}"),
        waiting=lambda: progress.note(f"waiting for another `zsrec model up` at port {options.port}"),
        timeout=timeout,
    ):
        state = read_state(home, options.port)
        if state is not None and is_alive(state.process):
            return _running(state, options, progress, wait=wait, timeout=timeout)
        if state is not None:
            stop(state.process, home.run)  # children that outlived a leader
            remove_state(home, state)
        _end_unrecorded(options.port, home)
        _require_port(options)
        return _started(options, home, progress, recipe, wait=wait, timeout=timeout)


def _end_unrecorded(port: int, home: Home) -> None:
    """End servers whose `up` was killed before it wrote their record."""
    for process in leaders_in(home.run, "--port", str(port)):
        stop(process, home.run)


def _running(
    state: ServerState, options: ServerOptions, progress: Progress, *, wait: bool, timeout: float
) -> Server:
    differences = state.differences(options)
    if differences:
        raise ServerError(
            f"a server with other options runs at port {state.port}: {'; '.join(differences)}",
            hint=f"`zsrec model down --port {state.port}` first, or choose another --port",
        )
    ready = is_healthy(state.host, state.port)
    if wait and not ready:
        with progress.step(f"waiting for {state.name} at port {state.port} (log: {state.log})"):
            _wait_ready(state, timeout, progress)
        ready = True
    return Server(state, started=False, ready=ready)


def _started(
    options: ServerOptions, home: Home, progress: Progress, recipe: Recipe | None, *, wait: bool, timeout: float
) -> Server:
    found = find_vllm() if recipe is None and _takes_found(options) else None
    if found is not None:
        progress.note(
            f"serving with {found}, which is installed already (--engine cpu installs one of zsrec's own)"
        )
        recipe = found_recipe()
    recipe = recipe or choose_recipe("llamacpp" if options.by_llama_cpp else options.engine)
    python = None if found is not None else ensure_engine(recipe, home, progress, python=options.python)
    model = options.resolved_model() or _built_in(
        options, home, python or (found.python if found else None), progress
    )
    if not is_loopback(options.host):
        progress.note(f"anyone who reaches {options.host} can use this server: it asks for no key")
    others = [one.state for one in status(home=home) if one.alive]
    if others:
        progress.note(_sharing_note(recipe, others[0]))
    log = home.server_log(options.port)
    with progress.step(f"starting {options.served_name()} at port {options.port} (log: {log})"):
        command = _command(model, options, python, found)
        process = _launch(command, model, options, recipe, home, log)
        try:
            state = ServerState.of(process, options, recipe.name, log, program=str(found or ""))
            write_state(home, state)
            if wait:
                _wait_ready(state, timeout, progress)
        except BaseException:
            stop(process, home.run)
            home.state(options.port).unlink(missing_ok=True)
            raise
    return Server(state, started=True, ready=wait)


def _sharing_note(recipe: Recipe, other: ServerState) -> str:
    """What another running server means; vLLM claims nine tenths of a GPU's memory when it starts."""
    if recipe.name == GPU.name == other.engine:
        return (
            f"the server at port {other.port} may hold most of the GPU's memory: if this one does not start, give"
            " both a share, as --extra-arg=--gpu-memory-utilization=0.4"
        )
    return f"this server shares the processor with the one at port {other.port}: both get slower"


def _require_port(options: ServerOptions) -> None:
    try:
        free = port_is_free(options.host, options.port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {options.host} port {options.port}: {error.strerror}",
            hint="pass an address of this machine as --host, and a --port above 1023",
        ) from error
    if not free:
        owner = port_owner(options.port) or "a program that this user cannot see"
        raise ServerError(
            f"port {options.port} is taken by {owner}, which zsrec did not start here",
            hint="end that program, or choose another --port",
        )


def _takes_found(options: ServerOptions) -> bool:
    """Whether an installed vLLM serves: not where another engine or the interpreter of our own was named."""
    return options.engine in {"auto", "vllm"} and not options.by_llama_cpp and options.python is None


def _built_in(options: ServerOptions, home: Home, python: Path | None, progress: Progress) -> str:
    """The packaged model, as the engine serves it."""
    if python is None and not home.model(SMOLLM2.name).is_dir():
        raise ServerError(
            "the vLLM on PATH has no Python beside it that could convert the built-in model",
            hint="name a model with --model, or let zsrec install an engine of its own with --engine cpu",
        )
    ensure = ensure_gguf if options.by_llama_cpp else ensure_model
    return str(ensure(SMOLLM2, home, python or Path(), progress))


def _command(model: str, options: ServerOptions, python: Path | None, found: FoundVLLM | None) -> list[str]:
    """The command up to the options that all engines have."""
    if options.by_llama_cpp:
        return [str(python), "-P", str(LLAMACPP_SCRIPT), "--model", model, "--alias", options.served_name()]
    command = found.command(model) if found is not None else [str(python), "-m", SERVER_MODULE, "--model", model]
    command += ["--served-model-name", options.served_name(), "--block-size", str(options.block_size)]
    return [*command, "--enable-tokenizer-info-endpoint"]


def _launch(
    command: Sequence[str], model: str, options: ServerOptions, recipe: Recipe, home: Home, log: Path
) -> ProcessId:
    make_folder(log.parent)
    make_folder(home.run)
    if log.exists():  # the log of a server that died stays readable after the next one was started
        log.replace(home.previous_log(options.port))
    offline = {"HF_HUB_OFFLINE": "1"} if os.path.isabs(model) else {}
    command = [
        *command,
        *("--host", options.host),
        *("--port", str(options.port)),
        *("--max-model-len", str(options.max_model_len)),
        *recipe.arguments,
        *options.extra_args,
    ]
    environment = engine_environment({**dict(recipe.environment), **offline})
    return start(command, log=log, folder=home.run, environment=environment)


def _wait_ready(state: ServerState, timeout: float, progress: Progress) -> None:
    """Wait until the server answers and serves its model."""
    log = Path(state.log)
    deadline = time.monotonic() + timeout
    while not is_healthy(state.host, state.port):
        if not is_alive(state.process):
            raise ended(state.process.pid, log)
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
        raise ended(state.process.pid, log)
    if state.name not in names:
        raise ServerError(
            f"port {state.port} answers but serves {', '.join(names) or 'no model'} instead of {state.name}",
            hint="choose another --port",
            log=log,
        )


def down(port: int, *, home: Home | None = None) -> ServerState | None:
    """End the server at `port` with all its processes."""
    home = home or Home.default()
    state = read_state(home, port)
    if state is None:
        _end_unrecorded(port, home)
        return None
    was_alive = is_alive(state.process)
    stop(state.process, home.run)
    remove_state(home, state)
    if was_alive and not port_is_free(state.host, port):
        raise ServerError(
            f"the server has ended but port {port} is taken by {port_owner(port) or 'another program'}",
            hint="look at that program; zsrec did not start it",
        )
    return state


def status(port: int | None = None, *, home: Home | None = None) -> list[ServerStatus]:
    """The status of the server at `port`, or of every server that zsrec started, by port."""
    home = home or Home.default()
    states = (read_state(home, each) for each in (known_ports(home) if port is None else [port]))
    return [_status(state, home) for state in states if state is not None]


def _status(state: ServerState, home: Home) -> ServerStatus:
    alive = is_alive(state.process)
    return ServerStatus(
        state=state,
        alive=alive,
        healthy=alive and is_healthy(state.host, state.port),
        rss=resident_bytes(session_members(state.process, home.run)),
    )


@contextmanager
def running_server(
    options: ServerOptions,
    *,
    home: Home | None = None,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    timeout: float = START_TIMEOUT,
) -> Iterator[str]:
    """A server for the length of a `with` block; yields its base URL, with the `/v1`.

    A server that this call started is ended with the block, also on an error, an interrupt or SIGTERM. One
    that ran already stays up.
    """
    with interruptible():
        server = up(options, home=home, progress=progress, recipe=recipe, timeout=timeout)
        try:
            yield server.base_url
        finally:
            if server.started:
                down(server.state.port, home=home)
