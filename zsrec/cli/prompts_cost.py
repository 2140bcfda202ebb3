"""The token costs of a template, for `zsrec prompts check`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.evaluation import prefix_cache, token_budget
from zsrec.evaluation.prefix_cache import Measured, Prefix, Shared
from zsrec.evaluation.token_budget import Budget, Meter
from zsrec.prompts import Problem, Template
from zsrec.prompts.diagnostics import question_in_words


@dataclass(frozen=True)
class Question:
    """The cost of one question of a template, with the median user's prompt and the longest one."""

    step: str | None  # None for the template's own question
    typical: Budget
    worst: Budget
    prefix: Prefix  # what prompts share, predicted
    users: Measured | None = None  # what users with the same candidates shared; None if nothing was asked

    def lines(self, steps: Collection[str] = ()) -> Iterator[str]:
        """The figures as text; a part named like one of `steps` is that step's answer."""
        yield f"{f'tokens, {self.typical.by}':<34}{'typical':>9}{'worst':>9}"
        for part in self.worst.parts:
            typical, worst = self.typical.part(part.name), self.worst.part(part.name)
            yield f"  {self._named(part.name, steps):<32}{typical:>9,}{worst:>9,}"
        yield f"  {'total':<32}{self.typical.total:>9,}{self.worst.total:>9,}"
        if self.prefix.follows is not None:
            yield f"shares with the question before the first {_share(self.prefix.follows)}"
        yield f"two users of one pool share the first {_share(self.prefix.users)}"
        if self.prefix.orders is not None:
            yield f"orders of one user's candidates share the first {_share(self.prefix.orders)}"
        if self.users is not None:
            hits = (
                f"{self.users.hits:,} of {self.users.queries:,} tokens ({self.users.of_all:.0%}) were cache hits"
            )
            yield f"measured, {self.users.users} users of one pool, from the second on: {hits}{_doubt(self.users)}"

    def _named(self, name: str, steps: Collection[str]) -> str:
        if name in steps:
            return f"answer of {name!r}"
        if name == "history":
            return f"history ({_events(self.typical)}; {_events(self.worst)})"
        if name == "candidates":
            return f"candidates ({self.typical.candidates})"
        own = {"system": "system, own text", "user": "user, own text", "rest": "chat format and rest"}
        return own.get(name, name)


@dataclass(frozen=True)
class Cost:
    """The cost of one template."""

    last: Question
    earlier: tuple[Question, ...] = ()  # the steps; their answers are stand-ins of the greatest length
    orders: Measured | None = None  # what one user's orders or windows shared; None if nothing was asked
    problems: tuple[Problem, ...] = ()  # those that only a server can find

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON data, those of the template's own question outermost; without the problems."""
        last, *earlier = (asdict(one) for one in (self.last, *self.earlier))
        del last["step"]
        orders = None if self.orders is None else asdict(self.orders)
        return {**last, "orders": orders, "steps": {one.pop("step"): one for one in earlier}}

    def lines(self) -> Iterator[str]:
        """The figures as text."""
        questions = (*self.earlier, self.last)
        for place, one in enumerate(questions):
            if self.earlier:
                yield question_in_words(place, len(questions), one.step)
            yield from one.lines([one.step for one in self.earlier if one.step is not None])
        if self.orders is not None:
            yield from _orders(self.orders)
        if self.earlier:
            typical = sum(one.typical.total for one in questions)
            worst = sum(one.worst.total for one in questions)
            yield f"all {len(questions)} prompts of a user: {typical:,} tokens, worst {worst:,}"
            yield "an earlier answer is counted as a stand-in of its step's limit, the longest that it can be"


async def cost_of(
    template: Template,
    data: Path | None,
    *,
    base_url: str | None = None,
    model: str | None = None,
    pool: int = 20,
    users: int = 0,
) -> Cost:
    """The cost of a template for the users of a MovieLens folder or zip (None: the sample).

    With a server its tokenizer counts, and with `users` above 0 what they share is measured.
    """
    cast = token_budget.cast_of(_dataset(data), template, pool=pool, others=max(users, 2))

    async def counted(meter: Meter) -> Cost:
        *earlier, last = [
            Question(
                step,
                typical=await token_budget.budget_of(template, cast.typical, meter, step),
                worst=await token_budget.budget_of(template, cast.worst, meter, step),
                prefix=await prefix_cache.prefix_of(template, cast, meter, step),
            )
            for step in token_budget.questions_of(template)
        ]
        return Cost(last, tuple(earlier))

    if base_url is None:
        return await counted(token_budget.Estimate())
    from zsrec.llm.client import OpenAIClient  # importing the openai package takes a second

    async with OpenAIClient(Settings.load(base_url=base_url, model=model)) as client:
        server = await client.handshake()
        counters = await client.cache_counters()
        meter = token_budget.Served(client, server.model, counters.block if counters else None)
        cost = await counted(meter)
        problems = await prefix_cache.label_tokens(template, client, cost.last.typical.candidates)
        measured: list[Question] = []
        for one in (*cost.earlier, cost.last):
            problems += prefix_cache.context_fits(template, one.worst, server, one.step)
            asked = users and await prefix_cache.measure_users(template, cast.others, meter, client, one.step)
            measured.append(replace(one, users=asked or None))
        *earlier, last = measured
        orders = None
        if users and last.prefix.orders is not None:
            orders = await prefix_cache.measure_orders(template, cast.others, meter, client)
        return Cost(last, tuple(earlier), orders, tuple(problems))


@cache
def _dataset(path: Path | None) -> movielens.Dataset:
    return movielens.sample() if path is None else movielens.load(path)


def _events(budget: Budget) -> str:
    return f"{budget.shown} of {budget.known}"


def _share(shared: Shared) -> str:
    text = f"{shared.tokens:,} of {shared.of:,} tokens ({shared.tokens / shared.of:.0%})"
    if shared.block is None:
        return text
    return f"{text}; {shared.cached:,} of them ({shared.cached / shared.of:.0%}) in whole blocks of {shared.block}"


def _orders(found: Measured) -> Iterator[str]:
    yield (
        f"measured, {found.users} users, orders of their candidates, from the second on: {found.hits:,} of the "
        f"{found.before:,} tokens before the candidates ({found.of_before:.1%}) were cache hits{_doubt(found)}"
    )
    if found.block is not None and found.before:
        yield f"  whole blocks of {found.block} could give {found.possible / found.before:.1%} of these"


def _doubt(found: Measured) -> str:
    return " (others used the server at the same time)" if found.disturbed else ""
