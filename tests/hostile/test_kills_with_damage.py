"""`batch` and `bench` killed at random moments, damaged in between, and resumed: right in the end, or named.

A few rounds in CI; `ZSREC_KILLS=20` makes twenty of each.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.faults import test_batch_kill, test_bench_kill
from tests.faults.server import ScriptedServer
from tests.hostile.damage import DAMAGE

pq = pytest.importorskip("pyarrow.parquet")

KILLS = int(os.environ.get("ZSREC_KILLS", "2"))
LASTING = ("config.json", "SHA256SUMS")

Start = Callable[[Path], subprocess.Popen[bytes]]


@pytest.fixture
def rationed() -> test_bench_kill.Rationed:
    return test_bench_kill.Rationed()


@pytest.fixture
def batch_server() -> Iterator[ScriptedServer]:
    with ScriptedServer(test_batch_kill.answer) as running:
        yield running


@pytest.fixture
def bench_server(rationed: test_bench_kill.Rationed) -> Iterator[ScriptedServer]:
    with ScriptedServer(rationed) as running:
        yield running


def files_of(folder: Path) -> list[Path]:
    """What zsrec reads again."""
    left_out = (".lock", ".part", ".tmp", ".md", ".html")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if not path.name.endswith(left_out)]


class Attack:
    """Kills, damages and resumes one job; counts what became of it."""

    def __init__(self, folder: Path, seed: int, start: Start, server: ScriptedServer, most: int) -> None:
        self.folder, self.start, self.server, self.most = folder, start, server, most
        self.copy = folder.with_name("copy")
        self.rng = random.Random(seed)
        self.became: Counter[str] = Counter()
        self.hits: set[str] = set()  # files that are damaged and were not named yet

    def go(self) -> None:
        kills = 0
        while kills < KILLS:
            if self.killed(by_time=kills % 3 == 0):
                kills += 1
                self.damage(verify=kills % 2 == 0)

    def killed(self, *, by_time: bool) -> bool:
        """Whether the command was killed at work; if not, it named what is damaged."""
        asked = len(self.server.requests)
        wanted, deadline = self.rng.randint(1, self.most), time.monotonic() + self.rng.uniform(0.5, 6.0)
        process = self.start(self.folder)
        while process.poll() is None:
            if time.monotonic() > deadline if by_time else len(self.server.requests) >= asked + wanted:
                time.sleep(self.rng.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        log = b"".join(filter(None, process.communicate())).decode()
        if process.returncode == -signal.SIGKILL:
            return True
        self.named(process.returncode, log, "by the command")
        return False

    def damage(self, *, verify: bool) -> None:
        """Damages a file, and has it verified or leaves it to the command to find."""
        files = files_of(self.folder) if self.folder.exists() else []
        if not files:
            self.became["killed before there was a file"] += 1
            return
        if not self.hits:
            shutil.rmtree(self.copy, ignore_errors=True)
            shutil.copytree(self.folder, self.copy)
        damage = self.rng.choice(DAMAGE)
        hit = damage(self.rng, files)
        if hit is not None:
            self.became[damage.__name__] += 1
            self.hits.add(hit.name)
        if verify:
            verified = zsrec(self.folder, "verify", str(self.folder))
            if verified.returncode:
                self.named(verified.returncode, verified.stdout.decode(), "by verify")

    def named(self, code: int, log: str, how: str) -> None:
        """An error must name the damage and nothing else; then it is repaired, or put back from a copy."""
        text = log.replace("\n", "")
        assert code == 1, log
        assert "Traceback" not in text
        assert any(name in text for name in (*self.hits, "SHA256SUMS")), (self.hits, log)
        self.became[f"named {how}"] += 1
        if zsrec(self.folder, "verify", str(self.folder), "--repair").returncode:
            assert self.hits & set(LASTING), (self.hits, log)
            self.became["put back from a copy"] += 1
            shutil.rmtree(self.folder)
            self.copy.rename(self.folder)
        self.hits.clear()

    def finished(self) -> None:
        """Lets the command end."""
        while True:
            process = self.start(self.folder)
            log = b"".join(filter(None, process.communicate())).decode()
            if process.returncode == 0:
                return
            self.named(process.returncode, log, "by the command")


def zsrec(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "zsrec", *arguments], cwd=folder.parent, check=False, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPO), "COLUMNS": "10000"}, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_batch(tmp_path: Path, batch_server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    test_batch_kill.write_data(tmp_path)

    def start(folder: Path) -> subprocess.Popen[bytes]:
        return test_batch_kill.start(folder.parent, batch_server)

    attack = Attack(tmp_path / "out", 21, start, batch_server, most=20)
    attack.go()
    attack.finished()
    test_batch_kill.check_output(tmp_path)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    (tmp_path / "out").rename(tmp_path / "attacked")
    undisturbed = start(tmp_path / "out")
    undisturbed.communicate()
    assert undisturbed.returncode == 0
    assert rows == pq.read_table(tmp_path / "out").to_pylist()
    assert zsrec(tmp_path / "out", "verify", str(tmp_path / "attacked")).returncode == 0
    with capsys.disabled():
        sys.stdout.write(f"\nbatch, {KILLS} kills: {dict(attack.became)}\n")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_bench(
    tmp_path: Path,
    bench_server: ScriptedServer,
    rationed: test_bench_kill.Rationed,
    capsys: pytest.CaptureFixture[str],
) -> None:
    test_bench_kill.write_data(tmp_path)
    ration = 4

    def start(folder: Path) -> subprocess.Popen[bytes]:
        rationed.begin(ration)
        return test_bench_kill.start(tmp_path, folder, bench_server)

    attack = Attack(tmp_path / "attacked", 22, start, bench_server, most=ration)
    attack.go()
    ration = sys.maxsize
    attack.finished()
    undisturbed = start(tmp_path / "undisturbed")
    undisturbed.communicate()
    assert undisturbed.returncode == 0
    written = [path.relative_to(tmp_path / "undisturbed") for path in files_of(tmp_path / "undisturbed")]
    for name in written:
        if name.name not in ("times.json", "exchanges.jsonl", "SHA256SUMS"):
            assert (tmp_path / "attacked" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), (
                name
            )
    assert zsrec(tmp_path / "attacked", "verify", str(tmp_path / "attacked")).returncode == 0
    with capsys.disabled():
        sys.stdout.write(f"\nbench, {KILLS} kills: {dict(attack.became)}\n")
