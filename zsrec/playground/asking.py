"""One question to a recommender, and what came of it: rounds that a session's feedback refines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zsrec.prompts import Template
from zsrec.recommender import Recommender
from zsrec.session import Session
from zsrec.types import Feedback, History, Item, Recommendations


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        template: The prompt.
        history: What is known of the person.
        k: How many items.
        about: The person in words; None for none.
        candidates: Ids or titles to choose from; empty leaves the choice to the recommender.
    """

    template: Template
    history: History
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] = ()

    def to(self, recommender: Recommender) -> Recommendations:
        """Asks, and blocks until the answer is there.

        Raises:
            ZsrecError: See `Recommender.recommend`.
        """
        return recommender.with_template(self.template).recommend(
            self.history, self.k, about=self.about, candidates=self.candidates or None
        )


@dataclass(frozen=True)
class Round:
    """A question with its answer.

    Attributes:
        question: As it was asked.
        recommendations: The answer.
        after: What is known of the person afterwards: what was shown, too.
    """

    question: Question
    recommendations: Recommendations
    after: History


@dataclass
class Feedbacks:
    """What a person makes of a round, until the next one is asked.

    Attributes:
        marks: What they think of items, by id.
        words: What they say.
    """

    marks: dict[str, Feedback] = field(default_factory=dict)
    words: str = ""

    def __bool__(self) -> bool:
        return bool(self.marks or self.words.strip())

    def applied(self, recommender: Recommender, history: History) -> History:
        """The history with the feedback after it.

        Raises:
            ConfigError: The words are too long.
        """
        session = Session(recommender, history)
        for item_id, feedback in self.marks.items():
            item: Item = recommender.catalog[item_id]
            session = session.like(item) if feedback is Feedback.LIKED else session.dislike(item)
        return (session.say(self.words) if self.words.strip() else session).history


def toggle(everywhere: Sequence[Feedbacks], item_id: str, feedback: Feedback) -> None:
    """Marks an item, or takes the same mark away again: one person judges, whichever template named the item.

    Args:
        everywhere: What is pending for each template.
        item_id: The item.
        feedback: What the person thinks of it.
    """
    taken_back = any(one.marks.get(item_id) is feedback for one in everywhere)
    for one in everywhere:
        one.marks.pop(item_id, None)
        if not taken_back:
            one.marks[item_id] = feedback


def ask(recommender: Recommender, question: Question) -> Round:
    """Asks one round of a session, and blocks until the answer is there.

    Raises:
        ZsrecError: See `Recommender.recommend`.
    """
    session = Session(recommender.with_template(question.template), question.history, about=question.about)
    found = session.recommend(question.k, candidates=question.candidates or None)
    return Round(question, found, session.history)
