"""Mentions of real models (He et al. 2023) against MovieLens: the measured level, held.

`residual_sample.jsonl` holds real mentions that equal no title, read and labelled by hand for this project. The
half "tune" was used to fit the calibration, the half "check" was not. Both sources are development data: the
levels here are floors against regressions, not claims about other catalogs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from zsrec.answers.grounder import Grounder
from zsrec.core.types import Match
from zsrec.data.catalog import Catalog

Judged = list[tuple[dict[str, Any], Match]]

SAMPLE = Path(__file__).parent / "data" / "residual_sample.jsonl"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(test_data: Path) -> Grounder:
    return Grounder(
        Catalog.from_file(
            test_data / "ml-latest-small" / "movies.csv", id="movieId", title="title", domain="movies"
        )
    )


@pytest.fixture(scope="module")
def judged(test_data: Path, whole: Grounder) -> Judged:
    """Every development row with its match, negatives against the catalog without their fold's items."""
    folder = test_data / "grounding-dev"
    grounders: dict[int | None, Grounder] = {None: whole}
    for fold in range(5):
        gone = json.loads((folder / f"deleted_fold{fold}.json").read_text(encoding="utf-8"))
        grounders[fold] = Grounder(whole.catalog.without(gone))
    names = ("positives", "hard_positives", "negatives_deletion", "ambiguous")
    rows = [row for name in names for row in _rows(folder / f"{name}.jsonl")]
    return [(row, grounders[row.get("fold")].ground(row["mention"])) for row in rows]


def _share(found: list[bool]) -> float:
    assert found
    return sum(found) / len(found)


def test_every_title_as_the_catalog_writes_it_is_its_item(whole: Grounder) -> None:
    catalog = whole.catalog
    others = 0
    for item_id, match in zip(catalog.ids, whole.ground_many(catalog.titles), strict=True):
        if match.item_id != item_id:  # another item has the very same title
            assert match.reason == "ambiguous"
            assert item_id in match.alternatives
            others += 1
        else:
            assert match.method == "exact"
            assert match.score > 0.98
    assert others < 20


def test_strict_mentions_are_all_found(judged: Judged) -> None:
    assert all(match.item_id == row["item_id"] for row, match in judged if row["set"] == "positive")


def test_distorted_mentions(judged: Judged) -> None:
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for row, match in judged:
        if row["set"] == "hard":
            by_kind[row["kind"]].append(match.item_id == row["item_id"])
    assert _share([right for found in by_kind.values() for right in found]) >= 0.975
    assert _share(by_kind["typo1"]) >= 0.95
    assert _share(by_kind["typo2"]) >= 0.90


def test_deleted_items_and_traps_are_not_grounded(judged: Judged) -> None:
    wrong = [match.item_id is not None for row, match in judged if row["set"] == "negative"]
    traps = [match.item_id is not None for row, match in judged if row["set"] == "negative" and row["trap"]]
    assert _share(wrong) <= 0.02
    assert _share(traps) <= 0.03


def test_titles_that_several_items_share(judged: Judged) -> None:
    dated = [(r, m) for r, m in judged if r["set"] == "ambiguous" and r["kind"] in ("year", "franchise_year")]
    bare = [(r, m) for r, m in judged if r["set"] == "ambiguous" and r["kind"] in ("noyear", "real_noyear")]
    assert _share([match.item_id == row["item_id"] for row, match in dated]) >= 0.99
    assert all(
        match.reason == "ambiguous" and set(match.alternatives) == set(row["accept"]) for row, match in bare
    )


def test_f1_with_abstention(judged: Judged) -> None:
    pairs = [
        (match.item_id, None if row["set"] == "negative" else row["item_id"])
        for row, match in judged
        if row["set"] != "ambiguous" or row["kind"] in ("year", "franchise_year")
    ]
    assert _f1(pairs) >= 0.990


@pytest.mark.parametrize(("half", "level"), [("tune", 0.92), ("check", 0.90)])
def test_real_mentions_without_a_strict_match(whole: Grounder, half: str, level: float) -> None:
    rows = [row for row in _rows(SAMPLE) if row["half"] == half]
    assert _f1([(whole.ground(row["mention"]).item_id, row["item_id"]) for row in rows]) >= level


def _f1(pairs: list[tuple[str | None, str | None]]) -> float:
    right = sum(found == wanted for found, wanted in pairs if wanted is not None)
    named = sum(found is not None for found, _ in pairs)
    return 2 * right / (named + sum(wanted is not None for _, wanted in pairs))
