from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.unit.bench_world import FILMS, contacts
from zsrec.cli import app
from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Contact, Interactions
from zsrec.data.readers import Columns, read_interactions
from zsrec.evaluation import cold_users, leave_one_out
from zsrec.evaluation.split_files import write_split
from zsrec.retrieval import Cooccurrence, top

COLUMNS = Columns(user="user", item="item", time="timestamp")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    lines = [f"{one.user},{one.item},{one.time}" for one in contacts()]
    (tmp_path / "inter.csv").write_text("\n".join(["user,item,timestamp", *lines]) + "\n", encoding="utf-8")
    items = [f"{n},{title}" for n, title in enumerate(FILMS)]
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *items]) + "\n", encoding="utf-8")
    return tmp_path


def bench(command: str, files: Path, *more: object) -> Result:
    argv = ["bench", command, "--interactions", files / "inter.csv", "--items", files / "items.csv", *more]
    return CliRunner().invoke(app, [str(part) for part in argv])


def test_the_files_are_the_split(tmp_path: Path) -> None:
    known = Interactions.from_contacts(contacts())
    split = leave_one_out(known, seed=3)
    write_split(split, tmp_path / "out")
    targets = {row["user"]: row["item"] for row in rows(tmp_path / "out" / "targets.csv")}
    assert targets == {
        known.users[int(user)]: known.items[int(item)]
        for user, item in zip(split.users, split.targets, strict=True)
    }
    training = rows(tmp_path / "out" / "training.csv")
    assert [int(row["place"]) for row in training] == list(range(len(split.training)))
    assert not any(targets.get(row["user"]) == row["item"] for row in training)
    first = known.users[int(split.users[0])]
    wanted = [known.items[code] for code in split.history(0).tolist()]
    assert [row["item"] for row in training if row["user"] == first] == wanted
    assert [row["item"] for row in rows(tmp_path / "out" / "histories.csv") if row["user"] == first] == wanted


def test_reading_the_training_rows_gives_the_same_candidates(tmp_path: Path) -> None:
    known = Interactions.from_contacts(
        [Contact(f"u{n}", f"i{(n * k) % 7}", 5.0) for n in range(9) for k in (1, 2, 3)]
    )
    known = known.extended([Contact("u0", "i6", 9.0)])
    split = leave_one_out(known, seed=0)
    write_split(split, tmp_path)
    again = read_interactions(tmp_path / "training.csv", columns=COLUMNS, catalog=known.items).interactions
    for history in (["i1"], ["i2", "i5"]):
        a, b = top(Cooccurrence(split.training), history, 5), top(Cooccurrence(again), history, 5)
        assert a.ids == b.ids
        assert np.allclose(a.scores, b.scores)


def test_cold_users_have_histories_and_are_not_in_the_training(tmp_path: Path) -> None:
    split = cold_users(Interactions.from_contacts(contacts()), 2, share=0.5)
    write_split(split, tmp_path)
    asked = {row["user"] for row in rows(tmp_path / "targets.csv")}
    assert asked
    assert len(rows(tmp_path / "histories.csv")) == 2 * len(asked)
    assert not asked & {row["user"] for row in rows(tmp_path / "training.csv")}


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    split = leave_one_out(Interactions.from_contacts(contacts()))
    with pytest.raises(ConfigError, match="for each user"):
        write_split(replace(split, strict_time=True), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lists_of_another_system_stand_in_the_same_table(files: Path) -> None:
    result = bench("split", files, "--out", files / "split")
    assert result.exit_code == 0, result.output
    known = read_interactions(files / "split" / "training.csv", columns=COLUMNS).interactions
    retriever, lines = Cooccurrence(known), ["user,item"]
    for user in {row["user"]: None for row in rows(files / "split" / "histories.csv")}:
        history = [row["item"] for row in rows(files / "split" / "histories.csv") if row["user"] == user]
        lines += [f"{user},{item}" for item in top(retriever, history, 10).ids]
    (files / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = ["--methods", "cooccurrence", "--lists", f"mine={files / 'mine.csv'}", "--json", files / "out.json"]
    result = bench(
        "run", files, *given, "--lists", f"free:training-free={files / 'mine.csv'}", "--out", files / "RUN"
    )
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads((files / "out.json").read_text(encoding="utf-8"))
    ours, mine, free = found["methods"]
    assert [ours["mode"], mine["mode"], free["mode"]] == ["training-free", "trained", "training-free"]
    for metric in ("HR@10", "NDCG@10"):
        assert ours["metrics"][metric]["mean"] == mine["metrics"][metric]["mean"] > 0
    assert [name for name, _ in json.loads((files / "RUN" / "config.json").read_text())["arguments"]["lists"]] == [
        "mine", "free:training-free",
    ]  # fmt: skip
    (files / "mine.csv").write_text("user,item\n", encoding="utf-8")
    result = bench("run", files, *given, "--out", files / "RUN")
    assert "lists" in str(result.exception)  # the same folder with other lists is refused


def test_lists_alone_are_a_benchmark(files: Path) -> None:
    (files / "mine.csv").write_text("user,item\n", encoding="utf-8")
    result = bench("run", files, "--methods", "", "--lists", f"mine={files / 'mine.csv'}")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "mine" in result.output


@pytest.mark.parametrize("given", ["mine", "=x.csv", "mine=", "mine:fitted=x.csv"])
def test_an_option_that_names_no_list_is_refused(files: Path, given: str) -> None:
    result = bench("run", files, "--methods", "pop", "--lists", given)
    assert isinstance(result.exception, ConfigError)
    assert "NAME:MODE=FILE" in str(result.exception)


def test_names_are_unique(files: Path) -> None:
    (files / "mine.csv").write_text("user,item\n", encoding="utf-8")
    one = f"pop={files / 'mine.csv'}"
    assert "the name of a method" in str(bench("run", files, "--methods", "pop", "--lists", one).exception)
    twice = ["--lists", one, "--lists", one]
    assert "two --lists" in str(bench("run", files, "--methods", "itemknn", *twice).exception)
