"""Whole raw answers of real models (He et al. 2023) against MovieLens: the measured level, held.

Judged are the answers in which every mention has a hand-checked or strict label (`complete`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zsrec.catalog import Catalog
from zsrec.ground import Grounder
from zsrec.ground.answer import ground_answer, item_ids


@pytest.fixture(scope="module")
def grounder(test_data: Path) -> Grounder:
    movies = test_data / "ml-latest-small" / "movies.csv"
    return Grounder(Catalog.from_csv(movies, id="movieId", title="title", domain="movies"))


def answers(test_data: Path) -> Iterator[dict[str, Any]]:
    with (test_data / "grounding-dev" / "answers.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_complete_answers_give_the_expected_list(test_data: Path, grounder: Grounder) -> None:
    right: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for row in answers(test_data):
        if row["complete"]:
            model = row["source"].split("_")[0]
            judged[model] += 1
            right[model] += list(item_ids(ground_answer(row["text"], grounder))) == row["expected_ids"]
    assert judged == {"baize": 64, "gpt-3.5-turbo": 50}
    assert right["gpt-3.5-turbo"] >= 0.97 * judged["gpt-3.5-turbo"]
    assert right["baize"] >= 0.92 * judged["baize"]


def test_other_answers_keep_what_is_surely_expected(test_data: Path, grounder: Grounder) -> None:
    """In the other answers some mentions have no label: there, of the labelled items hardly one may be lost."""
    lost = expected = 0
    for row in answers(test_data):
        if not row["complete"] and row["extraction"] == "numbered":
            found = set(item_ids(ground_answer(row["text"], grounder)))
            expected += len(row["expected_ids"])
            lost += len(set(row["expected_ids"]) - found)
    assert expected > 7000
    assert lost <= 0.01 * expected


def test_spans_are_exact(test_data: Path, grounder: Grounder) -> None:
    for row in answers(test_data):
        for one in ground_answer(row["text"], grounder):
            assert row["text"][one.mention.start : one.mention.end] == one.mention.text
