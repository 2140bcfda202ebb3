"""Unbiased orders: events in time with ties by hash, and users by hash."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Arrays, Codes, Hashes, Ids, Interactions, stable_order


def in_time(interactions: Interactions, seed: int = 0) -> Arrays:
    """Return all contacts, user by user, each user's in the order of time.

    Times tie often, and an order by id or file would leak: MovieLens' files are sorted by id within a user. A
    user's events at one time are therefore ordered by a hash of (user, item, seed). Every order of ties is equally
    likely, so an average over seeds approaches the expected value over tie orders.
    """
    contacts = interactions.columns
    return contacts.take(time_order(interactions, contacts, seed))


def time_order(interactions: Interactions, contacts: Arrays, seed: int) -> NDArray[np.int64]:
    """Return the indices of contacts by user, time and hash; shape (n,)."""
    order = np.argsort(contacts.time, kind="stable")
    order = order[stable_order(contacts.user[order])]
    user, time = contacts.user[order], contacts.time[order]
    same = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))  # hashing all would take seconds
    if len(tied):
        places = order[tied]
        ties = pair_hashes(interactions, contacts.user[places], contacts.item[places], seed)
        order[tied] = places[np.lexsort((ties, time[tied], user[tied]))]
    return order


def pair_hashes(interactions: Interactions, user: Codes, item: Codes, seed: int) -> Hashes:
    """Return one number per pair that depends on both ids and the seed only; shape (n,)."""
    users = interactions.users.hashes(range(len(interactions.users)), seed)[user]
    items = interactions.items.hashes(range(len(interactions.items)), seed)[item]
    mixed = users ^ (items + np.uint64(0x9E3779B97F4A7C15))  # wraps around
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64's finaliser
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    pairs: Hashes = mixed ^ (mixed >> np.uint64(31))
    return pairs


def hashed_subset(users: Iterable[str], n: int, seed: int = 0) -> tuple[str, ...]:
    """Return the n users whose ids have the smallest hashes: a random subset that grows with n.

    The same ids give the same users, whatever their order; the subset of 100 is part of the subset of 200.
    """
    if n < 1:
        raise ConfigError(f"a subset of {n} users", hint="use at least 1")
    ids = Ids(users)
    hashes = ids.hashes(range(len(ids)), seed)
    order = sorted(range(len(ids)), key=lambda code: (int(hashes[code]), ids[code]))
    return tuple(ids[code] for code in order[:n])
