"""`zsrec ground`: lines in, lines out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from zsrec.cli import app
from zsrec.core.errors import ConfigError, DataError, MissingColumnError

Run = Callable[..., Result]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "films.csv"
    path.write_text(
        'movieId,title\n1,Heat (1995)\n2,Ronin (1998)\n3,"Matrix, The (1999)"\n'
        "7,Solaris (1972)\n8,Solaris (2002)\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def run(catalog: Path) -> Run:
    def call(*options: object, lines: str | bytes = "") -> Result:
        given = [
            "ground",
            "--catalog",
            catalog,
            "--id",
            "movieId",
            "--title",
            "title",
            "--input",
            "-",
            "--out",
            "-",
            *options,
        ]
        return CliRunner().invoke(app, list(map(str, given)), input=lines)

    return call


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_mentions(run: Run) -> None:
    result = run(lines='{"id": "a", "mention": "The Matrix (1999)"}\n\n{"id": 7, "mention": "Alphaville"}\n')
    found, lacking = rows(result)
    assert result.exit_code == 0
    assert list(found) == ["id", "item_id", "score", "method", "reason", "alternatives"]
    assert (found["id"], found["item_id"], found["method"], found["reason"]) == ("a", "3", "exact", None)
    assert 0.5 < found["score"] <= 1
    assert (lacking["id"], lacking["item_id"], lacking["reason"]) == (7, None, "not_in_catalog")


def test_whole_answers(run: Run) -> None:
    text = "Sure!\n1. Ronin\n2. Alphaville\n3. Heat (1995)\n4. Ronin (1998)"
    (row,) = rows(run(lines=json.dumps({"id": "a", "text": text})))
    assert row["items"] == ["2", "1"]
    assert [text[m["start"] : m["end"]] for m in row["mentions"]] == [m["text"] for m in row["mentions"]]
    assert [m["item_id"] for m in row["mentions"]] == ["2", None, "1", "2"]
    assert set(row["mentions"][0]) == {
        "text",
        "start",
        "end",
        "item_id",
        "score",
        "method",
        "reason",
        "alternatives",
    }


def test_context_of_a_line(run: Run) -> None:
    lines = [
        {"id": 1, "mention": "Solaris"},
        {"id": 2, "mention": "Solaris", "candidates": ["8", "1"]},
        {"id": 3, "mention": "Solaris", "history": [7]},
        {"id": 4, "text": "1. Heat - Ronin", "side": "right"},
        {"id": 5, "text": "1. Heat - Ronin", "side": "left"},
        {"id": 6, "text": "1. Ronin\n2. Heat", "finish_reason": "length"},
        {"id": 7, "text": "Heat is a great film. Ronin is a great film.", "history": ["1", "unknown"]},
    ]
    open_one, by_pool, by_history, right, left, cut, known = rows(run(lines="\n".join(map(json.dumps, lines))))
    assert (open_one["item_id"], open_one["reason"], set(open_one["alternatives"])) == (
        None,
        "ambiguous",
        {"7", "8"},
    )
    assert (by_pool["item_id"], by_history["item_id"]) == ("8", "7")
    assert (right["items"], left["items"], cut["items"], known["items"]) == (["2"], ["1"], ["2"], ["2"])


def test_what_is_strange_about_the_input_is_said_once(run: Run) -> None:
    lines = [
        {"id": 1, "mention": "Ronin"},
        {"id": "1", "mention": "Ronin", "candidates": ["1", "66"]},
        {"id": 1, "mention": "Solaris", "candidates": ["67"], "history": ["1"]},
        {"id": 2, "mention": "Ronin", "history": ["private-68"]},
    ]
    result = run(lines="\n".join(map(json.dumps, lines)))
    assert (result.exit_code, len(rows(result))) == (0, 4)
    assert result.stderr.splitlines() == [
        "-:2: an earlier line has this id (2 such lines)",
        "-:2: the catalog lacks ids of its candidates; they are ignored (2 such lines)",
        "-:4: the catalog lacks ids of its history; they are ignored",
    ]
    empty = run(lines="\n\n")
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "-: no lines\n")


def test_without_leaves_items_out(run: Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    gone.write_text('["1", 2, "not there"]')
    result = run(
        "--without",
        gone,
        lines='{"id": 1, "mention": "Heat (1995)"}\n{"id": 2, "text": "1. Ronin\\n2. The Matrix"}',
    )
    assert "gone.json: 1 of 3 ids are not in the catalog" in result.stderr
    first, second = rows(result)
    assert first["item_id"] is None
    assert second["items"] == ["3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"ids": ["1"]}', "expected a JSON list of ids, found an object"),
        ('"1"', "found a text"),
        ("[true]", "entry 0: expected an id, found true"),
        ("[[1]]", "entry 0: expected an id, found a list"),
        ("[1.5]", "entry 0: expected an id, found a number"),
        ("[1", "cannot be read as JSON"),
    ],
)
def test_a_wrong_without_is_a_typed_error(content: str, message: str, run: Run, tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    gone.write_text(content)
    result = run("--without", gone)
    assert isinstance(result.exception, DataError)
    assert str(gone) in str(result.exception)
    assert message in str(result.exception)


BAD = [
    (b"{not json", "not a line of JSON"),
    (b'"text"', "expected an object, found a text"),
    (b"[1]", "expected an object, found a list"),
    (b'{"mention": "Heat"}', "expected an 'id'"),
    (b'{"id": null, "mention": "Heat"}', "expected an 'id'"),
    (b'{"id": true, "mention": "Heat"}', "expected an 'id'"),
    (b'{"id": 1}', "expected either a 'mention' or a 'text'"),
    (b'{"id": 1, "mention": "Heat", "text": "Heat"}', "expected either a 'mention' or a 'text'"),
    (b'{"id": 1, "mention": 5}', "'mention': expected a text, found a number"),
    (b'{"id": 1, "text": ["Heat"]}', "'text': expected a text, found a list"),
    (b'{"id": 1, "text": "Heat", "side": "middle"}', "unknown side"),
    (b'{"id": 1, "text": "Heat", "candidates": "1"}', "'candidates': expected a list of ids"),
    (b'{"id": 1, "text": "Heat", "history": [null]}', "'history': expected a list of ids"),
    (b'{"id": 1, "mention": "\xff"}', "not a line of JSON"),
    (b"[" * 100_000, "not a line of JSON"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_line_is_reported_and_the_rest_comes_out(line: bytes, message: str, run: Run) -> None:
    good = b'{"id": "a", "mention": "Heat (1995)"}\n'
    result = run(lines=good + b"\n" + line + b"\n" + good)
    assert [row["item_id"] for row in rows(result)] == ["1", "1"]
    assert result.exit_code == 1
    assert f"-:3: {message}" in result.stderr
    assert "1 bad line skipped" in result.stderr


def test_any_characters_come_out_as_json(run: Run) -> None:
    lines = '\ufeff{"id": "\\ud800", "text": "1. 《Heat》\\n2. \\ud83d Ronin\\u2028\\n3. \\u0000 Alphaville"}'
    (row,) = rows(run(lines=lines))
    assert row["id"] == "\ud800"
    assert row["items"] == ["1", "2"]


def test_files(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "mention": "Heat"}\n{"id": 2}\n')
    result = run("--input", source, "--out", target)
    assert result.exit_code == 1
    assert f"{source}:2:" in result.stderr
    assert [json.loads(line)["item_id"] for line in target.read_text().splitlines()] == ["1"]


def test_files_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("--input", tmp_path / "absent.jsonl").exception, ConfigError)
    assert isinstance(run("--out", tmp_path / "absent" / "out.jsonl").exception, ConfigError)
    assert isinstance(run("--id", "nope").exception, MissingColumnError)
