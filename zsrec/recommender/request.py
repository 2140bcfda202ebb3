"""What one call of `recommend` brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from zsrec.answers.grounder import Grounder
from zsrec.core.errors import ConfigError
from zsrec.core.privacy import Redactor
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.prompts import Template
from zsrec.prompts.front_matter import Ranking
from zsrec.ranking.base import Memory
from zsrec.retrieval.base import Retriever

DEFAULT_POOL = 20


@dataclass(frozen=True)
class Job:
    """Everything that one call of `recommend` brings; see `Recommender.recommend` for the fields.

    Attributes:
        retriever: Gives candidates, and the prior that the model's order is fused with.
        pool_size: How many candidates are taken from the retriever or from popularity.
        ranking: The ranker's options; None takes the template's.
        strict: Whether other users' data are refused.
        memory: See `zsrec.ranking.base.Memory`.
        redact: Takes personal data out of what the user wrote; None sends it as it came.
    """

    catalog: Catalog
    grounder: Grounder
    template: Template
    history: History
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] | None = None
    fill: Literal["candidates", "popularity"] | None = None
    popularity: tuple[str, ...] | None = None
    retriever: Retriever | None = None
    pool_size: int = DEFAULT_POOL
    ranking: Ranking | None = None
    strict: bool = False
    memory: Memory = field(default_factory=dict)
    redact: Redactor | None = None

    @property
    def options(self) -> Ranking:
        """The ranker's options."""
        return self.template.ranking if self.ranking is None else self.ranking

    def check(self) -> None:
        """Makes sure that the call asks for something possible.

        Raises:
            ConfigError: It does not.
        """
        if self.k < 1:
            raise ConfigError(f"k is {self.k}, expected at least 1", hint="k is the number of items wanted")
        if not self.history.events and not self.history.critiques and not (self.about or "").strip():
            raise ConfigError(
                "nothing is known of the user: the history is empty and about= is not given",
                hint="give one liked item or a sentence (about='slow-burn heist films'), "
                "or recommend what is popular",
            )
        if self.fill == "popularity" and self.popularity is None:
            raise ConfigError(
                "fill='popularity' without a popularity list",
                hint="Recommender(…, popularity=zsrec.retrieval.popularity(histories))",
            )
        retrieves = self.retriever is not None and self.template.task == "rank"
        if self.fill == "candidates" and self.candidates is None and not retrieves:
            raise ConfigError("fill='candidates' without candidates", hint="pass candidates=[…] or another fill")
        if (misfit := self.options.misfit(self.template.ranker)) is not None:
            raise ConfigError(f"{misfit[0]}: {misfit[1]}", hint=f"the template is {self.template.ref}")
        self.check_strict(ranks=self.template.task == "rank")

    def check_strict(self, *, ranks: bool) -> None:
        """Makes sure that a strict call uses nobody else's interactions.

        Args:
            ranks: Whether candidates are ranked.

        Raises:
            ConfigError: It would.
        """
        if not self.strict:
            return
        hint = "use a zero-shot retriever (Semantic, Listed) or your own candidates=[…], or turn strict off"
        if self.retriever is not None and self.retriever.mode != "zero-shot" and ranks:
            raise ConfigError(
                f"strict: the retriever {self.retriever.name!r} uses other users' interactions", hint=hint
            )
        default_pool = ranks and self.candidates is None and self.retriever is None
        if self.popularity is not None and (self.fill == "popularity" or default_pool):
            raise ConfigError("strict: popularity is other users' interactions", hint=hint)
