"""What `zsrec demo` says without a model; tests/live has the rest."""

from __future__ import annotations

import json

from tests.conftest import REPO
from zsrec.cli.demo import LARGER_MODELS, ROWS
from zsrec.evaluation.llm_methods import NAMED
from zsrec.retrieval.by_name import ALL


def test_the_recorded_figures_are_those_of_the_committed_run() -> None:
    path = REPO / "benchmarks/results/conversations/inspired-dev.json"
    methods = json.loads(path.read_text(encoding="utf-8"))["methods"]
    means = {one["method"]: one["metrics"]["NDCG@10"]["mean"] for one in methods}
    said = [f".{means[name] * 1000:03.0f}" for name in (
        "generate[GPT-3.5]", "hybrid[GPT-3.5]", "generate[Baize-13B]", "hybrid[Baize-13B]",
        "generate[SmolLM2-135M]", "hybrid[SmolLM2-135M]", "semantic",
    )]  # fmt: skip
    assert [word.strip(",;.") for word in LARGER_MODELS.split() if word.startswith(".")] == [
        one[1:] for one in said
    ]


def test_every_row_of_the_scoreboard_is_a_method_of_the_benchmark() -> None:
    assert set(ROWS) <= {*ALL, *NAMED}
