"""`zsrec ground-fit`: labels in, weights out, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zsrec.answers.scoring import Calibration
from zsrec.cli import app
from zsrec.core.errors import BadRowError, ConfigError, DataError

Run = Callable[..., Result]
TITLES = ("Heat (1995)", "Ronin (1998)", "Thief (1981)", "Toy Story (1995)", "Solaris (1972)")


@pytest.fixture
def films_csv(tmp_path: Path) -> Path:
    path = tmp_path / "films.csv"
    path.write_text("id,title\n" + "".join(f"{n},{title}\n" for n, title in enumerate(TITLES)), encoding="utf-8")
    return path


@pytest.fixture
def run(films_csv: Path) -> Run:
    def call(command: str, *options: object, lines: str = "") -> Result:
        given = [command, "--catalog", films_csv, "--input", "-", *options]
        return CliRunner().invoke(app, list(map(str, given)), input=lines)

    return call


def labels(*pairs: tuple[str, str | None]) -> str:
    return "".join(json.dumps({"mention": mention, "item_id": item_id}) + "\n" for mention, item_id in pairs)


def test_the_fitted_weights_change_what_ground_says(run: Run, tmp_path: Path) -> None:
    """In this catalog's answers an owner in front means another work; the labels say so, and ground learns it."""
    weights = tmp_path / "weights.json"
    owned = [(f"{who} {title[:-7]}", None) for who in ("Jane Austen's", "Tom Clancy's") for title in TITLES] * 3
    right = [(title[:-7], str(n)) for n, title in enumerate(TITLES)]
    done = run("ground-fit", "--out", weights, lines=labels(*owned, *right))
    assert done.exit_code == 0
    assert "35 labels, 30 of them not in the catalog" in done.output
    assert "cross-fitted" in done.output
    asked = json.dumps({"id": 1, "mention": "Jane Austen's Toy Story"}) + "\n"
    before = run("ground", "--out", "-", lines=asked)
    after = run("ground", "--out", "-", "--calibration", weights, lines=asked)
    assert json.loads(before.output)["item_id"] == "3"
    assert json.loads(after.output)["item_id"] is None


def test_a_threshold_is_kept_in_the_weights(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "weights.json"
    given = labels(("Heat", "0"), ("Ronin", "1"), ("Alien", None), ("Rnin", "1"))
    done = run("ground-fit", "--out", weights, "--threshold", "0.8", lines=given)
    assert done.exit_code == 0
    assert Calibration.open(weights).threshold == 0.8


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"mention": "Heat"}', "'item_id'"),
        ('{"mention": "", "item_id": "0"}', "'mention'"),
        ('{"mention": "Heat", "item_id": "99"}', "not in the catalog"),
        ('{"mention": "Heat", "item_id": "0", "weight": -1}', "'weight'"),
        ("[1]", "expected an object"),
    ],
)
def test_a_wrong_label_is_named_with_its_line(run: Run, tmp_path: Path, line: str, said: str) -> None:
    done = run("ground-fit", "--out", tmp_path / "w.json", lines=labels(("Ronin", "1")) + line + "\n")
    assert isinstance(done.exception, BadRowError)
    assert said in str(done.exception)
    assert done.exception.line == 2
    assert not (tmp_path / "w.json").exists()


def test_no_labels_and_a_wrong_threshold_are_errors(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("ground-fit", "--out", tmp_path / "w.json", lines="\n").exception, ConfigError)
    asked = run("ground-fit", "--out", tmp_path / "w.json", "--threshold", "1.5", lines=labels(("Heat", "0")))
    assert isinstance(asked.exception, ConfigError)


def test_labels_of_one_item_cannot_be_cross_fitted(run: Run, tmp_path: Path) -> None:
    done = run("ground-fit", "--out", tmp_path / "w.json", lines=labels(("Heat", "0"), ("Heat (1995)", "0")))
    assert isinstance(done.exception, DataError)


def test_an_embedding_model_without_semantic_is_an_error(run: Run) -> None:
    done = run("ground", "--out", "-", "--embed-model", "x", lines='{"id": 1, "mention": "Heat"}\n')
    assert isinstance(done.exception, ConfigError)
