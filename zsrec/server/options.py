"""What the caller may choose about the embedded server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zsrec.errors import ConfigError

EngineChoice = Literal["auto", "cpu", "vllm"]
ENGINES: tuple[EngineChoice, ...] = ("auto", "cpu", "vllm")

DEFAULT_MODEL_NAME = "smollm2"
DEFAULT_PORT = 8000

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_NAME = re.compile(r"[A-Za-z0-9][\w./:-]*")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of `zsrec model up`.

    Attributes:
        model: A local model folder or a hub id; None for the built-in small model.
        name: The name that requests use; None for a name derived from `model`.
        host: The address to listen at. Anything but a loopback address opens the server to others.
        port: The TCP port, 1 to 65535; one server runs per port.
        max_model_len: The longest prompt plus answer, in tokens.
        block_size: Tokens per block of the prefix cache: a smaller block shares shorter prefixes.
        engine: "cpu", "vllm" (needs a GPU), or "auto": "vllm" where a GPU answers, else "cpu".
        python: The interpreter to build the engine's environment with; None to look for one.
        extra_args: Further arguments for vLLM's server, as typed.
    """

    model: str | None = None
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    max_model_len: int = 4096
    block_size: int = 32
    engine: EngineChoice = "auto"
    python: Path | None = None
    extra_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not in 1…65535")
        if self.max_model_len < 1:
            raise ConfigError(f"max_model_len is {self.max_model_len}; it has to be at least 1 token")
        if self.block_size < 1:
            raise ConfigError(f"block_size is {self.block_size}; it has to be at least 1 token")
        if self.engine not in ENGINES:
            raise ConfigError(f"unknown engine {self.engine!r}", hint=f"known: {', '.join(ENGINES)}")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is no name for a served model",
                hint="use letters, digits and . _ - / : after a letter or digit",
            )

    def resolved_model(self) -> str | None:
        """The model as an absolute folder or a hub id; None for the built-in one.

        Raises:
            ConfigError: It is neither a model folder nor shaped like a hub id.
        """
        if self.model is None:
            return None
        folder = Path(self.model).expanduser()
        if self.model and folder.is_dir():
            if not (folder / "config.json").is_file():
                raise ConfigError(
                    f"{folder} is no model folder: it has no config.json",
                    hint="name the folder that config.json and the weights lie in",
                )
            return str(folder.resolve())
        if self.model.startswith((".", "~", os.sep)) or not _HUB_ID.fullmatch(self.model):
            raise ConfigError(
                f"model {self.model!r} is neither a folder here nor a hub id",
                hint="pass a folder with config.json, or an id such as 'owner/model'",
            )
        return self.model

    def served_name(self) -> str:
        """The name that requests use: `name`, else the folder's name or the hub id.

        Raises:
            ConfigError: As `resolved_model`, or the folder's own name cannot be served.
        """
        if self.name is not None:
            return self.name
        model = self.resolved_model()
        if model is None:
            return DEFAULT_MODEL_NAME
        name = Path(model).name if os.path.isabs(model) else model
        if not _NAME.fullmatch(name):
            raise ConfigError(f"the folder name {name!r} is no name for a served model", hint="pass --name")
        return name
