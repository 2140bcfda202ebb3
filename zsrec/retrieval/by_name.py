"""Retrievers by name: the one place where every command and service gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from zsrec.core.embedding import Embedder, default_embedder
from zsrec.core.errors import ConfigError, MissingExtraError, ZsrecError
from zsrec.core.types import Frozen
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Method, Retriever
from zsrec.retrieval.cooccurrence import Cooccurrence, CooccurrenceConfig
from zsrec.retrieval.fused import Fused, FusedConfig
from zsrec.retrieval.item_knn import ItemKNN, ItemKNNConfig
from zsrec.retrieval.lexical import Lexical
from zsrec.retrieval.popularity import Popularity
from zsrec.retrieval.semantic import Semantic, Vectors, item_texts, item_vectors, says_nothing
from zsrec.retrieval.trained import NAMES as TRAINED
from zsrec.retrieval.trained import EaseConfig, SasRecConfig, trained

DEFAULT = "cooccurrence"
NEEDS_VECTORS = ("semantic", "fused")
NAMES = ("pop", "itemknn", DEFAULT, "lexical", *NEEDS_VECTORS)
"""The retrievers without training, which also give candidates."""

WITHOUT_INTERACTIONS = ("lexical", "semantic")
"""Those that read this user's history and the items' texts only."""

ALL = (*NAMES, *TRAINED)
CONFIGS: Mapping[str, type[Frozen]] = {
    "itemknn": ItemKNNConfig, DEFAULT: CooccurrenceConfig, "fused": FusedConfig, "ease": EaseConfig,
    "sasrec": SasRecConfig,
}  # fmt: skip
"""The parameters that a command line can set, by method."""

_MODELS = {"ease": "EASEModel", "sasrec": "SASRecModel"}


@dataclass(frozen=True)
class Configs:
    """Parameters of the methods by name; `window_days` is that of "pop"."""

    window_days: float | None = None
    itemknn: ItemKNNConfig = field(default_factory=ItemKNNConfig)
    cooccurrence: CooccurrenceConfig = field(default_factory=CooccurrenceConfig)
    fused: FusedConfig = field(default_factory=FusedConfig)
    ease: EaseConfig | None = None
    sasrec: SasRecConfig | None = None


def retriever_named(
    name: str, known: Interactions | None, catalog: Catalog, *, vectors: Callable[[], Vectors] | None = None
) -> Retriever:
    """Return the retriever of that name, as `zsrec bench` has it.

    Args:
        name: One of `NAMES`.
        known: All users' interactions; those of `WITHOUT_INTERACTIONS` need none.
        catalog: The items; texts are embedded only where the retriever needs vectors, and then the user's own
            words are read too.
        vectors: Gives the item vectors instead of the default embedder.

    Raises:
        ConfigError: No such retriever, or it needs interactions.
        MissingExtraError: It needs vectors, and the extra "embed" is not installed.
    """
    check_retriever(name, interactions=known is not None)
    if known is None:
        known = Interactions.from_contacts((), catalog=Ids(catalog.ids))
    texts = _Texts(catalog)
    if name in NEEDS_VECTORS:
        texts.load(vectors)
        if name == "semantic" and texts.error is not None:
            raise texts.error
    return _method(name, texts, Configs())(known)


def check_retriever(name: str, *, interactions: bool = True) -> None:
    """Raise `ConfigError` where the name is none of `NAMES`, or needs interactions and there are none."""
    if name not in NAMES:
        raise ConfigError(f"--retriever is {name!r}", hint=f"write one of {', '.join(NAMES)}")
    if not interactions and name not in WITHOUT_INTERACTIONS:
        raise ConfigError(
            f"--retriever {name} without interactions",
            hint="give others' interactions with --interactions FILE, "
            f"or name one that needs none: {', '.join(WITHOUT_INTERACTIONS)}",
        )


def methods(
    names: Sequence[str],
    vectors: Callable[[], Vectors],
    catalog: Catalog | None = None,
    configs: Configs | None = None,
) -> tuple[Mapping[str, Method], dict[str, str]]:
    """Return the methods of a benchmark by name.

    Args:
        names: Some of `ALL`.
        vectors: Gives the item vectors; called once, and only where a method needs them. Where it fails, "fused"
            compares words (its notes say so), and "semantic" is left out.
        catalog: The items, for methods that read words.
        configs: Parameters.

    Returns:
        The methods that can run, and the others with the reason (an extra is not installed).

    Raises:
        ConfigError: A name is unknown or repeated, there is none, or no method can run.
    """
    if unknown := [name for name in names if name not in ALL]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(ALL)}")
    if not names or len(set(names)) < len(names):
        raise ConfigError("no method, or one of them twice", hint=f"name some of {', '.join(ALL)}, once each")
    texts = _Texts(catalog)
    if any(name in NEEDS_VECTORS for name in names):
        texts.load(vectors)
    made: dict[str, Method] = {}
    failed: dict[str, ZsrecError] = {}
    for name in names:
        error = texts.error if name == "semantic" else texts.no_words if name == "lexical" else _missing(name)
        if error is None:
            made[name] = _method(name, texts, configs or Configs())
        else:
            failed[name] = error
    if not made:
        raise next(iter(failed.values()))
    return made, {name: _one_line(error) for name, error in failed.items()}


class _Texts:
    """What retrievers compare of the items' texts: vectors, or words where there are none."""

    def __init__(self, catalog: Catalog | None) -> None:
        self.catalog = catalog
        self.vectors: Vectors | None = None
        self.embedder: Embedder | None = None
        self.error: ZsrecError | None = None

    def load(self, vectors: Callable[[], Vectors] | None) -> None:
        """Make the vectors; without a function of the caller's, by the default embedder."""
        try:
            if vectors is not None or self.catalog is None:
                self.vectors = None if vectors is None else vectors()
            else:
                self.embedder = default_embedder()
                self.vectors = item_vectors(self.catalog, self.embedder)
        except (MissingExtraError, ConfigError) as error:
            self.error = error

    @property
    def no_words(self) -> ConfigError | None:
        """Why there are no words to compare."""
        if self.catalog is None or says_nothing(item_texts(self.catalog, self.catalog.attribute_names)):
            return ConfigError(
                "the items' texts differ in numbers only", hint="give a catalog with titles or text columns"
            )
        return None

    def lexical(self, known: Interactions) -> Lexical | None:
        """The words of the items that the interactions have, in their order."""
        if self.catalog is None or self.no_words is not None or list(self.catalog.ids) != list(known.items.ids):
            return None
        return Lexical(self.catalog)


