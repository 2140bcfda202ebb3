"""The house's own rules: what imports what, what the front door shows, how fast it opens."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import zsrec
from tests.conftest import REPO
from zsrec.recommender import AsyncRecommender, Recommender

PACKAGE = REPO / "zsrec"

# Lower floors know nothing of higher ones; rooms of one floor may know each other, without circles.
FLOORS = [
    {"errors", "frozen", "history", "types", "text", "redact", "pseudonyms", "whole"},
    {"tables", "catalog", "interactions", "settings", "prompts", "parse", "llm", "embed", "server", "blocking"},
    {"steps"},
    {"ground", "candidates", "rank", "data", "fit"},
    {"job", "pool", "reading", "told", "chain"},
    {"plan", "retrieval", "budget"},
    {"recommender"},
    {"session", "explain", "profile"},
    {"evals", "serve", "playground", "batch"},
    {"cli", "__main__"},
]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The rooms of this package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("zsrec."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "zsrec":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("zsrec."))
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    here = floor[room(path)]
    for name in imports(path):
        assert floor[name] <= here, f"{room(path)} (floor {here}) imports {name} (floor {floor[name]})"


def test_rooms_of_one_floor_make_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(room(path), set()).update(set(imports(path)) - {room(path)})

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph.get(todo.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen

    assert [name for name in graph if name in reach(name)] == []


def test_every_module_says_what_it_is() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_modules_stay_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): n for path, n in lengths.items() if n > 450} == {}
    assert sorted(lengths.values())[len(lengths) // 2] <= 200


def test_every_public_name_is_there_and_no_other() -> None:
    assert sorted(zsrec.__all__) == zsrec.__all__
    assert set(zsrec._HOME) == set(zsrec.__all__)
    for name in zsrec.__all__:
        assert getattr(zsrec, name).__doc__
    with pytest.raises(AttributeError, match="nothing_such"):
        zsrec.nothing_such  # noqa: B018


@pytest.mark.parametrize(
    "method",
    [
        "recommend",
        "recommend_many",
        "server",
        "run",
        "with_template",
        "with_catalog",
        "with_retriever",
        "with_ranking",
        "__init__",
    ],
)
def test_sync_and_async_have_one_signature(method: str) -> None:
    assert inspect.signature(getattr(Recommender, method)).parameters == (
        inspect.signature(getattr(AsyncRecommender, method)).parameters
    )


def test_constructors_take_few_arguments() -> None:
    assert len(inspect.signature(Recommender).parameters) <= 8


def test_the_import_is_fast_and_light() -> None:
    script = "import sys, zsrec; print(' '.join(sys.modules))"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5
    assert not {"torch", "transformers", "openai", "vllm", "numpy"} & set(done.stdout.split())


def test_grounding_alone_needs_neither_torch_nor_the_openai_package() -> None:
    script = "import sys, zsrec; zsrec.Catalog, zsrec.Grounder, zsrec.Recommender; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "openai", "vllm"} & set(done.stdout.split())
