"""Ids and their codes: the places of items (or users) in arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Hashes = NDArray[np.uint64]


class Ids:
    """An immutable list of distinct ids; an id's code is its place, from 0.

    With the ids of a catalog, code i is the catalog's item i. New ids go to the end, so codes stay valid.

    Args:
        ids: Texts; of repeated ones the first counts.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._code: dict[str, int] = {}
        for one in ids:
            self._code.setdefault(one, len(self._code))
        self._ids = list(self._code)

    @property
    def ids(self) -> Sequence[str]:
        """The ids in the order of their codes."""
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, one: object) -> bool:
        return one in self._code

    def __getitem__(self, code: int) -> str:
        return self._ids[code]

    def __repr__(self) -> str:
        return f"Ids({len(self):,})"

    def code(self, one: str) -> int | None:
        """The code of an id; None where it is unknown."""
        return self._code.get(one)

    def codes(self, ids: Iterable[str]) -> Codes:
        """The codes of the known ones among `ids`, in their order; shape (at most the number of ids,)."""
        found = [code for one in ids if (code := self._code.get(one)) is not None]
        return np.array(found, dtype=np.int32)

    def extended(self, ids: Iterable[str]) -> Ids:
        """These ids with further ones at the end; itself where nothing is new."""
        new = [one for one in ids if one not in self._code]
        if not new:
            return self
        more = Ids()
        more._code = dict(self._code)
        for one in new:
            more._code.setdefault(one, len(more._code))
        more._ids = list(more._code)
        return more

    def hashes(self, codes: Iterable[int], seed: int = 0) -> Hashes:
        """One number a code, in [0, 2^64), that depends on the id's text and the seed only; shape (n,).

        This is the order in which ties are broken. An order by id or by place would say something about the
        items: MovieLens' older movies have the lower ids, and its files are sorted by them.

        Args:
            codes: Codes of ids.
            seed: Another seed is another order.
        """
        key = seed.to_bytes(16, "little", signed=True)
        texts = (self._ids[code].encode("utf-8", "surrogatepass") for code in codes)
        digests = b"".join(hashlib.blake2b(text, digest_size=8, key=key).digest() for text in texts)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
