"""Compressed sparse rows over the rows that are there: items by user, users by item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates.ids import Codes


class Ragged(NamedTuple):
    """Several rows one after the other.

    Attributes:
        values: All values; shape (sum of `lengths`,).
        lengths: How many of them each row has, 0 for a row that is not there; shape (number of rows,).
    """

    values: Codes
    lengths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Csr:
    """Rows of codes. Empty rows cost nothing, so that a table of one new event is small among a million users.

    Attributes:
        rows: The codes of the rows that are not empty, ascending; shape (r,).
        starts: Where each row begins in `values`, and their end; shape (r + 1,).
        values: The codes in the rows; shape (n,).
    """

    rows: Codes
    starts: NDArray[np.int64]
    values: Codes

    @classmethod
    def build(cls, rows: Codes, values: Codes) -> tuple[Self, NDArray[np.int64]]:
        """Groups `values` by `rows`; within a row they keep their order.

        Args:
            rows: One row's code a value; shape (n,).
            values: Shape (n,).

        Returns:
            The table, and the order that sorts the inputs into it; shape (n,).
        """
        order = _stable_order(rows)
        ordered = rows[order]
        firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
        table = cls(ordered[firsts], np.append(firsts, len(rows)).astype(np.int64), values[order])
        return table, order

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of values of each row in `rows`; shape (r,)."""
        return np.diff(self.starts)

    def row(self, code: int) -> Codes:
        """The values of one row; empty where it is not there."""
        place = int(np.searchsorted(self.rows, code))
        if place == len(self.rows) or self.rows[place] != code:
            return self.values[:0]
        return self.values[self.starts[place] : self.starts[place + 1]]

    def gather(self, codes: Codes) -> Ragged:
        """The rows of `codes`, one after the other; shape of `codes`: (m,)."""
        if not len(self.rows):
            return Ragged(self.values[:0], np.zeros(len(codes), dtype=np.int64))
        places = np.minimum(np.searchsorted(self.rows, codes), len(self.rows) - 1)
        starts = self.starts[places]
        lengths = np.where(self.rows[places] == codes, self.starts[places + 1] - starts, 0)
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return Ragged(self.values[inside], lengths)


def _stable_order(codes: Codes) -> NDArray[np.int64]:
    """A stable argsort of codes, by their halves: numpy sorts 16 bits by radix, thrice as fast as 32."""
    order = np.argsort(codes.astype(np.uint16), kind="stable")
    if len(codes) and codes.max() >= 1 << 16:
        order = order[np.argsort((codes[order] >> 16).astype(np.uint16), kind="stable")]
    return order
