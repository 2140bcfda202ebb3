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
    """What a benchmark runs on.

    Attributes:
        name: For the report.
        catalog: The items.
        interactions: The contacts of users with them.
        notes: What was counted on the way, in plain words.
        files: The SHA-256 of every file read, by its role and name.
    """

    name: str
    catalog: Catalog
    interactions: Interactions
    notes: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


def from_tables(
    interactions: Path, items: Path, *, columns: Columns, item_columns: tuple[str, str], domain: str = "items"
) -> Data:
    """Reads a table of interactions and one of items.

    Args:
        interactions: A table of users, items and times.
        items: The catalog.
        columns: The interactions' columns.
        item_columns: The catalog's columns of id and title.
        domain: What the items are, in the plural, for prompts.

    Raises:
        DataError: A file is missing or wrong; with file and line.
    """
    id_column, title = item_columns
    catalog = Catalog.from_file(items, id=id_column, title=title, domain=domain)
    reading = read_interactions(interactions, columns=columns, catalog=Ids(catalog.ids))
    return Data(
        name=f"{interactions.name}, {items.name}",
        catalog=catalog,
        interactions=reading.interactions,
        notes=reading.notes,
        files={f"interactions {interactions.name}": sha256(interactions), f"items {items.name}": sha256(items)},
    )


def from_movielens(source: Path) -> Data:
    """Reads a MovieLens set in any of its forms, by blocks where pyarrow is there.

    Args:
        source: A folder or a zip file.

    Raises:
        DataError: A file is missing or wrong; with file and line.
    """
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
