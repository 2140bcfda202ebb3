"""MovieLens archives from GroupLens: resumable download, checksum, unpacking; and the formats of the sets."""

from __future__ import annotations

import hashlib
import re
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple

from zsrec.core.errors import ConfigError, DataError
from zsrec.core.files import Home
from zsrec.data.readers import Columns
from zsrec.data.tables import Layout

CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems (TiiS) 5, 4: 19:1-19:19. "
    "https://doi.org/10.1145/2827872"
)
_SHARED = (
    "Research use only, no commercial use without permission; no endorsement by the University of Minnesota or "
    "GroupLens may be implied; publications must cite the paper. "
)
LICENCE_KEPT = _SHARED + "No redistribution without separate permission. The set's README has the full text."
LICENCE_SHARED = _SHARED + "Redistribution under the same conditions. The set's README has the full text."

USER, ITEM, TIME = "userId", "movieId", "timestamp"
COLUMNS = Columns(user=USER, item=ITEM, time=TIME, rating="rating")
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_RATINGS = (USER, ITEM, "rating", TIME)
_MOVIES_100K = (ITEM, "title", "released", "released_on_video", "imdb", *GENRES_100K)


class Form(NamedTuple):
    """The format of a set's two files."""

    movies: str
    ratings: str
    movies_layout: Layout
    ratings_layout: Layout
    encoding: str


CSV = Form("movies.csv", "ratings.csv", Layout(), Layout(), "utf-8")
_DAT_1M = Form(
    "movies.dat",
    "ratings.dat",
    Layout("::", (ITEM, "title", "genres"), quotes=False),
    Layout("::", _RATINGS, quotes=False),
    "latin-1",
)
_DAT_10M = _DAT_1M._replace(encoding="utf-8")  # "a departure from previous MovieLens data sets", says its README
_U_100K = Form(
    "u.item", "u.data", Layout("|", _MOVIES_100K, quotes=False), Layout("\t", _RATINGS, quotes=False), "latin-1"
)


class MovieLensSet(NamedTuple):
    """One set, with the figures that GroupLens states."""

    name: str
    users: int
    movies: int
    ratings: int
    years: str
    form: Form
    md5: str | None
    megabytes: int
    licence: str

    @property
    def folder(self) -> str:
        """The name of its folder in the cache."""
        return f"ml-{self.name}"

    @property
    def archive(self) -> str:
        """The name of its archive."""
        return f"ml-{self.name}.zip"


_MD5 = {
    "100k": "0e33842e24a9c977be4e0107933c0723",
    "1m": "c4d9eecfca2ab87c1945afe126590906",
    "10m": "ce571fd55effeba0271552578f2648bd",
    "20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "32m": "d472be332d4daa821edc399621853b57",
}
_ALL = (
    ("100k", 943, 1_682, 100_000, "1997-1998", _U_100K, 5, LICENCE_KEPT),
    ("1m", 6_040, 3_883, 1_000_209, "2000-2003", _DAT_1M, 6, LICENCE_KEPT),
    ("10m", 69_878, 10_681, 10_000_054, "1995-2009", _DAT_10M, 63, LICENCE_KEPT),
    ("20m", 138_493, 27_278, 20_000_263, "1995-2015", CSV, 190, LICENCE_SHARED),
    ("25m", 162_541, 62_423, 25_000_095, "1995-2019", CSV, 250, LICENCE_SHARED),
    ("32m", 200_948, 87_585, 32_000_204, "1995-2023", CSV, 239, LICENCE_SHARED),
    ("latest-small", 610, 9_742, 100_836, "1996-2018", CSV, 1, LICENCE_SHARED),
    ("latest", 330_975, 86_537, 33_832_162, "1995-2023", CSV, 335, LICENCE_SHARED),
)
SETS = {
    name: MovieLensSet(name, users, movies, ratings, years, form, _MD5.get(name), megabytes, licence)
    for name, users, movies, ratings, years, form, megabytes, licence in _ALL
}


def named(name: str) -> MovieLensSet:
    """Return the set of a name ("20m" or "ml-20m")."""
    found = SETS.get(name.lower().removeprefix("ml-"))
    if found is None:
        raise ConfigError(f"unknown MovieLens set {name!r}", hint=f"known: {', '.join(SETS)}")
    return found


def form_of(folder: Path) -> Form:
    """Return the format of the set in a folder, by the files that are there.

    The .dat files of 1M are latin-1 and those of 10M are utf-8; a movies.dat that decodes as utf-8 counts as
    utf-8. Latin-1 text with a letter beyond ASCII practically never does, and ASCII is the same in both.
    """
    for form in (CSV, _DAT_1M, _U_100K):
        if (folder / form.movies).is_file() and (folder / form.ratings).is_file():
            return _DAT_10M if form is _DAT_1M and _is_utf8(folder / form.movies) else form
    raise DataError(
        "no MovieLens set here",
        path=folder,
        hint="give a folder or zip: movies.csv and ratings.csv, movies.dat and ratings.dat, or u.item and u.data",
    )


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


