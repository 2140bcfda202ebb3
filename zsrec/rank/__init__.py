"""Ranking without training: from a model's answers to a ranked list.

`judge` has the model rank candidates (free text, one token, windows, constrained choice), `fuse` joins its order
with the retriever's, `select` ranks what a free text names from the whole catalog.
"""

from zsrec.rank.fuse import Scored, fuse, places
from zsrec.rank.judge import judge
from zsrec.rank.question import Content, Judged, Memory, Order, Question, Render
from zsrec.rank.select import Selection, fill, select

__all__ = [
    "Content",
    "Judged",
    "Memory",
    "Order",
    "Question",
    "Render",
    "Scored",
    "Selection",
    "fill",
    "fuse",
    "judge",
    "places",
    "select",
]
