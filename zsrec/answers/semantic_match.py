"""The semantic stage: titles that mean what a mention says, for mentions that nothing else explained.

It is the last resort before abstaining, because on titles of one language it adds little (docs/grounding.md).
How near a name is, and how much nearer than another item's, makes a probability (`Calibration.by_meaning`): the
nearest title to a film that the catalog lacks is always some title.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.answers.mention_readings import readings
from zsrec.answers.title_index import same_titles, titles_digest
from zsrec.core.embedding import Embedder
from zsrec.core.errors import ConfigError, DataError, MissingExtraError
from zsrec.data.titles import parse_title, split_year

_FORMAT = 1
_META = "vectors.json"
_ALL_COMPARED = 50_000


class _Part(NamedTuple):
    """A run of the catalog's items: the index of their names, the item of each name, and the titles' digest."""

    index: Any
    items: NDArray[np.int32]
    titles: int
    digest: str


class NameVectors:
    """Finds the names nearest to a vector. Threads may share it."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = tuple(parts)

    @classmethod
    def build(cls, titles: Sequence[str], embedder: Embedder) -> NameVectors:
        """Embeds all names of the titles (the main ones and the alternatives)."""
        return cls([_part(titles, embedder, offset=0)])

    def extended(self, titles: Sequence[str], embedder: Embedder) -> NameVectors:
        """These vectors and those of the titles after its own, which are not embedded again."""
        size = self._size
        self.check(titles[:size])
        new = titles[size:]
        return NameVectors([*self._parts, _part(new, embedder, offset=size)]) if new else self

    def check(self, titles: Sequence[str]) -> None:
        """Checks that the vectors are of exactly these titles."""
        if not same_titles(titles, [(part.titles, part.digest) for part in self._parts]):
            raise ConfigError(
                f"the vectors of {self._size:,} titles belong to another catalog", hint="make them again"
            )

    @property
    def _size(self) -> int:
        return sum(part.titles for part in self._parts)

    def nearest(self, queries: NDArray[np.float32], count: int) -> list[list[tuple[int, float]]]:
        """The items of the nearest names of each query, with their cosines, the nearest first."""
        found: list[dict[int, float]] = [{} for _ in queries]
        for part in self._parts:
            if not len(part.items):
                continue
            if queries.shape[1] != part.index.ndim:
                raise ConfigError(
                    f"the embedder gives {queries.shape[1]} numbers, the names have {part.index.ndim}",
                    hint="open the vectors with the model that made them",
                )
            for row, query in enumerate(queries):
                near = part.index.search(query, count, exact=len(part.items) <= _ALL_COMPARED, threads=1)
                for name, distance in zip(near.keys.tolist(), near.distances.tolist(), strict=True):
                    item = int(part.items[name])
                    found[row][item] = max(found[row].get(item, -1.0), 1.0 - distance)
        return [sorted(of.items(), key=lambda one: (-one[1], one[0])) for of in found]

    def save(self, folder: str | Path) -> None:
        """Writes the vectors to a folder; a title index may lie there too."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(self._parts):
            part.index.save(str(root / f"vectors-{number}.usearch"))
            np.save(root / f"vectors-{number}.npy", part.items)
        about = [{"titles": part.titles, "digest": part.digest} for part in self._parts]
        (root / _META).write_text(json.dumps({"format": _FORMAT, "parts": about}), encoding="utf-8")

    @classmethod
    def open(cls, folder: str | Path) -> NameVectors:
        """Opens saved vectors memory-mapped."""
        root, parts = Path(folder), []
        usearch_index = _usearch()
        try:
            meta = json.loads((root / _META).read_text(encoding="utf-8"))
            if meta["format"] != _FORMAT:
                raise ValueError(f"format {meta['format']}, expected {_FORMAT}")  # noqa: TRY301
            for number, about in enumerate(meta["parts"]):
                index = usearch_index.restore(str(root / f"vectors-{number}.usearch"), view=True)
                items = np.load(root / f"vectors-{number}.npy", mmap_mode="r")
                if index is None or len(index) != len(items):
                    raise ValueError(f"part {number} is torn")  # noqa: TRY301
                parts.append(_Part(index, items, int(about["titles"]), str(about["digest"])))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(
                f"no vectors of names: {error}", path=root / _META, hint="make them with NameVectors.build"
            ) from error
        return cls(parts)


def _part(titles: Sequence[str], embedder: Embedder, *, offset: int) -> _Part:
    names: list[str] = []
    items: list[int] = []
    for item, title in enumerate(titles, start=offset):
        parsed = parse_title(title)
        for name in (parsed.main, *parsed.alternatives):
            names.append(name)
            items.append(item)
    vectors = np.asarray(embedder.encode(names), dtype=np.float32)
    index = _usearch()(ndim=vectors.shape[1] if names else 1, metric="cos", dtype="f16")
    if names:
        index.add(
            np.arange(len(names), dtype=np.uint64), vectors, threads=1
        )  # one thread: the same graph each time
    return _Part(index, np.array(items, dtype=np.int32), len(titles), titles_digest(titles))


def _usearch() -> Any:  # noqa: ANN401  (usearch has no types)
    try:
        from usearch.index import Index
    except ImportError as error:
        raise MissingExtraError("matching by meaning", "embed") from error
    return Index


_LEAST_WORDS = 2
_LOOKED_AT = 8
_LONGEST = 300


class Near(NamedTuple):
    """The item whose name lies nearest to a mention."""

    item: int  # its place in the catalog
    cosine: float  # of the mention's vector and the name's, in [-1, 1]
    margin: float  # how much nearer it is than the nearest name of another item, in [0, 2]


class SemanticStage:
    """Finds the items whose names lie nearest to a mention.

    The vectors of all names are made at once, on the first question, unless they are given.
    """

    def __init__(self, embedder: Embedder, titles: Sequence[str], vectors: NameVectors | None = None) -> None:
        if vectors is not None:
            vectors.check(titles)
        self.embedder = embedder
        self._titles = titles
        self._vectors = vectors

    def extended(self, titles: Sequence[str]) -> SemanticStage:
        """A stage that also has the titles after its own; only those are embedded."""
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
