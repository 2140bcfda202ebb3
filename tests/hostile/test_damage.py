"""Damaged run folders, batch outputs and journals: the right result, or an error that names the damage."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.hostile.damage import DAMAGE, Damage
from tests.unit.bench_world import Quiet, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.cli import app
from zsrec.core.errors import DamagedError, DataError
from zsrec.core.types import Exchange
from zsrec.data.history import Event
from zsrec.evaluation.benchmark import in_folder, rebuild
from zsrec.evaluation.comparison import compare
from zsrec.evaluation.report import Report
from zsrec.evaluation.run_folder import RunFolder
from zsrec.llm.protocol import ChatRequest
from zsrec.serving.histories import UserHistories

SEEDS = range(int(os.environ.get("ZSREC_DAMAGE_SEEDS", "3")))


@pytest.fixture(autouse=True, scope="module")
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of files are written here; that they are synced is tested in `test_files`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


class Model(FakeLLM):
    """Answers by the prompt alone."""

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        return told_by_prompt(request)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its journal."""
    path = tmp_path_factory.mktemp("runs") / "run"
    in_folder(task(questions=3), RunFolder(path), {}, Quiet(), llm=Model())
    return path


@pytest.fixture(scope="module")
def unfinished(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run before a model's predictions were there."""
    path = tmp_path_factory.mktemp("runs") / "unfinished"
    shutil.copytree(run, path)
    folder = RunFolder(path)
    for name in ("predictions/generate.jsonl.gz", "metrics.json", "probe.json"):
        folder.remove(name)
    return path


def measured(path: Path) -> list[Any]:
    """The figures of a run, those that a reader sees."""
    names = ["metrics.json", *(f"predictions/{one.name}" for one in sorted((path / "predictions").iterdir()))]
    return [(name, (path / name).read_bytes()) for name in names]


def stored(path: Path) -> list[Path]:
    files = sorted(one for one in path.rglob("*") if one.is_file() and one.suffix not in (".md", ".html", ".lock"))
    return [one for one in files if one.name != ".lock"]


def damaged(source: Path, to: Path, damage: Damage, seed: int) -> Path | None:
    """The damaged file of a copy."""
    shutil.copytree(source, to)
    return damage(random.Random(f"{damage.__name__} {seed}"), stored(to))


def done(path: Path, model: FakeLLM | None = None) -> Report:
    """The same run again."""
    return in_folder(task(questions=3), RunFolder(path), {}, Quiet(), llm=model or Model())


def repaired(path: Path) -> Result:
    return CliRunner().invoke(app, ["verify", str(path), "--repair"])


def right_or_named(path: Path, read: Callable[[], Any]) -> Any:
    """What was read; None where the damage was named instead."""
    try:
        return read()
    except DamagedError as error:
        named = error.message
    except DataError as error:
        named = error.message if "cannot be read" in error.message else ""
    return None if str(path) in named else pytest.fail(f"nothing is named: {named}")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
@pytest.mark.parametrize("which", ["run", "unfinished"])
def test_a_run_is_right_or_its_damage_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, run: Path, which: str, damage: Damage, seed: int
) -> None:
    path = tmp_path / "run"
    hit = damaged(request.getfixturevalue(which), path, damage, seed)
    if hit is None:
        pytest.skip("nothing there to damage so")

    if which == "run":
        if (found := right_or_named(path, lambda: compare([RunFolder(path)]))) is not None:
            assert found == compare([RunFolder(run)])
        if right_or_named(path, lambda: rebuild(RunFolder(path))) is not None:
            assert measured(path) == measured(run)
    if right_or_named(path, lambda: done(path)) is None:
        if repaired(path).exit_code:  # only what no command can make again
            assert hit.name in ("config.json", "SHA256SUMS")
            return
        done(path)
    assert measured(path) == measured(run)
    verified = CliRunner().invoke(app, ["verify", str(path)])
    if verified.exit_code:  # a finished run does not read its journal
        assert hit.name == "exchanges.jsonl"
        assert repaired(path).exit_code == 0
        assert CliRunner().invoke(app, ["verify", str(path)]).exit_code == 0


def test_a_file_of_another_run_is_named(tmp_path: Path, run: Path, unfinished: Path) -> None:
    """Same methods, same users, another seed of the split's ties: only the checksum can tell."""
    other = tmp_path / "other"
    in_folder(task(questions=3, seed=5), RunFolder(other), {}, Quiet(), llm=Model())
    for name in ("predictions/rank.jsonl.gz", "exchanges.jsonl", "config.json", "times.json"):
        path = tmp_path / "run"
        shutil.copytree(unfinished, path)
        shutil.copy(other / name, path / name)
        if name == "config.json":
            done(path)  # it is put right
            assert measured(path) == measured(run)
        else:
            with pytest.raises(DamagedError, match="of another run"):
                done(path)
        shutil.rmtree(path)


