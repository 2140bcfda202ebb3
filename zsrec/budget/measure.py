"""How much of a prompt a server's cache really shared: its own counters before and after.

Each measurement has a cache of its own (vLLM's `cache_salt`), so that nothing asked before helps it. The counters
are the whole server's: where others asked in between, the tokens looked up are not those of our prompts, and the
measurement is repeated.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zsrec.budget.meters import Meter
from zsrec.budget.people import Person, answers_for
from zsrec.budget.prefix import orders_of, tokens_before
from zsrec.errors import CapabilityError
from zsrec.llm.cache import CacheCounters
from zsrec.llm.chat import ChatRequest
from zsrec.prompts import Template
from zsrec.types import Message, Sampling

if TYPE_CHECKING:  # importing the openai package takes a second
    from zsrec.llm.client import OpenAIClient

_TRIES = 3
_ONE_TOKEN = Sampling(max_tokens=1)


@dataclass(frozen=True)
class Measured:
    """What the cache did, from the second request on.

    Attributes:
        hits: Tokens found in the cache.
        queries: Tokens looked up: those of the prompts.
        before: Of these, the tokens before the candidates' first title.
        possible: Of `before`, those in whole blocks: the most that could be found.
        requests: How many requests were counted.
        users: Of how many users.
        block: Tokens in a block.
        disturbed: Whether others used the server in every try, so that `hits` is not ours alone.
    """

    hits: int
    queries: int
    before: int
    possible: int
    requests: int
    users: int
    block: int | None
    disturbed: bool

    @property
    def of_before(self) -> float:
        """Hits by tokens before the candidates."""
        return self.hits / self.before if self.before else 0.0

    @property
    def of_all(self) -> float:
        """Hits by tokens of the whole prompts."""
        return self.hits / self.queries if self.queries else 0.0


async def measure_orders(
    template: Template, people: Sequence[Person], meter: Meter, client: OpenAIClient, *, count: int = 4
) -> Measured:
    """Asks about each user's candidates in several orders (or windows), and counts from the second on.

    Args:
        template: The template; one token is generated, whatever it says.
        people: The users.
        meter: Of the same server.
        client: Of the server.
        count: Orders a user.

    Raises:
        CapabilityError: The server does not count its cache's hits.
        LLMError: The server failed.
    """
    total = Measured(0, 0, 0, 0, 0, 0, meter.block, disturbed=False)
    for person in people:
        answers = answers_for(template, None)
        prompts = [
            person.render(template, candidates=one, **answers) for one in orders_of(template, person, count)
        ]
        before = await tokens_before(template, person, meter)
        found, clean = await _ask(prompts, client)
        asked = len(prompts) - 1
        total = replace(
            total,
            hits=total.hits + found.hits,
            queries=total.queries + found.queries,
            before=total.before + before * asked,
            possible=total.possible + before // (meter.block or 1) * (meter.block or 1) * asked,
            requests=total.requests + asked,
            users=total.users + 1,
            disturbed=total.disturbed or not clean,
        )
    return total


async def measure_users(
    template: Template, people: Sequence[Person], meter: Meter, client: OpenAIClient, step: str | None = None
) -> Measured:
    """Asks about one pool for one user after the other, and counts from the second on.

    Args:
        template: The template; one token is generated, whatever it says.
        people: The users.
        meter: Of the same server.
        client: Of the server.
        step: One of the template's earlier steps; None for its own question.

    Raises:
        CapabilityError: The server does not count its cache's hits.
        LLMError: The server failed.
    """
    answers = answers_for(template, step)
    found, clean = await _ask([person.render(template, step, **answers) for person in people], client)
    return Measured(
        found.hits, found.queries, 0, 0, len(people) - 1, len(people), meter.block, disturbed=not clean
    )


async def _ask(prompts: Sequence[tuple[Message, ...]], client: OpenAIClient) -> tuple[CacheCounters, bool]:
    """What the counters say of all prompts but the first, and whether they speak of these prompts alone."""
    found, clean = CacheCounters(0, 0, None), False
    for _ in range(_TRIES):
        salt = secrets.token_hex(8)
        requests = [ChatRequest(messages=one, sampling=_ONE_TOKEN, cache_salt=salt) for one in prompts]
        await client.chat(requests[0])
        start = await _read(client)
        own = 0
        for request in requests[1:]:
            own += (await client.chat(request)).usage.prompt_tokens or 0
        found = (await _read(client)).since(start)
        clean = found.queries == own
        if clean:
            break
    return found, clean


async def _read(client: OpenAIClient) -> CacheCounters:
    counters = await client.cache_counters()
    if counters is None:
        raise CapabilityError(
            "the server does not count its cache's hits (vLLM's /metrics)", hint="measure on a vLLM server"
        )
    return counters
