"""Data to try and measure zsrec with: a MovieLens sample inside the package, and all sets from GroupLens."""

from zsrec.data.download import BASE_URL, cache_folder, fetch
from zsrec.data.movielens import DISLIKED_TO, LIKED_FROM, Dataset, Ratings, load, load_ratings, sample
from zsrec.data.sets import CITATION, SETS, MovieLensSet, named

__all__ = [
    "BASE_URL",
    "CITATION",
    "DISLIKED_TO",
    "LIKED_FROM",
    "SETS",
    "Dataset",
    "MovieLensSet",
    "Ratings",
    "cache_folder",
    "fetch",
    "load",
    "load_ratings",
    "named",
    "sample",
]