def test_repair_asks_only_for_what_was_damaged(tmp_path: Path, run: Path, unfinished: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(unfinished, path)
    journal = path / "exchanges.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"Film", b"Fxlm", 1)
    journal.write_bytes(b"".join(lines))
    with pytest.raises(DamagedError, match=r"exchanges\.jsonl:5: is damaged") as caught:
        done(path)
    assert "zsrec verify" in (caught.value.hint or "")
    shown = CliRunner().invoke(app, ["verify", str(path)])
    assert shown.exit_code == 1
    assert "exchanges.jsonl:5: is damaged" in shown.output.replace("\n", "")
    assert repaired(path).exit_code == 0
    model = Model()
    done(path, model)
    assert len(model.requests) == 1
    assert measured(path) == measured(run)


def test_a_run_of_before_checksums_opens_and_says_so(tmp_path: Path, run: Path, unfinished: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(unfinished, path)
    (path / "SHA256SUMS").unlink()
    journal = path / "exchanges.jsonl"
    entries = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    bare = [{name: value for name, value in one.items() if name != "check"} for one in entries]
    journal.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in bare), encoding="utf-8")
    assert "made before there were checksums" in CliRunner().invoke(app, ["verify", str(path)]).output
    watch, model = Quiet(), Model()
    in_folder(task(questions=3), RunFolder(path), {}, watch, llm=model)
    assert model.requests == []
    assert sum("before" in one and "checksums" in one for one in watch.told) == 2
    assert measured(path) == measured(run)
    verified = CliRunner().invoke(app, ["verify", str(path)])
    assert (verified.exit_code, "made before" in verified.output) == (0, False)


def test_old_predictions_are_held_against_the_run(tmp_path: Path, run: Path) -> None:
    """Without any checksum, a copied part and a lost line still do not change the figures in silence."""
    path = tmp_path / "run"
    shutil.copytree(run, path)
    (path / "SHA256SUMS").unlink()
    shutil.copy(path / "predictions/pop.jsonl.gz", path / "predictions/itemknn.jsonl.gz")
    with pytest.raises(DamagedError, match="holds the predictions of 'pop' instead of 'itemknn'"):
        rebuild(RunFolder(path))
    (path / "predictions/itemknn.jsonl.gz").unlink()
    header, *rows = gzip.decompress((run / "predictions/itemknn.jsonl.gz").read_bytes()).decode().splitlines()[:-1]
    plain = path / "predictions/itemknn.jsonl"
    for lines, match in ((rows[1:], "23 predictions instead of 24"), ([rows[0], *rows[:-1]], "a user stands")):
        plain.write_text("\n".join([header.replace('"format":2,', ""), *lines]) + "\n", encoding="utf-8")
        with pytest.raises(DamagedError, match=match):
            compare([RunFolder(path)])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("damage", DAMAGE[:5], ids=lambda one: one.__name__)
def test_feedback_is_as_it_was_given_or_named(tmp_path: Path, damage: Damage, seed: int) -> None:
    path = tmp_path / "feedback.jsonl"
    histories = UserHistories(path)
    for number in range(8):
        histories.add(f"u{number % 3}", [Event(item=str(number), by="id")])
    hit = damage(random.Random(f"{damage.__name__} {seed}"), [path])
    if hit is None:
        pytest.skip("nothing there to damage so")
    found = right_or_named(path, lambda: UserHistories(path))
    if found is None:
        assert repaired(path).exit_code == 0
        found = UserHistories(path)
    whole = {user: [event.item for event in history.events] for user in ("u0", "u1", "u2")
             if (history := histories.of(user))}  # fmt: skip
    for user, items in whole.items():
        history = found.of(user)
        left = [] if history is None else [event.item for event in history.events]
        assert [item for item in items if item in left] == left
    assert len(found) >= 8 - 2
    found.add("u0", [Event(item="9", by="id")])
    assert len(UserHistories(path)) == len(found)


@pytest.mark.parametrize("content", [None, "{}", "{"])
def test_a_lost_configuration_is_named_and_comes_back_with_the_same_command(
    tmp_path: Path, run: Path, content: str | None
) -> None:
    path = tmp_path / "run"
    shutil.copytree(run, path)
    (path / "config.json").unlink()
    if content is not None:
        (path / "config.json").write_text(content)
    shown = CliRunner().invoke(app, ["verify", str(path)])
    assert (shown.exit_code, "config.json" in shown.output) == (1, True)
    done(path)
    assert measured(path) == measured(run)
    assert CliRunner().invoke(app, ["verify", str(path)]).exit_code == 0
