"""The Retriever protocol, user profiles, and the best items of a score vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.data.history import Feedback, History
from zsrec.data.interactions import Codes, Ids, Interactions

Weights = NDArray[np.float64]
Scores = NDArray[np.float64]
Mode = Literal["zero-shot", "training-free", "trained"]

WEIGHTS: Mapping[Feedback, float] = {
    Feedback.SEEN: 1.0,
    Feedback.LIKED: 1.0,
    Feedback.SKIPPED: 0.0,
    Feedback.DISLIKED: -0.1,
}
"""The weight of an event by its feedback: the r of STAR's formula.

The weight of a dislike was chosen on half of the users of MovieLens latest-small (docs/sessions.md): a larger one
leaves fewer of the items that the user likes later.
"""


class Profile(NamedTuple):
    """What a retriever knows of a user.

    Attributes:
        codes: The items' codes, oldest first; shape (n,).
        weights: One per code: positive in favour of similar items, negative against, 0 for no opinion; shape (n,).
        words: The user's own words; empty where there are none. Only retrievers that read texts use them.
        critiques: What the user said of earlier recommendations, oldest first.
        user: The user's id among the interactions; their own sequence is then no evidence for themselves.
    """

    codes: Codes
    weights: Weights
    words: str = ""
    critiques: tuple[str, ...] = ()
    user: str | None = None

    @classmethod
    def of(cls, codes: Codes) -> Profile:
        """A profile in which every event weighs 1."""
        return cls(codes, np.ones(len(codes)))


class Retriever(Protocol):
    """Scores every item of a catalog for one user."""

    @property
    def name(self) -> str:
        """A short name, for reports."""

    @property
    def mode(self) -> Mode:
        """The data it reads.

        "zero-shot": the user's history and item texts only; "training-free": other users' interactions too;
        "trained": a model was fitted to other users' interactions (`zsrec.retrieval.trained`).
        """

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller should know, in plain words."""

    @property
    def items(self) -> Ids:
        """The items that are scored."""

    def scores(self, of: Profile) -> Scores:
        """One score per item, higher is better; shape (number of items,).

        -inf marks an item with no evidence for it: it is no candidate. Items of the history are scored like all
        others; `top` leaves them out.
        """


Method = Callable[[Interactions], Retriever]
"""Makes a retriever from the interactions that it may use; targets are never passed to it."""


EvidenceKind = Literal["after", "before", "shared", "text", "words", "popular"]


class Evidence(NamedTuple):
    """The largest part of an item's score.

    Attributes:
        kind: "after" and "before": users who met the item after or before the history item; "shared": users of
            both; "text": the history item's text; "words": words of the request or of liked items; "popular".
        source: The code of the history item; None where there is none.
        users: How many users.
        of: Of how many.
        words: The words that matched.
        latest: Whether only the newest users of the history item were read.
    """

    kind: EvidenceKind
    source: int | None = None
    users: int = 0
    of: int = 0
    words: tuple[str, ...] = ()
    latest: bool = False


@runtime_checkable
class Explains(Protocol):
    """A retriever that can say why."""

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The largest part of each item's score; None where nothing speaks for it."""


def evidence_of(retriever: Retriever, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
    """The retriever's evidence; None for every item where it cannot say why."""
    return retriever.evidence(of, codes) if isinstance(retriever, Explains) else [None for _ in codes]


@runtime_checkable
class Learns(Protocol):
    """A retriever for which a new event counts at once."""

    def add(self, user: str, item: str) -> None:
        """Append an event, newer than all of this user's."""


class Candidates(Frozen):
    """Candidates, best first.

    Attributes:
        ids: Item ids.
        scores: One per item, on the retriever's own scale.
        retriever: The name of the retriever.
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
    """Return the best candidates for a user.

    Args:
        retriever: Scores the items.
        history: A history, or ids, oldest first. Events that the retriever's items lack are skipped.
        n: How many at most, at least 1. Fewer are returned where there is no evidence for more.
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
        notes=(*retriever.notes, *profile_notes(retriever, of)),
    )


