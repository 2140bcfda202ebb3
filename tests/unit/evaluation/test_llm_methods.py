"""Rank methods fused with retrieval, beside the ranker alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.bench_world import FILMS, Quiet, contacts, llm_method, task
from tests.unit.judges import LabelLLM
from zsrec.cli import app
from zsrec.cli import bench as command
from zsrec.core.errors import ConfigError
from zsrec.evaluation.benchmark import Task, in_folder
from zsrec.evaluation.llm_methods import NAMED, PRIOR
from zsrec.evaluation.run_folder import RunFolder
from zsrec.prompts.front_matter import DEFAULT_LLM_WEIGHT

TASTE = {title: (n * 37 % 40) / 10 for n, title in enumerate(FILMS)}


def pair(**more: object) -> Task:
    both = [llm_method("label", "rank/label", **more), llm_method("label+prior", "rank/label", prior=True, **more)]
    return task(llm_methods=both, ks=(20,))


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_ranking_is_the_formula_and_nothing_is_asked_twice(tmp_path: Path, shuffled: bool) -> None:
    llm, watch = LabelLLM(TASTE), Quiet()
    in_folder(pair(pool=20, shuffled=shuffled), RunFolder(tmp_path / "r"), {}, watch, llm=llm)
    assert watch.replies == 2 * len(llm.requests)
    alone, fused = (RunFolder(tmp_path / "r").predictions(name) for name in ("label", "label+prior"))
    moved = 0
    for user, (mine, own, use) in enumerate(zip(fused.lists, alone.lists, alone.uses, strict=True)):
        pool, order = use.candidates, [alone.names[code] for code in own if code >= 0]
        size, w = len(pool), DEFAULT_LLM_WEIGHT
        assert sorted(order) == sorted(pool)
        said = {one: (size - place) / size for place, one in enumerate(order)}
        score = {one: (1 - w) * (size - n) / size + w * said[one] for n, one in enumerate(pool)}
        found = [fused.names[code] for code in mine if code >= 0]
        assert [score[one] for one in found] == pytest.approx(sorted(score.values(), reverse=True)), user
        moved += found != list(pool)
        assert found != order
    assert moved > 6  # a weight of 0.1 lets the model move something among twenty candidates
    assert fused.header.llm["fused with"] == "the order of retrieval, llm_weight 0.1"
    assert "fused with" not in alone.header.llm


def test_a_model_cannot_upset_a_short_pool(tmp_path: Path) -> None:
    found = in_folder(pair(pool=8, shuffled=True), RunFolder(tmp_path / "r"), {}, Quiet(), llm=LabelLLM(TASTE))
    alone, fused = found.methods[2:]
    assert alone.llm is not None
    assert fused.llm is not None
    assert {one.difference for one in fused.llm.lift} == {0.0}  # 8 places weigh less than one of retrieval
    assert fused.llm.calibration == ()
    assert fused.mode == "training-free"
    for line in RunFolder(tmp_path / "r").predictions("label+prior").lists:
        assert (line >= 0).sum() == 8


def test_the_names_are_known_to_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[Task] = []

    def stop(given: Task, *_: object, **__: object) -> None:
        tasks.append(given)
        raise ConfigError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "in_folder", stop)
    rows = [f"{one.user},{one.item},{one.time}" for one in contacts()]
    Path("i.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n", encoding="utf-8")
    Path("c.csv").write_text("\n".join(["item,title", *(f"{n},{t}" for n, t in enumerate(FILMS))]) + "\n", "utf-8")
    argv = ["bench", "run", "--interactions", "i.csv", "--catalog", "c.csv", "--methods"]
    CliRunner().invoke(app, [*argv, "label,label+prior,window,window+prior", "--template", "rank/choose"])
    (given,) = tasks
    priors = {one.name: one.prior for one in given.llm_methods}
    assert priors == {
        "label": False,
        "label+prior": True,
        "window": False,
        "window+prior": True,
        "rank/choose": False,
    }
    assert {NAMED[name] == NAMED[name + PRIOR] for name in ("label", "window")} == {True}


def test_an_old_folder_of_the_ranker_alone_is_gone_on_with(tmp_path: Path) -> None:
    given = task(llm_methods=[llm_method("label", "rank/label", pool=8)])
    in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet(), llm=LabelLLM(TASTE))
    config = json.loads((tmp_path / "r" / "config.json").read_text("utf-8"))
    assert "prior" not in config["llm_methods"]["label"]
