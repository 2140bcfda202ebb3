"""Sessions: rounds of recommendations with the user's feedback, over one growing history.

Nothing is remembered beside the history: the next answer is a function of `Session.history` (and of `about`), so a
session that was saved as a history goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Self, TypeVar

from zsrec.core.types import Frozen, Item, Recommendation, Recommendations, Strategy
from zsrec.data.history import Feedback, History, Turn
from zsrec.data.titles import display_title
from zsrec.recommender.conversation import MOST_CHARACTERS, AnyTurn, as_turns
from zsrec.recommender.recommender import AsyncRecommender, Recommender
from zsrec.recommender.request import Fill, User, as_history

Judged = str | Item | Recommendation
"""What can be liked, disliked or skipped: an id or a title, an item, or a recommendation."""

AnyRecommender = TypeVar("AnyRecommender", bound=Recommender | AsyncRecommender)


class Round(Frozen):
    """One round; asking again with its history and conversation gives the same answer."""

    history: History
    conversation: tuple[Turn, ...] = ()
    recommendations: Recommendations


class _Base(Generic[AnyRecommender]):
    """What both sessions share: the history, and how feedback goes into it."""

    def __init__(
        self,
        recommender: AnyRecommender,
        history: User = (),
        *,
        about: str | None = None,
        conversation: Iterable[AnyTurn] = (),
    ) -> None:
        self.recommender = recommender
        self.about = about
        self._history = as_history(history)
        self._turns = as_turns(conversation)
        self._rounds: tuple[Round, ...] = ()

    @property
    def history(self) -> History:
        """All that is known of the user so far: what they brought, what they were shown, and their feedback."""
        return self._history

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds so far, oldest first."""
        return self._rounds

    @property
    def conversation(self) -> tuple[Turn, ...]:
        """What was said so far, oldest first: the user's words, and each round's titles as the assistant's."""
        return self._turns

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
        """The user's own words ("like these but less violent"); returns the session.

        Templates with the variable `conversation` get them as a turn, all others among the events of the history.
        """
        self._history = self._history.say(text)
        self._turns = (*self._turns, Turn(role="user", text=text.strip()))
        return self

    def _judge(self, items: Iterable[Judged], feedback: Feedback) -> Self:
        self._history = self._history.with_events(items, feedback)
        return self

    def _asked(self, again: bool) -> tuple[History, tuple[Turn, ...]]:
        asked = self._history.model_copy(update={"shown": ()}) if again else self._history
        if "conversation" not in self.recommender.template.variables:
            return asked, ()
        turns = self._turns[-self.recommender.settings.max_turns :]
        return asked.model_copy(update={"critiques": ()}), turns

    def _answered(self, asked: History, turns: tuple[Turn, ...], found: Recommendations) -> Recommendations:
        self._rounds = (*self._rounds, Round(history=asked, conversation=turns, recommendations=found))
        self._history = self._history.show(one.item.id for one in found)
        if found.items:
            titles = "; ".join(display_title(one.item.title) for one in found)
            self._turns = (*self._turns, Turn(role="assistant", text=titles[:MOST_CHARACTERS]))
        return found


class Session(_Base[Recommender]):
    """Rounds with one user. Not to be shared between threads.

    Args:
        recommender: Answers; everything about it (template, retriever, catalog) may differ between sessions.
        history: What is known already: a history (of an earlier session, too), or ids or titles, oldest first.
        about: The user in words; sent in every round.
        conversation: What was said before, oldest first.

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
        strategy: Strategy = "auto",
    ) -> Recommendations:
        """The next round: items that the user neither knows nor was shown. A call that fails is no round.

        Args:
            k: The wanted number of items.
            again: Also items that were shown in earlier rounds and not judged.
            candidates: See `Recommender.recommend`.
            fill: See `Recommender.recommend`.
            strategy: See `Recommender.recommend`.

        Raises:
            ZsrecError: See `Recommender.recommend`.
        """
        asked, turns = self._asked(again)
        found = self.recommender.recommend(
            asked, k, about=self.about, conversation=turns, candidates=candidates, fill=fill, strategy=strategy
        )
        return self._answered(asked, turns, found)


class AsyncSession(_Base[AsyncRecommender]):
    """A `Session` with an `AsyncRecommender`: only `recommend` is awaited."""

    async def recommend(
        self,
        k: int = 10,
        *,
        again: bool = False,
        candidates: Iterable[str] | None = None,
        fill: Fill | None = None,
        strategy: Strategy = "auto",
    ) -> Recommendations:
        """See `Session.recommend`."""
        asked, turns = self._asked(again)
        found = await self.recommender.recommend(
            asked, k, about=self.about, conversation=turns, candidates=candidates, fill=fill, strategy=strategy
        )
        return self._answered(asked, turns, found)
