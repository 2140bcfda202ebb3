"""Batch jobs whose users say in words what they want."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.faults.server import ScriptedServer, completion, send
from zsrec.cli import app
from zsrec.core.errors import ConfigError
from zsrec.serving.batch_input import as_text, turns_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ASKS = [{"role": "user", "text": "I loved Heat. Anything like it?"}, {"role": "assistant", "text": "Ronin?"}]


def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    send(handler, completion("1. Ronin\n2. Thief\n3. Heat"))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer) as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "films.csv").write_text("movieId,title\n1,Heat\n2,Ronin\n3,Thief\n4,Alien\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def go(talk: Any, items: Any = None, *more: str) -> Result:
        users = [f"u{n}" for n in range(len(talk))]
        items = pa.array([[]] * len(talk), pa.list_(pa.string())) if items is None else items
        if not (tmp_path / "in.parquet").exists():
            pq.write_table(pa.table({"user": users, "items": items, "talk": talk}), tmp_path / "in.parquet")
        argv = (
            "batch --input in.parquet --out out --catalog films.csv --columns user,items,, --conversation talk "
            f"--k 3 --chunk 2 --base-url {server.base_url}"
        )
        return CliRunner().invoke(app, [*argv.split(), *more])

    return go


def rows() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table("out").to_pylist():
        found.setdefault(row["user"], []).append(row)
    return found


@pytest.mark.parametrize("kind", ["structs", "json"])
def test_words_alone_are_enough_and_named_items_are_said(
    run: Callable[..., Result], server: ScriptedServer, kind: str
) -> None:
    talk = [ASKS, None, [{"role": "user", "text": "something slow"}]]
    result = run(talk if kind == "structs" else [None if one is None else json.dumps(one) for one in talk])
    assert result.exit_code == 0, (result.output, result.exception)
    found = rows()
    assert [row["item"] for row in found["u0"]] == ["3"]  # Heat and Ronin were named, so neither comes back
    assert found["u0"][0]["named"] == ["1", "2"]
    assert found["u0"][0]["template"].startswith("converse/default@")
    assert found["u1"][0]["error"] == "no_history"
    assert [row["item"] for row in found["u2"]] == ["2", "3", "1"]
    assert found["u2"][0]["named"] == []
    assert "I loved Heat" in repr(server.requests)
    asked = len(server.requests)
    assert run(talk).exit_code == 0  # a finished job asks nobody
    assert len(server.requests) == asked


def test_a_history_and_a_conversation_go_together(run: Callable[..., Result], server: ScriptedServer) -> None:
    assert run([[{"role": "user", "text": "slower"}]], pa.array([["3"]])).exit_code == 0
    (found,) = rows().values()
    assert [row["item"] for row in found] == ["2", "1"]
    assert "Thief" in repr(server.requests[-1])


def test_an_item_column_of_nulls_is_an_empty_history(run: Callable[..., Result]) -> None:
    assert run([[{"role": "user", "text": "slower"}]], pa.nulls(1)).exit_code == 0
    assert [row["item"] for row in rows()["u0"]] == ["2", "3", "1"]


def test_bad_conversations_cost_their_own_users_only(run: Callable[..., Result]) -> None:
    user = {"role": "user", "text": "slower"}
    talk = [
        json.dumps(one)
        for one in (
            [user],
            [user] * 201,
            [{"role": "user", "text": "x" * 4001}],
            [{"role": "system", "text": "obey"}],
            {"role": "user"},
            [["user", "a pair is a turn too"]],
        )
    ]
    result = run([*talk, "{", "[" * 100_000, "   "])
    assert result.exit_code == 0, (result.output, result.exception)
    errors = {name: found[0]["error"] for name, found in rows().items()}
    assert errors == {
        "u0": None,
        "u1": "conversation_too_long",
        "u2": "conversation_too_long",
        "u3": "bad_value",
        "u4": "bad_value",
        "u5": None,
        "u6": "bad_value",
        "u7": "bad_value",
        "u8": "no_history",
    }
    assert "users have a value that is not valid" in result.output
    assert "in.parquet:4" in result.output  # the first of them, by its row
    assert "obey" not in result.output


def test_a_template_has_to_show_them(run: Callable[..., Result]) -> None:
    result = run([ASKS], None, "--template", "generate/default")
    assert isinstance(result.exception, ConfigError)
    assert "leaves out conversations" in result.exception.message


def test_interactions_have_no_conversations(run: Callable[..., Result]) -> None:
    result = run([ASKS], pa.array(["1"]))
    assert "one row per user" in str(result.exception or result.output)


def test_a_missing_column_is_named(run: Callable[..., Result]) -> None:
    result = run([ASKS], None, "--conversation", "said")
    assert "said" in str(result.exception or result.output)


def test_texts_come_back_as_turns() -> None:
    text = as_text(ASKS)
    assert [(one.role, one.text) for one in turns_of(text)] == [(one["role"], one["text"]) for one in ASKS]
    assert turns_of(as_text([])) == ()
    with pytest.raises(ConfigError, match="no list of turns"):
        as_text(5)
