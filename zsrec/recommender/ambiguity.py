"""Ambiguous titles: several items of one title, in an answer or in the user's history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import isfinite

from zsrec.answers.grounding import Known
from zsrec.answers.text_spans import YEAR
from zsrec.core.types import Grounded, Match
from zsrec.data.interactions import Interactions
from zsrec.recommender.request import Pipeline, Request

_COLUMN = "popularity"


class Ambiguity:
    """Settles ambiguous titles of one call by popularity, and knows all meanings of the history's titles."""

    def __init__(self, pipeline: Pipeline, request: Request, known: Sequence[Known]) -> None:
        self._meanings = [one.meanings for one in known if one.meanings]
        self._weight, self._counted, self._others = _popularity(pipeline)
        self._settles = (request.ambiguous or pipeline.settings.ambiguous) == "popular"
        self.settled = 0

    @property
    def used_interactions(self) -> bool:
        """Whether a title was settled by what other users did."""
        return self.settled > 0 and self._others

    def settle(self, one: Grounded, allowed: Collection[str] | None) -> Grounded:
        """The mention with the most popular item of its title, if several have it and popularity is known.

        The match keeps the others as alternatives; its score is the item's share of their popularity.
        """
        match = one.match
        if match.reason != "ambiguous" or self._weight is None or not self._settles:
            return one
        items = [item for item in match.alternatives if allowed is None or item in allowed]
        weights = {item: weight for item in items if (weight := self._weight(item)) is not None}
        if not weights:
            return one
        best = max(weights, key=lambda item: weights[item])
        if sum(weight == weights[best] for weight in weights.values()) > 1:
            return one
        self.settled += 1
        total = sum(weights.values())
        share = weights[best] / total if self._counted and total > 0 else match.score
        others = tuple(item for item in match.alternatives if item != best)
        settled = Match(item_id=best, score=share, method="popular", alternatives=others)
        return one.model_copy(update={"match": settled})

    def unlikely(self, grounded: Sequence[Grounded]) -> frozenset[str]:
        """The less popular meanings of a title of the history that an answer names with their year.

        The user knows one item of the title, most likely the most popular one; a year that says another is taken
        at its word.
        """
        if self._weight is None:
            return frozenset()
        weight = self._weight
        others: set[str] = set()
        for items in self._meanings:
            best = max(items, key=lambda item: weight(item) or 0.0)
            others.update(item for item in items if item != best)
        dated = (one for one in grounded if YEAR.search(one.mention.query or one.mention.text))
        return frozenset(one.match.item_id for one in dated if one.match.item_id in others and one.match.item_id)

    def notes(self) -> list[str]:
        """What the caller should know."""
        found = []
        if self._meanings:
            count, items = len(self._meanings), sum(map(len, self._meanings))
            titles = "1 title of the history names" if count == 1 else f"{count} titles of the history name"
            found.append(f"{titles} several items ({items} in all); all of them count as known")
        if self.settled:
            titles = "1 ambiguous title was" if self.settled == 1 else f"{self.settled} ambiguous titles were"
            found.append(f"{titles} taken as the most popular item of that title (ambiguous='popular')")
        return found


def _popularity(pipeline: Pipeline) -> tuple[Callable[[str], float | None] | None, bool, bool]:
    """The popularity of items, whether it is counted (shares then mean something), and whether it is of users."""
    catalog, retriever = pipeline.catalog, pipeline.retriever
    if _COLUMN in catalog.attribute_names:
        return lambda item: _number(catalog[item].attributes), True, False
    if pipeline.settings.strict:
        return None, False, False
    interactions = getattr(retriever, "interactions", None)
    if isinstance(interactions, Interactions):
        return partial(_users, interactions), True, True
    if pipeline.popularity is not None:
        return pipeline.popularity.weights.get, False, True
    return None, False, False


def _users(interactions: Interactions, item_id: str) -> float | None:
    code = interactions.items.code(item_id)
    return None if code is None else float(interactions.users_per_item[code])


def _number(attributes: Mapping[str, object]) -> float | None:
    try:
        value = float(str(attributes.get(_COLUMN)))
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
