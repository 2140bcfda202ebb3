"""What lists are like beyond hits, in every form of the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.bench_world import CANARY, FILMS, Quiet, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.core.errors import DataError
from zsrec.core.types import Exchange
from zsrec.data.catalog import Catalog
from zsrec.evaluation import beyond_accuracy
from zsrec.evaluation.benchmark import in_folder, in_memory, rebuild
from zsrec.evaluation.beyond_accuracy import Statistics, measure
from zsrec.evaluation.predictions import Header, Predicted, Prediction
from zsrec.evaluation.protocols import problems
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.runner import MethodRun, measured, run
from zsrec.llm.protocol import ChatRequest
from zsrec.retrieval import Popularity

NAMES = ["Coverage@5", "Gini@5", "Novelty@5", "Diversity@5", "Popularity@5", "Head@5"]


class Model(FakeLLM):
    async def chat(self, request: ChatRequest) -> Exchange:
        return told_by_prompt(request)


def with_genres() -> Catalog:
    films = [
        {"id": str(n), "title": title, "genres": "Crime|War" if n % 3 else "Drama"}
        for n, title in enumerate(FILMS)
    ]
    return Catalog.from_items([*films, {"id": "canary-id", "title": CANARY, "genres": "Drama"}], domain="movies")


def method(*lists: tuple[str, ...]) -> MethodRun:
    rows = [Prediction(f"u{n}", "t", 0, 1, -1, 0, one, (0.0,) * len(one)) for n, one in enumerate(lists)]
    return measured(Predicted.of(Header(method="m", mode="zero-shot"), rows), [2])


def test_measures_of_a_small_world_by_hand() -> None:
    known = Statistics(
        users=8, items=5, histogram={8: 1, 4: 1, 2: 1, 1: 1}, counts={"a": 8, "b": 2, "d": 1},
        genres={"a": "X", "b": "X|Y", "d": "Z"},
    )  # fmt: skip
    found = measure(method(("a", "b"), ("b", "d", "a"), (), ("d",)), slice(None), 2, known, seed=0)
    assert (found.users, found.empty) == (4, 1)
    assert found.whole["Coverage"].mean == 3 / 5
    assert found.columns["Novelty"].tolist() == [(0 + 2) / 2, (2 + 3) / 2, 3]
    assert found.columns["Popularity"].tolist() == [5, 1.5, 1]
    assert found.columns["Head"].tolist() == [0.5, 0, 0]  # 20% of four items with users is one item: a
    assert found.columns["Diversity"].tolist() == pytest.approx([1 - 1 / np.sqrt(2), 1])
    alone = measure(method(("a", "b"), ("b",)), [0], 2, known.model_copy(update={"genres": None}), seed=0)
    assert alone.whole == {}  # no interval from one user
    assert set(alone.columns) == {"Novelty", "Popularity", "Head"}


def test_the_report_agrees_with_the_functions_on_the_whole_catalog() -> None:
    given = task(llm_methods=(), catalog=with_genres(), methods={"pop": Popularity})
    split = given.problems[0]
    (done,) = run([split], {"pop": Popularity}, ks=(5,)).methods
    items = split.training.items
    lists = np.array([[items.code(done.predicted.names[one]) for one in row] for row in done.predicted.lists])
    counts, users = split.training.users_per_item, int(np.count_nonzero(split.training.items_per_user))
    genres = [item.attributes["genres"] for item in with_genres()]
    found = in_memory(given, Quiet()).methods[0].lists
    assert found is not None
    assert list(found.measures) == NAMES
    expected = [
        beyond_accuracy.coverage(lists, len(genres)), beyond_accuracy.gini(lists, len(genres)),
        beyond_accuracy.novelty(lists, counts, users).mean(),
        beyond_accuracy.diversity(lists, beyond_accuracy.genre_vectors(genres)).mean(),
        beyond_accuracy.popularity(lists, counts).mean(),
        beyond_accuracy.head_share(lists, counts).mean(),
    ]  # fmt: skip
    assert [one.mean for one in found.measures.values()] == pytest.approx(expected)
    for name, one in found.measures.items():
        assert one.low <= one.mean <= one.high, name
        assert one.low < one.high or name in ("Coverage@5", "Gini@5"), (
            name
        )  # popularity shows everybody the same few


def test_every_form_of_the_report_has_them_and_a_rebuild_too(tmp_path: Path) -> None:
    given = task(catalog=with_genres())
    first = in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet(), llm=Model(""))
    assert rebuild(RunFolder(tmp_path / "r")).timeless() == first.timeless()
    assert [one.lists.users for one in first.methods if one.lists] == [12] * 4  # those whom the LLM was asked for
    rows = json.loads((tmp_path / "r" / "metrics.json").read_text("utf-8"))["methods"]
    assert all(list(one["lists"]["measures"]) == NAMES for one in rows)
    for page in ("report.md", "report.html"):
        text = (tmp_path / "r" / page).read_text("utf-8")
        for name in NAMES:
            assert name in text
        for row in rows:
            assert f"{row['lists']['measures']['Popularity@5']['mean']:.2f}" in text
    kept = (tmp_path / "r" / "items.json").read_text("utf-8")
    assert "u1" not in kept


def test_a_folder_without_counts_has_a_report_without_them(tmp_path: Path) -> None:
    in_folder(task(llm_methods=()), RunFolder(tmp_path / "r"), {}, Quiet())
    RunFolder(tmp_path / "r").write_json("items.json", {"users": "many"})
    with pytest.raises(DataError, match="no counts of items"):
        rebuild(RunFolder(tmp_path / "r"))
    (tmp_path / "r" / "items.json").unlink()
    assert [one.lists for one in rebuild(RunFolder(tmp_path / "r")).methods] == [None, None]
    assert "What the lists are like" not in (tmp_path / "r" / "report.md").read_text("utf-8")


def test_sampled_lists_say_nothing_about_the_catalog() -> None:
    given = task(llm_methods=())
    known = given.problems[0].training
    sampled = task(llm_methods=(), problems=problems("sampled-llmrank", known))
    assert in_memory(given, Quiet()).methods[0].lists is not None
    assert in_memory(sampled, Quiet()).methods[0].lists is None
