"""The grounder: one mention in, one `Match` out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from zsrec.answers.evidence import Evidence, gather
from zsrec.answers.mention_readings import Cut, Reading, readings
from zsrec.answers.scoring import Calibration
from zsrec.answers.semantic_match import Near, SemanticStage
from zsrec.answers.title_compare import odd_number
from zsrec.answers.title_forms import Kind
from zsrec.answers.title_index import TitleIndex
from zsrec.core.embedding import Embedder
from zsrec.core.errors import ConfigError
from zsrec.core.types import Abstention, Match
from zsrec.data.catalog import Catalog
from zsrec.data.title_words import DOMAINS, FILLERS, MEDIA
from zsrec.data.titles import verbatim_key

_TIE = 1.0
"""Log-odds within which two items count as equally good."""
_PARTIAL_TIE = 3.0
"""The same for two items that share a head or tail: the shape of what was dropped does not choose between them."""
_PLAUSIBLE = 0.1
"""The least probability at which several equal items are worth naming."""
_MOST_ALTERNATIVES = 100


@dataclass(frozen=True)
class Context:
    """What the request knows besides the mention; it only settles ties."""

    candidates: tuple[str, ...] = ()
    history: tuple[str, ...] = ()


class Grounder:
    """Finds the catalog item behind a mention, or says why there is none.

    Args:
        catalog: The items that may be found.
        index: Of the catalog's titles; None builds one.
        calibration: The model behind the scores; None takes the one fitted on the development data.
        semantic: An embedder for paraphrases and translated titles, or the whole stage where its vectors were
            saved; None leaves it out.

    Raises:
        ConfigError: `index` or the stage's vectors belong to another catalog.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        index: TitleIndex | None = None,
        calibration: Calibration | None = None,
        semantic: Embedder | SemanticStage | None = None,
    ) -> None:
        self.catalog = catalog
        self._ids = catalog.ids
        columns = (catalog.titles, catalog.creators, catalog.other_names)
        if index is not None:
            index.check(*columns)
        self.index = TitleIndex.build(*columns) if index is None else index
        self.calibration = calibration or Calibration.default()
        if semantic is not None and not isinstance(semantic, SemanticStage):
            semantic = SemanticStage(semantic, catalog.titles)
        self._semantic = semantic

    def extended(self, catalog: Catalog) -> Self:
        """A grounder for a catalog that has further items at the end; only those are indexed.

        Raises:
            ConfigError: `catalog` does not start with this grounder's items.
        """
        index = self.index.extended(catalog.titles, catalog.creators, catalog.other_names)
        stage = None if self._semantic is None else self._semantic.extended(catalog.titles)
        return type(self)(catalog, index=index, calibration=self.calibration, semantic=stage)

    def moved(self, catalog: Catalog) -> Self:
        """A grounder of the same kind for another catalog; of one that only grew, the new items are indexed."""
        if tuple(catalog.ids[: len(self.catalog)]) == tuple(self.catalog.ids):
            try:
                return self.extended(catalog)
            except ConfigError:
                pass  # the same ids with other titles
        embedder = None if self._semantic is None else self._semantic.embedder
        return type(self)(catalog, calibration=self.calibration, semantic=embedder)

    def ground(self, mention: str, context: Context | None = None) -> Match:
        """The match of one mention.

        Args:
            mention: A title as a model wrote it; any text is allowed.
            context: What the request knows.
        """
        return self.ground_many([mention], context)[0]

    def ground_many(self, mentions: Sequence[str], context: Context | None = None) -> list[Match]:
        """The matches of several mentions of one request, in their order.

        Mentions that no title resembles go through the semantic stage together, where there is one.
        """
        matches = [self._by_title(mention, context) for mention in mentions]
        if self._semantic is not None:
            left = [place for place, match in enumerate(matches) if match.reason == "not_in_catalog"]
            found = self._semantic.find([mentions[place] for place in left])
            for place, near in zip(left, found, strict=True):
                if near is not None and not _names_medium(mentions[place]):
                    matches[place] = self._by_meaning(mentions[place], near)
        return matches

    def _by_title(self, mention: str, context: Context | None) -> Match:
        found = gather(mention, self.index, self.calibration)
        preferred = self._preferred(context, found)
        decision = decide(found, self.calibration.threshold, preferred, self._names_other_medium)
        if decision.reason == "ambiguous":
            titles = [self.catalog.titles[item] for item in decision.tied]
            same = [item for item, title in zip(decision.tied, titles, strict=True) if title == mention.strip()]
            alike = len({verbatim_key(title) for title in titles}) == 1
            if alike and len(same) == 1:  # "Rihannà" and "Rihanna": the one that is written so
                chosen = next(e for e in found if e.item == same[0])
                decision = decision._replace(evidence=chosen, reason=None)
        return self._match(decision)

    def _by_meaning(self, mention: str, near: Near) -> Match:
        score = 0.0
        if self._may_mean(next(iter(readings(mention))), near.item):
            score = self.calibration.by_meaning(near.cosine, near.margin)
        if score < self.calibration.threshold:
            return Match(item_id=None, score=score, reason="not_in_catalog")
        return Match(item_id=self._ids[near.item], score=score, method="semantic")

    def _may_mean(self, reading: Reading, item: int) -> bool:
        """Whether neither year nor number speaks against an item: to a sentence model, sequels mean the same."""
        actual = self.index.entry(item).year
        if reading.year is not None and actual is not None and abs(reading.year - actual) > 1:
            return False
        read = set(reading.words)
        names = [set(name.words) for name in self.index.names(item)]
        return any(not odd_number(sorted(read - its), sorted(its - read)) for its in names)

    def _preferred(self, context: Context | None, found: Sequence[Evidence]) -> list[set[int]]:
        if context is None or len(found) < 2:
            return []
        places = {self._ids[e.item]: e.item for e in found}
        return [{places[i] for i in ids if i in places} for ids in (context.candidates, context.history)]

    def _names_other_medium(self, evidence: Evidence) -> bool:
        """Whether the mention names another medium than the catalog's ("Fargo (TV series)" among movies)."""
        named = [word for word in MEDIA if word in evidence.reading.medium] if evidence.reading.medium else []
        own = DOMAINS.get(self.catalog.domain.lower())
        if own is None:
            named = [word for word in named if word not in FILLERS]
        if not named or (own is not None and any(MEDIA[word] == own for word in named)):
            return False
        creators = self.index.entry(evidence.item).creators  # "The Game" is one
        title = " ".join([self.catalog.domain, self.catalog.titles[evidence.item], *creators]).lower()
        return not any(word.rstrip("s") in title for word in named)

    def _match(self, decision: Decision) -> Match:
        ids = tuple([self._ids[item] for item in decision.tied[:_MOST_ALTERNATIVES]])
        score = min(max(decision.probability, 0.0), 1.0)
        if decision.reason is not None or decision.evidence is None:
            return Match(item_id=None, score=score, reason=decision.reason, alternatives=ids)
        chosen = self._ids[decision.evidence.item]
        others = tuple([i for i in ids if i != chosen])
        return Match(item_id=chosen, score=score, method=decision.evidence.method, alternatives=others)


