"""Answers of every kind that users report, against MovieLens: the exact list, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.answers.dirty_answers import answers, broken_json
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import item_ids, read_answer
from zsrec.data.catalog import Catalog

DIRTY = list(answers())
HANDWRITTEN = Path(__file__).parent / "data" / "handwritten_answers.jsonl"


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def grounder(test_data: Path) -> Grounder:
    return Grounder(Catalog.from_file(test_data / "ml-latest-small" / "movies.csv", id="movieId", title="title"))


def test_reported_cases(test_data: Path, grounder: Grounder) -> None:
    cases = rows(test_data / "answer-cases" / "cases.jsonl")
    assert len(cases) == 60
    assert wrong(cases, grounder) == []


def test_handwritten_cases(grounder: Grounder) -> None:
    cases = rows(HANDWRITTEN)
    assert len(cases) >= 500
    assert wrong(cases, grounder) == []


def wrong(cases: list[dict[str, Any]], grounder: Grounder) -> list[tuple[str, list[str]]]:
    found = [(case, list(item_ids(read_answer(case["text"], grounder).grounded))) for case in cases]
    return [(case["text"], items) for case, items in found if items != case["items"]]


def test_there_are_enough_dirty_answers() -> None:
    assert len({case.text for case in DIRTY}) == len(DIRTY) >= 1000


@pytest.mark.parametrize("form", sorted({case.form for case in DIRTY}))
def test_dirty_answers(form: str, grounder: Grounder) -> None:
    cases = [{"text": case.text, "items": list(case.items)} for case in DIRTY if case.form == form]
    assert wrong(cases, grounder) == []


def test_broken_json(grounder: Grounder) -> None:
    """What json-repair 0.64 reads right of these with the same fields is 93% (docs/dependencies.md)."""
    cases = [{"text": case.text, "items": list(case.items)} for case in broken_json()]
    assert len(cases) >= 600
    assert len(wrong(cases, grounder)) <= 0.005 * len(cases)
