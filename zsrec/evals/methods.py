"""The methods that a benchmark knows by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zsrec.candidates import Fused, Interactions, ItemKNN, Popularity, Semantic
from zsrec.candidates.semantic import Vectors
from zsrec.errors import ConfigError, MissingExtraError, ZsrecError
from zsrec.evals.run import Method

NEEDS_TEXTS = ("semantic", "fused")
NAMES = ("pop", "itemknn", *NEEDS_TEXTS)


def methods(
    names: Sequence[str], vectors: Callable[[], Vectors], *, window_days: float | None = None
) -> tuple[Mapping[str, Method], dict[str, str]]:
    """Makes methods of their names.

    Args:
        names: Some of `NAMES`.
        vectors: Gives the item vectors; called once, and only where a method needs them. Where it says that
            they cannot be had, "fused" goes on without them (its notes say so), and "semantic" is left out.
        window_days: Of "pop", see `Popularity`.

    Returns:
        The methods that can run, and the others with the reason.

    Raises:
        ConfigError: A name is unknown or stands twice, there is none, or no method can run.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(NAMES)}")
    if not names or len(set(names)) < len(names):
        raise ConfigError("no method, or one of them twice", hint=f"name some of {', '.join(NAMES)}, once each")
    found: Vectors | None = None
    skipped: dict[str, str] = {}
    if any(name in NEEDS_TEXTS for name in names):
        try:
            found = vectors()
        except (MissingExtraError, ConfigError) as error:
            if names == ["semantic"]:
                raise
            skipped = {"semantic": _one_line(error)} if "semantic" in names else {}
    made: dict[str, Method] = {}
    for name in names:
        if name == "pop":
            made[name] = lambda known: Popularity(known, window_days=window_days)
        elif name == "itemknn":
            made[name] = ItemKNN
        elif name == "fused":
            made[name] = _fused(found)
        elif found is not None:
            made[name] = _semantic(found)
    return made, skipped


def _fused(vectors: Vectors | None) -> Method:
    return lambda known: Fused(known, vectors)


def _semantic(vectors: Vectors) -> Method:
    def method(known: Interactions) -> Semantic:
        return Semantic(known.items, vectors)

    return method


def _one_line(error: ZsrecError) -> str:
    return " ".join(f"{error.message} ({error.hint})".split()) if error.hint else error.message
