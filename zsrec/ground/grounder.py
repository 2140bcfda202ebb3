"""The grounder: one mention in, one `Match` out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from zsrec.catalog import Catalog
from zsrec.embed import Embedder
from zsrec.errors import ConfigError
from zsrec.ground.calibration import Calibration
from zsrec.ground.compare import odd_number
from zsrec.ground.decide import Decision, decide
from zsrec.ground.evidence import Evidence, gather
from zsrec.ground.index import TitleIndex
from zsrec.ground.mention import Reading, readings
from zsrec.ground.semantic import Near, SemanticStage
from zsrec.types import Match

_MOST_ALTERNATIVES = 100


@dataclass(frozen=True)
class Context:
    """What the request knows besides the mention; it only settles ties.

    Attributes:
        candidates: Ids of the items that the model was to choose from.
        history: Ids of the items that the user knows.
    """

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
        if index is not None:
            index.check(catalog.titles)
        self.index = TitleIndex.build(catalog.titles) if index is None else index
        self.calibration = calibration or Calibration.default()
        if semantic is None or isinstance(semantic, SemanticStage):
            self._semantic = semantic
        else:
            self._semantic = SemanticStage(semantic, catalog.titles)

    def extended(self, catalog: Catalog) -> Self:
        """A grounder for a catalog that has further items at the end; only those are indexed.

        Raises:
            ConfigError: `catalog` does not start with this grounder's items.
        """
        index = self.index.extended(catalog.titles)
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
        threshold = self.calibration.threshold
        return self._match(decide(found.values(), threshold, self._pools(context, found), self._ruled_out))

    def _by_meaning(self, mention: str, near: Near) -> Match:
        score = 0.0
        if self._may_mean(next(iter(readings(mention))), near.item):
            score = self.calibration.by_meaning(near.cosine, near.margin)
        if score < self.calibration.threshold:
            return Match(item_id=None, score=score, reason="not_in_catalog")
        return Match(item_id=self.catalog.ids[near.item], score=score, method="semantic")

    def _may_mean(self, reading: Reading, item: int) -> bool:
        """Whether neither year nor number speaks against an item: to a sentence model, sequels mean the same."""
        actual = self.index.year(item)
        if reading.year is not None and actual is not None and abs(reading.year - actual) > 1:
            return False
        read = set(reading.words)
        names = [set(name.words) for name in self.index.names(item)]
        return any(not odd_number(sorted(read - its), sorted(its - read)) for its in names)

    def _pools(self, context: Context | None, found: Iterable[int]) -> list[set[int]]:
        if context is None:
            return []
        ids = {self.catalog.ids[item]: item for item in found}
        return [{ids[i] for i in pool if i in ids} for pool in (context.candidates, context.history)]

    def _ruled_out(self, evidence: Evidence) -> bool:
        """Whether the mention names another medium than the catalog's ("Fargo (TV series)" among movies)."""
        medium = evidence.reading.medium
        if not medium:
            return False
        own = f"{self.catalog.domain} {self.catalog.titles[evidence.item]}".lower()
        return not any(word.rstrip("s") in own for word in medium.split())

    def _match(self, decision: Decision) -> Match:
        ids = tuple(self.catalog.ids[item] for item in decision.tied[:_MOST_ALTERNATIVES])
        score = min(max(decision.probability, 0.0), 1.0)
        if decision.why is not None or decision.evidence is None:
            return Match(item_id=None, score=score, reason=decision.why, alternatives=ids)
        chosen = self.catalog.ids[decision.evidence.item]
        others = tuple(i for i in ids if i != chosen)
        return Match(item_id=chosen, score=score, method=decision.evidence.method, alternatives=others)


def _names_medium(mention: str) -> bool:
    return any(reading.medium for reading in readings(mention))
