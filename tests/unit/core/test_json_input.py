"""A key that stands twice in one object is an error wherever callers write JSON, and never silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make
from zsrec.cli.chat import _read
from zsrec.cli.ground import _json_object
from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.data.catalog import Catalog
from zsrec.data.tables import read_rows
from zsrec.evaluation.conversations import read_turns
from zsrec.llm.offline import RecordedReplies
from zsrec.serving.batch_input import as_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@given(VALUES)
def test_it_reads_what_json_writes(value: object) -> None:
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "a": 3}}]', b'{"a": 1, "\\u0061": 2}']
)
def test_a_key_twice_is_named(text: str | bytes) -> None:
    with pytest.raises(DuplicateKeyError, match="the key 'a' appears twice"):
        read_json(text)


def test_every_reader_of_lines_refuses_it_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('\n{"id": "1", "text": "a", "text": "b"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"x.jsonl:2: the column 'text' appears twice"):
        list(read_rows(path))
    with pytest.raises(DataError, match=r"x.jsonl:2: the key 'text' appears twice"):
        RecordedReplies.read("x", [path])
    with pytest.raises(DataError, match=r"x.jsonl:2: is no turn: the key 'text' appears twice"):
        read_turns(path, Catalog(["1"], ["Heat"]))
    with pytest.raises(BadRowError, match=r"x:3: not a line of JSON: the key 'id' appears twice"):
        _json_object(b'{"id": 1, "id": 2}', "x", 3)


def test_conversations_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has a key twice"):
        as_text('[{"role": "user", "text": "quiet films", "text": "loud films"}]')
    path = tmp_path / "talk.json"
    path.write_text('{"conversation": [], "conversation": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match="the key 'conversation' appears twice"):
        _read(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a saved conversation: Expecting"):
        _read(path)


def test_the_service_refuses_it_without_quoting(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        for body in ('{"history": ["Heat"], "history": ["Up"]}', '{"history": [{"item": "Heat", "item": "Up"}]}'):
            reply = http.post("/v1/recommend", content=body, headers={"content-type": "application/json"})
            found = reply.json()
            assert (reply.status_code, found["code"]) == (400, "BadJson")
            assert found["detail"] == "an object has a key twice"
            assert "Heat" not in reply.text
