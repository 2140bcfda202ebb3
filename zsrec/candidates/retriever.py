"""What every retriever offers, and how candidates are taken from its scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates.ids import Ids
from zsrec.candidates.profile import Profile, profile
from zsrec.errors import ConfigError
from zsrec.types import Frozen, History

Scores = NDArray[np.float64]
Mode = Literal["zero-shot", "training-free", "trained"]


class Retriever(Protocol):
    """Scores every item of a catalog for one user."""

    @property
    def name(self) -> str:
        """A short name, for reports."""

    @property
    def mode(self) -> Mode:
        """What data it reads.

        "zero-shot": the user's history and item texts only; "training-free": other users' interactions too;
        "trained": a model was fitted to other users' interactions (`zsrec.evals.trained`).
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller should know, in plain words."""

    @property
    def items(self) -> Ids:
        """The items that are scored."""

    def scores(self, of: Profile) -> Scores:
        """One score an item, higher is better; shape (number of items,).

        -inf says that nothing speaks for the item: it is no candidate. Items that the user knows are scored like
        all others; `top` leaves them out.
        """


class Candidates(Frozen):
    """Candidates, best first.

    Attributes:
        ids: Item ids.
        scores: One an item, on the retriever's own scale.
        retriever: The name of what found them.
        mode: See `Retriever.mode`.
        notes: What the caller should know, in plain words.
    """

    ids: tuple[str, ...]
    scores: tuple[float, ...]
    retriever: str
    mode: Mode
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def top(
    retriever: Retriever,
    history: History | Iterable[str],
    n: int,
    *,
    exclude: Iterable[str] = (),
    exclude_seen: bool = True,
    seed: int = 0,
    about: str | None = None,
) -> Candidates:
    """The best candidates for a user.

    Args:
        retriever: What scores the items.
        history: A history, or ids, oldest first. Events that the retriever's items lack are passed over.
        n: How many at most, at least 1. Fewer come where nothing speaks for more.
        exclude: Further ids to leave out.
        exclude_seen: Whether the history's items are left out.
        seed: Equal scores are ordered by a hash of the id with this seed (`Ids.hashes`).
        about: The user in words; the notes say so where the retriever does not read them.

    Raises:
        ConfigError: `n` is below 1.
    """
    if n < 1:
        raise ConfigError(f"n is {n}", hint="ask for at least one candidate")
    of = profile(history, retriever.items, about=about)
    scores = retriever.scores(of).copy()
    scores[retriever.items.codes(exclude)] = -np.inf
    if exclude_seen:
        scores[of.codes] = -np.inf
    best = best_codes(scores, n, retriever.items, seed)
    return Candidates(
        ids=tuple(retriever.items[code] for code in best.tolist()),
        scores=tuple(scores[best].tolist()),
        retriever=retriever.name,
        mode=retriever.mode,
        notes=(*retriever.notes, *unread(retriever, of)),
    )


def unread(retriever: Retriever, of: Profile) -> tuple[str, ...]:
    """Says so where a profile holds the user's words and the retriever does not read them.

    A retriever that does says so by an attribute `reads_words` that is true.
    """
    if not of.words or getattr(retriever, "reads_words", False):
        return ()
    return ("the user's words (about=) were not used to find candidates: this retriever does not read any",)


def best_codes(scores: Scores, n: int, items: Ids, seed: int = 0) -> NDArray[np.int64]:
    """The codes of the n highest scores above -inf, best first; ties by hash; shape (at most n,)."""
    places = np.flatnonzero(scores > -np.inf)
    if len(places) > n:
        least = np.partition(scores[places], len(places) - n)[len(places) - n]
        places = places[scores[places] >= least]  # all of those that tie for the last place
    ties = items.hashes(places.tolist(), seed)
    return places[np.lexsort((ties, -scores[places]))][:n]
