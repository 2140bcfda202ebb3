"""Orders that say nothing: events in time with ties by hash, and users by hash."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Arrays, Codes, Hashes, Ids, Interactions


def in_time(interactions: Interactions, seed: int = 0) -> Arrays:
    """All contacts, user by user, each user's in the order of time.

    Times tie often, and an order by id or file would leak: MovieLens' files are sorted by id within a user. Events
    of a user at one time are therefore put in an order drawn by hash of (user, item, seed). Every order of ties is
    equally likely, so an average over seeds goes to the expected value over tie orders; one seed is one unbiased
    draw.

    Args:
        interactions: The contacts.
        seed: Of the order of ties.
    """
    contacts = interactions.columns
    return contacts.take(time_order(interactions, contacts, seed))


def time_order(interactions: Interactions, contacts: Arrays, seed: int) -> NDArray[np.int64]:
    """The places of contacts by user, time and hash; shape (n,)."""
    ties = pair_hashes(interactions, contacts.user, contacts.item, seed)
    order: NDArray[np.int64] = np.lexsort((ties, contacts.time, contacts.user))
    return order


def pair_hashes(interactions: Interactions, user: Codes, item: Codes, seed: int) -> Hashes:
    """One number a pair that depends on both ids and the seed, not on any order; shape (n,)."""
    users = interactions.users.hashes(range(len(interactions.users)), seed)[user]
    items = interactions.items.hashes(range(len(interactions.items)), seed)[item]
    mixed = users ^ (items + np.uint64(0x9E3779B97F4A7C15))  # wraps around
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64's finaliser
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    pairs: Hashes = mixed ^ (mixed >> np.uint64(31))
    return pairs


def hashed_subset(users: Iterable[str], n: int, seed: int = 0) -> tuple[str, ...]:
    """The n users whose ids have the smallest hashes: a random subset that knows no order and grows with n.

    Whoever else holds the same ids draws the same users, whatever the order of their file; the subset of 100 is
    part of the subset of 200.

    Args:
        users: Their ids; repeated ones count once.
        n: How many, at least 1; all of them where there are no more.
        seed: Another seed draws others.

    Returns:
        The ids, smallest hash first.

    Raises:
        ConfigError: `n` is below 1.
    """
    if n < 1:
        raise ConfigError(f"a subset of {n} users", hint="at least 1")
    ids = Ids(users)
    hashes = ids.hashes(range(len(ids)), seed)
    order = sorted(range(len(ids)), key=lambda code: (int(hashes[code]), ids[code]))
    return tuple(ids[code] for code in order[:n])
