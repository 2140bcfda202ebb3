"""Users who just came: how good is a recommendation after none, one, three events?"""

from __future__ import annotations

import math

import numpy as np

from zsrec.candidates import Interactions
from zsrec.errors import ConfigError, DataError
from zsrec.evals.order import hashed_subset, in_time
from zsrec.evals.split import Split

EVENTS = (0, 1, 3, 5, 10)
"""The lengths of history that a cold-start curve is usually drawn over."""

COLD_USERS = (
    "Cold users: the history is a user's first {n} events, the target is event number {target}. Statistics hold "
    "nothing of the users that are asked, who are {share:.0%} of all users, drawn by a seeded hash of the id. "
    "Events of one user at one time are ordered by a seeded hash, never by file or id."
)


def cold_users(
    interactions: Interactions, n: int, *, share: float = 0.2, target_after: int | None = None, seed: int = 0
) -> Split:
    """Shows only the first n events of users whom the statistics do not know.

    To draw a curve over n, give all its points one `target_after`: then the users and their targets are the same
    and only the history grows. `[cold_users(known, n, target_after=10) for n in EVENTS]`.

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
        training=interactions.kept(~np.isin(interactions.columns.user, users)),
        users=users,
        targets=item[places],
        times=time[places],
        starts=np.arange(len(users) + 1, dtype=np.int64) * n,
        histories=item[shown],
        protocol=COLD_USERS.format(n=n, target=before + 1, share=share),
        notes=tuple(notes),
    )
