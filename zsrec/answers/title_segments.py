"""One immutable part of the index: the arrays for a run of catalog titles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.answers.title_forms import Kind, Name, about_forms, forms, names, verbatim_form
from zsrec.answers.title_labels import Conventions, Label, split_creators
from zsrec.core.errors import DataError
from zsrec.data.titles import display_title, key, parse_title

_START, _END = "\x02", "\x03"
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], dtype=np.uint32)  # odd constants of xxHash


def buckets_for(names: int) -> int:
    """How many trigram buckets serve `names` names: a power of two, few collisions."""
    return 1 << min(20, max(12, int(names).bit_length() + 2))


def gram_codes(text: str, buckets: int) -> NDArray[np.int64]:
    """The distinct trigram buckets of one key, ascending; shape (g,)."""
    codes, _ = _codes(f"{_START}{text}{_END}", buckets)
    return np.array(sorted(set(codes.tolist())), dtype=np.int64)


def inner_codes(word: str, buckets: int) -> NDArray[np.int64]:
    """The trigram buckets inside a word, without its ends; empty for words of less than three letters."""
    return _codes(word, buckets)[0] if len(word) > 2 else np.empty(0, dtype=np.int64)


def _codes(marked: str, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    points = np.frombuffer(marked.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    with np.errstate(over="ignore"):
        mixed = points[:-2] * _FACTORS[0] + points[1:-1] * _FACTORS[1] + points[2:] * _FACTORS[2]
        mixed ^= mixed >> np.uint32(15)
        mixed *= _FACTORS[1]
        mixed ^= mixed >> np.uint32(13)
    return (mixed & np.uint32(buckets - 1)).astype(np.int64), points


def build_postings(keys: Sequence[str], buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The postings of all names."""
    codes, points = _codes("".join(f"{_START}{text}{_END}" for text in keys) or _START * 3, buckets)
    owners = np.cumsum(points == ord(_START), dtype=np.int32) - np.int32(1)
    # A trigram whose second or third character starts a new name spans two names.
    inside = (points[1:-1] != ord(_START)) & (points[2:] != ord(_START))
    codes, owners = codes[inside].astype(np.int32), owners[:-2][inside]
    order = np.argsort(codes, kind="stable")
    starts = np.zeros(buckets + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=buckets), out=starts[1:])
    return starts, owners[order]


def overlapping(
    codes: NDArray[np.int64], starts: NDArray[np.int64], places: NDArray[np.int32], *, budget: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The names that share trigrams with a query."""
    lows = starts[codes]
    lengths = starts[codes + 1] - lows
    order = np.argsort(lengths, kind="stable")
    used = order[np.cumsum(lengths[order]) <= budget]
    chunks = [
        places[low : low + length] for low, length in zip(lows[used].tolist(), lengths[used].tolist(), strict=True)
    ]
    if not sum(map(len, chunks)):
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    found = np.concatenate(chunks)
    found.sort()
    edges = np.empty(found.size, dtype=np.bool_)
    edges[0] = True
    np.not_equal(found[1:], found[:-1], out=edges[1:])
    first = edges.nonzero()[0]
    counts = np.empty(first.size, dtype=np.int64)
    np.subtract(first[1:], first[:-1], out=counts[:-1])
    counts[-1] = found.size - first[-1]
    return found[first], counts


_NO_YEAR = 0
_LONGEST_TITLE = 500
_RARE_GRAM = 5_000
_INSIDE = 0.85
_ENOUGH_SHARED = 0.35
_LEAST_SHARE = 0.25
_NEAR_BEST = 0.5
_PART, _WORD = "|", " "


def stable_hash(text: str) -> int:
    """A 64-bit hash that is the same in every process and on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    raw = b"".join([blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts])
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)


class About(NamedTuple):
    """What an item's title and creator column say besides its names."""

    creators: Sequence[str]
    labels: Sequence[Label]

    def encode(self) -> bytes:
        """As bytes: creators, then labels, one a line."""
        lines = ["\t".join(self.creators)]
        lines.extend(f"{label.kind}{int(label.set)} {' '.join(label.words)}" for label in self.labels)
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    @classmethod
    def decode(cls, raw: bytes) -> About:
        """What `encode` gave."""
        first, *rest = raw.decode("utf-8", "surrogatepass").split("\n")
        labels = [Label(line[0], tuple(line[3:].split(" ")), line[1] == "1") for line in rest]
        return cls([name for name in first.split("\t") if name], labels)


