"""Batch jobs with request files and recorded replies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from zsrec.cli import app
from zsrec.core.errors import ConfigError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

USERS = 7


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    films = "".join(f"{n},Film {n:02d}\n" for n in range(30))
    (tmp_path / "films.csv").write_text("movieId,title\n" + films, encoding="utf-8")
    users = [str(n) for n in range(USERS)]
    pq.write_table(pa.table({"user": users, "item": users, "timestamp": [1] * USERS}), tmp_path / "in.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*more: str) -> Result:
    argv = (
        "batch --input in.parquet --out out --catalog films.csv --columns user,item,timestamp, --chunk 3 --model m"
    )
    return CliRunner().invoke(app, [*argv.split(), *more])


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["user"]: row for row in pq.read_table(folder / "out").to_pylist()}


def answered(files: Path, number: int, *, without: tuple[str, ...] = (), fail: tuple[str, ...] = ()) -> str:
    """Answers a round: the film after the newest one of the history."""
    lines = []
    for path in sorted((files / "r" / f"round-{number}").glob("*.jsonl")):
        for request in map(json.loads, path.read_text("utf-8").splitlines()):
            film = int(re.findall(r"Film (\d+)", json.dumps(request["body"]["messages"]))[-1])
            choice = {"message": {"content": f"1. Film {film + 1:02d}"}, "finish_reason": "stop"}
            body = {"choices": [choice], "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
            if str(film) in fail:
                lines.append({"custom_id": request["custom_id"], "response": None, "error": {"message": "lost"}})
            elif str(film) not in without:
                response = {"status_code": 200, "body": body}
                lines.append({"custom_id": request["custom_id"], "response": response, "error": None})
    (files / f"{number}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return f"m={number}.jsonl"


def test_a_job_waits_for_replies_and_goes_on_with_them(files: Path) -> None:
    first = invoke("--requests-only", "r")
    assert first.exit_code == 0, (first.output, first.exception)
    assert f"{USERS} requests" in first.output
    assert not list((files / "out").glob("*.parquet"))
    replies = answered(files, 1, without=("2",), fail=("4",))
    second = invoke("--replies", replies, "--requests-only", "r")
    assert second.exit_code == 0, (second.output, second.exception)
    assert "2 requests" in second.output  # the one that is missing and the one that failed
    assert len(list((files / "out").glob("*.parquet"))) == 1  # the chunk in which nobody waits
    third = invoke("--replies", replies, "--replies", answered(files, 2), "--requests-only", "r")
    assert "every request has a reply" in third.output
    found = rows(files)
    assert {user: row["item"] for user, row in found.items()} == {str(n): str(n + 1) for n in range(USERS)}
    assert all(row["prompt_tokens"] == 5 and row["error"] is None for row in found.values())
    done = invoke("--replies", replies)  # a finished job asks nobody
    assert f"{USERS} users, {USERS} rows" in done.output


def test_without_a_request_folder_a_missing_reply_is_a_row_with_its_error(files: Path) -> None:
    invoke("--requests-only", "r")
    result = invoke("--replies", answered(files, 1, without=("2",), fail=("4",)))
    assert result.exit_code == 0, (result.output, result.exception)
    errors = {user: row["error"] for user, row in rows(files).items() if row["error"]}
    assert errors == {"2": "missing_reply", "4": "bad_reply"}
    assert "1 missing replies, the first for '2'" in result.output


def test_answers_by_user(files: Path) -> None:
    lines = [{"id": str(n), "text": f"1. Film {n + 2:02d}"} for n in range(USERS)]
    (files / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    result = invoke("--replies", "m=a.jsonl")
    assert result.exit_code == 0, (result.output, result.exception)
    assert {user: row["item"] for user, row in rows(files).items()} == {str(n): str(n + 2) for n in range(USERS)}


def test_what_does_not_go_together(files: Path) -> None:
    (files / "a.jsonl").write_text("", encoding="utf-8")
    for more, match in (
        (("--replies", "a=a.jsonl", "--replies", "b=a.jsonl"), "two names"),
        (("--replies", "a=a.jsonl", "--engine", "ray"), "local engine"),
    ):
        found = invoke(*more).exception
        assert isinstance(found, ConfigError), found
        assert match in str(found)
