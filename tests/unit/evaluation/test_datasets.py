"""`zsrec bench movielens` on every form of the sets, by name, folder and zip."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zsrec.cli import app
from zsrec.cli import data as data_command
from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.data import download
from zsrec.evaluation.datasets import from_movielens

FLAGS = "|".join(["0"] * 5 + ["1"] + ["0"] * 13)
EVENTS = [(user, item, 100 * user + item) for user in range(1, 6) for item in range(user, user + 6)]


def written(folder: Path, form: str) -> Path:
    """Five users, ten films, in one of MovieLens' forms."""
    folder.mkdir(parents=True)
    ratings = {
        "csv": ["userId,movieId,rating,timestamp", *(f"{u},{i},4.0,{t}" for u, i, t in EVENTS)],
        "dat": [f"{u}::{i}::4::{t}" for u, i, t in EVENTS],
        "100k": [f"{u}\t{i}\t4\t{t}" for u, i, t in EVENTS],
    }[form]
    films = {
        "csv": ["movieId,title,genres", *(f"{n},Café {n} (1990),Drama|War" for n in range(1, 11))],
        "dat": [f"{n}::Café {n} (1990)::Drama|War" for n in range(1, 11)],
        "100k": [f"{n}|Café {n} (1990)|01-Jan-1990||http://x|{FLAGS}" for n in range(1, 11)],
    }[form]
    names = {
        "csv": ("ratings.csv", "movies.csv"),
        "dat": ("ratings.dat", "movies.dat"),
        "100k": ("u.data", "u.item"),
    }
    for name, lines in zip(names[form], (ratings, films), strict=True):
        text = "\n".join(lines) + "\n"
        (folder / name).write_bytes(text.encode("utf-8" if form == "csv" else "latin-1"))
    return folder


def bench(tmp_path: Path, source: object, *more: str) -> dict[str, object]:
    argv = [
        "bench",
        "movielens",
        str(source),
        "--methods",
        "pop,itemknn",
        "--json",
        str(tmp_path / "o.json"),
        *more,
    ]
    result = CliRunner().invoke(app, argv)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("form", "name"), [("csv", "ml-20m"), ("dat", "ml-1m"), ("100k", "ml-100k")])
def test_every_form_gives_the_same_figures(tmp_path: Path, form: str, name: str) -> None:
    plain = bench(tmp_path, written(tmp_path / "plain", "csv"))
    found = bench(tmp_path, written(tmp_path / name, form))
    assert found["users"] == 5
    assert found["items"] == 10
    assert [one["metrics"] for one in found["methods"]] == [one["metrics"] for one in plain["methods"]]
    notes = " ".join(found["notes"])
    assert download.SETS[name.removeprefix("ml-")].licence in notes
    assert download.CITATION in notes
    assert "research use only" in " ".join(plain["notes"])


def test_a_zip_and_a_folder_agree_and_say_what_was_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "ml-1m", "dat")
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as file:
        for one in sorted(folder.iterdir()):
            file.write(one, f"ml-1m/{one.name}")
    whole, zipped = from_movielens(folder), from_movielens(tmp_path / "ml-1m.zip")
    assert whole.name == zipped.name == "ml-1m"
    assert whole.catalog.ids == zipped.catalog.ids
    assert whole.notes == zipped.notes
    assert whole.files == {
        "interactions ratings.dat": hashlib.sha256((folder / "ratings.dat").read_bytes()).hexdigest(),
        "items movies.dat": hashlib.sha256((folder / "movies.dat").read_bytes()).hexdigest(),
    }
    assert list(zipped.files) == ["archive ml-1m.zip"]
    assert bench(tmp_path, tmp_path / "ml-1m.zip")["methods"][1]["metrics"]


def test_a_name_is_fetched_into_the_folder_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(name: str, target: Path | None, **_: object) -> Path:
        asked.append((name, target))
        return written(tmp_path / "sets" / f"ml-{name}", "100k")

    monkeypatch.setattr(data_command, "fetch", fetch)
    assert bench(tmp_path, "100k", "--to", str(tmp_path / "sets"))["users"] == 5
    assert asked == [("100k", tmp_path / "sets")]
    with pytest.raises(ConfigError, match="unknown MovieLens set"):
        CliRunner().invoke(app, ["bench", "movielens", "7m"], catch_exceptions=False)


def test_malformed_rows_are_counted_and_too_many_stop(tmp_path: Path) -> None:
    folder = written(tmp_path / "ml-100k", "100k")
    lines = (folder / "u.data").read_text("latin-1").splitlines()
    (folder / "u.data").write_text("\n".join([*lines * 10, "9\t9"]) + "\n", "latin-1")
    assert any("1 rows cannot be read (line 301" in note for note in from_movielens(folder).notes)
    (folder / "u.data").write_text("\n".join([*lines, "9\t9"]) + "\n", "latin-1")
    with pytest.raises(BadRowError, match=r"u\.data:31"):
        from_movielens(folder)
    with pytest.raises(DataError, match="no MovieLens set here"):
        from_movielens(tmp_path)