def _method(name: str, texts: _Texts, configs: Configs) -> Method:
    def fused(known: Interactions) -> Fused:
        lexical = None if texts.vectors is not None else texts.lexical(known)
        reason = "" if texts.error is None else _one_line(texts.error)
        return Fused(known, texts.vectors, configs.fused, texts.embedder, lexical, no_vectors=reason)

    def semantic(known: Interactions) -> Semantic:
        assert texts.vectors is not None  # noqa: S101  (checked before)
        return Semantic(known.items, texts.vectors, embedder=texts.embedder)

    def lexical(known: Interactions) -> Retriever:  # noqa: ARG001  (it reads no interactions)
        assert texts.catalog is not None  # noqa: S101
        return Lexical(texts.catalog)

    made: dict[str, Method] = {
        "pop": lambda known: Popularity(known, window_days=configs.window_days),
        "itemknn": lambda known: ItemKNN(known, configs.itemknn),
        "cooccurrence": lambda known: Cooccurrence(known, configs.cooccurrence),
        "lexical": lexical,
        "semantic": semantic,
        "fused": fused,
    }
    return made[name] if name in made else trained(name, ease=configs.ease, sasrec=configs.sasrec)


def _missing(name: str) -> MissingExtraError | None:
    """The reason why a trained method cannot run. The library is imported, so a broken one is found too."""
    if name not in _MODELS:
        return None
    try:
        vars(import_module("rectools.models"))[_MODELS[name]]
    except (ImportError, KeyError):
        return MissingExtraError(f"the trained baseline {name!r}", "trained")
    return None


def _one_line(error: ZsrecError) -> str:
    return " ".join(f"{error.message} ({error.hint})".split()) if error.hint else error.message
