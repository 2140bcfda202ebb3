"""A history as a retriever reads it: codes, newest last, each with a weight that fades with age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates.ids import Codes, Ids
from zsrec.types import Feedback, History

Weights = NDArray[np.float64]

WEIGHTS: Mapping[Feedback, float] = {
    Feedback.SEEN: 1.0,
    Feedback.LIKED: 1.0,
    Feedback.SKIPPED: 0.0,
    Feedback.DISLIKED: -1.0,
}
"""The weight of an event by what the user thought of it: the r of STAR's formula."""


class Profile(NamedTuple):
    """What a retriever knows of a user.

    Attributes:
        codes: The items' codes, oldest first; shape (n,).
        weights: One a code: 1 speaks for items like it, -1 against, 0 for nothing; shape (n,).
    """

    codes: Codes
    weights: Weights

    @classmethod
    def of(cls, codes: Codes) -> Profile:
        """A profile in which every contact weighs 1."""
        return cls(codes, np.ones(len(codes)))


def profile(
    history: History | Iterable[str], items: Ids, *, weights: Mapping[Feedback, float] = WEIGHTS
) -> Profile:
    """The profile of a history; events that `items` lacks, and those given by title, are passed over.

    Args:
        history: A history, or ids, oldest first.
        items: The items that the retriever knows.
        weights: The weight of each kind of feedback.
    """
    if not isinstance(history, History):
        return Profile.of(items.codes(history))
    known = [(items.code(event.item), weights[event.feedback]) for event in history.events if event.by != "title"]
    pairs = [(code, weight) for code, weight in known if code is not None]
    return Profile(
        np.array([code for code, _ in pairs], dtype=np.int32),
        np.array([weight for _, weight in pairs], dtype=np.float64),
    )


def faded(of: Profile, last: int, decay: float) -> Profile:
    """The newest `last` events that weigh something, each with r · decay^t, t = 1 for the newest.

    Source: item-kNN with recency decay and the retrieval stage of STAR (Lee et al. 2024, arXiv:2410.16458), whose
    authors use a decay of 0.7.

    Args:
        of: The profile.
        last: How many events, at least 1.
        decay: In (0, 1]; 1 keeps all alike.
    """
    speaking = np.flatnonzero(of.weights)[-last:]
    ages = np.arange(len(speaking), 0, -1)
    return Profile(of.codes[speaking], of.weights[speaking] * decay**ages)
