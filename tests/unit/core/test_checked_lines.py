from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsrec.core.checked_lines import Line, Lines, line_of, read_lines, repair, rewrite

ENTRIES: list[dict[str, Any]] = [
    {"key": f"k{n}", "reply": {"answer": f"{n}. Heat", "tokens": n}} for n in range(6)
]


@pytest.fixture(autouse=True, scope="module")
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of files are written here; that they are synced is tested in `test_files`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def read(path: Path, purpose: str = "p") -> tuple[list[dict[str, Any]], Lines]:
    taken: list[dict[str, Any]] = []

    def take(line: Line) -> bool:
        taken.append({name: value for name, value in line.entry.items() if name != "check"})
        return True

    return taken, read_lines(path, purpose, take)


def written(path: Path, entries: list[dict[str, Any]] = ENTRIES, purpose: str = "p") -> list[bytes]:
    rewrite(path, purpose, entries)
    return path.read_bytes().splitlines(keepends=True)


def test_lines_come_back_and_stay_json(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    odd = [*ENTRIES, {"key": '", "check": "1-00000000"}', "check": "mine"}, {"key": "\ud800 千"}]
    lines = written(path, odd)
    taken, found = read(path)
    assert found == Lines(whole=8)
    assert [one["key"] for one in taken] == [one["key"] for one in odd]
    assert json.loads(lines[2])["check"].startswith("3-")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("places", "faults"),
    [
        ([0, 1, 3, 4, 5], [(3, "follows on a lost line")]),
        ([0, 4, 5], [(2, "follows on 3 lost lines")]),
        ([0, 1, 1, 2, 3, 4, 5], [(3, "stands at the wrong place or twice: it was line 2")]),
        (
            [0, 2, 1, 3, 4, 5],
            [
                (2, "follows on a lost line"), (3, "stands at the wrong place or twice: it was line 2"),
                (4, "follows on a lost line"),
            ],
        ),
        ([1, 2, 3, 4, 5], [(1, "follows on a lost line")]),
    ],
)  # fmt: skip
def test_lost_repeated_and_moved_lines_are_named(
    tmp_path: Path, places: list[int], faults: list[tuple[int, str]]
) -> None:
    path = tmp_path / "j.jsonl"
    lines = written(path)
    path.write_bytes(b"".join(lines[place] for place in places))
    assert read(path)[1].faults == faults
    repair(path, "p")
    taken, found = read(path)
    assert found.faults == []
    assert taken == [ENTRIES[place] for place in sorted(set(places))]


def test_lines_of_another_file_and_without_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    lines = written(path)
    taken, found = read(path, "another")
    assert (taken, len(found.faults)) == ([], 6)
    (one,) = found.errors(path)
    assert "of another run or job" in one.message
    path.write_bytes(lines[0] + line_of(ENTRIES[1], 2, "another") + lines[2])
    assert read(path)[1].faults == [(2, "is damaged")]
    bare = b"".join(json.dumps(one).encode() + b"\n" for one in ENTRIES)
    path.write_bytes(bare)
    taken, found = read(path)
    assert (taken, found) == (ENTRIES, Lines(whole=6, checked=False))  # of before checksums
    path.write_bytes(lines[0] + json.dumps(ENTRIES[1]).encode() + b"\n" + lines[2])
    assert read(path)[1].faults == [(2, "has lost its checksum")]
    repair(path, "p")
    assert read(path)[0] == [ENTRIES[0], ENTRIES[2]]
    path.write_bytes(bare)
    assert repair(path, "p") == 0
    assert read(path) == (ENTRIES, Lines(whole=6))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 255), st.integers(0, 5))
def test_a_changed_byte_is_never_read_as_something_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.jsonl"
    raw = bytearray(b"".join(written(path)))
    raw[at % len(raw)] ^= change
    path.write_bytes(raw[: len(raw) - cut])
    taken, found = read(path)
    known = [json.dumps(one) for one in ENTRIES]
    assert all(json.dumps({"key": one["key"], "reply": one["reply"]}) in known for one in taken)
    assert found.faults or found.torn is not None
    repair(path, "p")
    again, found = read(path)
    assert (found.faults, found.torn) == ([], None)
    assert len(again) >= len(ENTRIES) - 3


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"[]", b'{"key": 1}', b"null", b'{"check": "1-0"}'])))
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    read(path)
    repair(path, "p")
    assert read(path)[1].faults == []


def test_what_a_line_costs(tmp_path: Path) -> None:
    """The size of the field; the time beside json's is in docs/benchmark.md."""
    path = tmp_path / "j.jsonl"
    rng = random.Random(0)
    written(path, [{"key": str(n), "text": "x" * rng.randrange(1000)} for n in range(1000)])
    bare = sum(len(json.dumps(one)) + 1 for one in read(path)[0])
    assert path.stat().st_size - bare < 1000 * 28
