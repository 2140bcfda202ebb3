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
from zsrec.retrieval.semantic import Semantic, SemanticConfig, Vectors

NO_VECTORS = "no item vectors: fused uses interactions alone, which is cooccurrence"


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
    item without users.

    Attributes:
        interactions: All users' interactions.
        vectors: One per item, L2-normalised; shape (number of items, d). None leaves the texts out, and `notes`
            says so, with the reason where `no_vectors` gives one.
        config: The parameters.
        embedder: The embedder of the vectors; with it the user's own words count.
        behaviour: The part that reads interactions; made where none is given.

    Raises:
        ConfigError: `config` is out of range, or there is not one vector per item.
    """

    interactions: Interactions
    vectors: Vectors | None = None
    config: FusedConfig = field(default_factory=FusedConfig)
    embedder: Embedder | None = None
    behaviour: Cooccurrence = None  # type: ignore[assignment]
    no_vectors: str = ""
    name: ClassVar[str] = "fused"
    mode: ClassVar[Mode] = "training-free"

    def __post_init__(self) -> None:
        if self.config.text_weight < 0 or self.config.text_power <= 0:
            raise ConfigError(f"{self.config}", hint="text_weight is at least 0, text_power above 0")
        if self.behaviour is None:
            object.__setattr__(self, "behaviour", Cooccurrence(self.interactions, self.config))
        _ = self._texts  # checks the rest

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self.behaviour.items

    @property
    def notes(self) -> tuple[str, ...]:
        """A note where the texts are missing."""
        why = f" ({self.no_vectors})" if self.no_vectors else ""
        return () if self.vectors is not None else (NO_VECTORS + why,)

    @property
    def reads_words(self) -> bool:
        """Whether the user's own words count."""
        return self._texts is not None and self.config.text_weight > 0 and self.embedder is not None

    @cached_property
    def _texts(self) -> Semantic | None:
        config = SemanticConfig(centred=False)  # centred cosines ordered candidates less well (docs/candidates.md)
        return None if self.vectors is None else Semantic(self.items, self.vectors, config, self.embedder)

    def add(self, user: str, item: str) -> None:
        """Append an event, newer than all of this user's; an item that the catalog lacks has no text."""
        self.behaviour.add(user, item)

    def with_vectors(self, vectors: Vectors) -> Fused:
        """Return the same with the vectors of the extended catalog."""
        return replace(self, vectors=vectors)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no evidence is for it; shape (number of items,)."""
        scores = self.behaviour.counts(of)
        if self._texts is not None and self.config.text_weight:
            scores += self._text_counts(self._texts, of)
        scores *= self.behaviour.norms
        scores[scores <= 0.0] = -np.inf
        return scores

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The history item that contributed most, by co-occurrence or else by its text."""
        found = self.behaviour.contributions(of, codes)
        if self._texts is None or not self.config.text_weight:
            return [None if one is None else one[1] for one in found]
        texts = self._text_counts(self._texts, of)[list(codes)].tolist()
        words_weight = (1.0 + self.config.shrink) ** -0.5
        closest = self._texts.contributions(self.behaviour.recent(of), codes, words_weight)
        return [
            shared[1] if shared is not None and shared[0] >= text else (None if near is None else near[1])
            for shared, text, near in zip(found, texts, closest, strict=True)
        ]

    def _text_counts(self, texts: Semantic, of: Profile) -> Scores:
        """0.3 · (Σ_t f_t) · max(0, cos)^4 of each item, see the class; shape (number of items,)."""
        recent, words_weight = self.behaviour.recent(of), (1.0 + self.config.shrink) ** -0.5
        taste = texts.taste(recent, words_weight)
        length = float(np.linalg.norm(taste))
        if length == 0:
            return np.zeros(len(self.items))
        total = float(np.maximum(recent.weights, 0.0).sum()) + words_weight * (self.reads_words and bool(of.words))
        cosines = np.maximum(texts.cosines(taste / length), 0.0)
        counts: Scores = self.config.text_weight * total * cosines**self.config.text_power
        return counts
