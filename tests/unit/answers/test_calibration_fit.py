"""Fitting the calibration and reading its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from zsrec.answers.calibration_fit import Labelled, fit_calibration, reliability
from zsrec.answers.grounder import Grounder
from zsrec.answers.scoring import Calibration
from zsrec.core.errors import DataError
from zsrec.data.catalog import Catalog


def test_labels_move_the_weights_that_they_speak_of(films: Catalog) -> None:
    grounder = Grounder(films)
    before = grounder.calibration
    wrong = [Labelled(f"Jane Austen's {title}", None) for title in ("Heat", "Ronin", "Thief", "Toy Story")]
    after = fit_calibration([(grounder, wrong * 5)])
    assert after.weights["cut_owner"] < before.weights["cut_owner"]
    assert after.weights["edit_share"] == before.weights["edit_share"]
    refitted = Grounder(films, calibration=after)
    assert grounder.ground("Jane Austen's Toy Story").item_id == "5"
    assert refitted.ground("Jane Austen's Toy Story").item_id is None
    assert refitted.ground("Toy Story").item_id == "5"


def test_fitting_twice_gives_the_same(films: Catalog) -> None:
    labels = [Labelled("Heat", "1"), Labelled("Rnin", "2"), Labelled("Alien", None), Labelled("Hear", None, 2.0)]
    assert fit_calibration([(Grounder(films), labels)]) == fit_calibration([(Grounder(films), labels)])


def test_a_strong_prior_holds(films: Catalog) -> None:
    start = Calibration.default()
    held = fit_calibration([(Grounder(films), [Labelled("Heat", None)])], strength=1e9)
    assert held.weights == pytest.approx(start.weights, abs=1e-3)


def test_labels_that_resemble_nothing_are_refused(films: Catalog) -> None:
    with pytest.raises(DataError, match="resembles a title"):
        fit_calibration([(Grounder(films), [Labelled("qqqq zzzz", None)])])


def test_saved_weights_are_read_again(tmp_path: Path) -> None:
    Calibration.default().save(tmp_path / "weights.json")
    assert Calibration.open(tmp_path / "weights.json") == Calibration.default()


@pytest.mark.parametrize("text", [None, "no json", '{"weights": {}, "threshold": 0.5}', "[]"])
def test_a_broken_file_of_weights_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "weights.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=r"weights\.json"):
        Calibration.open(path)


def test_reliability_by_hand() -> None:
    table, error = reliability([(0.95, True), (0.95, True), (0.55, False), (0.55, True), (1.0, True)])
    assert [(row.low, row.matches, row.share_right) for row in table] == [(0.5, 2, 0.5), (0.9, 3, 1.0)]
    assert error == pytest.approx(2 / 5 * 0.05 + 3 / 5 * (1 - 2.9 / 3))
    assert reliability([]) == ([], 0.0)
