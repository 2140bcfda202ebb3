"""The small parts of the server room: options, paths, logs, processes, locks, interpreters, progress."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError, ServerError
from zsrec.core.files import Home, file_lock, make_folder
from zsrec.llm.vllm_install import engine_environment, find_python, quoted_tail, run_logged, tail
from zsrec.llm.vllm_options import Progress, ServerOptions
from zsrec.llm.vllm_process import hint_for, identify, is_alive, resident_bytes
from zsrec.llm.vllm_state import is_healthy, known_ports, read_state, served_models, server_url

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")


# -- options ------------------------------------------------------------------------------------------


def test_the_default_is_the_built_in_model() -> None:
    assert ServerOptions().resolved_model() is None
    assert ServerOptions().served_name() == "smollm2"
    assert ServerOptions().host == "127.0.0.1"


def test_a_folder_becomes_absolute_and_gives_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    monkeypatch.chdir(tmp_path)
    options = ServerOptions(model="mine")
    assert options.resolved_model() == str(tmp_path / "mine")
    assert options.served_name() == "mine"


def test_a_hub_id_stays_as_it_is() -> None:
    options = ServerOptions(model="Qwen/Qwen2.5-0.5B-Instruct")
    assert options.resolved_model() == options.served_name() == "Qwen/Qwen2.5-0.5B-Instruct"
    assert ServerOptions(model="owner/model", name="short").served_name() == "short"


@pytest.mark.parametrize(
    "model", ["./no/such", "/no/such", "~/no-such", "a/b/c", "--help", "", "a b", "a\nb", "-x/y"]
)
def test_what_is_neither_folder_nor_hub_id_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="neither a folder here nor a hub id"):
        ServerOptions(model=model).resolved_model()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        ServerOptions(model=str(tmp_path)).resolved_model()


@given(st.text(max_size=20))
def test_no_name_becomes_a_switch(name: str) -> None:
    """Whatever the text, a name that is accepted cannot be read as an option of the server."""
    try:
        options = ServerOptions(name=name)
    except ConfigError:
        return
    assert options.served_name()[0].isalnum()
    assert not any(letter.isspace() for letter in name)


@pytest.mark.parametrize(
    "wrong",
    [{"port": 0}, {"port": 70000}, {"max_model_len": 0}, {"block_size": 0}, {"engine": "gpu"}, {"name": "-n"}],
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        ServerOptions(**wrong)  # type: ignore[arg-type]


# -- paths and state ----------------------------------------------------------------------------------


def test_home_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_HOME", str(tmp_path / "here"))
    assert Home.default().root == tmp_path / "here"
    monkeypatch.setenv("ZSREC_HOME", " ")
    assert Home.default().root.name == "zsrec"


def test_a_home_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerError, match="cannot create the folder") as caught:
        make_folder(tmp_path / "file" / "below")
    assert "ZSREC_HOME" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"process": 3}', '{"process": {"pid": 1}}', "\xff"])
def test_a_broken_state_file_counts_as_none(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    home.state(8000).write_text(text, encoding="latin-1")
    assert known_ports(home) == [8000]
    assert read_state(home, 8000) is None


# -- logs ---------------------------------------------------------------------------------------------


def test_the_tail_is_fit_to_print(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n\n\x1b[31mred\x1b[0m\nbar 1%\rbar 99%\rbar 100%\r\n\xff\x07end\n")
    assert tail(log) == ["first", "red", "bar 100%", "\ufffdend"]
    assert tail(log, 1) == ["\ufffdend"]
    assert quoted_tail(log, 2) == "the last 2 lines of its log:\n  | bar 100%\n  | \ufffdend"


def test_no_log_and_an_endless_log(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == []
    assert "empty" in quoted_tail(tmp_path / "none")
    (tmp_path / "long").write_bytes(b"x" * 10_000_000 + b"\nend")
    assert tail(tmp_path / "long", 1) == ["end"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("api_server.py: error: unrecognized arguments: --x", "--extra-arg"),
        ("OSError: [Errno 98] Address already in use", "--port"),
        (
            "ValueError: User-specified max_model_len (9) is greater than the derived max_model_len",
            "--max-model-len",
        ),
        ("which is larger than the available KV cache memory (0.5 GiB)", "VLLM_CPU_KVCACHE_SPACE"),
        ("RuntimeError: Out of memory", "memory ran out"),
        (
            "ValueError: Free memory on device cuda:0 (6.29/139.8 GiB) on startup is less than desired GPU memory"
            " utilization (0.92, 128.62 GiB).",
            "--gpu-memory-utilization",
        ),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB", "--gpu-memory-utilization"),
        ("Cannot access gated repo for url", "hub"),
        ("something else", "read the log"),
        # What every start on a GPU says is no reason for its failure.
        ("INFO 11-26 03:11:28 [gpu_worker.py:560] Available KV cache memory: 127.95 GiB", "read the log"),
    ],
)
def test_the_hint_follows_the_log(tmp_path: Path, line: str, word: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"non-default args: {{'max_model_len': 4096}}\n{line}\nmore\n")
    assert word in hint_for(1, log)
    assert "memory ran out" in hint_for(-9, log)


# -- processes and commands ---------------------------------------------------------------------------


@linux
def test_a_process_is_known_by_more_than_its_number(tmp_path: Path) -> None:
    awkward = tmp_path / ") R (a) 1 2"
    awkward.symlink_to("/bin/sleep")
    with subprocess.Popen([awkward, "60"]) as child:
        try:
            one = identify(child.pid)
            assert one is not None
            assert is_alive(one)
            assert identify(os.getpid()) != one
            assert resident_bytes([child.pid]) > 0
        finally:
            child.kill()
        while child.pid and identify(child.pid) is not None:
            time.sleep(0.01)
        assert not is_alive(one), "a zombie is no living process"
    assert identify(child.pid) is None


def test_the_engine_does_not_see_our_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("PIP_TARGET", "/mine")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    seen = engine_environment({"VLLM_CPU_KVCACHE_SPACE": "2", "DO_NOT_TRACK": "1"})
    assert "PYTHONPATH" not in seen
    assert "PIP_TARGET" not in seen
    assert seen["VLLM_CPU_KVCACHE_SPACE"] == "7", "the user's own value wins"
    assert seen["DO_NOT_TRACK"] == "1"


def test_a_failed_command_shows_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(ServerError, match="making it failed with exit status 5") as caught:
        run_logged(
            [sys.executable, "-c", "print('why'); raise SystemExit(5)"],
            log=log,
            what="making it",
            progress=Progress(),
            hint="do this",
        )
    assert "| why" in caught.value.message
    assert caught.value.hint == "do this"
    with pytest.raises(ServerError, match="cannot run /no/such: No such file"):
        run_logged(["/no/such"], log=log, what="it", progress=Progress())


class Impatient(Progress):
    """Interrupts the first command that has printed something."""

    def line(self, text: str) -> None:
        if text.startswith("pid "):
            raise KeyboardInterrupt


@linux
def test_an_interrupted_command_is_ended_with_its_children(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('pid', child.pid, flush=True); child.wait()"
    )
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        run_logged([sys.executable, "-c", script], log=log, what="it", progress=Impatient())
    child = next(int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("pid "))
    deadline = time.monotonic() + 5
    while identify(child) is not None:
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.02)


@linux
def test_a_lock_that_is_held_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "locks" / "x.lock"
    with (
        file_lock(path, waiting=lambda: told.append("first"), timeout=1),
        pytest.raises(ServerError, match=r"has held .*x\.lock"),
        file_lock(path, waiting=lambda: told.append("second"), timeout=0.2),
    ):
        raise AssertionError("two holders")
    with file_lock(path, waiting=lambda: told.append("third"), timeout=0):
        pass
    assert told == ["second"]


# -- interpreters -------------------------------------------------------------------------------------


def pretend_python(folder: Path, version: str) -> str:
    script = folder / f"python{version}"
    script.write_text(f"#!/bin/sh\necho {version.replace('.', ' ')}\n")
    script.chmod(0o755)
    return str(script)


def test_the_first_interpreter_that_will_do(tmp_path: Path) -> None:
    old, good, new = (pretend_python(tmp_path, version) for version in ("3.10", "3.12", "3.15"))
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    candidates = [None, old, str(broken), new, good]
    assert find_python((3, 11), (3, 14), candidates=candidates) == Path(good)
    with pytest.raises(ServerError, match=r"python3\.10 \(3\.10\), .*broken \(no venv or ensurepip\)") as caught:
        find_python((3, 11), (3, 14), candidates=[old, str(broken)])
    assert "--python" in str(caught.value.hint)


def test_the_callers_interpreter_is_not_replaced_by_another(tmp_path: Path) -> None:
    old = pretend_python(tmp_path, "3.9")
    with pytest.raises(ServerError) as caught:
        find_python((3, 11), (3, 14), wanted=Path(old))
    assert caught.value.message == f"no Python from 3.11 to 3.14 with venv and ensurepip; tried {old} (3.9)"


# -- health and progress ------------------------------------------------------------------------------


def test_addresses() -> None:
    assert server_url("127.0.0.1", 1) == server_url("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert server_url("::1", 1) == server_url("::", 1) == "http://[::1]:1"


def test_nobody_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert not is_healthy("127.0.0.1", 9)
    assert served_models("127.0.0.1", 9) == []
