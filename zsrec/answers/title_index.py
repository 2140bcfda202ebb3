"""The index of a catalog's titles: built once, saved, opened memory-mapped, and extended by segments."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zsrec.answers.title_forms import Kind, Name, creator_form
from zsrec.answers.title_labels import Conventions
from zsrec.answers.title_segments import About, Segment, stable_hash
from zsrec.core.errors import ConfigError, DataError
from zsrec.data.titles import simplified_letters, words

_FORMAT = 2
_META = "index.json"
_SAMPLE = 10_000
_REMEMBERED_WORDS = 50_000
_LEAST_ITEMS = 1_000
"""In a catalog of ten titles no word is rare by its count; all count as if there were this many."""


class Found(NamedTuple):
    """An item with one of its forms."""

    item: int
    kind: int


class TitleIndex:
    """Looks titles up by exact form and by likeness.

    Items are counted in the catalog's order. Threads may share an index. `dated` says whether most titles have a
    year.
    """

    def __init__(
        self, segments: Sequence[Segment], digests: Sequence[str], conventions: Conventions | None = None
    ) -> None:
        self.conventions = conventions or Conventions()
        self._segments = tuple(segments)
        self._digests = tuple(digests)
        self._offsets = [sum(len(s) for s in self._segments[:place]) for place in range(len(self._segments))]
        self._size = sum(len(segment) for segment in self._segments)
        self._scale = math.log(max(self._size, _LEAST_ITEMS) + 1)
        self._counts: dict[str, int] = {}
        sample = self._segments[0].years[:_SAMPLE]
        self.dated = 2 * int(np.count_nonzero(sample)) > sample.size

    def __len__(self) -> int:
        return self._size

    @classmethod
    def build(cls, titles: Sequence[str], creators: Sequence[str] = (), aliases: Sequence[str] = ()) -> TitleIndex:
        """Indexes titles, in their order.

        Args:
            titles: Of all items.
            creators: Who made each item; empty where nobody is known.
            aliases: Other names of each item, separated by "|".
        """
        conventions = Conventions.learn(titles)
        columns = _Columns(titles, creators, aliases)
        return cls([Segment.build(*columns, conventions)], [columns.digest()], conventions)

    def extended(
        self, titles: Sequence[str], creators: Sequence[str] = (), aliases: Sequence[str] = ()
    ) -> TitleIndex:
        """An index that also has the titles after its own, which are not indexed again.

        Args:
            titles: All titles, this index's own first.
            creators: As for `build`, of all titles.
            aliases: As for `build`, of all titles.

        Raises:
            ConfigError: The columns do not start with the index's own.
        """
        columns = _Columns(titles, creators, aliases)
        self.check(*columns.part(0, self._size))
        new = columns.part(self._size, len(titles))
        if not new.titles:
            return self
        segment = Segment.build(*new, self.conventions)
        return TitleIndex([*self._segments, segment], [*self._digests, new.digest()], self.conventions)

    def check(self, titles: Sequence[str], creators: Sequence[str] = (), aliases: Sequence[str] = ()) -> None:
        """Checks that the index is of exactly these columns.

        Raises:
            ConfigError: It is not.
        """
        columns = _Columns(titles, creators, aliases)
        parts = zip(self._offsets, map(len, self._segments), self._digests, strict=True)
        if len(titles) != self._size or any(
            columns.part(offset, offset + size).digest() != digest for offset, size, digest in parts
        ):
            raise ConfigError(
                f"the grounding index of {self._size:,} titles belongs to another catalog",
                hint="build it again, or extend the catalog at its end only",
            )

    def find(self, form: str) -> list[Found]:
        """The items with exactly this form, and its kind for each."""
        hashed = stable_hash(form)
        found: list[Found] = []
        for segment, offset in zip(self._segments, self._offsets, strict=True):
            found.extend(Found(item + offset, kind) for item, kind in segment.find(hashed))
        return found

    def count(self, word: str) -> int:
        """How many items have the word in one of their names."""
        known = self._counts.get(word)
        if known is None:
            hashed = stable_hash(word)
            known = sum(segment.count(hashed) for segment in self._segments)
            if len(self._counts) >= _REMEMBERED_WORDS:
                self._counts.clear()
            self._counts[word] = known
        return known

    def information(self, word: str) -> float:
        """What a word tells, in [0, 1]: its inverse document frequency over the greatest possible one."""
        return 1.0 - math.log(self.count(word) + 1) / self._scale

    def known(self, word: str) -> bool:
        """Whether a word stands in any name."""
        return self.count(word) > 0

    def wordlike(self, word: str) -> bool:
        """Whether every letter sequence of a word is common enough in the titles to be no slip."""
        return all(segment.wordlike(word) for segment in self._segments[:1])

    def names(self, item: int) -> list[Name]:
        """The names of an item."""
        segment, place = self._locate(item)
        return segment.names_of(place)

    def year(self, item: int) -> int | None:
        """The year of an item, or None."""
        segment, place = self._locate(item)
        return segment.year(place)

    def about(self, item: int) -> About | None:
        """The creators and labels of an item; None where it has neither."""
        segment, place = self._locate(item)
        return segment.about(place)

    def is_label(self, text: str) -> bool:
        """Whether a text is a learned label of the catalog's titles, or a slip of one."""
        return self.conventions.resembles_label(text)

    def is_creator(self, text: str) -> bool:
        """Whether a text is the name of a creator of any item."""
        return any(found.kind == Kind.CREATOR for found in self.find(creator_form(words(text))))

    def _locate(self, item: int) -> tuple[Segment, int]:
        number = bisect_right(self._offsets, item) - 1
        return self._segments[number], item - self._offsets[number]

    def shortlist(self, text: str, *, size: int, budget: int) -> list[tuple[int, Name, float]]:
        """The names most like a key: (item, name, share of trigrams in common), best first."""
        found: list[tuple[int, Name, float]] = []
        for segment, offset in zip(self._segments, self._offsets, strict=True):
            for place, share in segment.shortlist(text, size, budget):
                found.append((int(segment.name_items[place]) + offset, segment.name(place), share))
        if len(self._segments) > 1:
            found.sort(key=lambda entry: -entry[2])
        return found[:size]

    def save(self, folder: str | Path) -> None:
        """Writes the index to a folder."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        for place, segment in enumerate(self._segments):
            segment.save(root / f"segment-{place}")
        meta = {
            "format": _FORMAT,
            "digests": self._digests,
            "simplified": bool(simplified_letters()),
            **self.conventions.to_json(),
        }
        (root / _META).write_text(json.dumps(meta), encoding="utf-8")

    @classmethod
    def open(cls, folder: str | Path) -> TitleIndex:
        """Opens a saved index memory-mapped; nothing but a few pages is read."""
        path = Path(folder) / _META
        try:
            meta = json.loads(path.read_text(encoding="utf-8"))
            digests = [str(digest) for digest in meta["digests"]]
            version = meta["format"]
            conventions = Conventions.from_json(meta) if version == _FORMAT else Conventions()
            simplified = bool(meta.get("simplified"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"no grounding index: {error}",
                path=path,
                hint="build one with TitleIndex.build(titles).save(folder)",
            ) from error
        if version != _FORMAT:
            raise DataError(f"an index of format {version}, expected {_FORMAT}", path=path, hint="build it again")
        if simplified != bool(simplified_letters()):
            state = "with" if simplified else "without"
            raise DataError(f"the index was built {state} the extra 'zh'", path=path, hint="build it again")
        segments = [Segment.open(Path(folder) / f"segment-{place}") for place in range(len(digests))]
        return cls(segments, digests, conventions)


class _Columns(NamedTuple):
    """What is indexed of a catalog."""

    titles: Sequence[str]
    creators: Sequence[str]
    aliases: Sequence[str]

    def part(self, start: int, stop: int) -> _Columns:
        return _Columns(self.titles[start:stop], self.creators[start:stop], self.aliases[start:stop])

    def digest(self) -> str:
        others = [titles_digest(column) for column in (self.creators, self.aliases) if column]
        return ".".join([titles_digest(self.titles), *others])


def same_titles(titles: Sequence[str], parts: Sequence[tuple[int, str]]) -> bool:
    """Whether titles are those of consecutive parts, each given by its size and its digest."""
    sizes = [size for size, _ in parts]
    if len(titles) != sum(sizes):
        return False
    starts = [0, *accumulate(sizes)]
    return all(
        titles_digest(titles[start : start + size]) == digest
        for start, (size, digest) in zip(starts, parts, strict=False)
    )


def titles_digest(titles: Sequence[str]) -> str:
    """A digest of titles in their order, to notice what belongs to another catalog."""
    return blake2b("\n".join(titles).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
