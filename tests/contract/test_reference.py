"""The reference lists what the documentation tells users to import, and their type checker sees the types."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
SCRIPT = """
from collections.abc import Sequence

from zsrec import Catalog, History, Recommendations, Recommender, Settings, ZsrecError
from zsrec.data.interactions import Interactions
from zsrec.retrieval import ItemKNN

catalog = Catalog.from_csv("movies.csv", id="movieId", domain="movies")
others = {"ann": History.of("1", 2).like("3")}
settings = Settings(timeout=10.0, base_url="http://localhost:8000/v1")
knn = ItemKNN.from_histories(others, catalog)
with Recommender(catalog, settings=settings, retriever=knn, template="rank/default") as rec:
    found: Recommendations = rec.recommend(["Heat", 6, catalog["1"]], k=5, about="quiet")
    ids: Sequence[str] = found.ids
    by_user: dict[str, Recommendations | ZsrecError] = rec.recommend_many(others, 5)
    in_order: list[Recommendations | ZsrecError] = rec.recommend_many([["Heat"], History.of("1")], 5)
    rows: list[dict[str, object]] = list(found.to_dicts())
    for one in found.items:
        print(one.rank, one.item.title, one.provenance and one.provenance.match.score)
known: Interactions = Interactions.from_histories(others)
"""


def imports(page: Path) -> Iterator[str]:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.findall(r"^\s*(from zsrec[\w.]* import .+?)(?:\s+#.*)?$", block, re.MULTILINE):
            (node,) = ast.parse(line.strip().rstrip("("), mode="exec").body
            assert isinstance(node, ast.ImportFrom)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_reference_lists_what_the_documentation_imports() -> None:
    listed = set(re.findall(r"^::: (\S+)$", (REPO / "docs/reference/api.md").read_text("utf-8"), re.MULTILINE))
    names = {one.rpartition(".")[2] for one in listed}
    missing = {
        one
        for page in PAGES
        for one in imports(page)
        if one not in listed and one.rpartition(".")[0] not in listed and one.rpartition(".")[2] not in names
    }
    assert missing == set()


@pytest.mark.slow
def test_a_users_script_is_checked_strictly(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file",
        "",
        "script.py",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "", "MYPYPATH": str(REPO)}, capture_output=True, text=True, check=False
    )
    assert (done.stdout.splitlines()[-1], done.returncode) == ("Success: no issues found in 1 source file", 0), (
        done
    )
