"""Splits: which events of a user are to be found, and what may be known when looking for them.

No path from a target to a prediction is left open: the statistics (`Split.training`) hold no target, the history
ends before it, and a method receives nothing else (`zsrec.evaluation.runner`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError, DataError
from zsrec.data.interactions import Codes, Interactions, Times
from zsrec.data.ordering import hashed_subset, in_time, time_order

LEAVE_ONE_OUT = (
    "Leave-one-out by time: each user's last new item is the target, the events before it are the history. "
    "Statistics hold all users' events except every target{strict}. "
    "Users with fewer than two events are left out. "
    "Events of one user at one time are ordered by a seeded hash, never by file or id."
)
STRICT = " and, for each prediction, everything that happened at or after its target's time"
HELD_OUT = (
    "Held-out targets given by the caller: one target a user, all of the user's interactions are the history. "
    "Statistics hold all interactions given except every (user, target) pair of the targets."
)
GLOBAL = (
    "Global time split at {moment}: everything before that moment is known, and all of a user's new items "
    "from it on are targets. Statistics hold nothing from that moment on. "
)
COLD = (
    "Cold items, global time split at {moment}: the targets are items that nobody had contact with before that "
    "moment, and statistics hold nothing from it on, so only what needs no contacts can find such an item. "
)
NEW_USERS = "Users without a history before it are not asked."
COLD_USERS = (
    "Cold users: the history is a user's first {n} events, the target is event number {target}. Statistics hold "
    "nothing of the users that are asked, who are {share:.0%} of all users, drawn by a seeded hash of the id. "
    "Events of one user at one time are ordered by a seeded hash, never by file or id."
)


@dataclass(frozen=True, eq=False)
class Split:
    """Users with their histories and targets, and the statistics that a method may use.

    Attributes:
        training: The interactions without any target.
        users: Codes of the users with a target; shape (n,).
        targets: Codes of the target items, user by user, each user's in the order of time; shape (n,) where every
            user has one target, else (all targets,).
        starts: Where each user's history begins in `histories`, and the end; shape (n + 1,).
        histories: The items of all histories, each oldest first.
        protocol: What was done, in whole sentences.
        notes: What was counted on the way.
        target_starts: Where each user's targets begin in `targets`, and the end; shape (n + 1,). None where the
            protocol has exactly one target per user.
        times: When the targets happened, in seconds since 1970; shape (n,). None where that is unknown.
        strict_time: Whether a prediction may use only what happened before its target.
        candidates: Codes of the only items that are ranked, user by user, in no meaningful order, -1 for
            none; shape (n, m). None ranks the whole catalog.
    """

    training: Interactions
    users: Codes
    targets: Codes
    starts: NDArray[np.int64]
    histories: Codes
    protocol: str
    notes: tuple[str, ...] = ()
    target_starts: NDArray[np.int64] | None = None
    times: Times | None = None
    strict_time: bool = False
    candidates: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def history(self, case: int) -> Codes:
        """The items of a case's history, oldest first."""
        return self.histories[self.starts[case] : self.starts[case + 1]]

    def targets_of(self, case: int) -> Codes:
        """The target items of a case in the order of time, at least one."""
        if self.target_starts is None:
            return self.targets[case : case + 1]
        return self.targets[self.target_starts[case] : self.target_starts[case + 1]]

    def candidates_of(self, case: int) -> Codes | None:
        """The only items that are ranked for a case; None for the whole catalog."""
        if self.candidates is None:
            return None
        row: Codes = self.candidates[case]
        return row[row >= 0]

    def known_at(self, case: int) -> Interactions:
        """The interactions that a case's prediction may use."""
        if self.strict_time and self.times is not None:
            return self.training.before(float(self.times[case]))
        return self.training

    def only(self, cases: NDArray[np.int64]) -> Split:
        """The same split with some of its users; the statistics stay."""
        histories = [self.history(case) for case in cases.tolist()]
        targets = [self.targets_of(case) for case in cases.tolist()]
        return replace(
            self,
            users=self.users[cases],
            targets=np.concatenate([np.zeros(0, np.int32), *targets]),
            target_starts=None if self.target_starts is None else _ends(targets),
            times=None if self.times is None else self.times[cases],
            starts=_ends(histories),
            histories=np.concatenate([np.zeros(0, np.int32), *histories]),
            candidates=None if self.candidates is None else self.candidates[cases],
        )

    def drawn(self, n: int | None, seed: int = 0) -> NDArray[np.int64]:
        """The cases of at most n users (None: all), drawn by hash (`hashed_subset`), in the split's order."""
        if n is None or 0 < len(self) <= n:
            return np.arange(len(self))
        names = self.training.users
        drawn = names.codes(hashed_subset([names[user] for user in self.users.tolist()], n, seed))
        return np.flatnonzero(np.isin(self.users, drawn))

    def subset(self, n: int, seed: int = 0) -> Split:
        """At most n of the users, see `drawn`; `notes` says so."""
        if 0 < len(self) <= n:
            return self
        note = f"{n:,} of {len(self):,} users, drawn by a hash of the id"
        return replace(self.only(self.drawn(n, seed)), notes=(*self.notes, note))


