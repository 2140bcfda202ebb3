"""Every protocol through the benchmark: in memory, in a folder, and over the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.unit.bench_world import Quiet, catalog, contacts, task
from zsrec.cli import app
from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Ids, Interactions
from zsrec.evaluation import metrics
from zsrec.evaluation.benchmark import in_folder, in_memory, rebuild
from zsrec.evaluation.comparison import compare
from zsrec.evaluation.protocols import PROTOCOLS, SAMPLED, main_metric, problems
from zsrec.evaluation.report_markdown import markdown, readme_table
from zsrec.evaluation.run_folder import RunFolder
from zsrec.retrieval import Popularity, Profile

KNOWN = Interactions.from_contacts(contacts(), catalog=Ids(catalog().ids))
OPTIONS: dict[str, dict[str, int]] = {"cold-users": {"events": 3}}
MANY = ("time-split", "cold-items")
SAMPLING = ("sampled-llmrank", "sampled-nir")


def asked(protocol: str, known: Interactions = KNOWN) -> list[object]:
    return list(problems(protocol, known, **OPTIONS.get(protocol, {})))


def late_items() -> Interactions:
    """The world with five films that nobody had contact with before the last fifth of the time."""
    rows = [*contacts(), *[one._replace(item=f"{n}", time=8.5) for n, one in enumerate(contacts()[:5], 35)]]
    early = [one for one in rows if int(one.item) < 35 or one.time > 8]
    return Interactions.from_contacts(early, catalog=Ids(catalog().ids))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_folder_says_what_memory_says(tmp_path: Path, protocol: str) -> None:
    known = late_items() if protocol == "cold-items" else KNOWN
    given = task(llm_methods=(), problems=asked(protocol, known), users=None)
    there = in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet())
    here = in_memory(given, Quiet())
    assert there.timeless()["methods"][0]["metrics"] == here.timeless()["methods"][0]["metrics"]
    assert rebuild(RunFolder(tmp_path / "r")).timeless() == there.timeless()
    assert len(compare([RunFolder(tmp_path / "r")]).comparisons) == len(there.comparisons) > 0
    names = set(there.methods[0].metrics)
    single = {"HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR"}
    several = single | {"Recall@5", "Recall@10", "Precision@5", "Precision@10"}
    assert names == (
        several if protocol in MANY else {SAMPLED + n for n in single} if protocol in SAMPLING else single
    )


def test_several_targets_are_measured_as_the_library_function_does() -> None:
    (split,) = asked("time-split")
    found = in_memory(task(llm_methods=(), problems=[split]), Quiet()).methods[0].metrics
    pop = Popularity(split.training)
    rows = [
        metrics.target_metrics(
            pop.scores(Profile.of(split.history(case))), split.targets_of(case), split.history(case), (5, 10)
        )
        for case in range(len(split))
    ]
    for name in rows[0]:
        assert found[name].mean == pytest.approx(np.mean([row[name] for row in rows]), abs=1e-12)
    assert any(len(split.targets_of(case)) > 1 for case in range(len(split)))


@pytest.mark.parametrize("protocol", SAMPLING)
def test_sampled_is_named_wherever_a_figure_stands(tmp_path: Path, protocol: str) -> None:
    given = task(llm_methods=(), problems=asked(protocol))
    found = in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet())
    assert found.protocol.startswith("SAMPLED")
    assert "The whole catalog is ranked" not in found.protocol
    assert main_metric(list(found.methods[0].metrics)) == "sampled NDCG@5"
    config = RunFolder(tmp_path / "r").config()
    table = readme_table(found, config)
    assert "SAMPLED candidates" in table
    assert "full catalog" not in table
    for text in (markdown(found, config), table, (tmp_path / "r" / "report.html").read_text("utf-8")):
        assert text.count("sampled NDCG@10") == text.count("NDCG@10") > 0
    problem = given.problems[0]
    whole = in_memory(task(llm_methods=(), problems=[replace(problem, candidates=None)]), Quiet()).methods[0]
    if protocol == "sampled-llmrank":  # twenty candidates instead of forty: never harder
        assert found.methods[0].metrics["sampled HR@10"].mean > whole.metrics["HR@10"].mean


@pytest.mark.parametrize("protocol", [*MANY, *SAMPLING])
def test_an_llm_is_not_asked_in_protocols_that_it_cannot_be(tmp_path: Path, protocol: str) -> None:
    with pytest.raises(ConfigError, match="one target per user in the whole catalog"):
        in_folder(task(problems=asked(protocol, late_items())), RunFolder(tmp_path / "r"), {}, Quiet())
    given = task(problems=asked(protocol, late_items()), llm_methods=(), questions=3)
    with pytest.raises(ConfigError, match="memorisation probe"):
        in_folder(given, RunFolder(tmp_path / "r"), {}, Quiet())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = [f"{one.user},{one.item},{one.time}" for one in contacts()]
    (tmp_path / "inter.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n", encoding="utf-8")
    items = [f"{item.id},{item.title}" for item in catalog()]
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *items]) + "\n", encoding="utf-8")
    return tmp_path


def invoke(files: Path, *more: object) -> Result:
    argv = ["bench", "run", "--interactions", files / "inter.csv", "--catalog", files / "items.csv", *more]
    return CliRunner().invoke(app, [str(part) for part in argv])


@pytest.mark.parametrize(
    ("more", "says", "metric"),
    [
        (("--protocol", "cold-users", "--events", "2"), "first 2 events", "HR@10"),
        (("--protocol", "time-split"), "Global time split", "Recall@10"),
        (("--protocol", "time-split", "--at", "1970-01-01T00:00:05"), "at 1970-01-01 00:00:05+00:00", "Recall@10"),
        (("--protocol", "time-split", "--tie-orders", "2"), "2 orders", "Precision@10"),
        (("--protocol", "sampled-llmrank"), "SAMPLED", "sampled HR@10"),
        (("--protocol", "sampled-nir", "--out", "run"), "SAMPLED", "sampled MRR"),
    ],
)
def test_over_the_command_line(
    files: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], says: str, metric: str
) -> None:
    monkeypatch.chdir(files)
    result = invoke(files, "--methods", "pop,itemknn", "--json", "out.json", *more)
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads((files / "out.json").read_text(encoding="utf-8"))
    assert says in found["protocol"]
    for one in found["methods"]:
        assert f"{one['metrics'][metric]['mean']:.4f}" in result.output
    assert set(found["methods"][0]["metrics"]) == {pair["metric"] for pair in found["comparisons"]}


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--protocol", "cold-users"), "needs --events"),
        (("--events", "3"), "needs --events"),
        (("--protocol", "cold-users", "--events", "1", "--tie-orders", "2"), "--tie-orders"),
        (("--protocol", "time-split", "--strict-time"), "--strict-time does not go"),
        (("--at", "2017-06-30"), "--at does not go with leave-one-out"),
        (("--protocol", "time-split", "--methods", "pop,generate"), "do not run on time-split"),
        (("--protocol", "sampled-nir", "--probe", "3"), "do not run on sampled-nir"),
        (("--protocol", "time-split", "--targets", "t.csv"), "another protocol"),
    ],
)
def test_what_does_not_go_together_is_said_before_data_are_read(
    tmp_path: Path, more: tuple[str, ...], match: str
) -> None:
    found = invoke(tmp_path, *more).exception  # there are no files in this folder
    assert isinstance(found, ConfigError)
    assert match in str(found)


def test_a_method_in_several_targets_sees_none_of_them() -> None:
    for protocol in MANY:
        (problem,) = asked(protocol, late_items())
        held = {(user, item) for case in range(len(problem)) for user in [int(problem.users[case])]
                for item in problem.targets_of(case).tolist()}  # fmt: skip
        known = problem.training.columns
        assert not held & set(zip(known.user.tolist(), known.item.tolist(), strict=True))
