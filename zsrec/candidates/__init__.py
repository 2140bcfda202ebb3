"""Candidates: the items that a ranking prompt chooses from."""

from zsrec.candidates.popularity import popularity

__all__ = ["popularity"]
