"""The data of a benchmark: a catalog, interactions, and where they are from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zsrec.core.errors import ConfigError
from zsrec.core.files import sha256
from zsrec.data.catalog import Catalog
from zsrec.data.download import CITATION, SETS, form_of
from zsrec.data.interactions import Interactions
from zsrec.data.movielens import load_ratings
from zsrec.recommender.loader import Sources

UNKNOWN_LICENCE = "research use only; the set's README has the full text"


@dataclass(frozen=True)
class Data:
    """What a benchmark runs on."""

    name: str  # for the report
    catalog: Catalog  # the items
    interactions: Interactions  # the contacts of users with them
    notes: tuple[str, ...] = ()  # what was counted on the way, in plain words
    files: dict[str, str] = field(default_factory=dict)  # the SHA-256 of every file read, by its role and name


def from_sources(sources: Sources) -> Data:
    """Reads a table of interactions and one of items; `ConfigError` where one of them is not named."""
    items, interactions = sources.catalog, sources.interactions
    if items is None or interactions is None:
        raise ConfigError("own data are two tables", hint="give --catalog and --interactions")
    catalog, known, notes = sources.read()
    assert known is not None  # noqa: S101  (a table was named)
    return Data(
        name=f"{interactions.name}, {items.name}",
        catalog=catalog,
        interactions=known,
        notes=notes,
        files={f"interactions {interactions.name}": sha256(interactions), f"items {items.name}": sha256(items)},
    )


def from_movielens(source: Path) -> Data:
    """Reads a MovieLens set in any of its forms, by blocks where pyarrow is there."""
    loaded = load_ratings(source)
    if source.is_file():
        files = {f"archive {source.name}": sha256(source)}
    else:
        form = form_of(source)
        named = {f"interactions {form.ratings}": form.ratings, f"items {form.movies}": form.movies}
        files = {role: sha256(source / name) for role, name in named.items()}
    name = source.resolve().name.removesuffix(".zip")
    known = SETS.get(name.removeprefix("ml-"))
    licence = UNKNOWN_LICENCE if known is None else known.licence
    return Data(
        name=name,
        catalog=loaded.catalog,
        interactions=loaded.result.interactions,
        notes=(*loaded.result.notes, f"MovieLens licence: {licence}", f"Cite: {CITATION}"),
        files=files,
    )
