"""Faithfulness of explanations: does the score fall when a cited item is taken out of the history?

This is erasure, as in the comprehensiveness of ERASER (DeYoung et al. 2020, ACL). A fall alone proves little:
taking anything away may lower a score. So the same is done with an item that was not cited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.data.history import History
from zsrec.data.interactions import Ids
from zsrec.recommender.explanations import Explanations
from zsrec.recommender.recommender import Recommender
from zsrec.retrieval.base import Retriever, profile

Score = Callable[[History, str, Collection[str]], float]
"""The score of an item (an id) after a history, on any scale that two histories share.

The third argument are ids that are left out of both rankings: those of the whole history, so that an item that was
taken out of the history does not come into the ranking in its place.
"""


class Check(Frozen):
    """One item taken out of the history.

    Attributes:
        item_id: The recommended item.
        without: The item that was taken out of the history.
        cited: Whether the sentence cites it; otherwise it is the control.
        before: The score with the whole history.
        after: The score without the item.
    """

    item_id: str
    without: str
    cited: bool
    before: float
    after: float

    @property
    def fell(self) -> bool:
        """Whether the score fell, by more than rounding."""
        return self.after < self.before - 1e-9 * max(1.0, abs(self.before))


class Faithfulness(Frozen):
    """How often a score fell.

    Attributes:
        checks: Every item taken out.
        explained: How many explanations there were, without those whose request failed.
        citing: How many of them cite something of the history; only these can be checked.
    """

    checks: tuple[Check, ...]
    explained: int
    citing: int

    @property
    def n(self) -> int:
        """Cited items that were taken out."""
        return sum(check.cited for check in self.checks)

    @property
    def rate(self) -> float | None:
        """The share of them after which the recommended item's score fell, in [0, 1]; None where n is 0."""
        return _share(check.fell for check in self.checks if check.cited)

    @property
    def control_n(self) -> int:
        """Items that were not cited and were taken out for comparison."""
        return len(self.checks) - self.n

    @property
    def control_rate(self) -> float | None:
        """The same share for them: citations say something only as far as `rate` is above it."""
        return _share(check.fell for check in self.checks if not check.cited)


def faithfulness(explained: Iterable[Explanations], score: Score, *, seed: int = 0) -> Faithfulness:
    """Scores again without each cited item, and without one that was not cited, as a control.

    Args:
        explained: Explanations of one or many users.
        score: How items are scored: `retriever_score` or `ranker_score`, or a function of your own.
        seed: Of the choice of the control (by hash).
    """
    checks: list[Check] = []
    explanations = citing = 0
    for of_user in explained:
        history = of_user.history
        ids = Ids(event.item for event in history.events)
        drawn = ids.hashes(range(len(ids)), seed)
        for one in of_user.items:
            explanations += one.error is None
            cited = one.cited
            if not cited:
                continue
            citing += 1
            before = score(history, one.item.id, ids.ids)
            others = [(int(drawn[code]), item) for code, item in enumerate(ids.ids) if item not in cited]
            for without in (*cited, *([min(others)[1]] if others else [])):
                rest = tuple(event for event in history.events if event.item != without)
                after = score(history.model_copy(update={"events": rest}), one.item.id, ids.ids)
                checks.append(
                    Check(item_id=one.item.id, without=without, cited=without in cited, before=before, after=after)
                )
    return Faithfulness(checks=tuple(checks), explained=explanations, citing=citing)


def retriever_score(retriever: Retriever) -> Score:
    """Scores by a retriever: the item's place among all items that are not left out, 1 the best, towards 0.

    A place and not the retriever's own score, which is a mean over the history: it rises when an item is taken
    out that says less than the others do. The price is that an item that stays first has not fallen. Equal scores
    share the middle of their places. Items that the retriever lacks, or that nothing speaks for, score 0.
    """

    def score(history: History, item_id: str, left_out: Collection[str]) -> float:
        code = retriever.items.code(item_id)
        scores = retriever.scores(profile(history, retriever.items))
        if code is None or scores[code] == -np.inf:
            return 0.0
        ranked = np.ones(len(scores), dtype=bool)
        ranked[retriever.items.codes(left_out)] = False
        above = int(np.sum(ranked & (scores > scores[code])))
        tied = int(np.sum(ranked & (scores == scores[code])))
        return 1.0 - (above + (tied - 1) / 2) / len(scores)

    return score


def ranker_score(recommender: Recommender, pool: Mapping[str, tuple[str, ...]] | tuple[str, ...]) -> Score:
    """Scores by the recommender's own ranker: the probability where it reads labels, else the model's places.

    Every call is a request, or several.

    Args:
        recommender: With a template of the task "rank".
        pool: The candidates that are ranked each time; or by recommended item, where users had different ones.

    Raises:
        ConfigError: The template does not rank candidates.
    """
    if recommender.template.task != "rank":
        raise ConfigError(
            f"the template {recommender.template.ref} ranks no candidates", hint="use 'rank/label', for example"
        )

    def score(history: History, item_id: str, left_out: Collection[str]) -> float:
        ids = pool[item_id] if isinstance(pool, Mapping) else pool
        candidates = [one for one in ids if one not in left_out]
        for one in recommender.recommend(history, len(candidates), candidates=candidates).items:
            if one.item.id == item_id and one.parts is not None:
                return one.parts.llm if one.parts.probability is None else one.parts.probability
        return 0.0

    return score


def _share(fell: Iterable[bool]) -> float | None:
    values = list(fell)
    return sum(values) / len(values) if values else None
