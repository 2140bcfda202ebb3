"""Users' sequences and each item's newest places in them, growing in place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Codes, Interactions, stable_order
from zsrec.data.ordering import time_order

_POSITION = np.int64(0xFFFFFFFF)  # a place is user << 32 | position


class Window(NamedTuple):
    """What stands near some places in users' sequences; all of shape (n,).

    Attributes:
        items: Codes of the items.
        distances: How many events from the place, from 1; negative before it.
        places: Which of the places asked for, counted from 0.
    """

    items: Codes
    distances: NDArray[np.int64]
    places: NDArray[np.int64]


class Sequences:
    """The sequence of every user, oldest first, and of every item its newest places in them.

    `add` appends an event: nothing is recounted. One thread may add while others read.

    Args:
        interactions: All users' interactions. Events of a user at one time are ordered by a hash with their
            `tie_seed`.
        newest: How many places of an item are kept, at least 1.

    Raises:
        ConfigError: `newest` is below 1.
    """

    def __init__(self, interactions: Interactions, newest: int) -> None:
        if newest < 1:
            raise ConfigError(f"the number of an item's newest users is {newest}", hint="at least 1")
        self.items, self.newest = interactions.items, newest
        self._users, self._new_users = interactions.users, dict[str, int]()
        contacts = interactions.columns
        order = time_order(interactions, contacts, interactions.tie_seed)
        user = contacts.user[order]
        lengths = np.bincount(user, minlength=len(self._users))
        self._rows = _Rows(contacts.item[order], lengths)
        position = np.empty(len(order), dtype=np.int64)
        position[order] = np.arange(len(order)) - self._rows.starts[user]
        packed = contacts.user.astype(np.int64) << 32 | position
        counts = interactions.users_per_item
        by_item = np.arange(len(order))
        if len(interactions.items_by_user) > 1:  # otherwise contacts are by item and time already
            by_item = np.argsort(contacts.time, kind="stable")
            by_item = by_item[stable_order(contacts.item[by_item])]
        ends = np.cumsum(counts)
        is_new = np.repeat(ends, counts) - np.arange(len(by_item)) <= newest
        self._places = _Rows(packed[by_item[is_new]], np.minimum(counts, newest))
        self._counts = _Growing(counts)

    @property
    def users_per_item(self) -> NDArray[np.int64]:
        """How many users had contact with each item; shape (number of items,)."""
        return self._counts.values

    @property
    def nbytes(self) -> int:
        """The memory in use, without the ids."""
        return self._rows.nbytes + self._places.nbytes + self._counts.values.nbytes

    def user(self, user: str | None) -> int | None:
        """The code of a user; None where it is unknown."""
        if user is None:
            return None
        code = self._users.code(user)
        return self._new_users.get(user) if code is None else code

    def add(self, user: str, item: str) -> None:
        """Append an event to the user's sequence; new users and items are welcome."""
        owner, code = self.user(user), self.items.code(item)
        if owner is None:
            owner = self._new_users[user] = self._rows.add_row()
        if code is None:
            self.items = self.items.extended([item])
            code = self._places.add_row()
            self._counts.append(0)
        row = self._rows.row(owner)
        if not np.any(row == code):
            self._counts.values[code] += 1
        place = owner << 32 | len(row)
        self._rows.append(owner, code)
        self._places.append(code, place, most=self.newest)

    def places(self, item: int, without: int | None = None) -> NDArray[np.int64]:
        """The newest places of an item, without those of one user; shape (at most `newest`,)."""
        found = self._places.row(item)
        return found if without is None else found[found >> 32 != without]

    def near(self, places: NDArray[np.int64], reach: int, *, before: bool) -> Window:
        """The events up to `reach` after the places, or before them."""
        user, position = places >> 32, places & _POSITION
        here = self._rows.starts[user] + position
        lengths = np.minimum(reach, position if before else self._rows.lengths[user] - 1 - position)
        ends = np.cumsum(lengths)
        of = np.repeat(np.arange(len(places)), lengths)
        distances = np.arange(1, (ends[-1] if len(ends) else 0) + 1) - np.repeat(ends - lengths, lengths)
        if before:
            distances = -distances
        return Window(self._rows.values[here[of] + distances], distances, of)


class _Growing:
    """An array that grows at its end; `np.empty` takes no memory before it is written."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._size = len(values)
        self._all = np.empty(2 * len(values) + 64, dtype=values.dtype)
        self._all[: self._size] = values

    @property
    def values(self) -> NDArray[Any]:
        return self._all[: self._size]

    def append(self, value: int) -> None:
        start = self.reserve(1)
        self._all[start] = value

    def reserve(self, n: int) -> int:
        """Add n values that are not set yet; return the place of the first."""
        if self._size + n > len(self._all):
            self._all = np.concatenate([self._all, np.empty(len(self._all) + n, dtype=self._all.dtype)])
        self._size += n
        return self._size - n


class _Rows:
    """Rows of numbers that grow at their ends, in one array; a full row moves to the end with twice the space."""

    def __init__(self, values: NDArray[Any], lengths: NDArray[np.int64]) -> None:
        self._values, self._lengths = _Growing(values), _Growing(lengths)
        self._starts, self._spaces = _Growing(np.cumsum(lengths) - lengths), _Growing(lengths)

    @property
    def values(self) -> NDArray[Any]:
        return self._values.values

    @property
    def starts(self) -> NDArray[np.int64]:
        return self._starts.values

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self._lengths.values

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + 3 * self.starts.nbytes

    def row(self, row: int) -> NDArray[Any]:
        start: int = self.starts[row]
        return self.values[start : start + self.lengths[row]]

    def add_row(self) -> int:
        self._starts.append(0)
        self._lengths.append(0)
        self._spaces.append(0)
        return len(self.starts) - 1

    def append(self, row: int, value: int, most: int | None = None) -> None:
        """Append a value; a row of `most` values loses its first."""
        old = self.row(row)
        if len(old) == most:
            old[:-1] = old[1:]
            old[-1] = value
            return
        if len(old) == self._spaces.values[row]:
            space = 2 * len(old) + 4
            start = self._values.reserve(space)
            self.values[start : start + len(old)] = old
            self.starts[row], self._spaces.values[row] = start, space
        self.values[self.starts[row] + len(old)] = value
        self.lengths[row] += 1
