"""Sessions: rounds of recommendations with the user's feedback, over one growing history.

Nothing is remembered beside the history: the next answer is a function of `Session.history` (and of `about`), so a
session that was saved as a history goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Self, TypeVar

from zsrec.core.types import Frozen, Item, Recommendation, Recommendations
from zsrec.data.history import Event, Feedback, History
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.request import Fill, User, as_history

Judged = str | Item | Recommendation
"""What can be liked, disliked or skipped: an id or a title, an item, or a recommendation."""

AnyRecommender = TypeVar("AnyRecommender", bound=Recommender | AsyncRecommender)


class Round(Frozen):
    """One round."""

    history: History
    recommendations: Recommendations


class _Base(Generic[AnyRecommender]):
    """What both sessions share: the history, and how feedback goes into it."""

    def __init__(self, recommender: AnyRecommender, history: User = (), *, about: str | None = None) -> None:
        self.recommender = recommender
        self.about = about
        self._history = as_history(history)
        self._rounds: tuple[Round, ...] = ()

    @property
    def history(self) -> History:
        """All that is known of the user so far: what they brought, what they were shown, and their feedback."""
        return self._history

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds so far, oldest first."""
        return self._rounds

    def like(self, *items: Judged) -> Self:
        """The user likes these; returns the session."""
        return self._judge(items, Feedback.LIKED)

    def dislike(self, *items: Judged) -> Self:
        """The user dislikes these; returns the session."""
        return self._judge(items, Feedback.DISLIKED)

    def skip(self, *items: Judged) -> Self:
        """The user passes over these; returns the session."""
        return self._judge(items, Feedback.SKIPPED)

    def say(self, text: str) -> Self:
        """The user's own words on what went before ("like these but less violent"); returns the session."""
        self._history = self._history.said(text)
        return self

    def _judge(self, items: Iterable[Judged], feedback: Feedback) -> Self:
        self._history = self._history.with_events([_event(item, feedback) for item in items])
        return self

    def _asked(self, again: bool) -> History:
        return self._history.model_copy(update={"shown": ()}) if again else self._history

    def _answered(self, asked: History, found: Recommendations) -> Recommendations:
        self._rounds = (*self._rounds, Round(history=asked, recommendations=found))
        self._history = self._history.showed(one.item.id for one in found)
        return found


class Session(_Base[Recommender]):
    """Rounds with one user. Not to be shared between threads.

    Args:
        recommender: Answers; everything about it (template, retriever, catalog) may differ between sessions.
        history: What is known already: a history (of an earlier session, too), or ids or titles, oldest first.
        about: The user in words; sent in every round.

    Examples:
        >>> session = Session(rec, ["Heat"])
        >>> first = session.recommend(5)
        >>> second = session.like(first[0]).dislike(first[1]).say("like these but less violent").recommend(5)
    """

    def recommend(
        self,
        k: int = 10,
        *,
        again: bool = False,
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
    ) -> Recommendations:
        """The next round: items that the user neither knows nor was shown. A call that fails is no round.

        Args:
            k: The wanted number of items.
            again: Also items that were shown in earlier rounds and not judged.
            candidates: See `Recommender.recommend`.
            fill: See `Recommender.recommend`.

        Raises:
            ZsrecError: See `Recommender.recommend`.
        """
        asked = self._asked(again)
        return self._answered(
            asked, self.recommender.recommend(asked, k, about=self.about, candidates=candidates, fill=fill)
        )


class AsyncSession(_Base[AsyncRecommender]):
    """A `Session` with an `AsyncRecommender`: only `recommend` is awaited."""

    async def recommend(
        self,
        k: int = 10,
        *,
        again: bool = False,
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
    ) -> Recommendations:
        """See `Session.recommend`."""
        asked = self._asked(again)
        return self._answered(
            asked, await self.recommender.recommend(asked, k, about=self.about, candidates=candidates, fill=fill)
        )


def _event(item: Judged, feedback: Feedback) -> Event:
    if isinstance(item, str):
        return Event(item=item, feedback=feedback)
    known = item.item if isinstance(item, Recommendation) else item
    return Event(item=known.id, by="id", feedback=feedback)
