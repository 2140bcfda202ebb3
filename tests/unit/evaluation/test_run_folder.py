from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from zsrec.core.errors import ConfigError, DataError
from zsrec.evaluation.predictions import Header, Prediction, Use
from zsrec.evaluation.run_folder import RunFolder

CONFIG = {"data": {"items": "abc"}, "seed": 1, "prices": [None, None]}


def test_another_configuration_is_refused_by_field(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start(CONFIG)
    folder.start(CONFIG)
    with pytest.raises(ConfigError, match="seed is 1 there and 2 here"):
        folder.start({**CONFIG, "seed": 2})
    with pytest.raises(ConfigError, match=r"data\.items is 'abc' there and 'x' here"):
        folder.start({**CONFIG, "data": {"items": "x"}})
    with pytest.raises(ConfigError, match=r"more is None there and True here"):
        folder.start({**CONFIG, "more": True})
    folder.start({**CONFIG, "prices": [1, 2]})
    assert folder.config()["prices"] == [1, 2]


def test_methods_may_be_added_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    label = {"template": "rank/label", "sha256": "a"}
    run = {
        **CONFIG, "methods": ["pop", "label"], "llm_methods": {"label": label}, "server": {"model": "m"},
        "users": 9, "arguments": {"model": "m", "sasrec": None, "protocol": "leave-one-out"},
        "skipped": {"semantic": "no vectors"},
    }  # fmt: skip
    folder.start(run)
    more = {
        **run, "methods": ["pop", "sasrec", "label", "my.j2"], "skipped": {},
        "llm_methods": {"label": label, "my.j2": label}, "arguments": {**run["arguments"], "sasrec": "epochs=3"},
    }  # fmt: skip
    folder.start(more)
    assert folder.config() == more
    for other, said in (
        ({"methods": ["pop", "label"]}, "methods is"),
        ({"arguments": {**more["arguments"], "sasrec": None}}, r"arguments\.sasrec is 'epochs=3' there"),
        ({"arguments": {**more["arguments"], "protocol": "time-split"}}, r"arguments\.protocol"),
        ({"llm_methods": {"label": label, "my.j2": {**label, "sha256": "b"}}}, r"llm_methods\.my\.j2\.sha256"),
        ({"server": {"model": "n"}}, r"server\.model"),
        ({"users": 10}, "users is 9 there and 10 here"),
    ):
        with pytest.raises(ConfigError, match=said):
            folder.start({**more, **other})
    assert folder.config() == more


def test_a_run_without_an_llm_may_get_one_later(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    run = {
        **CONFIG,
        "methods": ["pop"],
        "llm_methods": {},
        "server": None,
        "users": None,
        "arguments": {"model": None},
    }
    folder.start(run)
    asked = {"methods": ["pop", "label"], "llm_methods": {"label": {"sha256": "a"}}}
    folder.start({**run, **asked, "server": {"model": "m"}, "users": 9, "arguments": {"model": "m"}})


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds files and no config"):
        RunFolder(tmp_path).start(CONFIG)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(DataError, match=rf"{tmp_path}: there is no config.json(.|\n)*a folder that zsrec wrote"):
        RunFolder(tmp_path).config()
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        RunFolder(tmp_path).config()
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="expected a JSON object"):
        RunFolder(tmp_path).config()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), pytest.raises(ConfigError, match="another process"), RunFolder(folder.path).locked():
        pytest.fail("two hold the lock")
    with folder.locked():
        pass


def prediction(user: str, items: tuple[str, ...], use: Use | None = None) -> Prediction:
    scores = tuple(1 / n for n in range(1, len(items) + 1))
    return Prediction(user, "t", 0, 3, -1, 0, items, scores, use)


@pytest.mark.parametrize(
    "name", ["pop", "rank/default", "../../etc/passwd", "ünï 千", "a" * 200, "-", "a-b", "a b"]
)
def test_predictions_come_back(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / "run")
    header = Header(method=name, mode="zero-shot", notes=("n",), llm={"model": "m"})
    use = Use(requests=1, candidates=("a", "b"), shown=(1, 0), error=None)
    rows = [prediction("u\u2028", ("a", "\ud800"), use), prediction("v", (), use)]
    assert not folder.has(name)
    folder.write_predictions(header, rows)
    assert folder.has(name)
    files = list((folder.path / "predictions").iterdir())
    assert len(files) == 1
    found = folder.predictions(name)
    assert found.header == header
    assert found.users == ["u\u2028", "v"]
    assert found.lists.tolist() == [[0, 1], [-1, -1]]
    assert found.names == ["a", "\ud800"]
    assert found.scores.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert found.uses == [use, use]
    assert [Prediction.of(json.loads(row.line())) for row in rows] == rows


