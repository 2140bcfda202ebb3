"""Popularity: the items that most users had contact with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from zsrec.types import History


def popularity(histories: Iterable[History]) -> tuple[str, ...]:
    """Item ids by the number of users who had contact with them, most first; ties by id.

    Only events that are given by id count (`read_histories` gives them so): a title would have to be grounded
    first. Using other users' events makes a result "training-free" and no longer "zero-shot".

    Args:
        histories: One a user.
    """
    counts: Counter[str] = Counter()
    for history in histories:
        counts.update({event.item for event in history.events if event.by != "title"})
    return tuple(sorted(counts, key=lambda item_id: (-counts[item_id], item_id)))
