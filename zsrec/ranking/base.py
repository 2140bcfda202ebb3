"""What the rankers share: one user's candidates ready to be ranked, and the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from zsrec.core.types import Exchange, Message, RankingUse, Sampling

Order = Sequence[int]
"""Candidates by their number in the pool, counted from 0."""

Content = Literal["user", "no_user", "nothing"]
"""What a prompt shows: everything; "N/A" for the history; "N/A" for the history and all titles."""

LabelMemory = MutableMapping[tuple[Message, ...], Mapping[str, float]]
"""Labels' log-probabilities of prompts without any user's data, shared by all users."""


class Render(Protocol):
    """Renders the prompt about some of the candidates."""

    def __call__(self, order: Order, labels: Sequence[str] = (), content: Content = "user") -> tuple[Message, ...]:
        """The messages, with the candidates in this order and each under its label (empty for no labels)."""


@dataclass(frozen=True)
class RankingTask:
    """One user's candidates, ready to be ranked."""

    size: int
    render: Render
    sampling: Sampling
    k: int
    named: Callable[[Exchange, Order], Order]
    memory: LabelMemory = field(default_factory=dict)


@dataclass(frozen=True)
class RankingResult:
    """The model's ranking."""

    order: tuple[int, ...]
    exchanges: tuple[Exchange, ...]
    use: RankingUse = field(default_factory=lambda: RankingUse(ranker="generate"))
    probabilities: Mapping[int, float] | None = None
    notes: tuple[str, ...] = ()
