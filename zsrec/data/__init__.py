"""Data to try zsrec with: a MovieLens sample inside the package, and the full sets from GroupLens."""

from zsrec.data.movielens import CITATION, DISLIKED_TO, LIKED_FROM, Dataset, fetch, load, sample

__all__ = ["CITATION", "DISLIKED_TO", "LIKED_FROM", "Dataset", "fetch", "load", "sample"]
