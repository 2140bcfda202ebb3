"""MovieLens: the sample in the package, a local folder, or the full set from GroupLens.

Source: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM TiiS 5, 4.
"""

from __future__ import annotations

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from zsrec.catalog import Catalog
from zsrec.errors import ConfigError, DataError
from zsrec.interactions import read_histories
from zsrec.types import History

CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems (TiiS) 5, 4: 19:1-19:19. "
    "https://doi.org/10.1145/2827872"
)
LIKED_FROM, DISLIKED_TO = 4.0, 2.0
_SAMPLE = Path(__file__).parent / "movielens_sample"
_CHUNK = 1 << 20


class Archive(NamedTuple):
    """A set that can be fetched: its address and its SHA-256."""

    url: str
    sha256: str


ARCHIVES = {
    "latest-small": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    )
}


class Dataset(NamedTuple):
    """A catalog and the histories of its users.

    Attributes:
        catalog: The movies.
        histories: By user id. Ratings of 4 and more are liked, of 2 and less disliked.
    """

    catalog: Catalog
    histories: Mapping[str, History]


def sample() -> Dataset:
    """The sample in the package: 1,297 movies and 50 users of ml-latest-small; its README says how it was drawn.

    MovieLens' licence applies to it: research use, redistribution under the same conditions, cite `CITATION`.
    """
    return load(_SAMPLE)


def load(folder: str | Path) -> Dataset:
    """Loads a folder in the CSV format of MovieLens (movies.csv and ratings.csv).

    Raises:
        DataError: A file is missing or wrong; the message names file and line.
    """
    folder = Path(folder)
    catalog = Catalog.from_csv(folder / "movies.csv", id="movieId", title="title", domain="movies")
    histories = read_histories(folder / "ratings.csv", liked_from=LIKED_FROM, disliked_to=DISLIKED_TO)
    return Dataset(catalog, histories)


def fetch(name: str, target: str | Path, *, on_bytes: Callable[[int, int | None], None] | None = None) -> Path:
    """Downloads a set, checks it and unpacks it; does nothing where it stands already.

    Args:
        name: One of `ARCHIVES`.
        target: The folder that shall hold it.
        on_bytes: Called with the bytes so far and the whole size, where the server says it.

    Returns:
        The folder with the set's files, `target/ml-<name>`.

    Raises:
        ConfigError: `name` is unknown.
        DataError: The download failed, or its checksum is not the recorded one; nothing is kept then.
    """
    if name not in ARCHIVES:
        raise ConfigError(f"unknown MovieLens set {name!r}", hint=f"known: {', '.join(ARCHIVES)}")
    archive, target = ARCHIVES[name], Path(target)
    folder = target / f"ml-{name}"
    if (folder / "movies.csv").is_file():
        return folder
    target.mkdir(parents=True, exist_ok=True)
    part = target / f"ml-{name}.zip.part"
    try:
        found = _download(archive.url, part, on_bytes)
        if found != archive.sha256:
            raise DataError(
                f"{archive.url}: the SHA-256 is {found}, expected {archive.sha256}",
                hint="try again; if it stays so, the set changed at its source: take a local folder instead",
            )
        _unpack(part, folder)
    finally:
        part.unlink(missing_ok=True)
    return folder


def _download(url: str, part: Path, on_bytes: Callable[[int, int | None], None] | None) -> str:
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, part.open("wb") as file:  # noqa: S310  (a fixed https address)
            size = reply.headers.get("Content-Length")
            while chunk := reply.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if on_bytes is not None:
                    on_bytes(done, int(size) if size else None)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"cannot fetch {url}: {error}",
            hint="without a network, fetch the zip elsewhere, unpack it and give its folder",
        ) from None
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks the set's own folder, whole or not at all."""
    fresh = folder.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    with zipfile.ZipFile(archive) as file:
        file.extractall(fresh)
    (fresh / folder.name).rename(folder)
    shutil.rmtree(fresh)
