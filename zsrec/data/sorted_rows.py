"""The columns of a table gathered from its blocks, and its rows by user and time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.data.blocks import Block, Coded, in_seconds

Codes = NDArray[np.int32]
_LOG = logging.getLogger("zsrec")


class SortedRows(NamedTuple):
    """Rows by user and time: `items[starts[n]:starts[n + 1]]` are the codes of user n's items, oldest first."""

    users: list[str]
    item_ids: list[str]
    starts: NDArray[np.int64]
    items: Codes
    times: NDArray[np.float64]
    ratings: NDArray[np.float64]


class Table:
    """The columns of a table while its blocks are read; with `known` items, rows of other items are left out."""

    def __init__(self, known: Sequence[str] | None = None, *, ratings: bool = True) -> None:
        self._ratings = ratings
        self._open = known is None
        self.users: dict[str, int] = {}
        self.items = {} if known is None else {one: code for code, one in enumerate(known)}
        self.has_numbers = self.has_dates = False  # among the times
        self._parts: list[tuple[Codes, Codes, NDArray[np.float64], NDArray[np.float64]]] = []

    def add(self, block: Block) -> NDArray[np.int64]:
        """Add a block's rows; return the indices of those whose item is unknown."""
        user_codes = _codes(self.users, block.users, extend=True)
        item_codes = _codes(self.items, block.items, extend=self._open)
        known = item_codes >= 0
        ratings = block.ratings[known] if self._ratings else block.ratings[:0]
        self._parts.append((user_codes[known], item_codes[known], block.times[known], ratings))
        self.has_numbers |= block.numeric_times > 0
        self.has_dates |= block.numeric_times < int(np.count_nonzero(~np.isnan(block.times)))
        return np.flatnonzero(~known)

    def columns(self) -> tuple[Codes, Codes, NDArray[np.float64], NDArray[np.float64]]:
        """Return users, items, times and ratings, and forget the blocks."""
        empty = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0), np.zeros(0))
        columns = [np.concatenate(column) for column in zip(*(self._parts or [empty]), strict=True)]
        self._parts.clear()
        return columns[0], columns[1], columns[2], columns[3]

    def by_user(self, path: Path, time_column: str | None) -> SortedRows:
        """Return the rows by user and time; times that tie keep the file's order, absent ones come first."""
        users, items, times, ratings = self.columns()
        times, _ = self.in_seconds(times, path, time_column)
        order = np.lexsort((np.nan_to_num(times, nan=-np.inf), users))
        starts = np.searchsorted(users[order], np.arange(len(self.users) + 1))
        return SortedRows(list(self.users), list(self.items), starts, items[order], times[order], ratings[order])

    def in_seconds(
        self, times: NDArray[np.float64], path: str | Path, column: str | None
    ) -> tuple[NDArray[np.float64], str]:
        """Return times in seconds, and the unit of the file's (`zsrec.data.blocks.in_seconds`)."""
        if not self.has_numbers:
            return times, "s"
        seconds, unit = in_seconds(times, path, column or "", mixed=self.has_dates)
        if unit != "s":
            _LOG.info("%s: times are too large for seconds and were read as %s", path, unit)
        return seconds, unit


def _codes(known: dict[str, int], column: Coded, *, extend: bool) -> Codes:
    if extend:
        codes = [known.setdefault(one, len(known)) for one in column.values]
    else:
        codes = [known.get(one, -1) for one in column.values]
    return np.array(codes, dtype=np.int32)[column.places]
