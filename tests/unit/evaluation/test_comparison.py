from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.bench_world import Quiet, contacts, llm_method, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.core.errors import ConfigError, DataError
from zsrec.core.types import Exchange
from zsrec.evaluation.benchmark import Task, in_folder
from zsrec.evaluation.comparison import compare
from zsrec.evaluation.run_folder import RunFolder
from zsrec.llm.protocol import ChatRequest


class Model(FakeLLM):
    async def chat(self, request: ChatRequest) -> Exchange:
        return told_by_prompt(request)


def made(path: Path, given: Task | None = None, **arguments: object) -> RunFolder:
    folder = RunFolder(path)
    in_folder(given or task(), folder, {"protocol": "p", "files": {}} | arguments, Quiet(), llm=Model(""))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    """Two runs that differ in a template and in the users that it was asked for."""
    path = tmp_path_factory.mktemp("runs")
    other = task(llm_methods=[llm_method("generate", "generate/json")], users=8)
    return made(path / "one", task(llm_methods=task().llm_methods[:1])), made(path / "two", other)


def test_two_templates_are_compared_on_their_common_users(runs: tuple[RunFolder, RunFolder]) -> None:
    found = compare(runs, only=["generate"])
    assert list(found.methods) == ["one:generate", "two:generate"]
    assert found.users == {"one:generate": 12, "two:generate": 8}
    assert [pair.metric for pair in found.comparisons] == ["HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR@10"]
    assert {pair.users for pair in found.comparisons} == {8}
    assert all("one:generate" in pair.verdict for pair in found.comparisons)


def test_what_two_runs_share_counts_once(runs: tuple[RunFolder, RunFolder]) -> None:
    found = compare(runs)
    assert list(found.methods) == ["one:pop", "one:itemknn", "one:generate", "two:generate"]
    assert found.same == (
        "two:pop made the same predictions as one:pop",
        "two:itemknn made the same predictions as one:itemknn",
    )
    assert len(found.comparisons) == 5 * 6


def test_against_one_needs_less_correction(runs: tuple[RunFolder, RunFolder]) -> None:
    found = compare(runs, against="itemknn")
    assert {pair.metric for pair in found.comparisons} == {"HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR@10"}
    assert len(found.comparisons) == 5 * 3
    assert all("one:itemknn" in (pair.a, pair.b) for pair in found.comparisons)
    everything = {(p.metric, p.a, p.b): p for p in compare(runs).comparisons}
    for pair in found.comparisons:
        assert pair.p == everything[pair.metric, pair.a, pair.b].p
        assert pair.p_holm <= everything[pair.metric, pair.a, pair.b].p_holm


def test_one_run_is_compared_with_itself(runs: tuple[RunFolder, RunFolder]) -> None:
    assert list(compare(runs[:1]).methods) == ["pop", "itemknn", "generate"]


def test_runs_that_cannot_be_compared(runs: tuple[RunFolder, RunFolder], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"differ in arguments\.files"):
        compare([runs[0], made(tmp_path / "files", files={"items": "x"})])
    rows = [row for row in contacts() if row.time < 8]  # everybody's last event is another one
    with pytest.raises(ConfigError, match="has another target for the user"):
        compare([runs[0], made(tmp_path / "targets", task(rows))])
    for only, match in ((["svd"], "no method 'svd'"), (["pop"], "no two methods")):
        with pytest.raises(ConfigError, match=match):
            compare(runs[:1], only=only)
    with pytest.raises(ConfigError, match="could be any of one:generate, two:generate"):
        compare(runs, against="generate")
    with pytest.raises(ConfigError, match="no run"):
        compare([])
    with pytest.raises(DataError):
        compare([RunFolder(tmp_path / "nothing"), runs[0]])
