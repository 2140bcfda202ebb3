"""`zsrec demo` with the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zsrec import cli
from zsrec.cli import demo
from zsrec.data.movielens import SAMPLE

pytestmark = pytest.mark.live


def test_the_demo_shows_what_the_benchmark_measures(
    base_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def running(*_: object, **__: object) -> Iterator[str]:
        yield base_url

    monkeypatch.setattr(demo, "_server", running)
    monkeypatch.setenv("COLUMNS", "120")
    run = CliRunner().invoke(cli.app, ["demo", "--users", "2", "--port", "9"])
    assert run.exit_code == 0, run.output
    report = tmp_path / "report.json"
    bench = CliRunner().invoke(
        cli.app,
        ["bench", "run", "--interactions", str(SAMPLE / "ratings.csv"), "--items", str(SAMPLE / "movies.csv"),
         "--columns", "userId,movieId,timestamp", "--item-columns", "movieId,title", "--methods",
         "pop,itemknn,cooccurrence", "-k", "5", "--json", str(report)],
    )  # fmt: skip
    assert bench.exit_code == 0, bench.output
    for row in json.loads(report.read_text(encoding="utf-8"))["methods"]:
        shown = next(line for line in run.output.splitlines() if line.startswith(demo.ROWS[row["method"]]))
        assert all(f" {row['metrics'][name]['mean']:.3f} [" in shown for name in ("HR@5", "NDCG@5"))
    assert demo.ROWS["label+prior"] in run.output
    assert run.output.count("retrieval #") == 10
    assert "Somebody new, in their own words" in run.output
    assert "What the model said by itself:" in run.output
    assert "model down --port 9" in run.output
