"""Chunks and the work on them: nothing lost, nobody asked twice, whatever ends the process. No server."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zsrec.core.errors import BatchStoppedError, ConfigError, LLMServerError
from zsrec.core.types import TemplateRef
from zsrec.data.history import Feedback, History, Turn
from zsrec.serving import batch_chunks as chunk_module
from zsrec.serving.batch_chunks import Files, open_chunk, unfinished, write_chunk
from zsrec.serving.batch_input import Part
from zsrec.serving.batch_rows import COLUMNS, Answer
from zsrec.serving.batch_worker import Outcome, work_through

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TEMPLATE = TemplateRef(name="generate/default", version=1, path="x", sha256="ab")


class Asks:
    """Answers with one item, keeps count, and fails or stops where it is told to."""

    def __init__(self, *, fails: frozenset[str] = frozenset(), dies_after: int | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.at_once = self.most = 0
        self._fails, self._dies_after = fails, dies_after

    async def __call__(self, user: str, history: History, conversation: tuple[Turn, ...] = ()) -> Outcome:
        if self._dies_after is not None and sum(self.asked.values()) >= self._dies_after:
            raise RuntimeError("killed")
        self.asked[user] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if user in self._fails:
            return Outcome(Answer(user=user, error="llm_failed"), failure=LLMServerError("503"))
        items = tuple((event.item, 1.0, "llm") for event in history.events)
        return Outcome(Answer(user=user, items=items, requests=1), answered=True)


def made(folder: Path, users: int = 10, size: int = 4) -> tuple[Files, int]:
    files = Files(folder)
    files.work.mkdir(parents=True)
    number = 0
    for number, begin in enumerate(range(0, users, size)):
        names = [f"u{n}" for n in range(begin, min(begin + size, users))]
        items = pa.array([item for name in names for item in (f"{name}-1", f"{name}-2")])
        write_chunk(files, number, Part(pa.array(names), np.arange(len(names) + 1) * 2, items, None))
    return files, number + 1


def run(files: Files, chunks: int, ask: Any, *, concurrency: int = 3, stop_after: int = 20) -> list[int]:
    done: list[int] = []
    left = unfinished(files, chunks)
    asyncio.run(
        work_through(
            files,
            left,
            ask,
            template=TEMPLATE,
            concurrency=concurrency,
            stop_after=stop_after,
            on_done=done.append,
        )
    )
    return done


def output(files: Files) -> list[dict[str, Any]]:
    return [row for path in sorted(files.out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_user_once_in_the_input_s_order(tmp_path: Path) -> None:
    files, chunks = made(tmp_path)
    ask = Asks()
    assert sum(run(files, chunks, ask)) == 10
    rows = output(files)
    assert [(row["user"], row["rank"], row["item"]) for row in rows] == [
        (f"u{n}", rank, f"u{n}-{rank}") for n in range(10) for rank in (1, 2)
    ]
    assert tuple(rows[0]) == COLUMNS
    assert set(ask.asked.values()) == {1}
    assert ask.most == 3  # across the chunks' borders, and never more
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "_zsrec",
        *(f"part-0000{n}.parquet" for n in range(3)),
    ]
    assert {path.suffix for path in files.work.iterdir()} == {".sha256"}


@pytest.mark.parametrize("after", range(10))
def test_a_process_that_ends_anywhere_goes_on(tmp_path: Path, after: int) -> None:
    files, chunks = made(tmp_path)
    first = Asks(dies_after=after)
    with pytest.raises(RuntimeError, match="killed"):
        run(files, chunks, first)
    second = Asks()
    run(files, chunks, second)
    both = first.asked + second.asked
    assert set(both) == {f"u{n}" for n in range(10)}
    # Only who was under way is asked again: the workers are three.
    assert sum(count - 1 for count in both.values()) <= 3
    assert [row["user"] for row in output(files)] == [f"u{n}" for n in range(10) for _ in (1, 2)]


def test_dying_between_write_and_rename_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, chunks = made(tmp_path, users=4)
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt  # what no handler of ours catches

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        run(files, chunks, Asks())
    assert output(files) == []
    assert (files.work / "part-00000.parquet.tmp").exists()
    monkeypatch.setattr(Path, "replace", replace)
    again = Asks()
    assert run(files, chunks, again) == [4]
    assert not again.asked  # all of them were written down
    assert [row["user"] for row in output(files)] == ["u0", "u0", "u1", "u1", "u2", "u2", "u3", "u3"]


def test_dying_between_rename_and_tidying_up_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, chunks = made(tmp_path, users=4)
    monkeypatch.setattr(chunk_module, "_remove_finished", lambda *_: None)
    run(files, chunks, Asks())
    assert files.chunk(0).exists()
    assert files.journal(0).exists()
    before = files.part(0).read_bytes()
    assert unfinished(files, chunks) == []
    assert open_chunk(files, 0) is None  # and the leftovers are gone
    assert not files.chunk(0).exists()
    assert not files.journal(0).exists()
    assert open_chunk(files, 0) is None
    assert files.part(0).read_bytes() == before


def test_a_torn_line_is_asked_again(tmp_path: Path) -> None:
    files, chunks = made(tmp_path, users=4)
    with pytest.raises(RuntimeError):
        run(files, chunks, Asks(dies_after=3), concurrency=1)
    journal = files.journal(0)
    os.truncate(journal, journal.stat().st_size - 5)
    again = Asks()
    run(files, chunks, again)
    assert dict(again.asked) == {"u2": 1, "u3": 1}


def test_two_processes_do_not_share_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = made(tmp_path)
    monkeypatch.setattr(chunk_module, "_LOCK_TIMEOUT", 0.0)
    mine = open_chunk(files, 0)
    assert mine is not None
    with pytest.raises(ConfigError, match="another process works on chunk 0"):
        open_chunk(files, 0)
    mine.close()
    mine.close()  # twice does no harm
    again = open_chunk(files, 0)
    assert again is not None
    again.close()


def test_a_failing_user_is_a_row(tmp_path: Path) -> None:
    files, chunks = made(tmp_path, users=6)
    run(files, chunks, Asks(fails=frozenset({"u1", "u5"})))
    rows = {row["user"]: row for row in output(files) if row["rank"] in (None, 1)}
    assert [user for user, row in rows.items() if row["error"]] == ["u1", "u5"]
    assert (rows["u1"]["error"], rows["u1"]["item"], rows["u1"]["rank"]) == ("llm_failed", None, None)
    assert len(rows) == 6


def test_a_server_that_is_down_stops_the_job_and_nobody_is_written_off(tmp_path: Path) -> None:
    files, chunks = made(tmp_path, users=40, size=8)
    down = Asks(fails=frozenset(f"u{n}" for n in range(10, 40)))
    with pytest.raises(BatchStoppedError, match="failed for 5 users in a row"):
        run(files, chunks, down, stop_after=5)
    again = Asks()
    run(files, chunks, again)
    rows = output(files)
    assert {row["error"] for row in rows} == {None}
    assert len({row["user"] for row in rows}) == 40
    assert set(again.asked) == {f"u{n}" for n in range(10, 40)}


def test_stop_after_0_goes_on_to_the_end(tmp_path: Path) -> None:
    files, chunks = made(tmp_path, users=40, size=8)
    run(files, chunks, Asks(fails=frozenset(f"u{n}" for n in range(40))), stop_after=0)
    assert [row["error"] for row in output(files)] == ["llm_failed"] * 40


def test_ratings_become_likes_and_dislikes(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.work.mkdir(parents=True)
    part = Part(pa.array(["u"]), np.array([0, 4]), pa.array(list("abcd")), pa.array([5.0, 1.0, 3.0, None]))
    write_chunk(files, 0, part)
    chunk = open_chunk(files, 0)
    assert chunk is not None
    history = chunk.history(0, liked_from=4.0, disliked_to=2.0)
    chunk.close()
    assert [event.feedback for event in history.events] == [
        Feedback.LIKED, Feedback.DISLIKED, Feedback.SEEN, Feedback.SEEN,
    ]  # fmt: skip
    assert [event.rating for event in history.events] == [5.0, 1.0, 3.0, None]
