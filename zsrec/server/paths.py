"""Where the embedded server keeps its things on disk.

    <home>/engines/<engine>-<version>/   a virtual environment with vLLM in it
    <home>/models/<name>/                a model folder that vLLM can serve
    <home>/run/<port>.json               what runs at a port
    <home>/logs/<port>.log               what the server at a port printed
    <home>/logs/<port>.previous.log      what the one before it printed
    <home>/logs/install-<engine>.log     what installing an engine printed

The home is per machine: it holds process ids and compiled code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from zsrec.errors import ServerError

HOME_VARIABLE = "ZSREC_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of the embedded server; nothing is created before it is needed.

    Attributes:
        root: The folder itself, absolute.
    """

    root: Path

    @classmethod
    def default(cls) -> Home:
        """The folder named by `ZSREC_HOME`, else the platform's cache folder for zsrec."""
        named = os.environ.get(HOME_VARIABLE, "").strip()
        root = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("zsrec"))
        return cls(root.absolute())

    def engine(self, name: str, version: str) -> Path:
        """The virtual environment of one engine."""
        return self.root / "engines" / f"{name}-{version}"

    def model(self, name: str) -> Path:
        """The folder of a model that zsrec fetched itself."""
        return self.root / "models" / name

    @property
    def run(self) -> Path:
        """The folder of the state files; servers run in it as their working directory."""
        return self.root / "run"

    def state(self, port: int) -> Path:
        """The state file of the server at `port`."""
        return self.run / f"{port}.json"

    def server_log(self, port: int) -> Path:
        """The log of the server at `port`."""
        return self.root / "logs" / f"{port}.log"

    def previous_log(self, port: int) -> Path:
        """The log of the server that ran at `port` before."""
        return self.root / "logs" / f"{port}.previous.log"

    def install_log(self, name: str) -> Path:
        """The log of installing or fetching `name`."""
        return self.root / "logs" / f"install-{name}.log"

    def lock(self, name: str) -> Path:
        """The lock file that guards `name`, for example an engine or a port."""
        return self.root / "locks" / f"{name}.lock"


def make_folder(path: Path) -> Path:
    """Creates a folder with its parents, readable by its owner only, and returns it.

    Raises:
        ServerError: It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(
            f"cannot create the folder {path}: {error.strerror}",
            hint=f"set {HOME_VARIABLE} to a folder that you can write to",
        ) from error
    return path
