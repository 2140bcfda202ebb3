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
    Feedback.DISLIKED: -0.1,
}
"""The weight of an event by what the user thought of it: the r of STAR's formula.

How much a dislike weighs was chosen on half of MovieLens latest-small's users (docs/sessions.md): with more, lists
hold fewer of the items that the user likes later.
"""


class Profile(NamedTuple):
    """What a retriever knows of a user.

    Attributes:
        codes: The items' codes, oldest first; shape (n,).
        weights: One a code: above 0 speaks for items like it, below against, 0 for nothing; shape (n,).
        words: The user in their own words; empty where there are none. Only retrievers that read texts use them.
    """

    codes: Codes
    weights: Weights
    words: str = ""

    @classmethod
    def of(cls, codes: Codes) -> Profile:
        """A profile in which every contact weighs 1."""
        return cls(codes, np.ones(len(codes)))


def profile(
    history: History | Iterable[str],
    items: Ids,
    *,
    weights: Mapping[Feedback, float] = WEIGHTS,
    about: str | None = None,
) -> Profile:
    """The profile of a history; events that `items` lacks, and those given by title, are passed over.

    Args:
        history: A history, or ids, oldest first.
        items: The items that the retriever knows.
        weights: The weight of each kind of feedback.
        about: The user in words.
    """
    words = (about or "").strip()
    if not isinstance(history, History):
        return Profile.of(items.codes(history))._replace(words=words)
    known = [(items.code(event.item), weights[event.feedback]) for event in history.events if event.by != "title"]
    pairs = [(code, weight) for code, weight in known if code is not None]
    return Profile(
        np.array([code for code, _ in pairs], dtype=np.int32),
        np.array([weight for _, weight in pairs], dtype=np.float64),
        words,
    )


def faded(of: Profile, last: int, decay: float) -> Profile:
    """The newest `last` events that speak for something and the newest `last` against, each with r · decay^t.

    t = 1 for the newest of its kind: a dislike takes no place from what the user likes and makes it no older, and
    it fades only as further dislikes come.

    Source: item-kNN with recency decay and the retrieval stage of STAR (Lee et al. 2024, arXiv:2410.16458), whose
    authors use a decay of 0.7 and have no dislikes; the second sum and its smaller weight are Rocchio's (1971,
    "Relevance feedback in information retrieval"): what was judged not relevant is subtracted from the query.

    Args:
        of: The profile.
        last: How many events of each kind, at least 1.
        decay: In (0, 1]; 1 keeps all alike.
    """
    kinds = [np.flatnonzero(of.weights > 0)[-last:], np.flatnonzero(of.weights < 0)[-last:]]
    weights = [of.weights[kind] * decay ** np.arange(len(kind), 0, -1) for kind in kinds]
    speaking = np.concatenate(kinds)
    order = np.argsort(speaking)
    return Profile(of.codes[speaking[order]], np.concatenate(weights)[order], of.words)
