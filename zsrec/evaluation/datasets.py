"""The data of a benchmark: a catalog, interactions, and where they are from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from zsrec.core.files import sha256
from zsrec.data.catalog import Catalog
from zsrec.data.download import CITATION, SETS, form_of
from zsrec.data.interactions import Ids, Interactions
from zsrec.data.movielens import load_ratings
from zsrec.data.readers import Columns, read_interactions

UNKNOWN_LICENCE = "research use only; the set's README has the full text"


@dataclass(frozen=True)
class Data:
    """What a benchmark runs on."""

    name: str  # for the report
    catalog: Catalog  # the items
    interactions: Interactions  # the contacts of users with them
    notes: tuple[str, ...] = ()  # what was counted on the way, in plain words
    files: dict[str, str] = field(default_factory=dict)  # the SHA-256 of every file read, by its role and name


def from_tables(
    interactions: Path, items: Path, *, columns: Columns, item_columns: tuple[str, str], domain: str = "items"
) -> Data:
    """Reads a table of interactions and one of items."""
    id_column, title = item_columns
    catalog = Catalog.from_file(items, id=id_column, title=title, domain=domain)
    read = read_interactions(interactions, columns=columns, catalog=Ids(catalog.ids))
    return Data(
        name=f"{interactions.name}, {items.name}",
        catalog=catalog,
        interactions=read.interactions,
        notes=read.notes,
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
