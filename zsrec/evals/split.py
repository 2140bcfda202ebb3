"""Splits: which event of a user is to be found, and what may be known when looking for it.

No path from a target to a prediction is left open: the statistics (`Split.training`) hold no user's target, the
history ends before it, and a method receives nothing else (`zsrec.evals.run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions
from zsrec.candidates.ids import Codes
from zsrec.candidates.interactions import Times
from zsrec.errors import DataError
from zsrec.evals.order import hashed_subset, time_order

LEAVE_ONE_OUT = (
    "Leave-one-out by time: each user's last new item is the target, the events before it are the history. "
    "Statistics hold all users' events except every target{strict}. "
    "Users with fewer than two events are left out. "
    "Events of one user at one time are ordered by a seeded hash, never by file or id."
)
HELD_OUT = (
    "Held-out targets given by the caller: one target a user, all of the user's interactions are the history. "
    "Statistics hold all interactions given except every (user, target) pair of the targets."
)
STRICT = " and, for each prediction, everything that happened at or after its target's time"


@dataclass(frozen=True, eq=False)
class Split:
    """One target a user, with the history before it, and the statistics that may be used.

    Attributes:
        training: The interactions without any target.
        users: Codes of the users with a target; shape (n,).
        targets: Codes of their target items; shape (n,).
        times: When the targets happened, in seconds since 1970; None where that is unknown; shape (n,).
        starts: Where each user's history begins in `histories`, and the end; shape (n + 1,).
        histories: The items of all histories, each oldest first.
        protocol: What was done, in whole sentences.
        notes: What was counted on the way, in plain words.
        strict_time: Whether a prediction may use only what happened before its target.
    """

    training: Interactions
    users: Codes
    targets: Codes
    times: Times | None
    starts: NDArray[np.int64]
    histories: Codes
    protocol: str
    notes: tuple[str, ...] = ()
    strict_time: bool = False

    def __len__(self) -> int:
        return len(self.users)

    def history(self, case: int) -> Codes:
        """The items of a case's history, oldest first."""
        return self.histories[self.starts[case] : self.starts[case + 1]]

    def only(self, cases: NDArray[np.int64]) -> Split:
        """The same split with some of its users; what may be known stays.

        Args:
            cases: Their places in `users`; shape (at most n,).
        """
        histories = [self.history(case) for case in cases.tolist()]
        return replace(
            self,
            users=self.users[cases],
            targets=self.targets[cases],
            times=None if self.times is None else self.times[cases],
            starts=np.concatenate([[0], np.cumsum([len(one) for one in histories])]).astype(np.int64),
            histories=np.concatenate([np.zeros(0, np.int32), *histories]),
        )

    def drawn(self, n: int | None, seed: int = 0) -> NDArray[np.int64]:
        """The cases of at most n users, drawn by hash (`zsrec.evals.order.hashed_subset`), in the split's order.

        Args:
            n: How many; None for all of them.
            seed: Another seed draws other users.

        Raises:
            ConfigError: `n` is below 1.
        """
        if n is None or 0 < len(self) <= n:
            return np.arange(len(self))
        names = self.training.users
        drawn = names.codes(hashed_subset([names[user] for user in self.users.tolist()], n, seed))
        return np.flatnonzero(np.isin(self.users, drawn))

    def subset(self, n: int, seed: int = 0) -> Split:
        """At most n of the users, see `drawn`; `notes` says so.

        Raises:
            ConfigError: `n` is below 1.
        """
        if 0 < len(self) <= n:
            return self
        note = f"{n:,} of {len(self):,} users, drawn by a hash of the id"
        return replace(self.only(self.drawn(n, seed)), notes=(*self.notes, note))


def leave_one_out(interactions: Interactions, *, seed: int = 0, strict_time: bool = False) -> Split:
    """Takes each user's last item away.

    Events of a user at one time are put in an order drawn by hash (`zsrec.evals.order.in_time`).

    Args:
        interactions: All interactions. A repeated pair stands in them once, at its first contact, so that a target
            is never an item that the user knows.
        seed: Of the order of ties.
        strict_time: Also keep other users' events at or after a target's time away from its prediction. The
            statistics then have to be cut for each user: a pass over all interactions a user.

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
        training=interactions.kept(kept),
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
        raise DataError("there is no target", hint="give one item a user")
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
    training = Interactions(everybody, interactions.items, contacts)
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
        times=None,
        starts=np.concatenate([[0], np.cumsum(ends - firsts)]).astype(np.int64),
        histories=np.concatenate(histories),
        protocol=HELD_OUT,
        notes=tuple(notes),
    )
