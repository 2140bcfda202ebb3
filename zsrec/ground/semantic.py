"""The semantic stage: titles that mean what a mention says, for mentions that nothing else explained.

It is the last resort before abstaining, because on titles of one language it adds little (docs/grounding.md).
A neighbour counts only when it is near and clearly nearer than the next one: the nearest title to a film that
the catalog lacks is always some title.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zsrec.embed import Embedder
from zsrec.ground.mention import readings
from zsrec.text import parse_title, split_year

LEAST_COSINE = 0.75
"""The least cosine of a match."""
LEAST_MARGIN = 0.08
"""How much nearer than the second item a match has to be."""
_LEAST_WORDS = 2


class SemanticStage:
    """Finds the items whose names lie nearest to a mention.

    The vectors of all names are made at once, on the first question.

    Args:
        embedder: Makes the vectors.
        titles: The catalog's titles.
    """

    def __init__(self, embedder: Embedder, titles: Sequence[str]) -> None:
        self._embedder = embedder
        self._titles = titles
        self._vectors: NDArray[np.float32] | None = None
        self._items: NDArray[np.int32] = np.empty(0, dtype=np.int32)

    def find(self, mentions: Sequence[str]) -> list[tuple[int, float] | None]:
        """The item nearest to each mention with its cosine, or None where no item is near or clearly nearest.

        Mentions of one word are left out: their neighbours are words that look alike.
        """
        asked = [(place, name) for place, mention in enumerate(mentions) if (name := _name(mention)) is not None]
        found: list[tuple[int, float] | None] = [None] * len(mentions)
        if not asked:
            return found
        vectors = self._names()
        queries = np.asarray(self._embedder.encode([name for _, name in asked]), dtype=np.float32)
        for (place, _), row in zip(asked, queries @ vectors.T, strict=True):
            found[place] = self._nearest(row)
        return found

    def _nearest(self, cosines: NDArray[np.float32]) -> tuple[int, float] | None:
        best = int(cosines.argmax())
        item, cosine = int(self._items[best]), float(cosines[best])
        others = cosines[self._items != item]
        second = float(others.max()) if others.size else -1.0
        return (item, cosine) if cosine >= LEAST_COSINE and cosine - second >= LEAST_MARGIN else None

    def _names(self) -> NDArray[np.float32]:
        if self._vectors is None:
            names: list[str] = []
            items: list[int] = []
            for item, title in enumerate(self._titles):
                parsed = parse_title(title)
                for name in (parsed.main, *parsed.alternatives):
                    names.append(name)
                    items.append(item)
            self._items = np.array(items, dtype=np.int32)
            self._vectors = np.asarray(self._embedder.encode(names), dtype=np.float32)
        return self._vectors


def _name(mention: str) -> str | None:
    """The mention's name without its year; None where it is too short to mean something."""
    first = next(iter(readings(mention)), None)
    if first is None or len(first.words) < _LEAST_WORDS:
        return None
    return split_year(mention.strip())[0].strip("\"'“”*_ ")[:300]