def _other_names(aliases: str) -> list[str]:
    """The names in an alias column, without a note in brackets behind them ("…(港)")."""
    found = (parse_title(name) for name in aliases.split("|") if name.strip())
    return [parsed.main or parsed.alternatives[0] for parsed in found if parsed.main or parsed.alternatives]


def _starts(texts: Sequence[bytes]) -> NDArray[np.int64]:
    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    return np.concatenate(([0], np.cumsum(lengths)))


@dataclass(frozen=True)
class Segment:
    """Arrays over `n` items with `m` names; items and names are counted from 0 within the segment."""

    years: NDArray[np.int16]
    name_items: NDArray[np.int32]
    name_alternative: NDArray[np.bool_]
    name_starts: NDArray[np.int64]
    name_text: NDArray[np.uint8]
    name_grams: NDArray[np.uint16]
    key_hashes: NDArray[np.uint64]
    key_items: NDArray[np.int32]
    key_kinds: NDArray[np.uint8]
    word_hashes: NDArray[np.uint64]
    word_counts: NDArray[np.int32]
    gram_starts: NDArray[np.int64]
    gram_names: NDArray[np.int32]
    about_starts: NDArray[np.int64]
    about_text: NDArray[np.uint8]

    @classmethod
    def build(
        cls,
        titles: Sequence[str],
        creators: Sequence[str] = (),
        aliases: Sequence[str] = (),
        conventions: Conventions | None = None,
    ) -> Segment:
        """The segment of some titles, in their order, with their creators and other names where there are any."""
        conventions = conventions or Conventions()
        years: list[int] = []
        items: list[int] = []
        alternative: list[bool] = []
        texts: list[bytes] = []
        name_keys: list[str] = []
        key_texts: list[str] = []
        key_items: list[int] = []
        key_kinds: list[int] = []
        counts: Counter[str] = Counter()
        abouts: list[bytes] = []
        for item, title in enumerate(titles):
            title = title[:_LONGEST_TITLE]
            creator = creators[item][:_LONGEST_TITLE] if creators else ""
            anatomy = conventions.anatomy(title, creator)
            parsed = anatomy.core
            years.append(parsed.year or _NO_YEAR)
            spelled = names(parsed, _other_names(aliases[item]) if aliases else ())
            abouts.append(
                About(split_creators(creator), anatomy.labels).encode() if creator or anatomy.labels else b""
            )
            best: dict[str, int] = {}
            for text, kind in chain(forms(parsed, spelled), about_forms(title, anatomy, creator)):
                if kind < best.get(text, 256):
                    best[text] = kind
            best[verbatim_form(title)] = best[verbatim_form(display_title(title))] = Kind.FULL
            key_texts.extend(best)
            key_kinds.extend(best.values())
            key_items.extend([item] * len(best))
            seen: set[str] = set()
            for name in spelled:
                items.append(item)
                alternative.append(name.alternative)
                texts.append(_PART.join(_WORD.join(part) for part in name.parts).encode("utf-8", "surrogatepass"))
                name_keys.append(key(name.words))
                seen.update(name.words)
            counts.update(seen)
        hashes = _hashes(key_texts)
        order = np.argsort(hashes, kind="stable")
        word_hashes = _hashes(list(counts))
        word_order = np.argsort(word_hashes, kind="stable")
        starts, places = build_postings(name_keys, buckets_for(len(name_keys)))
        return cls(
            years=np.array(years, dtype=np.int16),
            name_items=np.array(items, dtype=np.int32),
            name_alternative=np.array(alternative, dtype=np.bool_),
            name_starts=_starts(texts),
            name_text=np.frombuffer(b"".join(texts), dtype=np.uint8),
            name_grams=np.array([min(len(text), 65_535) for text in name_keys], dtype=np.uint16),
            key_hashes=hashes[order],
            key_items=np.array(key_items, dtype=np.int32)[order],
            key_kinds=np.array(key_kinds, dtype=np.uint8)[order],
            word_hashes=word_hashes[word_order],
            word_counts=np.array(list(counts.values()), dtype=np.int32)[word_order],
            gram_starts=starts,
            gram_names=places,
            about_starts=_starts(abouts),
            about_text=np.frombuffer(b"".join(abouts), dtype=np.uint8),
        )

    def __len__(self) -> int:
        return len(self.years)

    def find(self, hashed: int) -> list[tuple[int, int]]:
        """The (item, kind) pairs of a form's hash."""
        wanted = np.uint64(hashed)
        low = int(self.key_hashes.searchsorted(wanted))
        if low == len(self.key_hashes) or self.key_hashes[low] != wanted:
            return []
        high = int(self.key_hashes.searchsorted(wanted, side="right"))
        return list(zip(self.key_items[low:high].tolist(), self.key_kinds[low:high].tolist(), strict=True))

    def count(self, hashed: int) -> int:
        """How many items have the word with this hash."""
        wanted = np.uint64(hashed)
        low = int(self.word_hashes.searchsorted(wanted))
        found = low < len(self.word_hashes) and self.word_hashes[low] == wanted
        return int(self.word_counts[low]) if found else 0

    def year(self, item: int) -> int | None:
        """The year of an item, or None."""
        return int(self.years[item]) or None

    def name(self, place: int) -> Name:
        """A name by its place."""
        low, high = int(self.name_starts[place]), int(self.name_starts[place + 1])
        text = self.name_text[low:high].tobytes().decode("utf-8", "surrogatepass")
        parts = tuple([tuple(part.split(_WORD)) for part in text.split(_PART)])
        words = parts[0] if len(parts) == 1 else sum(parts, ())
        return Name(parts, bool(self.name_alternative[place]), words)

    def names_of(self, item: int) -> list[Name]:
        """The names of an item."""
        low = int(self.name_items.searchsorted(np.int32(item)))
        high = int(self.name_items.searchsorted(np.int32(item), side="right"))
        return [self.name(place) for place in range(low, high)]

    def about(self, item: int) -> About | None:
        """The creators and labels of an item; None where it has neither."""
        low, high = int(self.about_starts[item]), int(self.about_starts[item + 1])
        return About.decode(self.about_text[low:high].tobytes()) if high > low else None

    def wordlike(self, word: str) -> bool:
        """Whether all trigrams inside a word occur in the names, and not by a rare chance."""
        codes = inner_codes(word, len(self.gram_starts) - 1)
        least = len(self.name_items) // _RARE_GRAM
        return bool(np.all(self.gram_starts[codes + 1] - self.gram_starts[codes] > least))

    def shortlist(self, text: str, size: int, budget: int) -> list[tuple[int, float]]:
        """The names that look most like a key."""
        codes = gram_codes(text, len(self.gram_starts) - 1)
        places, shared = overlapping(codes, self.gram_starts, self.gram_names, budget=budget)
        if not places.size:
            return []
        enough = shared >= _ENOUGH_SHARED * int(shared.max())
        places, shared = places[enough], shared[enough]
        lengths = self.name_grams[places]
        dice = shared * 2.0 / (lengths + float(codes.size))
        inside = shared * _INSIDE / np.minimum(lengths, codes.size)
        share = np.maximum(dice, inside)
        top = np.argsort(-share, kind="stable")[:size]
        pairs = zip(places[top].tolist(), share[top].tolist(), strict=True)
        least = max(_LEAST_SHARE, _NEAR_BEST * float(share[top[0]]))
        return [(place, min(value, 1.0)) for place, value in pairs if value >= least]

    def save(self, folder: Path) -> None:
        """Writes each array to `folder` as .npy."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Segment:
        """Opens the arrays memory-mapped."""
        arrays = {}
        for field in fields(cls):
            path = folder / f"{field.name}.npy"
            try:
                arrays[field.name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise DataError(
                    f"no readable part of a grounding index: {error}", path=path, hint="build the index again"
                ) from error
        return cls(**arrays)
