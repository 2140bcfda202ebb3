from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from zsrec.core.checksums import SUMS, Checksums
from zsrec.core.errors import ConfigError, DamagedError
from zsrec.core.resumable_folder import ResumableFolder


def made(path: Path) -> ResumableFolder:
    folder = ResumableFolder(path / "job")
    folder.start({"a": 1})
    folder.write_json("input.json", {"b": 2})
    return folder


def test_sha256sum_reads_it(tmp_path: Path) -> None:
    folder = made(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "-c", SUMS], cwd=folder.path, capture_output=True, text=True, check=True
    )
    assert checked.stdout.splitlines() == ["config.json: OK", "input.json: OK"]


def test_damage_is_named_and_removed(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / "input.json").write_text('{"b": 3}')
    with pytest.raises(DamagedError, match=r"input\.json: is damaged or of another run"):
        folder.read_json("input.json")
    (fault,) = folder.faults()
    assert "zsrec verify" in str(fault)
    assert [one.path for one in folder.repair()] == [str(folder.path / "input.json")]
    assert not (folder.path / "input.json").exists()
    assert list(folder.faults()) == []


def test_a_file_by_hand_and_one_that_is_missing(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / "more.json").write_text("{}")
    with pytest.raises(DamagedError, match="put here by hand"):
        folder.read_json("more.json")
    (folder.path / "input.json").unlink()
    assert ["is missing" in one.message for one in folder.faults()] == [True, False]


def test_the_configuration_comes_back_with_the_same_command_only(tmp_path: Path) -> None:
    folder = made(tmp_path)
    for text in ('{"a": 2}', "{"):
        (folder.path / "config.json").write_text(text)
        with pytest.raises(DamagedError, match=r"config\.json"):
            folder.start({"a": 2})
        with pytest.raises(ConfigError, match="no command can make it again"):
            folder.repair()
        folder.start({"a": 1})
        assert folder.config() == {"a": 1}


@pytest.mark.parametrize("moment", ["recorded", "renamed"])
def test_a_kill_while_a_file_is_replaced(tmp_path: Path, moment: str) -> None:
    folder = made(tmp_path)
    old = (folder.path / "input.json").read_bytes()
    folder.write_json("input.json", {"b": 7})
    if moment == "recorded":  # the new content was recorded and never took the name
        (folder.path / "input.json").write_bytes(old)
    assert folder.read_json("input.json") == {"b": 2 if moment == "recorded" else 7}
    folder.write_json("more.json", {})
    assert [len(digests) for digests in folder.sums.read().values()] == [1, 1, 1]
    assert list(folder.faults()) == []


def test_a_folder_of_before_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = made(tmp_path)
    folder.sums.path.unlink()
    assert folder.read_json("input.json") == {"b": 2}
    assert folder.notes == []
    folder.start({"a": 1})
    assert "made before there were checksums" in folder.notes[0]
    assert set(folder.sums.read()) == {"config.json", "input.json"}


def test_damage_in_the_records(tmp_path: Path) -> None:
    folder = made(tmp_path)
    good = folder.sums.path.read_text()
    folder.sums.path.write_text(good.replace("  input", " input"))
    with pytest.raises(DamagedError, match=r"SHA256SUMS:2: is no checksum and name"):
        folder.read_json("input.json")
    assert [Path(one.path or "").name for one in folder.repair()] == ["input.json"]
    folder.sums.path.write_text("")
    with pytest.raises(DamagedError, match="put here by hand"):
        folder.config()
    assert Checksums(tmp_path).read() == {}
