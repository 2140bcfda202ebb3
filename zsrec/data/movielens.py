"""MovieLens: the sample in the package, a local folder or zip, or a set from GroupLens.

Source: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM TiiS 5, 4.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from zsrec.data.catalog import Catalog
from zsrec.data.download import COLUMNS, GENRES_100K, ITEM, Form, form_of, unpack
from zsrec.data.history import History
from zsrec.data.interactions import Ids
from zsrec.data.readers import MAX_MALFORMED, ReadResult, read_histories, read_interactions
from zsrec.data.tables import read_rows

LIKED_FROM, DISLIKED_TO = 4.0, 2.0
SAMPLE = Path(__file__).parent / "movielens_sample"


class Dataset(NamedTuple):
    """A catalog, and histories by user id: ratings of 4 and more are liked, of 2 and less disliked."""

    catalog: Catalog
    histories: Mapping[str, History]


class Ratings(NamedTuple):
    """A catalog and the interactions with it, with counts of everything that was left out."""

    catalog: Catalog
    result: ReadResult


def sample() -> Dataset:
    """Load the sample in the package, 1,297 movies and 200 users of ml-latest-small (see its README).

    MovieLens' licence applies: research use, redistribution under the same conditions, cite
    `zsrec.data.download.CITATION`.
    """
    return load(SAMPLE)


def load(source: str | Path) -> Dataset:
    """Load a set with its ratings as histories; for a million events and more, see `load_ratings`."""
    with _opened(source) as folder:
        form = form_of(folder)
        histories = read_histories(
            folder / form.ratings,
            columns=COLUMNS,
            liked_from=LIKED_FROM,
            disliked_to=DISLIKED_TO,
            encoding=form.encoding,
            layout=form.ratings_layout,
        )
        return Dataset(_catalog(folder, form), histories)


def load_ratings(source: str | Path, *, max_malformed: float = MAX_MALFORMED) -> Ratings:
    """Load a set with its ratings as columns of codes: 20 million in less than a minute and 2 GB, with pyarrow.

    Rows whose movie the catalog lacks, and rows that cannot be read, are counted and left out, up to a share.
    """
    with _opened(source) as folder:
        form = form_of(folder)
        catalog = _catalog(folder, form)
        result = read_interactions(
            folder / form.ratings,
            columns=COLUMNS,
            catalog=Ids(catalog.ids),
            encoding=form.encoding,
            layout=form.ratings_layout,
            max_malformed=max_malformed,
        )
        return Ratings(catalog, result)


@contextmanager
def _opened(source: str | Path) -> Iterator[Path]:
    """Yield the folder itself, or a temporary one with the zip's files."""
    source = Path(source)
    if not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="zsrec-") as scratch:
        folder = Path(scratch) / "set"
        unpack(source, folder)
        yield folder


def _catalog(folder: Path, form: Form) -> Catalog:
    path = folder / form.movies
    if form.movies_layout.header is None:
        return Catalog.from_csv(path, id=ITEM, title="title", domain="movies")
    rows = read_rows(path, columns=(ITEM, "title"), encoding=form.encoding, layout=form.movies_layout)
    return Catalog.from_items((_item(row) for _, row in rows), domain="movies")


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(row)
    item = {"id": values.pop(ITEM), "title": values.pop("title")}
    if "genres" not in values:  # 100k has a column of 0 and 1 for each
        values = {name: value for name, value in values.items() if name not in GENRES_100K and value}
        values["genres"] = "|".join(genre for genre in GENRES_100K if row[genre] == "1")
    return {**item, **values}
