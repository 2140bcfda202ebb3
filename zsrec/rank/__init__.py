"""Ranking without training: from grounded mentions to a ranked list."""

from zsrec.rank.select import Selection, fill, select

__all__ = ["Selection", "fill", "select"]
