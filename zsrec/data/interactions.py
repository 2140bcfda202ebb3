"""Interactions of users with items, by column and indexed both ways; ids as codes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zsrec.core.errors import BadRowError, ConfigError
from zsrec.data.blocks import in_seconds
from zsrec.data.frames import FRAME, frame_block
from zsrec.data.history import History
from zsrec.data.tables import Columns
from zsrec.data.values import as_id

Codes = NDArray[np.int32]
Hashes = NDArray[np.uint64]


class Ids:
    """An immutable list of distinct ids; an id's code is its index.

    With the ids of a catalog, code i is the catalog's item i. New ids go to the end, so codes stay valid.
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
        """Return the code of an id; None if it is unknown."""
        return self._code.get(one)

    def codes(self, ids: Iterable[str]) -> Codes:
        """Return the codes of the known ones among `ids`, in their order."""
        found = [code for one in ids if (code := self._code.get(one)) is not None]
        return np.array(found, dtype=np.int32)

    def extended(self, ids: Iterable[str]) -> Ids:
        """Return these ids with new ones at the end."""
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
        """Return one number per code, in [0, 2^64), that depends on the id's text and the seed only; shape (n,).

        Ties are broken in this order. An order by id or index would carry information about the items: MovieLens'
        older movies have the lower ids, and its files are sorted by them.
        """
        key = seed.to_bytes(16, "little", signed=True)
        texts = (self._ids[code].encode("utf-8", "surrogatepass") for code in codes)
        digests = b"".join(hashlib.blake2b(text, digest_size=8, key=key).digest() for text in texts)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class Ragged(NamedTuple):
    """Concatenated rows: all values, shape (sum of `lengths`,), and each row's length, 0 if it is not there."""

    values: Codes
    lengths: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Csr:
    """A sparse matrix by rows, without its empty rows: one new event is small among a million users."""

    rows: Codes
    starts: NDArray[np.int64]
    values: Codes

    @classmethod
    def build(cls, rows: Codes, values: Codes) -> tuple[Self, NDArray[np.int64]]:
        """Group `values` by `rows`, both of shape (n,), keeping their order; also return the sorting order."""
        order = stable_order(rows)
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
        """Return the values of one row, none if it is not there."""
        place = int(np.searchsorted(self.rows, code))
        if place == len(self.rows) or self.rows[place] != code:
            return self.values[:0]
        return self.values[self.starts[place] : self.starts[place + 1]]

    def gather(self, codes: Codes) -> Ragged:
        """Return the rows of `codes`, concatenated."""
        if not len(self.rows):
            return Ragged(self.values[:0], np.zeros(len(codes), dtype=np.int64))
        places = np.minimum(np.searchsorted(self.rows, codes), len(self.rows) - 1)
        starts = self.starts[places]
        lengths = np.where(self.rows[places] == codes, self.starts[places + 1] - starts, 0)
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return Ragged(self.values[inside], lengths)


def stable_order(codes: Codes) -> NDArray[np.int64]:
    """Return a stable argsort of codes, by halves: numpy sorts 16 bits by radix, three times as fast as 32."""
    order = np.argsort(codes.astype(np.uint16), kind="stable")
    if len(codes) and codes.max() >= 1 << 16:
        order = order[np.argsort((codes[order] >> 16).astype(np.uint16), kind="stable")]
    return order


Times = NDArray[np.float64]


class Contact(NamedTuple):
    """One contact of a user with an item; `time` in seconds since 1970."""

    user: str
    item: str
    time: float = 0.0