def leave_one_out(interactions: Interactions, *, seed: int = 0, strict_time: bool = False) -> Split:
    """Takes each user's last item away.

    Events of a user at one time are put in an order drawn by hash (`zsrec.data.ordering.in_time`).

    Args:
        interactions: All interactions. A repeated pair stands in them once, at its first contact, so that a target
            is never an item that the user knows.
        seed: Of the order of ties.
        strict_time: Also keep other users' events at or after a target's time away from its prediction. The
            statistics then have to be cut for each user: one pass over all interactions per user.

    Raises:
        DataError: No user has two events, or all events have the same time.
    """
    contacts = interactions.columns
    if not len(contacts.time) or contacts.time.min() == contacts.time.max():
        raise DataError(
            "leave-one-out needs times, and these interactions have only one",
            hint="name the time column, or give targets of your own",
        )
    order = time_order(interactions, contacts, seed)
    user, item, time = contacts.take(order)
    last = np.flatnonzero(np.diff(user, append=-1))
    lengths = np.diff(last, prepend=-1)
    enough = lengths >= 2
    if not enough.any():
        raise DataError("no user has two events", hint="leave-one-out needs a history and a target")
    is_target = np.zeros(len(user), dtype=bool)
    is_target[last[enough]] = True
    in_history = ~is_target & np.isin(user, user[last[enough]])
    kept = np.zeros(len(user), dtype=bool)
    kept[order] = ~is_target
    tied = int(np.sum(time[last[enough]] == time[last[enough] - 1]))
    few = len(interactions.users) - int(enough.sum())
    notes = [f"{tied:,} of {int(enough.sum()):,} users have a tie for the last event"] if tied else []
    notes += [f"{few:,} users with fewer than two events were left out"] if few else []
    return Split(
        training=interactions.where(kept, tie_seed=seed),
        users=user[last[enough]],
        targets=item[last[enough]],
        times=time[last[enough]],
        starts=np.concatenate([[0], np.cumsum(lengths[enough] - 1)]).astype(np.int64),
        histories=item[in_history],
        protocol=LEAVE_ONE_OUT.format(strict=STRICT if strict_time else ""),
        notes=tuple(notes),
        strict_time=strict_time,
    )


def held_out(interactions: Interactions, targets: Mapping[str, str], *, seed: int = 0) -> Split:
    """Takes the caller's targets; all interactions of the users are their histories.

    A target that stands in the interactions too is taken out of them for everybody, history included: what is
    known is never asked for.

    Args:
        interactions: What is known.
        targets: The target item by user, both as ids. A user without interactions has an empty history.
        seed: Of the order of events at one time.

    Raises:
        DataError: There is no target, or one names an item that the interactions' list of items lacks.
    """
    if not targets:
        raise DataError("there is no target", hint="give one item per user")
    unknown = [item for item in targets.values() if item not in interactions.items]
    if unknown:
        raise DataError(
            f"{len(unknown):,} targets are not in the catalog, the first {unknown[0]!r}",
            hint="an item that the catalog lacks can never be found: add it or leave the target out",
        )
    everybody = interactions.users.extended(targets)
    users, items = everybody.codes(targets), interactions.items.codes(targets.values())
    size, contacts = len(interactions.items), interactions.columns
    kept = ~np.isin(contacts.user.astype(np.int64) * size + contacts.item, users.astype(np.int64) * size + items)
    contacts = contacts.take(kept)
    training = Interactions(everybody, interactions.items, contacts, tie_seed=seed)
    order = time_order(training, contacts, seed)
    by_user, item = contacts.user[order], contacts.item[order]
    firsts, ends = np.searchsorted(by_user, users), np.searchsorted(by_user, users, side="right")
    histories = [item[first:end] for first, end in zip(firsts, ends, strict=True)]
    found, empty = int(len(kept) - kept.sum()), int(np.sum(firsts == ends))
    notes = [f"{found:,} targets stood in the interactions too; they were taken out"] if found else []
    notes += [f"{empty:,} users have a target and no interactions"] if empty else []
    return Split(
        training=training,
        users=users,
        targets=items,
        starts=_ends(histories),
        histories=np.concatenate(histories),
        protocol=HELD_OUT,
        notes=tuple(notes),
    )


