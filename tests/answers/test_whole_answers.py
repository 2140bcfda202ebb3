"""Whole raw answers of real models (He et al. 2023) against MovieLens: the measured level, held.

Judged are the answers in which every mention has a hand-checked or strict label (`complete`).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import item_ids, read_answer
from zsrec.core.types import Grounded
from zsrec.data.catalog import Catalog

Judged = list[tuple[dict[str, Any], list[Grounded]]]


@pytest.fixture(scope="module")
def judged(test_data: Path) -> Judged:
    """Every answer of the development half with what was found in it."""
    movies = test_data / "ml-latest-small" / "movies.csv"
    grounder = Grounder(Catalog.from_csv(movies, id="movieId", title="title", domain="movies"))
    with (test_data / "grounding-dev" / "answers.jsonl").open(encoding="utf-8") as lines:
        return [(row, read_answer(row["text"], grounder).grounded) for row in map(json.loads, lines)]


def test_complete_answers_give_the_expected_list(judged: Judged) -> None:
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row, found in judged:
        if row["complete"]:
            model = row["source"].split("_")[0]
            total[model] += 1
            right[model] += list(item_ids(found)) == row["expected_ids"]
    assert total == {"baize": 64, "gpt-3.5-turbo": 50}
    assert right["gpt-3.5-turbo"] >= 0.97 * total["gpt-3.5-turbo"]
    assert right["baize"] >= 0.92 * total["baize"]


def test_other_answers_keep_what_is_surely_expected(judged: Judged) -> None:
    """In the other answers some mentions have no label: there, of the labelled items hardly one may be lost."""
    lost = expected = 0
    for row, found in judged:
        if not row["complete"] and row["extraction"] == "numbered":
            expected += len(row["expected_ids"])
            lost += len(set(row["expected_ids"]) - set(item_ids(found)))
    assert expected > 7000
    assert lost <= 0.01 * expected


def test_spans_are_exact(judged: Judged) -> None:
    for row, found in judged:
        for one in found:
            assert row["text"][one.mention.start : one.mention.end] == one.mention.text
