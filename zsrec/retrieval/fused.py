"""Fused candidates: co-occurrence in other users' sequences, and the items' texts as bounded pseudo-counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from zsrec.core.embedding import Embedder
from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval.base import Evidence, Mode, Profile, Scores
from zsrec.retrieval.cooccurrence import Cooccurrence, CooccurrenceConfig
from zsrec.retrieval.lexical import Lexical
from zsrec.retrieval.semantic import Semantic, SemanticConfig, Vectors

NO_TEXTS = "no item vectors: fused uses interactions alone, which is cooccurrence"
NO_VECTORS = "no item vectors: fused compares texts by their words, which is lexical"


class FusedConfig(CooccurrenceConfig):
    """`CooccurrenceConfig`, and how much texts count.

    Attributes:
        text_weight: What a text as similar as can be counts, in users' next events; at least 0.
        text_power: The power of the cosine, above 0: only close texts count.
    """

    text_weight: float = 0.3
    text_power: float = 4.0


@dataclass(frozen=True, eq=False)
class Fused:
    """score(x) = (n_x + 10)^-½ · (num(x) + 0.3 · (Σ_t f_t) · max(0, cos(Σ_t f_t V_{j_t}, V_x))^4).

    num and f_t are those of `Cooccurrence`, V_x is the vector of x's text: texts enter as pseudo-counts that are
    smaller than one user's next event, so they order what behaviour leaves open and find items without any
    interaction, and cannot outweigh behaviour. With an embedder the user's own words count like an event of an
    item with one user. Without vectors, `Lexical`'s score as a share of its largest takes the cosine's place.

    Attributes:
        interactions: All users' interactions.
        vectors: One per item, L2-normalised; shape (number of items, d). None compares words instead.
        config: The parameters.
        embedder: The embedder of the vectors; with it the user's own words count.
        lexical: Compares texts where there are no vectors; None leaves texts out, and `notes` says so.
        behaviour: The part that reads interactions; made where none is given.
        no_vectors: Why there are none, for the notes.

    Raises:
        ConfigError: `config` is out of range, or there is not one vector per item.
    """

    interactions: Interactions
    vectors: Vectors | None = None
    config: FusedConfig = field(default_factory=FusedConfig)
    embedder: Embedder | None = None
    lexical: Lexical | None = None
    behaviour: Cooccurrence = None  # type: ignore[assignment]
    no_vectors: str = ""
    name: ClassVar[str] = "fused"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        if self.config.text_weight < 0 or self.config.text_power <= 0:
            raise ConfigError(f"{self.config}", hint="text_weight is at least 0, text_power above 0")
        if self.behaviour is None:
            object.__setattr__(self, "behaviour", Cooccurrence(self.interactions, self.config))
        words = self.lexical if self.vectors is None else None
        if words is not None and list(words.items.ids) != list(self.items.ids):
            raise ConfigError(
                "the lexical retriever has other items than the interactions", hint="use one catalog"
            )
        _ = self._semantic  # checks the vectors

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.behaviour.items

    @property
    def notes(self) -> tuple[str, ...]:
        """A note where vectors are missing."""
        if self.vectors is not None:
            return ()
        why = f" ({self.no_vectors})" if self.no_vectors else ""
        if self.lexical is not None:
            return (NO_VECTORS + why,)
        return (NO_TEXTS + why, *self.behaviour.notes)

    @property
    def reads_words(self) -> bool:
        """Whether the user's own words count."""
        if self.vectors is None:
            return self.lexical is not None
        return self.config.text_weight > 0 and self.embedder is not None

    @property
    def reads_critiques(self) -> bool:
        """Whether what the user said of earlier recommendations counts."""
        return self.vectors is None and self.lexical is not None

    def profile_notes(self, of: Profile) -> tuple[str, ...]:
        """Those of the lexical part."""
        return self.lexical.profile_notes(of) if self.reads_critiques and self.lexical is not None else ()

    def add(self, user: str, item: str) -> None:
        """Append an event, newer than all of this user's; an item that the catalog lacks has no text."""
        self.behaviour.add(user, item)

    def with_vectors(self, vectors: Vectors) -> Fused:
        """Return the same with the vectors of the extended catalog."""
        return replace(self, vectors=vectors)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no evidence is for it; shape (number of items,)."""
        scores = self.behaviour.counts(of)
        if self.config.text_weight:
            texts = self._text_counts(of)
            scores[: len(texts)] += texts  # items that were added since have no text
        scores *= self.behaviour.norms
        scores[scores <= 0.0] = -np.inf
        return scores

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The history item that contributed most, by co-occurrence or else by its text."""
        found = self.behaviour.contributions(of, codes)
        texts = dict(enumerate(self._text_counts(of).tolist()) if self.config.text_weight else ())
        read = [code for code in codes if code < self._texts]
        near: dict[int, Evidence | None] = {}
        if self._semantic is not None:
            recent = self._with_texts(self.behaviour.recent(of))
            closest = self._semantic.contributions(recent, read, self._words_weight)
            near = {code: one and one[1] for code, one in zip(read, closest, strict=True)}
        elif self.lexical is not None:
            near = dict(zip(read, self.lexical.evidence(self._with_texts(of), read), strict=True))
        return [
            shared[1] if shared is not None and shared[0] >= texts.get(code, 0.0) else near.get(code)
            for shared, code in zip(found, codes, strict=True)
        ]

    @cached_property
    def _semantic(self) -> Semantic | None:
        config = SemanticConfig(centred=False)  # centred cosines ordered candidates less well (docs/candidates.md)
        return None if self.vectors is None else Semantic(self.items, self.vectors, config, self.embedder)

    @property
    def _texts(self) -> int:
        """How many items have a text: those of the catalog, and none that an event has brought since."""
        return len(self.vectors) if self.vectors is not None else len(self.lexical.items) if self.lexical else 0

    def _with_texts(self, of: Profile) -> Profile:
        """The profile without the items that have no text."""
        kept = of.codes < self._texts
        return of._replace(codes=of.codes[kept], weights=of.weights[kept])

    @property
    def _words_weight(self) -> float:
        """The f_t of the user's own words."""
        return float((1.0 + self.config.shrink) ** -0.5)

    def _text_counts(self, of: Profile) -> Scores:
        """0.3 · (Σ_t f_t) · similarity^4 of each item, see the class; shape (number of items with a text,)."""
        recent = self.behaviour.recent(of)
        total = float(np.maximum(recent.weights, 0.0).sum())
        if self.reads_words and (of.words or (self.reads_critiques and of.critiques)):
            total += self._words_weight
        if self._semantic is not None:
            taste = self._semantic.taste(self._with_texts(recent), self._words_weight)
            similarities = self._semantic.cosines(taste / max(float(np.linalg.norm(taste)), 1e-12))
        elif self.lexical is not None:
            of = self._with_texts(of)
            similarities = self.lexical.scores(of)
            new = similarities.copy()
            new[of.codes] = -np.inf
            similarities = np.minimum(similarities / max(float(new.max(initial=0.0)), 1e-12), 1.0)
        else:
            return np.zeros(0)
        counts: Scores = self.config.text_weight * total * np.maximum(similarities, 0.0) ** self.config.text_power
        return counts