def time_split(
    interactions: Interactions, *, at: float | datetime | None = None, share: float = 0.8, seed: int = 0
) -> Split:
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
) -> Split:
    """As `time_split`, with only those targets whose item had its first contact at the moment or later.

    The whole catalog is ranked, warm items too: a cold item that stands behind thousands of warm ones helps
    nobody.
    """
    return _split(interactions, at, share, seed, cold_only=True)


def _split(
    interactions: Interactions, at: float | datetime | None, share: float, seed: int, *, cold_only: bool
) -> Split:
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
    return Split(
        training=interactions.before(moment),
        users=users,
        target_starts=_starts(user[asked], users),
        targets=item[asked],
        starts=_starts(user[of_asked], users),
        histories=item[of_asked],
        protocol=(COLD if cold_only else GLOBAL).format(moment=_written(moment)) + NEW_USERS,
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


def cold_users(
    interactions: Interactions, n: int, *, share: float = 0.2, target_after: int | None = None, seed: int = 0
) -> Split:
    """Shows only the first n events of users whom the statistics do not know.

    To draw a curve over n, give all its points one `target_after`: then the users and their targets are the same
    and only the history grows. `[cold_users(known, n, target_after=10) for n in (0, 1, 3, 5, 10)]`.

    Source: users unknown in training are the "strong generalization" of Marlin 2004.

    Args:
        interactions: All interactions.
        n: How many events are shown, at least 0.
        share: The share of users that may be asked, in (0, 1]; with 1, the statistics hold nothing at all of those
            with enough events.
        target_after: How many events stand before the target, at least n; n by default, the very next event.
        seed: Of the draw of users and of the order of events at one time.

    Raises:
        ConfigError: `n`, `share` or `target_after` is out of range.
        DataError: No user that was drawn has so many events.
    """
    before = n if target_after is None else target_after
    if n < 0 or before < n or not 0 < share <= 1:
        raise ConfigError(
            f"n = {n}, target_after = {target_after}, share = {share}",
            hint="0 <= n <= target_after, and a share in (0, 1]",
        )
    drawn = hashed_subset(interactions.users.ids, max(math.ceil(share * len(interactions.users)), 1), seed)
    codes = np.sort(interactions.users.codes(drawn))
    user, item, time = in_time(interactions, seed)
    firsts = np.searchsorted(user, codes)
    enough = np.searchsorted(user, codes, side="right") - firsts > before
    if not enough.any():
        raise DataError(
            f"none of the {len(codes):,} users drawn has more than {before} events",
            hint="fewer events, or a larger share of users",
        )
    users, firsts = codes[enough], firsts[enough]
    places = firsts + before
    tied = int(np.sum(time[places] == time[places - 1])) if before else 0
    notes = [f"{int(np.sum(~enough)):,} of {len(codes):,} users drawn have no more than {before} events; left out"]
    notes += [f"{tied:,} of {len(users):,} users have a tie of the target and the event before it"] if tied else []
    shown = (firsts[:, None] + np.arange(n)).ravel()
    return Split(
        training=interactions.where(~np.isin(interactions.columns.user, users)),
        users=users,
        targets=item[places],
        times=time[places],
        starts=np.arange(len(users) + 1, dtype=np.int64) * n,
        histories=item[shown],
        protocol=COLD_USERS.format(n=n, target=before + 1, share=share),
        notes=tuple(notes),
    )


def _ends(parts: list[Codes]) -> NDArray[np.int64]:
    """Where each part begins in their concatenation, and the end; shape (number of parts + 1,)."""
    return np.cumsum([0, *map(len, parts)]).astype(np.int64)
