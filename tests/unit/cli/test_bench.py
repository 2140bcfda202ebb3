from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from zsrec.cli import app, bench, options
from zsrec.core.errors import BadRowError, ConfigError, DataError, MissingExtraError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{i},{t}" for t, (u, i) in enumerate(rng.integers((12, 20), size=(150, 2)))]
    (tmp_path / "inter.csv").write_text(
        "\n".join(["user,item,timestamp", *rows, "u0,gone,9"]) + "\n", encoding="utf-8"
    )
    items = [f"i{n},Film {n} (2000),Crime" for n in range(21)]
    (tmp_path / "items.csv").write_text("\n".join(["item,title,genres", *items]) + "\n", encoding="utf-8")
    np.save(tmp_path / "v.npy", rng.standard_normal((21, 4)).astype(np.float32))
    return tmp_path


def invoke(files: Path, *more: object) -> Result:
    argv = ["bench", "run", "--interactions", files / "inter.csv", "--catalog", files / "items.csv", *more]
    return CliRunner().invoke(app, [str(part) for part in argv])


def bench_json(files: Path, *more: object) -> dict[str, object]:
    result = invoke(files, "--json", files / "out.json", *more)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads((files / "out.json").read_text(encoding="utf-8"))


def test_the_contract(files: Path) -> None:
    found = bench_json(
        files, "--protocol", "leave-one-out", "--methods", "pop,itemknn,semantic,fused", "--k", "10",
        "--vectors", files / "v.npy",
    )  # fmt: skip
    assert [one["method"] for one in found["methods"]] == ["pop", "itemknn", "semantic", "fused"]
    assert [one["mode"] for one in found["methods"]] == ["training-free"] * 2 + ["zero-shot", "training-free"]
    for one in found["methods"]:
        assert set(one["metrics"]) == {"HR@10", "NDCG@10", "MRR"}
        assert 0 <= one["seconds"]["p50"] <= one["seconds"]["p95"]
    assert len(found["comparisons"]) == 3 * 6
    assert found["users"] == 12
    assert "Leave-one-out" in found["protocol"]
    assert any("line 152: 'gone'" in note for note in found["notes"])


def test_columns_of_items_by_their_old_option(files: Path) -> None:
    (files / "items.csv").write_text((files / "items.csv").read_text().replace("item,title", "isbn,name"))
    new = bench_json(files, "--methods", "pop", "--id", "isbn", "--title", "name")
    for old in (("--item-columns", "isbn,name"), ("--item-columns=isbn,name",)):
        assert bench_json(files, "--methods", "pop", *old)["methods"][0]["metrics"] == new["methods"][0]["metrics"]
        assert "--item-columns is now --id and --title" in invoke(files, "--methods", "pop", *old).stderr


def test_the_table_shows_what_the_json_says(files: Path) -> None:
    found = bench_json(files, "--methods", "pop,itemknn", "--k", "1,5")
    output = invoke(files, "--methods", "pop,itemknn", "--k", "1,5").output
    for one in found["methods"]:
        for metric in one["metrics"].values():
            assert f"{metric['mean']:.4f}" in output
    assert output.count(f"Intervals: {found['intervals']}.") == 1
    assert "bootstrap over users" in found["intervals"]
    assert "Clopper and Pearson's limits where" in found["intervals"]
    assert "Who beats whom: Row minus column in NDCG@1;" in output
    pair = next(one for one in found["comparisons"] if one["metric"] == "NDCG@1")
    assert f"{abs(pair['difference']):.4f}".removeprefix("0") in output