def profile(
    history: History | Iterable[str],
    items: Ids,
    *,
    weights: Mapping[Feedback, float] = WEIGHTS,
    about: str | None = None,
) -> Profile:
    """Return the profile of a history, without events that `items` lacks and those given by title.

    Args:
        history: A history, or ids, oldest first.
        items: The items that the retriever knows.
        weights: The weight of each kind of feedback.
        about: The user in words.
    """
    words = (about or "").strip()
    if not isinstance(history, History):
        return Profile.of(items.codes(history))._replace(words=words)
    known = [one for one in history.events if one.by != "title" and one.item in items]
    codes, critiques = items.codes(one.item for one in known), tuple(one.text for one in history.critiques)
    own = np.array([weights[one.feedback] for one in known], dtype=np.float64)
    return Profile(codes, own, words, critiques, history.user)


def faded(of: Profile, last: int, decay: float) -> Profile:
    """Return the newest `last` events in favour and the newest `last` against, each with weight r · decay^t.

    t = 1 for the newest of its kind, so dislikes neither displace nor age what the user likes.
    """
    kinds = [np.flatnonzero(of.weights > 0)[-last:], np.flatnonzero(of.weights < 0)[-last:]]
    weights = [of.weights[kind] * decay ** np.arange(len(kind), 0, -1) for kind in kinds if len(kind)]
    if len(weights) == 1:  # the usual case, in a third of the time
        return of._replace(codes=of.codes[kinds[0] if len(kinds[0]) else kinds[1]], weights=weights[0])
    if not weights:
        return of._replace(codes=of.codes[:0], weights=of.weights[:0])
    rated = np.concatenate(kinds)
    order = np.argsort(rated)
    return of._replace(codes=of.codes[rated[order]], weights=np.concatenate(weights)[order])


class Recency(Frozen):
    """How much a user's newest events count (`faded`).

    Attributes:
        last: How many of the newest events count, and as many of the newest dislikes; at least 1.
        decay: The weight of an event one step older, in (0, 1].
    """

    last: int = 8
    decay: float = 0.8

    def check(self) -> None:
        """Raise `ConfigError` where a parameter is out of range."""
        if self.last < 1:
            raise ConfigError(f"last is {self.last}", hint="how many of the newest events count: at least 1")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay is {self.decay}", hint="in (0, 1]; 1 weighs old and new events alike")

    def recent(self, of: Profile) -> Profile:
        """The newest events, `faded`."""
        return faded(of, self.last, self.decay)


def profile_notes(retriever: Retriever, of: Profile) -> tuple[str, ...]:
    """What a retriever did not read of a profile, or how it read it.

    Retrievers that read words or critiques say so by `reads_words` and `reads_critiques`; those with more to say
    have a method `profile_notes`.
    """
    notes = []
    if of.words and not getattr(retriever, "reads_words", False):
        notes.append("the user's words were not used to find candidates: this retriever does not read any")
    if of.critiques and not getattr(retriever, "reads_critiques", False):
        notes.append("what the user said of earlier recommendations was not used to find candidates")
    more: Callable[[Profile], tuple[str, ...]] = getattr(retriever, "profile_notes", lambda _: ())
    return (*notes, *more(of))


def unreachable(users_per_item: NDArray[np.int64]) -> tuple[str, ...]:
    """A note on items without interactions, for retrievers that read nothing else."""
    n = int(np.count_nonzero(users_per_item == 0))
    if not n or n == len(users_per_item):
        return ()
    return (
        f"{n:,} of {len(users_per_item):,} items have no interactions and are not found; fused reads texts too",
    )


def best_codes(scores: Scores, n: int, items: Ids, seed: int = 0) -> NDArray[np.int64]:
    """The codes of the n highest scores above -inf, best first; ties by hash; shape (at most n,)."""
    places = np.flatnonzero(scores > -np.inf)
    if len(places) > n:
        least = np.partition(scores[places], len(places) - n)[len(places) - n]
        places = places[scores[places] >= least]  # including all that tie for the last place
    ties = items.hashes(places.tolist(), seed)
    return places[np.lexsort((ties, -scores[places]))][:n]