def _names_medium(mention: str) -> bool:
    return any(reading.medium for reading in readings(mention))


class Decision(NamedTuple):
    """The outcome for one mention."""

    evidence: Evidence | None
    probability: float
    reason: Abstention | None
    tied: tuple[int, ...] = ()


def decide(
    ranked: Sequence[Evidence],
    threshold: float,
    preferred: Iterable[Collection[int]] = (),
    forbidden: Callable[[Evidence], bool] = lambda _: False,
) -> Decision:
    """Chooses an item, or abstains."""
    if not ranked:
        return Decision(None, 0.0, "not_in_catalog")
    best = ranked[0]
    odds = [math.exp(min(e.log_odds, 30.0)) for e in ranked]
    alone = 1.0 / (1.0 + math.exp(-min(best.log_odds, 30.0)))
    probability = alone if len(ranked) == 1 else odds[0] / (1.0 + sum(odds))
    tied = [best, *(e for e in ranked[1:] if _ties(best, e))]
    whole = [e for e in tied if e.agreement.labelled]
    if len(whole) == 1:  # all of a title, labels included, was written
        best, tied = whole[0], whole
    places = tuple(e.item for e in tied)
    if best.agreement.kind is Kind.SERIES:
        several = tuple(e.item for e in ranked if e.agreement.kind is Kind.SERIES)
        return Decision(best, probability, "ambiguous", several)
    if forbidden(best):
        return Decision(best, min(probability, threshold / 2), "not_in_catalog", places)
    if len(tied) > 1 and alone >= _PLAUSIBLE:
        for items in preferred:
            inside = [e for e in tied if e.item in items]
            if len(inside) == 1:
                return Decision(inside[0], max(alone, threshold), None, places)
        return Decision(best, probability, "ambiguous", places)
    if probability >= threshold:
        return Decision(best, probability, None, places)
    return Decision(best, probability, "below_threshold" if alone >= _PLAUSIBLE else "not_in_catalog", places)


def _ties(best: Evidence, other: Evidence) -> bool:
    """Whether another item explains the mention as well as the best one."""
    if best.literal != other.literal or (not best.reading.cut and other.reading.cut & Cut.EDITION):
        return False
    gap = best.log_odds - other.log_odds
    kind = best.agreement.kind
    partial = kind >= Kind.HEAD and kind is other.agreement.kind and best.reading is other.reading
    return gap < (_PARTIAL_TIE if partial else _TIE)
