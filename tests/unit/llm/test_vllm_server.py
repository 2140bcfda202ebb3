"""The whole life of a server, with a stand-in for vLLM that is installed and started like the real one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from tests.unit.server_fakes import free_port, shared_home, shared_recipe
from zsrec.cli import app
from zsrec.core.errors import ConfigError, ServerError
from zsrec.core.files import Home
from zsrec.llm import vllm_server as service_module
from zsrec.llm.vllm_install import Recipe, engine_python
from zsrec.llm.vllm_options import Progress, ServerOptions
from zsrec.llm.vllm_process import identify, is_alive, session_members
from zsrec.llm.vllm_server import down, running_server, status, up
from zsrec.llm.vllm_state import is_healthy, port_is_free, read_state, write_state

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded server needs Linux")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return shared_recipe(tmp_path_factory)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return shared_home(tmp_path_factory)


@pytest.fixture
def options(tmp_path: Path, home: Home) -> Iterator[ServerOptions]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    one = ServerOptions(model=str(folder), port=free_port())
    yield one
    state = read_state(home, one.port)
    down(one.port, home=home)
    if state is not None:
        assert session_members(state.process, home.run) == []


def with_args(options: ServerOptions, *arguments: str) -> ServerOptions:
    return dataclasses.replace(options, extra_args=arguments)


def child_pid(log: Path) -> int:
    return next(int(row.split()[1]) for row in log.read_text().splitlines() if row.startswith("child "))


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_up_is_idempotent_and_down_leaves_nothing(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    first = up(options, home=home, recipe=recipe)
    assert first.started
    assert first.ready
    assert first.base_url == f"http://127.0.0.1:{options.port}/v1"
    assert is_healthy("127.0.0.1", options.port)

    began = time.monotonic()
    second = up(options, home=home, recipe=recipe)
    assert time.monotonic() - began < 1.0
    assert not second.started
    assert second.state == first.state

    [now] = status(options.port, home=home)
    assert now.alive
    assert now.healthy
    assert now.rss > 1_000_000
    members = session_members(first.state.process, home.run)
    assert len(members) == 2, "the server and its child"

    assert down(options.port, home=home) == first.state
    assert [pid for pid in members if identify(pid) is not None] == []
    assert port_is_free("127.0.0.1", options.port)
    assert status(options.port, home=home) == []
    assert down(options.port, home=home) is None


def test_a_second_start_installs_nothing(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    up(options, home=home, recipe=recipe)
    down(options.port, home=home)
    log = home.install_log("fake").read_bytes()
    built = engine_python(home.engine("fake", "1.0")).lstat().st_mtime_ns
    assert up(options, home=home, recipe=recipe).started
    assert home.install_log("fake").read_bytes() == log
    assert engine_python(home.engine("fake", "1.0")).lstat().st_mtime_ns == built


def test_the_server_gets_the_options(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    options = dataclasses.replace(options, name="mine", max_model_len=123, block_size=16)
    up(options, home=home, recipe=recipe)
    line = home.server_log(options.port).read_text().splitlines()[0]
    arguments = json.loads(line[line.index("[") : line.index("]") + 1])
    arguments.remove("--enable-tokenizer-info-endpoint")
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given == {
        "--model": str(Path(str(options.model)).resolve()),
        "--served-model-name": "mine",
        "--host": "127.0.0.1",
        "--port": str(options.port),
        "--max-model-len": "123",
        "--block-size": "16",
    }
    assert line.endswith("offline 1")


def test_another_model_at_the_port_is_an_error(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    up(options, home=home, recipe=recipe)
    other = dataclasses.replace(options, name="other", max_model_len=99)
    with pytest.raises(ServerError, match=r"name is 'tiny', not 'other'; max_model_len is 4096, not 99") as caught:
        up(other, home=home, recipe=recipe)
    assert f"zsrec model down --port {options.port}" in str(caught.value.hint)
    assert is_healthy("127.0.0.1", options.port), "the running one is left alone"


def test_a_port_that_someone_else_has_is_named(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", options.port))
        taken.listen(1)
        with pytest.raises(ServerError, match=rf"port {options.port} is taken by pid {os.getpid()} \("):
            up(options, home=home, recipe=recipe)
    assert read_state(home, options.port) is None


def test_an_address_of_another_machine_is_refused(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen at 192\.0\.2\.77"):
        up(dataclasses.replace(options, host="192.0.2.77"), home=home, recipe=recipe)


def test_a_crash_shows_the_end_of_the_log(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ServerError) as caught:
        up(with_args(options, "--crash"), home=home, recipe=recipe)
    message = caught.value.message
    assert "ended with exit status 3" in message
    assert "RuntimeError: this model is broken" in message
    assert "crash line 39" in message
    assert "crash line 5\n" not in message, "only the last 30 lines"
    assert caught.value.log == str(home.server_log(options.port))
    assert read_state(home, options.port) is None


def test_a_wrong_argument_gets_its_own_hint(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ServerError, match="unrecognized arguments") as caught:
        up(with_args(options, "--no-such-switch"), home=home, recipe=recipe)
    assert "--extra-arg" in str(caught.value.hint)


def test_children_of_a_leader_that_died_are_ended(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ServerError, match="exit status 4"):
        up(with_args(options, "--die-alone"), home=home, recipe=recipe)
    assert identify(child_pid(home.server_log(options.port))) is None


def test_too_slow_is_ended(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ServerError, match="not ready after 1 s") as caught:
        up(with_args(options, "--never-ready"), home=home, recipe=recipe, timeout=1)
    assert "--timeout" in str(caught.value.hint)
    assert identify(child_pid(home.server_log(options.port))) is None
    assert port_is_free("127.0.0.1", options.port)


def test_an_answer_under_another_name_is_no_success(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    with pytest.raises(ServerError, match="serves someone-else instead of tiny"):
        up(with_args(options, "--other-name"), home=home, recipe=recipe)
    assert port_is_free("127.0.0.1", options.port)


def test_a_server_that_ignores_sigterm_is_killed(
    home: Home, recipe: Recipe, options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = up(with_args(options, "--stubborn"), home=home, recipe=recipe)
    real = service_module.stop
    monkeypatch.setattr(service_module, "stop", lambda process, run: real(process, run, grace=0.3))
    down(options.port, home=home)
    assert not is_alive(server.state.process)


def test_no_wait_returns_at_once_and_the_next_up_waits(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    first = up(options, home=home, recipe=recipe, wait=False)
    assert not first.ready
    second = up(options, home=home, recipe=recipe)
    assert not second.started
    assert second.ready


def test_a_reused_pid_is_never_killed(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    """The state file names a process number that now belongs to a stranger with a session of its own."""
    server = up(options, home=home, recipe=recipe)
    down(options.port, home=home)
    with subprocess.Popen(["sleep", "60"], start_new_session=True, cwd=home.run) as stranger:
        try:
            stale = dataclasses.replace(
                server.state, process=dataclasses.replace(server.state.process, pid=stranger.pid)
            )
            write_state(home, stale)
            [now] = status(options.port, home=home)
            assert (now.alive, now.healthy, now.rss) == (False, False, 0)
            assert down(options.port, home=home) == stale
            assert stranger.poll() is None

            write_state(home, stale)
            assert up(options, home=home, recipe=recipe).started
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_state_from_before_a_reboot_is_stale(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    server = up(options, home=home, recipe=recipe)
    rebooted = dataclasses.replace(server.state.process, boot="another boot")
    assert not is_alive(rebooted)
    assert session_members(rebooted, home.run) == []


def test_a_killed_leader_is_tidied_up_by_the_next_up(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    first = up(options, home=home, recipe=recipe)
    child = child_pid(home.server_log(options.port))
    log = home.server_log(options.port).read_text()
    os.kill(first.state.process.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(first.state.process))
    assert identify(child) is not None, "an orphan is left"
    second = up(options, home=home, recipe=recipe)
    assert second.started
    assert identify(child) is None
    assert home.previous_log(options.port).read_text() == log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_leaves_no_process(
    home: Home, recipe: Recipe, options: ServerOptions, number: signal.Signals
) -> None:
    script = (
        "import signal; from zsrec.llm.vllm_server import *; from zsrec.llm.vllm_install import Recipe\n"
        "from pathlib import Path\n"
        # A job in a shell script's background ignores Ctrl-C, nohup SIGHUP, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        f"options = ServerOptions(model={options.model!r}, port={options.port}, extra_args=('--never-ready',))\n"
        f"with interruptible(): up(options, home=Home(Path({str(home.root)!r})), recipe={recipe!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, start_new_session=True
    ) as caller:
        log = home.server_log(options.port)
        wait_for(
            lambda: (s := read_state(home, options.port)) and is_alive(s.process) and "child" in log.read_text()
        )
        state = read_state(home, options.port)
        assert state is not None
        caller.send_signal(number)
        _, errors = caller.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    assert session_members(state.process, home.run) == []
    assert read_state(home, options.port) is None


def test_running_server_ends_it_even_on_an_error(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    def fail() -> None:
        with running_server(options, home=home, recipe=recipe) as base_url:
            assert base_url == f"http://127.0.0.1:{options.port}/v1"
            assert is_healthy("127.0.0.1", options.port)
            raise LookupError("the demo failed")

    with pytest.raises(LookupError):
        fail()
    assert port_is_free("127.0.0.1", options.port)
    assert status(home=home) == []


def test_running_server_leaves_one_that_ran_already(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    up(options, home=home, recipe=recipe)
    with running_server(options, home=home, recipe=recipe):
        pass
    assert is_healthy("127.0.0.1", options.port)


def test_a_second_server_is_told_that_it_shares_the_processor(
    home: Home, recipe: Recipe, options: ServerOptions
) -> None:
    class Listening(Progress):
        notes: ClassVar[list[str]] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    up(options, home=home, recipe=recipe, progress=Listening())
    assert Listening.notes == []
    other = dataclasses.replace(options, port=free_port())
    with running_server(other, home=home, recipe=recipe, progress=Listening()):
        pass
    assert [str(options.port) in note for note in Listening.notes] == [True]


def test_a_second_server_on_a_gpu_is_told_what_holds_its_memory(
    home: Home, recipe: Recipe, options: ServerOptions
) -> None:
    notes: list[str] = []

    class Listening(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    gpu = dataclasses.replace(recipe, name="vllm")
    up(options, home=home, recipe=gpu)
    other = dataclasses.replace(options, port=free_port())
    with running_server(other, home=home, recipe=gpu, progress=Listening()):
        pass
    assert ["--gpu-memory-utilization" in note and str(options.port) in note for note in notes] == [True]


def test_two_ups_at_once_make_one_server(home: Home, recipe: Recipe, options: ServerOptions) -> None:
    script = (
        "from zsrec.llm.vllm_server import *; from zsrec.llm.vllm_install import Recipe\n"
        "from pathlib import Path\n"
        f"options = ServerOptions(model={options.model!r}, port={options.port})\n"
        f"print(up(options, home=Home(Path({str(home.root)!r})), recipe={recipe!r}).started)\n"
    )
    callers = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = sorted(caller.communicate(timeout=60)[0].strip() for caller in callers)
    assert answers == ["False", "True"]


def test_the_commands(home: Home, recipe: Recipe, options: ServerOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_HOME", str(home.root))
    monkeypatch.setattr(service_module, "choose_recipe", lambda engine: recipe)
    run = CliRunner()
    port = ["--port", str(options.port)]

    assert run.invoke(app, ["model", "status", *port]).exit_code == 1
    begun = run.invoke(app, ["model", "up", "--model", str(options.model), *port])
    assert begun.exit_code == 0, begun.output
    assert f"tiny is up at http://127.0.0.1:{options.port}/v1 (pid" in begun.stdout
    assert f"log: {home.server_log(options.port)}" in begun.stdout
    assert "✓ starting tiny" in begun.stderr
    again = run.invoke(app, ["model", "up", "--model", str(options.model), *port])
    assert "tiny is up already" in again.stdout

    [shown] = json.loads(run.invoke(app, ["model", "status", "--json", *port]).stdout)
    assert shown["healthy"] is True
    assert shown["port"] == options.port
    assert shown["log"] == str(home.server_log(options.port))
    assert shown["rss_bytes"] > 0
    assert identify(shown["pid"]) is not None
    told = run.invoke(app, ["model", "status"])
    assert told.exit_code == 0
    assert f"tiny at http://127.0.0.1:{options.port}/v1: up" in told.stdout

    assert "is down" in run.invoke(app, ["model", "down", "--all"]).stdout
    assert "no server of zsrec runs at port" in run.invoke(app, ["model", "down", *port]).stdout