def test_without_the_extra(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> object:
        raise MissingExtraError("matching by meaning", "embed")

    monkeypatch.setattr(bench, "default_embedder", missing)
    found = bench_json(files)
    assert [one["method"] for one in found["methods"]] == ["pop", "itemknn", "cooccurrence", "fused"]
    assert "zsrec[embed]" in found["skipped"]["semantic"]
    assert "differ in numbers only" in found["skipped"]["lexical"]
    assert "interactions alone" in found["methods"][3]["notes"][0]
    assert "zsrec[embed]" in found["methods"][3]["notes"][0]
    assert isinstance(invoke(files, "--methods", "semantic").exception, MissingExtraError)


def test_parameters_of_methods_reach_them_and_the_configuration(files: Path) -> None:
    more = ("--cooccurrence", "newest=1, window=1,before=0", "--itemknn", "last=1", "--fused", "text_weight=0")
    other = bench_json(files, "--methods", "itemknn,cooccurrence", *more, "--out", files / "r")
    plain = bench_json(files, "--methods", "itemknn,cooccurrence")
    assert [one["metrics"]["HR@10"] for one in other["methods"]] != [
        one["metrics"]["HR@10"] for one in plain["methods"]
    ] or [one["metrics"]["MRR"] for one in other["methods"]] != [one["metrics"]["MRR"] for one in plain["methods"]]
    arguments = json.loads((files / "r" / "config.json").read_text("utf-8"))["arguments"]
    assert arguments["cooccurrence"] == "newest=1, window=1,before=0"
    for wrong in ("newest", "speed=1", "newest=few"):
        error = invoke(files, "--methods", "cooccurrence", "--cooccurrence", wrong).exception
        assert "NAME=VALUE" in str(error)


def test_other_columns_and_targets(files: Path) -> None:
    text = (files / "inter.csv").read_text(encoding="utf-8").replace("user,item,timestamp", "userId,movieId,ts")
    (files / "inter.csv").write_text(text, encoding="utf-8")
    (files / "t.csv").write_text("userId,movieId\nu1,i20\nu2,i20\n", encoding="utf-8")
    columns = ("--columns", "userId,movieId,ts,rating", "--targets", files / "t.csv", "--methods", "pop,itemknn")
    found = bench_json(files, *columns)
    assert found["users"] == 2
    assert "Held-out" in found["protocol"]
    assert found["methods"][1]["metrics"]["MRR"]["mean"] == 0.0  # nobody had contact with i20
    (files / "t.csv").write_text("user,item\nu1,i20\n", encoding="utf-8")
    assert bench_json(files, *columns, "--target-columns", "user,item")["users"] == 1


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        (("--methods", "svd"), ConfigError, "unknown method"),
        (("--methods", ""), ConfigError, "no method"),
        (("--protocol", "sampled"), ConfigError, "unknown protocol"),
        (("--k", "0"), ConfigError, "--k is '0'"),
        (("--k", "ten"), ConfigError, "--k is 'ten'"),
        (("--columns", "user"), ConfigError, "--columns"),
        (("--columns", "user,item"), DataError, "needs times"),
        (("--item-columns", "item"), ConfigError, "--item-columns"),
        (("--targets", "t.csv", "--strict-time"), ConfigError, "goes with neither"),
        (("--methods", "semantic", "--vectors", "items.csv"), ConfigError, "no readable .npy"),
        (("--methods", "pop,fused", "--vectors", "short.npy"), ConfigError, "expected floats of shape"),
        (("--targets", "twice.csv"), BadRowError, "twice.csv:3: the user 'u1' has a target already"),
        (("--targets", "gone.csv"), BadRowError, "gone.csv:2: the item 'x' is not in the catalog"),
        (("--targets", "empty.csv"), BadRowError, "empty.csv:2: column 'user' is empty"),
        (("--methods", "pop", "--json", "no/such/folder.json"), ConfigError, "cannot be written"),
    ],
)
def test_what_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], error: type[Exception], match: str
) -> None:
    monkeypatch.chdir(files)
    np.save("short.npy", np.zeros((3, 4), np.float32))
    Path("twice.csv").write_text("user,item\nu1,i1\nu1,i2\n", encoding="utf-8")
    Path("gone.csv").write_text("user,item\nu1,x\n", encoding="utf-8")
    Path("empty.csv").write_text("user,item\n,i1\n", encoding="utf-8")
    found = invoke(files, *more).exception
    assert isinstance(found, error)
    assert match in str(found)


def test_too_many_unknown_items_stop_the_run(files: Path) -> None:
    with (files / "inter.csv").open("a", encoding="utf-8") as file:
        file.write("u1,gone,1\n" * 10)
    assert "not in the catalog" in str(invoke(files).exception)


def test_strict_time_and_tie_orders(files: Path) -> None:
    found = bench_json(files, "--methods", "itemknn", "--strict-time", "--tie-orders", "2")
    assert "at or after its target's time" in found["protocol"]
    assert "2 orders" in found["protocol"]


def test_times_in_milliseconds_give_the_same_benchmark_to_the_last_digit(files: Path) -> None:
    rows = [line.split(",") for line in (files / "inter.csv").read_text(encoding="utf-8").splitlines()]
    given = [(user, item, 964980000 + 7 * int(time)) for user, item, time in rows[1:]]
    found = []
    for unit in (1, 1000):
        lines = [f"{user},{item},{time * unit}" for user, item, time in given]
        (files / "inter.csv").write_text("\n".join(["user,item,timestamp", *lines]) + "\n", encoding="utf-8")
        found.append(bench_json(files, "--methods", "pop,itemknn,cooccurrence", "--tie-orders", "2"))
    seconds, milliseconds = found
    for one in (*seconds["methods"], *milliseconds["methods"]):
        del one["seconds"]
    assert seconds["methods"] == milliseconds["methods"]
    assert seconds["comparisons"] == milliseconds["comparisons"]
    assert any("read as ms" in note for note in milliseconds["notes"])


@pytest.mark.parametrize("text", ["0", "ten", "5,0", "1000000000"])
def test_cut_offs_are_bounded(text: str) -> None:
    with pytest.raises(ConfigError, match="--k is"):
        options.cut_offs(text)


def test_no_command_makes_a_folder_for_a_report(files: Path, tmp_path: Path) -> None:
    turns = tmp_path / "turns.jsonl"
    turns.write_text('{"id": "t", "dialog": "d", "conversation": [], "mentioned": [], "targets": ["2"]}\n')
    report = tmp_path / "no" / "such" / "folder.json"
    for command in (
        ["conversations", "--turns", turns, "--catalog", files / "items.csv", "--methods", "lexical"],
        ["movielens", tmp_path, "--methods", "pop"],
        ["compare", tmp_path],
    ):
        result = CliRunner().invoke(app, ["bench", *map(str, command), "--json", str(report)])
        assert isinstance(result.exception, ConfigError)
        assert "there is no such folder" in str(result.exception)
        assert not report.parent.parent.exists()


@pytest.mark.parametrize("option", [("--replies", "gpt=a.jsonl"), ("--requests-only", "REQUESTS")])
def test_replies_that_nobody_would_read_are_refused(
    files: Path, tmp_path: Path, option: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"id": "t", "text": "1. Film 2"}\n', encoding="utf-8")
    (tmp_path / "turns.jsonl").write_text("", encoding="utf-8")
    talk = ["bench", "conversations", "--turns", "turns.jsonl", "--catalog", "items.csv", "--methods", "lexical"]
    for result in (invoke(files, "--methods", "pop", *option), CliRunner().invoke(app, [*talk, *option])):
        assert isinstance(result.exception, ConfigError)
        assert f"{option[0]} without a method that asks the model" in str(result.exception)
        assert "generate" in str(result.exception.hint)