def test_names_do_not_share_a_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for name in ("a-b", "a b", "a/b"):
        folder.write_predictions(Header(method=name, mode="zero-shot"), [])
    assert [folder.predictions(name).header.method for name in ("a-b", "a b", "a/b")] == ["a-b", "a b", "a/b"]


ROWS = [prediction("u", ("a", "b")), prediction("v", ())]


def packed(folder: RunFolder, text: str) -> None:
    (folder.path / "predictions" / "m.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def plain_run(path: Path) -> RunFolder:
    """A run as it was written before predictions were packed."""
    folder = RunFolder(path)
    header = Header(method="m", mode="zero-shot")
    (folder.path / "predictions").mkdir(parents=True)
    lines = [header.model_dump_json(), *(one.line() for one in ROWS)]
    (folder.path / "predictions" / "m.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_broken_file_of_predictions_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_predictions(Header(method="m", mode="zero-shot"), ROWS)
    folder.sums.path.unlink()  # what a file says of itself
    path = folder.path / "predictions" / "m.jsonl.gz"
    raw = path.read_bytes()
    header, first, second, end = gzip.decompress(raw).decode().splitlines(keepends=True)
    for bad, match in (
        (header + first + "{}\n" + end, r"m\.jsonl\.gz:3: no prediction"),
        ("x\n", "first line"),
        ("[]\n", "first line"),
        ("", "first line"),
        (header + "7\n" + end, ":2: no prediction"),
        (header + first + end, r"m\.jsonl\.gz: is damaged: 1 rows where 2 are stated"),
        (header + second + first + end, "or another checksum"),
        (header + first + second, "the last line is no checksum"),
        (header, "the last line is no checksum"),
        (
            header.replace('"format":2', '"format":3') + end,
            "is of format 3, and this version reads formats up to 2",
        ),
    ):
        packed(folder, bad)
        with pytest.raises(DataError, match=match):
            folder.predictions("m")
    for damaged in (raw[:-20], raw[:30] + b"\x00" + raw[31:], b"no gzip", raw[:-8] + b"\x00" * 8):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"m\.jsonl\.gz"):
            folder.predictions("m")
    with pytest.raises(DataError, match="cannot be read"):
        folder.predictions("other")


def test_a_plain_file_of_an_older_run_still_opens(tmp_path: Path) -> None:
    folder = plain_run(tmp_path / "old")
    assert folder.has("m")
    assert folder.has_users()
    assert folder.predictions("m").users == ["u", "v"]
    path = folder.path / "predictions" / "m.jsonl"
    good = path.read_text(encoding="utf-8")
    for bad, match in (
        (good + "{}\n", r"m\.jsonl:4: no prediction"),
        ("x\n", "first line"),
        (good + "7\n", ":4:"),
    ):
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(DataError, match=match):
            folder.predictions("m")
    path.write_text(good, encoding="utf-8")
    folder.rename_users(lambda user: f"p-{user}")
    assert folder.predictions("m").users == ["p-u", "p-v"]
    assert not folder.has_users()
    assert [one.name for one in path.parent.iterdir()] == ["m.jsonl.gz"]


def test_equal_predictions_have_equal_bytes_and_a_count(tmp_path: Path) -> None:
    for name in "ab":
        RunFolder(tmp_path / name).write_predictions(Header(method="m", mode="zero-shot"), ROWS)
    one, other = ((tmp_path / name / "predictions" / "m.jsonl.gz").read_bytes() for name in "ab")
    assert one == other
    lines = gzip.decompress(one).decode().splitlines(keepends=True)
    assert json.loads(lines[0])["format"] == 2
    digest = hashlib.sha256("".join(lines[:-1]).encode()).hexdigest()
    assert json.loads(lines[-1]) == {"rows": 2, "sha256": digest}


def test_half_a_file_is_no_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")

    def rows() -> object:
        yield prediction("u", ())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write_predictions(Header(method="m", mode="zero-shot"), rows())
    assert not folder.has("m")
