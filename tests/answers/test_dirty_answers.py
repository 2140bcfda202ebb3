"""Answers of every kind that users report, against MovieLens: the exact list, in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.answers.dirty_answers import Case, answers
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import ground_answer, item_ids
from zsrec.data.catalog import Catalog

DIRTY = list(answers())


@pytest.fixture(scope="module")
def grounder(test_data: Path) -> Grounder:
    return Grounder(Catalog.from_file(test_data / "ml-latest-small" / "movies.csv", id="movieId", title="title"))


def test_reported_cases(test_data: Path, grounder: Grounder) -> None:
    with (test_data / "answer-cases" / "cases.jsonl").open(encoding="utf-8") as rows:
        cases = [json.loads(row) for row in rows]
    assert len(cases) == 60
    wrong = [
        (case["id"], found)
        for case in cases
        if (found := list(item_ids(ground_answer(case["text"], grounder)))) != case["items"]
    ]
    assert wrong == []


def test_there_are_enough_dirty_answers() -> None:
    assert len({case.text for case in DIRTY}) == len(DIRTY) >= 1000


@pytest.mark.parametrize("form", sorted({case.form for case in DIRTY}))
def test_dirty_answers(form: str, grounder: Grounder) -> None:
    def read(case: Case) -> tuple[str, ...]:
        return tuple(item_ids(ground_answer(case.text, grounder)))

    wrong = [(case.name, read(case)) for case in DIRTY if case.form == form and read(case) != case.items]
    assert wrong == []
