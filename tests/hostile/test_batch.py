"""Batch jobs beside a model server that sends numbers which no column holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving.test_batch_worker import Asks, made, output, run
from zsrec.core.checked_lines import rewrite
from zsrec.data.history import History
from zsrec.serving.batch_rows import Answer
from zsrec.serving.batch_worker import Outcome

ODD: list[dict[str, Any]] = [
    {"prompt_tokens": 2147483648}, {"prompt_tokens": -1}, {"cached_tokens": 10**400}, {"requests": 1.5},
    {"model": 7}, {"items": (("1", "high", "llm"),)},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_job_ends_whatever_number_an_answer_has(tmp_path: Path, odd: dict[str, Any]) -> None:
    files, chunks = made(tmp_path, users=4)

    async def ask(user: str, history: History, conversation: object) -> Outcome:
        fields = odd if user == "u1" else {}
        return Outcome(Answer(user=user, **{"items": (("1", 1.0, "llm"),), **fields}), answered=True)

    assert sum(run(files, chunks, ask)) == 4
    rows = output(files)
    assert [row["user"] for row in rows] == ["u0", "u1", "u2", "u3"]
    assert [row["error"] for row in rows] == [None, "bad_reply", None, None]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_journal_with_such_a_line_recovers(tmp_path: Path, odd: dict[str, Any]) -> None:
    files, chunks = made(tmp_path, users=4)
    with pytest.raises(RuntimeError):
        run(files, chunks, Asks(dies_after=2), concurrency=1)
    first, second = map(json.loads, files.journal(0).read_text().splitlines())
    rewrite(files.journal(0), files.purpose(0), [first, second | odd])
    again = Asks()
    run(files, chunks, again)
    assert set(again.asked) == {"u1", "u2", "u3"}
    assert [(row["user"], row["error"]) for row in output(files)] == [
        (f"u{n}", None) for n in range(4) for _ in (1, 2)
    ]
