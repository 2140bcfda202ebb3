"""The vectors of a catalog's names: made once, saved, opened memory-mapped, and extended by parts.

usearch holds them (Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using
Hierarchical Navigable Small World Graphs", TPAMI 2020): half-precision vectors and their graph in one file. Up
to 50,000 names all are compared; above, the graph is walked, and a near name may be missed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.embed import Embedder
from zsrec.errors import ConfigError, DataError, MissingExtraError
from zsrec.ground.index import titles_digest
from zsrec.text import parse_title

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
    """Finds the names nearest to a vector. Threads may share it.

    Args:
        parts: The runs of items, in the catalog's order.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = tuple(parts)

    @classmethod
    def build(cls, titles: Sequence[str], embedder: Embedder) -> NameVectors:
        """Embeds all names of the titles (the main ones and the alternatives).

        Raises:
            MissingExtraError: usearch is not installed.
        """
        return cls([_part(titles, embedder, offset=0)])

    def extended(self, titles: Sequence[str], embedder: Embedder) -> NameVectors:
        """These vectors and those of the titles after its own, which are not embedded again.

        Args:
            titles: All titles, its own first.
            embedder: The one that made the vectors here.

        Raises:
            ConfigError: `titles` does not start with its own titles.
        """
        size = self._size
        self.check(titles[:size])
        new = titles[size:]
        return NameVectors([*self._parts, _part(new, embedder, offset=size)]) if new else self

    def check(self, titles: Sequence[str]) -> None:
        """Checks that the vectors are of exactly these titles.

        Raises:
            ConfigError: They are not.
        """
        same, place = len(titles) == self._size, 0
        for part in self._parts:
            same = same and titles_digest(titles[place : place + part.titles]) == part.digest
            place += part.titles
        if not same:
            raise ConfigError(
                f"the vectors of {self._size:,} titles belong to another catalog", hint="make them again"
            )

    @property
    def _size(self) -> int:
        return sum(part.titles for part in self._parts)

    def nearest(self, queries: NDArray[np.float32], count: int) -> list[list[tuple[int, float]]]:
        """The items of the nearest names of each query, with their cosines, the nearest first.

        Args:
            queries: L2-normalised; shape (q, d).
            count: How many names to look at in each part; an item may have several of them.

        Raises:
            ConfigError: The vectors have another length than those of the names.
        """
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
        """Opens saved vectors memory-mapped.

        Raises:
            DataError: The folder holds no vectors of this version.
            MissingExtraError: usearch is not installed.
        """
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
