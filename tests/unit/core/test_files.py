"""Atomic writes, the three places that use them, and file locks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from zsrec.core.errors import ConfigError, ServerError
from zsrec.core.files import atomic_write, file_lock
from zsrec.evaluation.run_folder import RunFolder
from zsrec.llm.journal import Journal, without_requests


def by_run_folder(path: Path) -> None:
    RunFolder(path.parent).write_text(path.name, "new")


def by_journal(path: Path) -> None:
    without_requests(path, "", str.upper)


def by_batch(path: Path) -> None:
    pytest.importorskip("pyarrow")
    from zsrec.serving import batch_chunks, batch_input

    files = batch_chunks.Files(path.parent)
    files.work.mkdir(parents=True, exist_ok=True)
    files.chunk = lambda number: path  # type: ignore[method-assign]
    arrow = batch_chunks.arrow()
    part = batch_input.Part(users=arrow.array(["u"]), items=arrow.array(["i"]), starts=[0, 1], ratings=None)
    batch_chunks.write_chunk(files, 0, part)


@pytest.mark.parametrize("write", [by_run_folder, by_journal, by_batch])
def test_data_then_name_then_folder_go_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "file.jsonl"
    with Journal(path) as journal:
        journal.append("a", request={}, reply={})
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(file: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else f"data {os.fstat(file).st_ino}")
        fsync(file)

    def replaced(source: str, target: str) -> None:
        done.append(f"name of {os.stat(source).st_ino}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write(path)
    new = path.stat().st_ino
    assert [one for one in done if str(new) in one or one == "folder"] == [
        f"data {new}",
        f"name of {new}",
        "folder",
    ]
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.tmp"))


def fail_in(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"new")
        raise ZeroDivisionError


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError):
        fail_in(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_not_written_into(tmp_path: Path) -> None:
    path, other = tmp_path / "new" / "file", tmp_path / "other"
    other.write_bytes(b"other")
    path.parent.mkdir()
    path.with_name("file.part").symlink_to(other)
    with atomic_write(path, private=True) as file:
        file.write(b"new")
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"other")
    assert not path.is_symlink()


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"file: cannot be written: No space left on device\n  hint: check --out"),
        atomic_write(tmp_path / "file"),
    ):
        raise OSError(28, "No space left on device")
    (tmp_path / "nothing").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"), atomic_write(tmp_path / "nothing" / "file"):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["nothing"]


def test_a_file_system_that_cannot_sync_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def synced(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(file)

    monkeypatch.setattr(os, "fsync", synced)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    path, waits = tmp_path / "x.lock", []
    hold = (
        "import sys, time; from pathlib import Path; from zsrec.core.files import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ServerError, match="has held"), file_lock(path):
            pytest.fail("two hold the lock")
        killer = threading.Timer(0.3, holder.kill)
        killer.start()
        with file_lock(path, waiting=lambda: waits.append(1), timeout=30):
            assert waits == [1]
    with pytest.raises(ZeroDivisionError), file_lock(path):
        raise ZeroDivisionError
    with file_lock(path):
        assert path.read_bytes() == b""