class Arrays(NamedTuple):
    """Contacts by column: users and items as codes, times in seconds since 1970; shape (n,) each."""

    user: Codes
    item: Codes
    time: Times

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Arrays:
        """Return the contacts at these indices, or where a mask is true."""
        return Arrays(self.user[places], self.item[places], self.time[places])

    @classmethod
    def joined(cls, parts: Sequence[Arrays]) -> Arrays:
        """Concatenate the contacts of all parts."""
        return cls(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.item for part in parts]),
            np.concatenate([part.time for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class _Segment:
    """Contacts added together: items by user and users by item, oldest first; `times` of `by_item`."""

    by_user: Csr
    by_item: Csr
    times: Times

    @classmethod
    def build(cls, columns: Arrays) -> _Segment:
        """Index contacts that are in the order of time."""
        by_user, _ = Csr.build(columns.user, columns.item)
        by_item, order = Csr.build(columns.item, columns.user)
        return cls(by_user, by_item, columns.time[order])

    def __len__(self) -> int:
        return len(self.by_user)

    def columns(self) -> Arrays:
        items = np.repeat(self.by_item.rows, self.by_item.lengths)
        return Arrays(self.by_item.values, items, self.times)


class Interactions:
    """Contacts of users with items: an immutable sparse binary matrix with times, indexed both ways.

    A pair of user and item counts once, at its first contact: repeats add nothing to a cosine of columns, and an
    evaluation on them would ask for items that the user knows.
    """

    def __init__(self, users: Ids, items: Ids, columns: Arrays, *, tie_seed: int = 0) -> None:
        _check(columns, len(users), len(items))
        self.users, self.items, self.tie_seed = users, items, tie_seed
        self._segments: tuple[_Segment, ...] = (_Segment.build(_first_contacts(columns, len(items))),)

    @classmethod
    def from_arrays(
        cls, users: Iterable[str], items: Iterable[str], times: ArrayLike, *, catalog: Ids | None = None
    ) -> Interactions:
        """Build from three columns of one length; ids as in tables, times in seconds since 1970."""
        user_ids, item_ids = _as_ids(users, "user"), _as_ids(items, "item")
        known_users, known_items = Ids(user_ids), (catalog or Ids()).extended(item_ids)
        time = np.asarray(times, dtype=np.float64)
        columns = Arrays(known_users.codes(user_ids), known_items.codes(item_ids), time)
        return cls(known_users, known_items, columns)

    @classmethod
    def from_frame(
        cls,
        frame: Any,  # noqa: ANN401  (pandas, polars or pyarrow)
        columns: Columns | None = None,
        *,
        catalog: Ids | None = None,
    ) -> Interactions:
        """Build from a DataFrame of pandas, polars or pyarrow; items that `catalog` lacks go to its end.

        Args:
            frame: One row per interaction.
            columns: The names of its columns; MovieLens' by default. Ratings are not used.
            catalog: The items whose codes are kept.

        Raises:
            DataError: A column is missing, or a value is not valid; the line is the row's number, from 1.
            MissingExtraError: narwhals is not installed.
        """
        columns = (columns or Columns()).model_copy(update={"rating": None})
        block = frame_block(frame, columns)
        times = np.nan_to_num(block.times)
        if block.numeric_times:
            dated = block.numeric_times < np.count_nonzero(~np.isnan(block.times))
            times, _ = in_seconds(times, FRAME, columns.time or "", mixed=bool(dated))
        items = (catalog or Ids()).extended(block.items.values)
        arrays = Arrays(block.users.places, items.codes(block.items.values)[block.items.places], times)
        return cls(Ids(block.users.values), items, arrays)

    @classmethod
    def from_contacts(cls, contacts: Iterable[Contact], *, catalog: Ids | None = None) -> Interactions:
        """Build from single contacts, as `from_arrays`."""
        rows = [Contact(*row) for row in contacts]
        return cls.from_arrays(
            (row.user for row in rows), (row.item for row in rows), [row.time for row in rows], catalog=catalog
        )

    @classmethod
    def from_histories(cls, histories: Mapping[str, History], *, catalog: Ids | None = None) -> Interactions:
        """Build from histories by user.

        Events given by title are left out: a title has to be grounded first. An event without a time counts as one
        second after the event before it, which keeps the history's order.
        """
        contacts = []
        for user, history in histories.items():
            time = 0.0
            for event in history.events:
                time = time + 1.0 if event.time is None else event.time.timestamp()
                if event.by != "title":
                    contacts.append(Contact(user, event.item, time))
        return cls.from_contacts(contacts, catalog=catalog)

    def extended(self, contacts: Iterable[Contact], *, items: Ids | None = None) -> Interactions:
        """Return these interactions with more contacts; `items` is a longer list, for example an extended one."""
        rows = [Contact(*row) for row in contacts]
        user_ids, item_ids = (
            _as_ids([row.user for row in rows], "user"),
            _as_ids([row.item for row in rows], "item"),
        )
        if items is not None and list(items.ids[: len(self.items)]) != list(self.items.ids):
            raise ConfigError("the new items do not begin with the known ones", hint="use Catalog.extended")
        more = Interactions.__new__(Interactions)
        more.users = self.users.extended(user_ids)
        more.items = (items or self.items).extended(item_ids)
        user, item = more.users.codes(user_ids), more.items.codes(item_ids)
        columns = Arrays(user, item, np.array([row.time for row in rows], dtype=np.float64))
        _check(columns, len(more.users), len(more.items))
        new = np.array([not np.any(self.items_of(u) == i) for u, i in zip(user, item, strict=True)], dtype=bool)
        columns = _first_contacts(columns.take(new), len(more.items))
        more._segments, more.tie_seed = self._segments, self.tie_seed
        if len(columns.user):
            more._segments = _merged((*self._segments, _Segment.build(columns)))
        return more

    def where(self, mask: NDArray[np.bool_], *, tie_seed: int | None = None) -> Interactions:
        """Return only the contacts where `mask` is true, in the order of `columns`; users and items stay."""
        seed = self.tie_seed if tie_seed is None else tie_seed
        return Interactions(self.users, self.items, self.columns.take(mask), tie_seed=seed)

    def before(self, time: float) -> Interactions:
        """Return only the contacts before `time`."""
        return self.where(self.columns.time < time)

    def __len__(self) -> int:
        return sum(map(len, self._segments))

    def __repr__(self) -> str:
        return f"Interactions({len(self):,} of {len(self.users):,} users with {len(self.items):,} items)"

    @property
    def columns(self) -> Arrays:
        """All contacts; their order has no meaning but is always the same."""
        return Arrays.joined([segment.columns() for segment in self._segments])

    @property
    def items_by_user(self) -> tuple[Csr, ...]:
        """Items by user in disjoint parts, whose sum is the whole matrix."""
        return tuple(segment.by_user for segment in self._segments)

    @cached_property
    def users_per_item(self) -> NDArray[np.int64]:
        """How many users had contact with each item; shape (items,)."""
        return self._counts([segment.by_item for segment in self._segments], len(self.items))

    @cached_property
    def inverse_norms(self) -> NDArray[np.float64]:
        """1 / sqrt(users of the item), 1 for an item without users; shape (items,)."""
        return 1.0 / np.sqrt(np.maximum(self.users_per_item, 1))

    @cached_property
    def items_per_user(self) -> NDArray[np.int64]:
        """How many items each user had contact with; shape (users,)."""
        return self._counts([segment.by_user for segment in self._segments], len(self.users))

    @staticmethod
    def _counts(tables: list[Csr], size: int) -> NDArray[np.int64]:
        counts = np.zeros(size, dtype=np.int64)
        for table in tables:
            counts[table.rows] += table.lengths
        return counts

    def items_of(self, user: int) -> Codes:
        """Return the items of a user's code, oldest first within each segment; none for an unknown code."""
        return np.concatenate([segment.by_user.row(user) for segment in self._segments])

    def users_of(self, item: int) -> Codes:
        """Return the users of an item's code, oldest first within each segment; none for an unknown code."""
        return np.concatenate([segment.by_item.row(item) for segment in self._segments])


def _as_ids(values: Iterable[Any], field: str) -> list[str]:
    ids = []
    for row, value in enumerate(values, start=1):
        try:
            ids.append(as_id(value))
        except ValueError as error:
            raise BadRowError(
                f"the {field} {error}", line=row, hint="every row needs a user and an item"
            ) from None
    return ids


def _check(columns: Arrays, users: int, items: int) -> None:
    if len({len(column) for column in columns}) != 1:
        raise ConfigError(f"columns of different lengths: {', '.join(str(len(column)) for column in columns)}")
    if not np.all(np.isfinite(columns.time)):
        raise ConfigError("a time is not finite", hint="times are seconds since 1970; use 0 where there are none")
    for name, codes, size in (("user", columns.user, users), ("item", columns.item, items)):
        if len(codes) and (codes.min() < 0 or codes.max() >= size):
            raise ConfigError(f"a code of a {name} is out of range: expected 0 to {size - 1}")


def _first_contacts(columns: Arrays, items: int) -> Arrays:
    """Return the first contact of each pair, in the order of time."""
    by_time = np.argsort(columns.time, kind="stable")
    pairs = columns.user.astype(np.int64) * items + columns.item
    ordered = np.sort(pairs)  # ten times as fast as np.unique, which most data do not need
    if np.all(ordered[1:] != ordered[:-1]):
        return columns.take(by_time)
    _, firsts = np.unique(pairs[by_time], return_index=True)
    firsts.sort()
    return columns.take(by_time[firsts])


def _merged(segments: tuple[_Segment, ...]) -> tuple[_Segment, ...]:
    """Merge the last segments until each is more than twice as long as the next."""
    while len(segments) > 1 and len(segments[-2]) <= 2 * len(segments[-1]):
        both = Arrays.joined([segment.columns() for segment in segments[-2:]])
        merged = _Segment.build(both.take(np.argsort(both.time, kind="stable")))
        segments = (*segments[:-2], merged)
    return segments
