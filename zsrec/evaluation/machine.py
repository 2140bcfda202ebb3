"""The machine that a run was measured on, and what is known of the model server on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from zsrec.core.files import Home
from zsrec.core.settings import is_loopback
from zsrec.llm.vllm_state import read_state


def machine() -> dict[str, str]:
    """Processor, memory and GPUs of this machine, without its name, and the Python version."""
    memory = psutil.virtual_memory().total / 2**30
    found = {"processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB", "system": platform.system()}
    gpus = list(_gpus())
    return found | ({"gpu": ", ".join(gpus)} if gpus else {}) | {"python": platform.python_version()}


def model_server(base_url: str, version: str | None) -> str:
    """Engine, version and number format of a server that zsrec started here; of others what they say."""
    said = "" if version is None else f"version {version}"
    parts = urlsplit(base_url)
    here = parts.port if is_loopback(parts.hostname or "") else None
    state = read_state(Home.default(), here) if here else None
    if state is None:
        return said or "says nothing of itself"
    try:
        command = psutil.Process(state.process.pid).cmdline()
    except psutil.Error:
        command = []
    dtype = next((value for name, value in pairwise(command) if name == "--dtype"), None)
    return ", ".join(filter(None, (state.engine, said, f"dtype {dtype}" if dtype else "", "on the same machine")))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join((names or [platform.processor() or platform.machine()])[0].split())


def _gpus() -> Iterator[str]:
    if (tool := shutil.which("nvidia-smi")) is None:
        return
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return
    yield from (line.strip() for line in found.stdout.splitlines() if line.strip())
