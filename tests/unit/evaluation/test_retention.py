"""What a run's folder keeps, and what is gone from it."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.bench_world import FILMS, Quiet, task
from tests.unit.evaluation.test_benchmark import Model, contents, run
from zsrec.cli import app
from zsrec.core.errors import ConfigError, DataError, LLMConnectionError, ZsrecError
from zsrec.core.settings import Keep, Settings
from zsrec.evaluation import run_folder
from zsrec.evaluation.benchmark import in_folder, rebuild
from zsrec.evaluation.comparison import compare
from zsrec.evaluation.retention import days_old, kept, scrub
from zsrec.evaluation.run_folder import JOURNAL, RunFolder

KEY = "a key of the tests"


def texts(path: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too."""
    return {
        str(file.relative_to(path)): (
            gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        ).decode()
        for file in path.rglob("*")
        if file.is_file()
    }


def users(path: Path, name: str = "generate") -> list[str]:
    packed = (path / "predictions" / f"{name}.jsonl.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()[1:-1]
    return [json.loads(line)["user"] for line in lines]


@pytest.mark.parametrize("keep", ["answers", "none"])
def test_no_history_and_no_id_is_left_and_the_report_is_the_same(tmp_path: Path, keep: Keep) -> None:
    path = tmp_path / "r"
    run(path, Model(), task(questions=3))
    before, prompts = contents(path), texts(path)[JOURNAL]
    known = users(path)
    assert any(f'"{film}' in prompts or film in prompts for film in FILMS)
    reports = [(path / name).read_bytes() for name in ("metrics.json", "report.md", "report.html")]
    assert scrub(RunFolder(path), keep) == keep
    left = texts(path)
    assert (JOURNAL in left) is (keep == "answers")
    for entry in map(json.loads, left.get(JOURNAL, "").splitlines()):
        assert set(entry) == {"key", "model", "reply", "check"}
        assert "messages" not in entry["reply"]
        assert entry["key"] not in prompts
    for user in known:
        assert not [name for name, text in left.items() if f'"{user}"' in text]
    assert len(set(users(path))) == len(set(known))
    assert users(path) == users(path, "rank")  # one user has one pseudonym in all of the run
    rebuild(RunFolder(path))
    assert [(path / name).read_bytes() for name in ("metrics.json", "report.md", "report.html")] == reports
    assert contents(path)["config.json"] == before["config.json"]
    assert ".scrub-key" not in left


def test_scrubbing_again_changes_nothing_and_brings_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "r"
    run(path, Model())
    assert scrub(RunFolder(path), "none") == "none"
    before = contents(path)
    assert scrub(RunFolder(path), "answers") == "none"
    assert scrub(RunFolder(path), "all") == kept(RunFolder(path)) == "none"
    assert contents(path) == before
    dead = Model()
    dead.handshake = None  # type: ignore[assignment,method-assign]
    run(path, dead)  # the same call finds a complete run
    assert contents(path) == before


def test_a_run_that_keeps_nothing_goes_on_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "r"
    settings = Settings.load(keep="none")
    gone = LLMConnectionError("gone", retryable=True)
    first = Model(*[None] * 5, gone, gone)
    with pytest.raises(LLMConnectionError):
        in_folder(task(), RunFolder(path), {}, Quiet(), settings=settings, llm=first)
    assert (path / JOURNAL).stat().st_size > 0
    second = Model()
    in_folder(task(), RunFolder(path), {}, Quiet(), settings=settings, llm=second)
    assert len(second.requests) < 24
    assert not (path / JOURNAL).exists()
    assert "u1" not in users(path)


def test_a_scrub_that_was_killed_goes_on_with_the_same_pseudonyms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r"
    run(path, Model())

    class Killed(BaseException):
        pass

    done = 0
    write = run_folder.rename_users

    def dies(of: Path, to: Path, name: Callable[[str], str]) -> None:
        nonlocal done
        done += 1
        if done == 3:
            raise Killed
        write(of, to, name)

    monkeypatch.setattr(run_folder, "rename_users", dies)
    with pytest.raises(Killed):
        scrub(RunFolder(path), "none", hash_key=KEY)
    monkeypatch.undo()
    assert (path / ".scrub-key").stat().st_mode & 0o077 == 0
    scrub(RunFolder(path), "none")
    assert users(path) == users(path, "rank")
    assert users(path, "pop") == users(path, "itemknn")
    assert not (path / ".scrub-key").exists()


def test_runs_of_one_key_are_compared_user_by_user_and_others_are_not(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, wanted, key in zip(paths, (["pop"], ["itemknn"], ["itemknn"]), (KEY, KEY, None), strict=True):
        some = {name: method for name, method in task().methods.items() if name in wanted}
        run(path, Model(), task(methods=some, llm_methods=[]))
        scrub(RunFolder(path), "none", hash_key=key)
    a, b, c = map(RunFolder, paths)
    assert {pair.users for pair in compare([a, b]).comparisons} == {24}
    assert not [pair for pair in compare([a, c]).comparisons if pair.users]


def test_what_is_not_complete_stays_unless_one_insists(tmp_path: Path) -> None:
    path = tmp_path / "r"
    gone: list[ZsrecError | None] = [*[None] * 5, LLMConnectionError("gone", retryable=True)]
    with pytest.raises(LLMConnectionError):
        run(path, Model(*gone))
    with pytest.raises(ConfigError, match="not complete"):
        scrub(RunFolder(path), "none")
    assert (path / JOURNAL).exists()
    assert scrub(RunFolder(path), "none", unfinished=True) == "none"
    assert set(texts(path)) == {"config.json", ".lock"}
    run(path, Model())


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        scrub(RunFolder(tmp_path), "none")
    assert list(tmp_path.iterdir()) == []
    run(tmp_path / "r", Model())
    with pytest.raises(ConfigError, match="5 bytes") as caught:
        scrub(RunFolder(tmp_path / "r"), "none", hash_key="short")
    assert "short" not in str(caught.value)
    assert (tmp_path / "r" / JOURNAL).exists()
    RunFolder(tmp_path / "r").write_json("retention.json", {"keep": "some"})
    with pytest.raises(DataError, match="none of all"):
        scrub(RunFolder(tmp_path / "r"), "none")


def test_old_runs_are_scrubbed_and_young_ones_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_HASH_KEY", KEY)
    for name in ("old", "young"):
        run(tmp_path / name, Model())
    for file in (tmp_path / "old").rglob("*"):
        os.utime(file, (1e9, 1e9))
    rebuild(RunFolder(tmp_path / "old"))
    assert days_old(RunFolder(tmp_path / "old")) > 1000 > 1 > days_old(RunFolder(tmp_path / "young"))
    command = ["bench", "scrub", str(tmp_path / "old"), str(tmp_path / "young"), "--older-than", "30"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (kept(RunFolder(tmp_path / "old")), kept(RunFolder(tmp_path / "young"))) == ("none", "all")
    assert not (tmp_path / "old" / JOURNAL).exists()
    assert (tmp_path / "young" / JOURNAL).exists()


def test_a_method_joins_a_scrubbed_run_with_its_key_only(tmp_path: Path) -> None:
    path = tmp_path / "r"
    one = {name: method for name, method in task().methods.items() if name == "pop"}
    settings = Settings.load(keep="none", hash_key=KEY)
    in_folder(task(methods=one), RunFolder(path), {}, Quiet(), settings=settings, llm=Model())
    before = contents(path)
    for wrong in (Settings.load(), Settings.load(hash_key="another key of the tests")):
        with pytest.raises(ConfigError, match="another key"):
            in_folder(task(), RunFolder(path), {}, Quiet(), settings=wrong, llm=Model())
    assert contents(path) == before
    in_folder(task(), RunFolder(path), {}, Quiet(), settings=Settings.load(hash_key=KEY), llm=Model())
    assert users(path, "itemknn") == users(path, "pop")  # what was removed once is removed again
