"""The semantic stage: titles that mean what a mention says, for mentions that nothing else explained.

It is the last resort before abstaining, because on titles of one language it adds little (docs/grounding.md).
How near a name is, and how much nearer than another item's, makes a probability (`Calibration.by_meaning`): the
nearest title to a film that the catalog lacks is always some title.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zsrec.embed import Embedder
from zsrec.ground.mention import readings
from zsrec.ground.vectors import NameVectors
from zsrec.text import split_year

_LEAST_WORDS = 2
_LOOKED_AT = 8
_LONGEST = 300


class Near(NamedTuple):
    """The item whose name lies nearest to a mention.

    Attributes:
        item: The item's place in the catalog.
        cosine: Of the mention's vector and the name's, in [-1, 1].
        margin: How much nearer it is than the nearest name of another item, in [0, 2].
    """

    item: int
    cosine: float
    margin: float


class SemanticStage:
    """Finds the items whose names lie nearest to a mention.

    The vectors of all names are made at once, on the first question, unless they are given.

    Args:
        embedder: Makes the vectors.
        titles: The catalog's titles.
        vectors: Of these titles, made by this embedder.

    Raises:
        ConfigError: `vectors` belong to another catalog.
    """

    def __init__(self, embedder: Embedder, titles: Sequence[str], vectors: NameVectors | None = None) -> None:
        if vectors is not None:
            vectors.check(titles)
        self.embedder = embedder
        self._titles = titles
        self._vectors = vectors

    def extended(self, titles: Sequence[str]) -> SemanticStage:
        """A stage that also has the titles after its own; only those are embedded.

        Raises:
            ConfigError: `titles` does not start with its own titles.
        """
        known = self._vectors
        return SemanticStage(
            self.embedder, titles, None if known is None else known.extended(titles, self.embedder)
        )

    @property
    def vectors(self) -> NameVectors:
        """The vectors of all names, made now where they were not yet."""
        if self._vectors is None:
            self._vectors = NameVectors.build(self._titles, self.embedder)
        return self._vectors

    def find(self, mentions: Sequence[str]) -> list[Near | None]:
        """The item nearest to each mention.

        Mentions of one word are left out (None): their neighbours are words that look alike.

        Raises:
            ConfigError: The vectors were made by another model.
        """
        asked = [(place, name) for place, mention in enumerate(mentions) if (name := _name(mention)) is not None]
        found: list[Near | None] = [None] * len(mentions)
        if not asked or not self._titles:
            return found
        queries = np.asarray(self.embedder.encode([name for _, name in asked]), dtype=np.float32)
        for (place, _), items in zip(asked, self.vectors.nearest(queries, _LOOKED_AT), strict=True):
            (item, cosine), *others = items
            second = others[0][1] if others else -1.0
            found[place] = Near(item, cosine, cosine - second)
        return found


def _name(mention: str) -> str | None:
    """The mention's name without its year; None where it is too short to mean something."""
    first = next(iter(readings(mention)), None)
    if first is None or len(first.words) < _LEAST_WORDS:
        return None
    return split_year(mention.strip())[0].strip("\"'“”*_ ")[:_LONGEST]
