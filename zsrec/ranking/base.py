"""What the rankers share: one user's candidates ready to be asked about, and what came of asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from zsrec.core.types import Exchange, Message, Sampling

Order = Sequence[int]
"""Candidates by their number in the pool, counted from 0."""

Content = Literal["user", "no_user", "nothing"]
"""What stands in a prompt: everything; "N/A" for the history; "N/A" for the history and all titles."""

Memory = MutableMapping[tuple[Message, ...], Mapping[str, float]]
"""Labels' log-probabilities of prompts that hold no user's data, kept between users."""


class Render(Protocol):
    """Renders the prompt about some of the candidates."""

    def __call__(self, order: Order, labels: Sequence[str] = (), content: Content = "user") -> tuple[Message, ...]:
        """The messages.

        Args:
            order: The candidates in the order in which they stand in the prompt.
            labels: What each is called there; empty where they carry no labels.
            content: What stands in it.
        """


@dataclass(frozen=True)
class Question:
    """One user's candidates, ready to be asked about.

    Attributes:
        size: How many candidates there are, at least 1; they are numbered from 0 in the pool's order.
        render: Makes the prompts.
        sampling: Every sampling field; the rankers that read one token shorten `max_tokens`.
        k: How many places matter.
        named: Reads which of the given candidates an answer's text names, best first.
        memory: See `Memory`.
    """

    size: int
    render: Render
    sampling: Sampling
    k: int
    named: Callable[[Exchange, Order], Order]
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What the model made of the candidates.

    Attributes:
        order: Those that it ranked, best first.
        exchanges: What was sent and answered.
        probabilities: By candidate, summing to 1; None for rankers that read no labels.
        permutations: Orders of the candidates that were asked about.
        stability: See `zsrec.core.types.RankingUse.stability`.
        label_mass: See `zsrec.core.types.RankingUse.label_mass`.
        labels_by: See `zsrec.core.types.RankingUse.labels_by`.
        notes: What the caller should know, in plain words.
    """

    order: tuple[int, ...]
    exchanges: tuple[Exchange, ...]
    probabilities: Mapping[int, float] | None = None
    permutations: int = 1
    stability: tuple[tuple[float, float], ...] = ()
    label_mass: float | None = None
    labels_by: Literal["logprob_token_ids", "top_logprobs"] | None = None
    notes: tuple[str, ...] = ()
