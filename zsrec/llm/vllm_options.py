"""Options of the embedded server, and progress reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zsrec.core.errors import ConfigError

EngineChoice = Literal["auto", "cpu", "vllm", "llamacpp"]
ENGINES: tuple[EngineChoice, ...] = ("auto", "cpu", "vllm", "llamacpp")

DEFAULT_MODEL_NAME = "smollm2"
DEFAULT_PORT = 8000

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_NAME = re.compile(r"[A-Za-z0-9][\w./:-]*")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of `zsrec model up`."""

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
            raise ConfigError(f"port {self.port} is not in 1…65535", hint="pass --port")
        for field, value in (("max_model_len", self.max_model_len), ("block_size", self.block_size)):
            if value < 1:
                raise ConfigError(f"{field} is {value}; it has to be at least 1 token")
        if self.engine not in ENGINES:
            raise ConfigError(f"unknown engine {self.engine!r}", hint=f"known: {', '.join(ENGINES)}")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is not a valid name for a served model",
                hint="use letters, digits and . _ - / : after a letter or digit",
            )

    def resolved_model(self) -> str | None:
        """The model as an absolute folder or a hub id; None for the built-in one."""
        if self.model is None:
            return None
        folder = Path(self.model).expanduser()
        if self.model and folder.is_file() and folder.suffix == ".gguf":
            if self.engine not in {"auto", "llamacpp"}:
                raise ConfigError(f"{folder} is a GGUF file, which vLLM does not serve", hint="--engine llamacpp")
            return str(folder.resolve())
        if self.engine == "llamacpp":
            raise ConfigError(
                f"model {self.model!r} is not a GGUF file here, which llama.cpp serves",
                hint="pass a .gguf file, or leave out --engine",
            )
        if self.model and folder.is_dir():
            if not (folder / "config.json").is_file():
                raise ConfigError(
                    f"{folder} is not a model folder: it has no config.json",
                    hint="pass the folder that holds config.json and the weights",
                )
            return str(folder.resolve())
        if self.model.startswith((".", "~", os.sep)) or not _HUB_ID.fullmatch(self.model):
            raise ConfigError(
                f"model {self.model!r} is neither a folder here nor a hub id",
                hint="pass a folder with config.json, or an id such as 'owner/model'",
            )
        return self.model

    @property
    def by_llama_cpp(self) -> bool:
        """Whether llama.cpp serves: it was named, or the model is a GGUF file."""
        return self.engine == "llamacpp" or (self.resolved_model() or "").endswith(".gguf")

    def served_name(self) -> str:
        """The name that requests use: `name`, else the folder's name or the hub id."""
        if self.name is not None:
            return self.name
        model = self.resolved_model()
        if model is None:
            return DEFAULT_MODEL_NAME
        name = Path(model).name.removesuffix(".gguf") if os.path.isabs(model) else model
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"the folder name {name!r} is not a valid name for a served model", hint="pass --name"
            )
        return name


class Progress:
    """Reports steps, and the last line that a step's program printed; this one reports nothing."""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:  # noqa: ARG002
        """A context for one step."""
        yield

    def line(self, text: str) -> None:
        """Show the last line that the running step's program printed."""

    def note(self, text: str) -> None:
        """Print a sentence that stays on the screen."""
