"""The architecture's rules: layers, module sizes, the public names, import time."""

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
from zsrec.recommender.recommender import AsyncRecommender, Recommender

PACKAGE = REPO / "zsrec"

# Imports go downward only; packages of one layer do not import each other.
LAYERS = [
    {"core"},
    {"data"},
    {"retrieval", "prompts", "llm", "answers"},
    {"ranking"},
    {"recommender"},
    {"serving", "playground"},
    {"evaluation"},
    {"cli"},
    {"__main__"},
]


def package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module(path: Path) -> str:
    return ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
MODULES = {module(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """The modules of zsrec that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative import")
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "zsrec":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES or node.module == "zsrec" else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("zsrec."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    here = package(path)
    for name in imports(path):
        there = name.split(".")[1]
        if there in layer and there != here:
            assert layer[there] < layer[here], f"{module(path)} imports {name}, which is no layer below"


def test_no_import_cycles() -> None:
    graph = {module(path): set(imports(path)) for path in FILES if path.name != "__init__.py"}

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


def test_the_tree_is_shallow_and_its_listing_short() -> None:
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len({name for name in names if not name.startswith(("_", "py."))}) <= 15
    assert max(len(path.relative_to(PACKAGE).parts) for path in FILES) <= 2


def test_every_module_says_what_it_is() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_modules_stay_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): n for path, n in lengths.items() if n > 500} == {}
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
        "explain",
        "taste_summary",
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
    assert len(inspect.signature(Recommender).parameters) <= 11


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
