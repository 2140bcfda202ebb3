"""The methods that a benchmark knows by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from zsrec.core.errors import ConfigError, MissingExtraError, ZsrecError
from zsrec.data.interactions import Interactions
from zsrec.retrieval.base import Method, Retriever
from zsrec.retrieval.fused import Fused
from zsrec.retrieval.item_knn import ItemKNN
from zsrec.retrieval.popularity import Popularity
from zsrec.retrieval.semantic import Semantic, Vectors
from zsrec.retrieval.trained import NAMES as TRAINED
from zsrec.retrieval.trained import EaseConfig, SasRecConfig, trained

NEEDS_TEXTS = ("semantic", "fused")
NAMES = ("pop", "itemknn", *NEEDS_TEXTS)
"""The methods without training, which also give candidates."""

ALL = (*NAMES, *TRAINED)
_MODELS = {"ease": "EASEModel", "sasrec": "SASRecModel"}


def methods(
    names: Sequence[str],
    vectors: Callable[[], Vectors],
    *,
    window_days: float | None = None,
    ease: EaseConfig | None = None,
    sasrec: SasRecConfig | None = None,
) -> tuple[Mapping[str, Method], dict[str, str]]:
    """Makes methods of their names.

    Args:
        names: Some of `ALL`.
        vectors: Gives the item vectors; called once, and only where a method needs them. Where it says that
            they cannot be had, "fused" goes on without them (its notes say so), and "semantic" is left out.
        window_days: Of "pop", see `Popularity`.
        ease: Hyper-parameters of "ease".
        sasrec: Hyper-parameters of "sasrec".

    Returns:
        The methods that can run, and the others with the reason: the extra of "semantic", "ease" or "sasrec" is
        not installed.

    Raises:
        ConfigError: A name is unknown or stands twice, there is none, or no method can run.
    """
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
        elif name == "fused":
            made[name] = _fused(found)
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


def check_retriever(name: str) -> None:
    """Makes sure that a method of this name gives candidates.

    Raises:
        ConfigError: It is none of `NAMES`.
    """
    if name not in NAMES:
        raise ConfigError(f"--retriever is {name!r}", hint=f"write one of {', '.join(NAMES)}")


def retriever_named(name: str, known: Interactions, vectors: Callable[[], Vectors]) -> Retriever:
    """The method of that name, as `zsrec bench` has it, over what is known.

    Args:
        name: One of `NAMES`.
        known: Who met what.
        vectors: Gives the item vectors; called only where the method needs them.

    Raises:
        ConfigError: No such retriever.
        MissingExtraError: It cannot do without vectors, and there are none.
    """
    check_retriever(name)
    made, _ = methods([name], vectors)
    return made[name](known)


def _missing(name: str) -> MissingExtraError | None:
    """Why a trained method cannot run here; None where it can. Imports the library: a broken one is no better."""
    try:
        vars(import_module("rectools.models"))[_MODELS[name]]
    except (ImportError, KeyError):
        return MissingExtraError(f"the trained baseline {name!r}", "trained")
    return None


def _fused(vectors: Vectors | None) -> Method:
    return lambda known: Fused(known, vectors)


def _semantic(vectors: Vectors) -> Method:
    def method(known: Interactions) -> Semantic:
        return Semantic(known.items, vectors)

    return method


def _one_line(error: ZsrecError) -> str:
    return " ".join(f"{error.message} ({error.hint})".split()) if error.hint else error.message
