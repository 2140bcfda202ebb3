"""How much of a prompt's beginning other prompts have too, so that a server computes it once.

vLLM shares whole blocks of tokens, each hashed with all before it: what counts is the common beginning, rounded
down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from zsrec.budget.meters import Meter, Tokens
from zsrec.budget.people import Cast, Person, answers_for, questions_of
from zsrec.prompts import ItemView, Template, title_view
from zsrec.prompts.made_up import common
from zsrec.rank.debias import orders
from zsrec.rank.window import PAIRS, spans
from zsrec.types import Message

_SENTINELS = ("Quokka", "7 axolotls")  # two titles that no tokenizer begins with the same token


@dataclass(frozen=True)
class Shared:
    """A common beginning.

    Attributes:
        tokens: How long it is.
        of: How long the shorter of the prompts is.
        block: Tokens in a cache's block; None where nobody knows.
    """

    tokens: int
    of: int
    block: int | None

    @property
    def cached(self) -> int:
        """Tokens of it in whole blocks; without a block's size all of them."""
        return self.tokens if self.block is None else self.tokens // self.block * self.block


@dataclass(frozen=True)
class Prefix:
    """What is predicted for one template.

    Attributes:
        users: The beginning that two users of one pool share.
        orders: The one that all orders (or windows) of one user's candidates share.
        before: Tokens before the first candidate's title; 0 for a template without candidates.
        follows: The beginning that a question of a template with steps shares with the question before it; None
            for the first one.
    """

    users: Shared
    orders: Shared | None
    before: int
    follows: Shared | None = None


def orders_of(template: Template, person: Person, count: int = 4) -> list[tuple[ItemView, ...]]:
    """The lists of candidates that are asked about for one user, as the template's ranker would make them."""
    everything = range(len(person.candidates))
    ranker, ranking = template.ranker, template.ranking
    if ranker in ("window", "pairwise"):
        size, stride = (ranking.window, ranking.stride) if ranker == "window" else PAIRS.values()
        return [person.candidates[start:end] for start, end in islice(spans(len(everything), size, stride), count)]
    several = islice(orders(everything, template.sampling.seed), count)
    return [tuple(person.candidates[one] for one in order) for order in several]


async def prefix_of(template: Template, cast: Cast, meter: Meter, step: str | None = None) -> Prefix:
    """Predicts what prompts share, from their tokens.

    Args:
        template: The template.
        cast: The users.
        meter: Tells tokens.
        step: One of the template's earlier steps, which are asked in one order only; None for its own question.

    Raises:
        TemplateError: The template fails on one of the users.
        LLMError: The server failed.
    """
    person = cast.typical
    other = replace(cast.worst, candidates=person.candidates)
    answers = answers_for(template, step)
    first, second = [await meter.chat(one.render(template, step, **answers)) for one in (person, other)]
    users = Shared(common(first, second), min(len(first), len(second)), meter.block)
    questions = questions_of(template)
    place = questions.index(step)
    follows = None
    if place:
        before = person.render(template, questions[place - 1], **answers)
        follows = Shared(common(await meter.chat(before), first), len(first), meter.block)
    if "candidates" not in template.variables or step is not None:
        return Prefix(users, None, 0, follows)
    rendered = [person.render(template, candidates=one, **answers) for one in orders_of(template, person)]
    prompts = [await meter.chat(one) for one in rendered]
    shared = min((common(prompts[0], one) for one in prompts[1:]), default=len(prompts[0]))
    between = Shared(shared, min(len(one) for one in prompts), meter.block)
    return Prefix(users, between, await tokens_before(template, person, meter), follows)


async def tokens_before(template: Template, person: Person, meter: Meter) -> int:
    """Tokens before the first candidate's title, its label and the chat's format included."""

    async def tokens(title: str) -> Tokens:
        return await meter.chat(_with_title(template, person, title))

    return common(*[await tokens(title) for title in _SENTINELS])


def _with_title(template: Template, person: Person, title: str) -> tuple[Message, ...]:
    candidates: Any = tuple(title_view(title) for _ in person.candidates)
    return person.render(template, candidates=candidates, **answers_for(template, None))
