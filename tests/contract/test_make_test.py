"""`.ci/test`, which `make test` is: with programs that only say how they were called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPO

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
ZSREC = """#!/bin/sh
echo "zsrec $*" >>"$CALLS"
[ "$2" = down ] && exit 0
[ -z "$SLOW" ] || { trap 'echo "up was told to end" >>"$CALLS"; exit 1' TERM; sleep 20 & wait; }
echo "words of the server's start"
exit "$STARTED"
"""
PYTEST = """#!/bin/sh
echo "pytest $* before ${ZSREC_TEST_BASE_URL:-nothing}" >>"$CALLS"
[ -z "$SLOW" ] || exec sleep 20
case "$*" in *not*) exit "$FIRST";; *) exit "$LAST";; esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name, text in (("zsrec", ZSREC), ("pytest", PYTEST)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "calls").touch()
    return tmp_path


def start(
    programs: Path, first: int = 0, started: int = 0, last: int = 0, slow: str = ""
) -> subprocess.Popen[str]:
    told = {"FIRST": str(first), "STARTED": str(started), "LAST": str(last), "SLOW": slow}
    command = [str(REPO / ".ci" / "test"), str(programs), "4711"]
    environment = {**os.environ, **told, "CALLS": str(programs / "calls"), "TMPDIR": str(programs)}
    environment.pop("ZSREC_TEST_BASE_URL", None)
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def calls(programs: Path) -> list[str]:
    return (programs / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("first", "started", "last", "expected"),
    [(0, 0, 0, 0), (1, 0, 0, 1), (0, 0, 1, 1), (2, 0, 1, 2), (0, 1, 0, 1), (1, 1, 1, 1)],
)
def test_one_part_that_fails_makes_it_fail_and_every_part_runs(
    programs: Path, first: int, started: int, last: int, expected: int
) -> None:
    whole = start(programs, first, started, last)
    said = whole.communicate(timeout=30)[0]
    assert whole.returncode == expected
    assert "words of the server's start" in said
    assert f"first part: {first}, of the server's start: {started}, of the second part: {last}" in said
    up, one, two, down = sorted(calls(programs)[:2], reverse=True) + calls(programs)[2:]
    assert (up, down) == ("zsrec model up --port 4711", "zsrec model down --port 4711")
    parts = "live or web or alone"
    assert one.endswith(f"-m not ({parts}) before nothing")
    assert two == f"pytest -m {parts} before {'nothing' if started else 'http://127.0.0.1:4711/v1'}"
    assert {path.name for path in programs.iterdir()} == {"zsrec", "pytest", "calls"}  # and no log left


def test_ctrl_c_ends_the_server_that_is_still_on_its_way(programs: Path) -> None:
    whole = start(programs, slow="yes")
    for _ in range(600):
        if len(calls(programs)) == 2:
            break
        time.sleep(0.05)
    os.killpg(whole.pid, signal.SIGINT)
    whole.communicate(timeout=15)
    assert whole.returncode == 130
    assert calls(programs)[2:] == ["up was told to end", "zsrec model down --port 4711"]
