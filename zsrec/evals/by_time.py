"""One moment for everybody: what was before it is known, what came after is to be found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions
from zsrec.errors import ConfigError, DataError
from zsrec.evals.many import ManySplit
from zsrec.evals.order import in_time

GLOBAL = (
    "Global time split at {moment}: everything before that moment is known, and all of a user's new items "
    "from it on are targets. Statistics hold nothing from that moment on. "
)
COLD = (
    "Cold items, global time split at {moment}: the targets are items that nobody had contact with before that "
    "moment, and statistics hold nothing from it on, so only what needs no contacts can find such an item. "
)
_NEW = "Users without a history before it are not asked."


def time_split(
    interactions: Interactions, *, at: float | datetime | None = None, share: float = 0.8, seed: int = 0
) -> ManySplit:
    """Splits all interactions at one moment; unlike leave-one-out, no prediction can use anybody's future.

    Source: recommended by Meng et al. 2020, "Exploring Data Splitting Strategies for the Evaluation of
    Recommendation Models", RecSys; and by Ji et al. 2023, "A Critical Study on Data Leakage in Recommender System
    Offline Evaluation", ACM TOIS 41, 3.

    Args:
        interactions: All interactions.
        at: The moment; seconds since 1970, or a datetime (UTC where it has no zone). None takes it from `share`.
        share: The share of events before the moment, in (0, 1), at most: events at one time are never split.
        seed: Of the order of a history's events at one time.

    Raises:
        ConfigError: `share` is out of range.
        DataError: Nothing is before or after the moment, or no user has events on both sides.
    """
    return _split(interactions, at, share, seed, cold_only=False)


def cold_items(
    interactions: Interactions, *, at: float | datetime | None = None, share: float = 0.8, seed: int = 0
) -> ManySplit:
    """As `time_split`, with only those targets whose item had its first contact at the moment or later.

    The whole catalog is ranked, warm items too: a cold item that stands behind thousands of warm ones helps
    nobody.
    """
    return _split(interactions, at, share, seed, cold_only=True)


def _split(
    interactions: Interactions, at: float | datetime | None, share: float, seed: int, *, cold_only: bool
) -> ManySplit:
    moment = _moment(interactions, at, share)
    user, item, time = in_time(interactions, seed)
    after = time >= moment
    known_users, known_items = np.unique(user[~after]), np.unique(item[~after])
    if not len(known_users) or not after.any():
        raise DataError(
            f"all interactions are {'before' if len(known_users) else 'at or after'} {_written(moment)}",
            hint="choose a moment inside the data; at one time for all, there is none",
        )
    is_new_item = after & ~np.isin(item, known_items)
    wanted = is_new_item if cold_only else after
    asked = wanted & np.isin(user, known_users)
    if not asked.any():
        raise DataError(
            "no user with a history has such a target", hint="an earlier or later moment leaves more users"
        )
    users = np.unique(user[asked])
    of_asked = ~after & np.isin(user, users)
    new_users = len(np.unique(user[wanted])) - len(users)
    notes = [f"{int(asked.sum()):,} targets of {len(users):,} users"]
    if new_users:
        notes.append(f"{new_users:,} users with targets have no history before the moment and were left out")
    if not cold_only and (cold := int(np.sum(is_new_item & asked))):
        notes.append(f"{cold:,} targets are items that nobody had contact with before the moment")
    return ManySplit(
        training=interactions.before(moment),
        users=users,
        target_starts=_starts(user[asked], users),
        targets=item[asked],
        starts=_starts(user[of_asked], users),
        histories=item[of_asked],
        protocol=(COLD if cold_only else GLOBAL).format(moment=_written(moment)) + _NEW,
        notes=tuple(notes),
    )


def _moment(interactions: Interactions, at: float | datetime | None, share: float) -> float:
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if at is not None:
        return float(at)
    if not 0 < share < 1:
        raise ConfigError(f"share is {share}", hint="between 0 and 1: the share of events before the moment")
    times = np.sort(interactions.columns.time)
    if not len(times):
        raise DataError("there are no interactions", hint="nothing can be split")
    return float(times[int(share * len(times))])


def _starts(user: NDArray[np.int32], users: NDArray[np.int32]) -> NDArray[np.int64]:
    """Where each of `users` begins in `user`, which is sorted, and the end; shape (number of users + 1,)."""
    return np.append(np.searchsorted(user, users), len(user)).astype(np.int64)


def _written(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment:g} s"
