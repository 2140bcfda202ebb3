"""Trigrams of names: which names share how many sequences of three letters with a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_START, _END = "\x02", "\x03"
_DENSE = 16  # names per posting up to which counting takes less time than sorting
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
    if int(found.max()) < _DENSE * found.size:
        shared = np.bincount(found)
        names = (shared > 0).nonzero()[0]
        return names.astype(np.int32), shared[names]
    found.sort(kind="stable")  # merges the chunks, which are sorted
    edges = np.empty(found.size, dtype=np.bool_)
    edges[0] = True
    np.not_equal(found[1:], found[:-1], out=edges[1:])
    first = edges.nonzero()[0]
    counts = np.empty(first.size, dtype=np.int64)
    np.subtract(first[1:], first[:-1], out=counts[:-1])
    counts[-1] = found.size - first[-1]
    return found[first], counts
