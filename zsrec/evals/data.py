"""The data of a benchmark: a catalog, interactions, and where they are from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from zsrec.candidates import Ids, Interactions, Reading, read_interactions
from zsrec.catalog import Catalog
from zsrec.data import CITATION
from zsrec.errors import DataError
from zsrec.interactions import Columns

_CHUNK = 1 << 20


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
        notes=_counted(reading),
        files={f"interactions {interactions.name}": sha256(interactions), f"items {items.name}": sha256(items)},
    )


def from_movielens(folder: Path) -> Data:
    """Reads a folder in the CSV format of MovieLens.

    Raises:
        DataError: A file is missing or wrong; with file and line.
    """
    data = from_tables(
        folder / "ratings.csv",
        folder / "movies.csv",
        columns=Columns(rating=None),
        item_columns=("movieId", "title"),
        domain="movies",
    )
    return Data(
        name=folder.name,
        catalog=data.catalog,
        interactions=data.interactions,
        notes=(*data.notes, f"MovieLens, under its own licence (see its README): {CITATION}"),
        files=data.files,
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from error
    return digest.hexdigest()


def _counted(reading: Reading) -> tuple[str, ...]:
    notes = [f"{len(reading.interactions):,} interactions read from {reading.rows:,} rows"]
    if reading.first_unknown is not None:
        line, item = reading.first_unknown
        notes.append(
            f"{reading.unknown:,} rows name items that the catalog lacks (line {line}: {item!r}); left out"
        )
    if reading.repeated:
        notes.append(f"{reading.repeated:,} rows repeat a user and an item; the first contact counts")
    return tuple(notes)
