"""What a template costs, gathered for `zsrec prompts check` and put into lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zsrec import budget as budgets
from zsrec import data as datasets
from zsrec.budget import Budget, Measured, Meter, Prefix, Shared
from zsrec.prompts import Problem, Template
from zsrec.settings import Settings


@dataclass(frozen=True)
class Cost:
    """What one template costs.

    Attributes:
        typical: The median user's prompt.
        worst: The longest one.
        prefix: What prompts share, predicted.
        orders: What one user's orders or windows shared, measured; None where nothing was asked, and for a
            template without candidates.
        users: What users of one pool shared, measured.
        problems: What only a server could find.
    """

    typical: Budget
    worst: Budget
    prefix: Prefix
    orders: Measured | None = None
    users: Measured | None = None
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON data; the findings stand among the others."""
        figures = asdict(self)
        del figures["problems"]
        return figures

    def lines(self) -> Iterator[str]:
        """The figures for a reader."""
        names = [part.name for part in self.worst.parts]
        yield f"{f'tokens, {self.typical.by}':<34}{'typical':>9}{'worst':>9}"
        for name in names:
            typical, worst = self.typical.part(name), self.worst.part(name)
            yield f"  {self._named(name):<32}{typical:>9,}{worst:>9,}"
        yield f"  {'total':<32}{self.typical.total:>9,}{self.worst.total:>9,}"
        yield f"two users of one pool share the first {_share(self.prefix.users)}"
        if self.prefix.orders is not None:
            yield f"orders of one user's candidates share the first {_share(self.prefix.orders)}"
        if self.users is not None:
            what = (
                f"{self.users.hits:,} of {self.users.queries:,} tokens ({self.users.of_all:.0%}) were cache hits"
            )
            yield f"measured, {self.users.users} users of one pool, from the second on: {what}{_doubt(self.users)}"
        if self.orders is not None:
            yield from _orders(self.orders)

    def _named(self, name: str) -> str:
        if name == "history":
            typical, worst = self.typical, self.worst
            return f"history ({_events(typical)}; {_events(worst)})"
        if name == "candidates":
            return f"candidates ({self.typical.candidates})"
        return {"system": "system, own text", "user": "user, own text", "rest": "chat format and rest"}.get(
            name, name
        )


async def cost_of(
    template: Template,
    data: Path | None,
    *,
    base_url: str | None = None,
    model: str | None = None,
    pool: int = 20,
    users: int = 0,
) -> Cost:
    """Counts a template, and measures it where `users` are to be asked about.

    Args:
        template: The template.
        data: A MovieLens folder or zip; None takes the sample.
        base_url: The server whose tokenizer counts; None estimates.
        model: The served model's name.
        pool: How many candidates.
        users: How many users to measure with; 0 asks nothing.

    Raises:
        TemplateError: The template fails on a user.
        ConfigError: The server's address is not allowed, or the data has no histories.
        LLMError: The server failed.
    """
    cast = budgets.cast_of(_dataset(data), template, pool=pool, others=max(users, 2))

    async def counted(meter: Meter) -> Cost:
        return Cost(
            typical=await budgets.budget_of(template, cast.typical, meter),
            worst=await budgets.budget_of(template, cast.worst, meter),
            prefix=await budgets.prefix_of(template, cast, meter),
        )

    if base_url is None:
        return await counted(budgets.Estimate())
    from zsrec.llm.client import OpenAIClient  # importing the openai package takes a second

    async with OpenAIClient(Settings.load(base_url=base_url, model=model)) as client:
        server = await client.handshake()
        counters = await client.cache_counters()
        meter = budgets.Served(client, server.model, counters.block if counters else None)
        cost = await counted(meter)
        labels = await budgets.label_tokens(template, client, cost.typical.candidates)
        orders = by_users = None
        if users:
            by_users = await budgets.measure_users(template, cast.others, meter, client)
            if cost.prefix.orders is not None:
                orders = await budgets.measure_orders(template, cast.others, meter, client)
        problems = (*labels, *budgets.context_fits(template, cost.worst, server))
        return Cost(cost.typical, cost.worst, cost.prefix, orders, by_users, problems)


@cache
def _dataset(path: Path | None) -> datasets.Dataset:
    return datasets.sample() if path is None else datasets.load(path)


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
    return " (others used the server meanwhile: not ours alone)" if found.disturbed else ""
