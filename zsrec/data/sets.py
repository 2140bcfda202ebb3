"""The MovieLens sets: what is in them, how they are written, and what their licence allows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from zsrec.errors import ConfigError, DataError
from zsrec.interactions import Columns
from zsrec.tables import Layout

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
    """How the files of a set are written.

    Attributes:
        movies: The file of movies.
        ratings: The file of ratings.
        movies_layout: How the movies are written.
        ratings_layout: How the ratings are written.
        encoding: Of both.
    """

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
    "u.item",
    "u.data",
    Layout("|", _MOVIES_100K, quotes=False),
    Layout("\t", _RATINGS, quotes=False),
    "latin-1",
)


class MovieLensSet(NamedTuple):
    """One set, with the figures that GroupLens states.

    Attributes:
        name: For example "20m".
        users: How many users rated (10M's README counts some more, who only tagged).
        movies: How many movies its list has.
        ratings: How many ratings.
        years: When the ratings were made.
        form: How it is written.
        md5: The checksum that GroupLens publishes beside the archive; None for the sets that change.
        megabytes: The archive's size, about.
        licence: What may be done with it.
    """

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
        """The name of its folder in a cache."""
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
    """The set of a name; "ml-20m" is "20m".

    Raises:
        ConfigError: There is no such set.
    """
    found = SETS.get(name.lower().removeprefix("ml-"))
    if found is None:
        raise ConfigError(f"unknown MovieLens set {name!r}", hint=f"known: {', '.join(SETS)}")
    return found


def form_of(folder: Path) -> Form:
    """How the set in a folder is written, by the files that are there.

    The .dat files of 1M are latin-1 and those of 10M are utf-8; a movies.dat that decodes as utf-8 is taken for
    it. Latin-1 text with a letter beyond ASCII practically never does, and pure ASCII is the same in both.

    Raises:
        DataError: No form's two files are there.
    """
    for form in (CSV, _DAT_1M, _U_100K):
        if (folder / form.movies).is_file() and (folder / form.ratings).is_file():
            return _DAT_10M if form is _DAT_1M and _is_utf8(folder / form.movies) else form
    raise DataError(
        "no MovieLens set here",
        path=folder,
        hint="a folder or zip with movies.csv and ratings.csv, movies.dat and ratings.dat, or u.item and u.data",
    )


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