BASE_URL = "https://files.grouplens.org/datasets/movielens"
_CHUNK = 1 << 20
_ATTEMPTS = 4
_FILES = re.compile(r"(movies|ratings)\.(csv|dat)|u\.(item|data)|README(\.\w+)?|LICENSE\.txt", re.IGNORECASE)

OnBytes = Callable[[int, int | None], None]


def cache_folder() -> Path:
    """Return the folder of downloaded sets: `data` in ZSREC_HOME, or in the platform's cache folder."""
    return Home.default().root / "data"


def fetch(
    name: str, target: str | Path | None = None, *, base_url: str = BASE_URL, on_bytes: OnBytes | None = None
) -> Path:
    """Download a set, check and unpack it, unless it is there already.

    An interrupted download leaves a .part file, which the next call continues (HTTP Range). The checksum is the
    MD5 that GroupLens publishes beside the archive; for the sets that never change it is also recorded here, so
    that neither file can change unnoticed. It detects broken copies; against forged ones there is TLS.
    """
    one, target = named(name), cache_folder() if target is None else Path(target)
    folder = target / one.folder
    if (folder / one.form.movies).is_file() and (folder / one.form.ratings).is_file():
        return folder
    url, part = f"{base_url.rstrip('/')}/{one.archive}", target / f"{one.archive}.part"
    target.mkdir(parents=True, exist_ok=True)
    wanted = _published(url, one)
    _download(url, part, on_bytes)
    if (found := _md5(part)) != wanted:
        part.unlink()
        raise DataError(
            f"{url}: the MD5 is {found}, expected {wanted}",
            hint="try again; if it fails again, the set changed at its source: use a local folder instead",
        )
    unpack(part, folder)
    part.unlink()
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a set's own files into a folder, all or none; folders inside the archive are dropped."""
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                name = Path(member.filename).name
                if not member.is_dir() and _FILES.fullmatch(name):
                    with file.open(member) as source, (fresh / name).open("xb") as copy:
                        shutil.copyfileobj(source, copy, _CHUNK)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise DataError(f"cannot unpack: {error}", path=archive, hint="fetch the archive again") from None
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _published(url: str, one: MovieLensSet) -> str:
    """Return the checksum beside the archive: "MD5 (ml-20m.zip) = …" or "…  ml-20m.zip"."""
    try:
        with urllib.request.urlopen(f"{url}.md5", timeout=60) as reply:  # noqa: S310  (the caller's base_url)
            text = reply.read(1000).decode("ascii", "replace")
    except (OSError, HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _unreachable(f"{url}.md5", error) from None
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if found is None:
        raise DataError(f"{url}.md5 holds no MD5", hint="try again later, or use a local folder")
    published = found[0].lower()
    if one.md5 not in (None, published):
        raise DataError(
            f"{url}.md5 says {published}, and this set's MD5 has always been {one.md5}",
            hint="this set should never change: look at its source before you use it",
        )
    return published


def _download(url: str, part: Path, on_bytes: OnBytes | None) -> None:
    """Complete `part`, continuing after what it holds."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if _continue(url, part, on_bytes):
                return
            why: Exception = EOFError("the connection ended before the file did")
        except (OSError, HTTPException) as error:
            why = error
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
        if attempt == _ATTEMPTS:
            break
    raise _unreachable(url, why) from None


def _continue(url: str, part: Path, on_bytes: OnBytes | None) -> bool:
    """Make one request for what is missing; return whether the file is complete now."""
    held = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={held}-"} if held else {})  # noqa: S310
    try:
        reply: HTTPResponse = urllib.request.urlopen(request, timeout=60)  # noqa: S310  (the caller's base_url)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and error.headers.get("Content-Range", "").endswith(f"/{held}"):
            return True  # nothing is missing
        if error.code == 416:
            part.unlink()  # longer than the file at its source: start over
            return False
        raise
    with reply, part.open("ab" if reply.status == 206 else "wb") as file:
        done = held if reply.status == 206 else 0  # a server without ranges sends everything
        length = reply.headers.get("Content-Length")
        size = None if length is None else done + int(length)
        while chunk := reply.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if on_bytes is not None:
                on_bytes(done, size)
    return size is None or done == size


def _unreachable(url: str, error: Exception) -> DataError:
    return DataError(
        f"cannot fetch {url}: {error}",
        hint="without a network, download the zip elsewhere and give it, or its folder; the part is kept",
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
