"""The README's Python and shell, run as written: with a scripted model for their shape, and with a real one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, completion, send
from tests.faults.test_labels import with_logprobs
from zsrec import Settings, load_template

README = (REPO / "README.md").read_text(encoding="utf-8")
DATA = Path(os.environ.get("ZSREC_TEST_DATA", REPO.parent / "shared" / "data")) / "ml-latest-small"
LOCAL = "http://localhost:8000/v1"
PAGES = ("README.md", "docs/index.md", "docs/coming_from.md")  # test_frames.py runs those of docs/dataframes.md
SHOWN = ("Recommendations", "DataFrame")
FILMS = ["Heat (1995)", "Ronin (1998)", "Thief (1981)", "Cats (2019)", "Up (2009)", "Alien (1979)"]
ELSEWHERE = ("model", "serve", "playground", "demo", "mcp", "bench", "data", "chat", "doctor")
"""Commands that listen, download or take long: other tests run them, and test_docs.py reads their options."""


def blocks(*languages: str, text: str = README) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S):
        if language in languages:
            yield block


def commands() -> Iterator[str]:
    """The README's commands and settings, each in one line."""
    for block in blocks("sh", "console", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.removeprefix("$ ")


def named(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """A model that names the same films whatever it is asked, and takes the first label."""
    if body.get("top_logprobs"):
        likely = [*"ABCDE", *(f"word{number}" for number in range(15))]
        send(handler, with_logprobs({token: -1.0 - place for place, token in enumerate(likely)}))
    else:
        send(handler, completion("1. Thief (1981) - a heist\n2. Alien (1979)\n3. Nowhere Film (2031)"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the README names, with a few lines each."""
    monkeypatch.chdir(tmp_path)
    films = "".join(f"{n},{title},Crime\n" for n, title in enumerate(FILMS, start=1))
    (tmp_path / "movies.csv").write_text(f"movieId,title,genres\n{films}", encoding="utf-8")
    ratings = "".join(f"{u},{i},{4 - i % 3},{100 * u + i}\n" for u in range(1, 5) for i in range(u, u + 3))
    (tmp_path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n{ratings}", encoding="utf-8")
    books = "".join(f'{{"isbn": "{n}", "name": "{name}"}}\n' for n, name in enumerate(["Dune", "Emma", "Kim"]))
    (tmp_path / "books.jsonl").write_text(books, encoding="utf-8")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    numbers = [str(number) for number in range(1, len(FILMS) + 1)]
    pq.write_table(pa.table({"movieId": numbers, "title": FILMS}), tmp_path / "films.parquet")
    lists = {"user": ["ann", "ben"], "items": [["1", "2"], ["5"]], "ratings": [[5.0, 4.0], [1.0]]}
    pq.write_table(pa.table(lists), tmp_path / "users.parquet")
    shutil.copy(REPO / "docs/examples/bookshop/books.csv", tmp_path)
    (tmp_path / "items.csv").write_text(f"item_id,title,genres\n{films}", encoding="utf-8")
    events = "".join(f"{u},{i},{100 * u + i}\n" for u in range(1, 5) for i in range(u, u + 3))
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,datetime\n{events}", encoding="utf-8")
    (tmp_path / "mentions.jsonl").write_text('{"id": 1, "mention": "Heat"}\n', encoding="utf-8")
    if "prompts new my" not in README:
        (tmp_path / "my.j2").write_text(next(blocks("jinja")), encoding="utf-8")
    return tmp_path


def run_python(base_url: str, page: str = "README.md") -> list[dict[str, Any]]:
    """Runs every Python block of a page in a namespace of its own; only the server's address is another."""
    found = []
    for number, block in enumerate(blocks("python", text=(REPO / page).read_text(encoding="utf-8"))):
        namespace: dict[str, Any] = {"__name__": "__main__"}
        code = compile(block.replace(LOCAL, base_url), f"{page}, Python block {number + 1}", "exec")
        exec(code, namespace)
        found.append(namespace)
    return found


def test_the_readme_has_python_and_commands() -> None:
    assert list(blocks("python"))
    assert sum(line.startswith("zsrec ") for line in commands()) >= 8


@pytest.mark.parametrize("page", PAGES)
def test_the_python_runs_as_written(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(named) as model:
        monkeypatch.setenv("ZSREC_BASE_URL", model.base_url)
        found = run_python(model.base_url, page)
        assert model.requests
    assert any(type(value).__name__ in SHOWN for one in found for value in one.values())


def test_the_commands_run_as_written(folder: Path) -> None:
    with ScriptedServer(named) as model:
        environment = dict(os.environ, ZSREC_BASE_URL=model.base_url, COLUMNS="120")
        environment["PYTHONPATH"] = str(REPO)
        tried = []
        for line in commands():
            words = shlex.split(line, comments=True)
            if not words or words[0] != "zsrec" or words[1] in ELSEWHERE or "compare" in words:
                continue
            done = subprocess.run(
                [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            tried.append(" ".join(words[1:3]))
    assert {"recommend --history", "prompts render", "prompts check"} <= set(tried)


def test_the_template_is_one(folder: Path) -> None:
    for block in blocks("jinja"):
        (folder / "shown.j2").write_text(block, encoding="utf-8")
        assert load_template(folder / "shown.j2").task == "generate"


def test_settings_of_the_readme_exist() -> None:
    other = {"ZSREC_PROMPTS", "ZSREC_HOME"}
    for name in set(re.findall(r"\bZSREC_[A-Z_]+", README)) - other:
        assert name.removeprefix("ZSREC_").lower() in Settings.model_fields, name


@pytest.mark.live
@pytest.mark.timeout(900)
def test_the_python_runs_on_a_real_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base_url = os.environ.get("ZSREC_TEST_BASE_URL")
    if not base_url:
        pytest.skip("no real server: run `make test`, or set ZSREC_TEST_BASE_URL to one that runs")
    if (DATA / "movies.csv").is_file():
        shutil.copy(DATA / "movies.csv", folder / "movies.csv")
        shutil.copy(DATA / "ratings.csv", folder / "ratings.csv")
    monkeypatch.setenv("ZSREC_BASE_URL", base_url)
    assert run_python(base_url)
