"""Retrievers by name: the one place where every command and service gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from zsrec.core.embedding import default_embedder
from zsrec.core.errors import ConfigError, MissingExtraError, ZsrecError
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Interactions
from zsrec.retrieval.base import Method, Retriever
from zsrec.retrieval.cooccurrence import Cooccurrence
from zsrec.retrieval.fused import Fused
from zsrec.retrieval.item_knn import ItemKNN
from zsrec.retrieval.popularity import Popularity
from zsrec.retrieval.semantic import Semantic, Vectors, item_vectors
from zsrec.retrieval.trained import NAMES as TRAINED
from zsrec.retrieval.trained import EaseConfig, SasRecConfig, trained

NEEDS_TEXTS = ("semantic", "fused")
NAMES = ("pop", "itemknn", "cooccurrence", *NEEDS_TEXTS)
"""The retrievers without training, which also give candidates."""

ALL = (*NAMES, *TRAINED)
_MODELS = {"ease": "EASEModel", "sasrec": "SASRecModel"}


def retriever_named(
    name: str, known: Interactions, catalog: Catalog, *, vectors: Callable[[], Vectors] | None = None
) -> Retriever:
    """Return the retriever of that name, as `zsrec bench` has it."""
    check_retriever(name)
    made, _ = methods([name], vectors or (lambda: item_vectors(catalog, default_embedder())))
    return made[name](known)


def check_retriever(name: str) -> None:
    """Raise `ConfigError` where the name is none of `NAMES`."""
    if name not in NAMES:
        raise ConfigError(f"--retriever is {name!r}", hint=f"write one of {', '.join(NAMES)}")


def methods(
    names: Sequence[str],
    vectors: Callable[[], Vectors],
    *,
    window_days: float | None = None,
    ease: EaseConfig | None = None,
    sasrec: SasRecConfig | None = None,
) -> tuple[Mapping[str, Method], dict[str, str]]:
    """Return the methods of a benchmark by name."""
    if unknown := [name for name in names if name not in ALL]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(ALL)}")
    if not names or len(set(names)) < len(names):
        raise ConfigError("no method, or one of them twice", hint=f"name some of {', '.join(ALL)}, once each")
    found: Vectors | None = None
    failed: dict[str, ZsrecError] = {}
    if any(name in NEEDS_TEXTS for name in names):
        try:
            found = vectors()
        except (MissingExtraError, ConfigError) as error:
            failed["semantic"] = error
    made: dict[str, Method] = {}
    for name in names:
        if name == "pop":
            made[name] = lambda known: Popularity(known, window_days=window_days)
        elif name == "itemknn":
            made[name] = ItemKNN
        elif name == "cooccurrence":
            made[name] = Cooccurrence
        elif name == "fused":
            made[name] = _fused(found, _one_line(failed["semantic"]) if "semantic" in failed else "")
        elif name in TRAINED:
            if (missing := _missing(name)) is None:
                made[name] = trained(name, ease=ease, sasrec=sasrec)
            else:
                failed[name] = missing
        elif found is not None:
            made[name] = _semantic(found)
    if not made:
        raise next(iter(failed.values()))
    return made, {name: _one_line(error) for name, error in failed.items() if name in names}


def _semantic(vectors: Vectors) -> Method:
    return lambda known: Semantic(known.items, vectors)


def _fused(vectors: Vectors | None, no_vectors: str) -> Method:
    return lambda known: Fused(known, vectors, no_vectors=no_vectors)


def _missing(name: str) -> MissingExtraError | None:
    """The reason why a trained method cannot run. The library is imported, so a broken one is found too."""
    try:
        vars(import_module("rectools.models"))[_MODELS[name]]
    except (ImportError, KeyError):
        return MissingExtraError(f"the trained baseline {name!r}", "trained")
    return None


def _one_line(error: ZsrecError) -> str:
    return " ".join(f"{error.message} ({error.hint})".split()) if error.hint else error.message
