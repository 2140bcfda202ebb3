"""Prompt prefixes that a server's cache can share.

vLLM shares whole blocks of tokens, each hashed with all before it: what counts is the common beginning, rounded
down.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from zsrec.core.errors import CapabilityError
from zsrec.core.types import Message, Sampling
from zsrec.evaluation.token_budget import LABELS, Budget, Cast, Meter, Person, Tokens, answers_for, questions_of
from zsrec.llm.protocol import LLM, ChatRequest, ServerInfo
from zsrec.llm.responses import CacheCounters
from zsrec.prompts import ItemView, Problem, Template, title_view
from zsrec.prompts.synthetic_users import common
from zsrec.ranking.label import orders
from zsrec.ranking.rankers import PAIRWISE, windows

if TYPE_CHECKING:  # importing the openai package takes a second
    from zsrec.llm.client import OpenAIClient


_SENTINELS = ("Quokka", "7 axolotls")  # two titles that no tokenizer begins with the same token


@dataclass(frozen=True)
class Shared:
    """A common beginning."""

    tokens: int
    of: int  # the length of the shorter prompt
    block: int | None  # tokens in a block of the cache; None where nobody knows

    @property
    def cached(self) -> int:
        """Tokens of it in whole blocks; without a block's size all of them."""
        return self.tokens if self.block is None else self.tokens // self.block * self.block


@dataclass(frozen=True)
class Prefix:
    """What is predicted for one template."""

    users: Shared  # by two users with the same candidates
    orders: Shared | None  # by all orders or windows of one user's candidates
    before: int  # tokens before the first candidate's title
    follows: Shared | None = None  # with the question before it; None for the first one


def orders_of(template: Template, person: Person, count: int = 4) -> list[tuple[ItemView, ...]]:
    """The lists of candidates that are asked about for one user, as the template's ranker would make them."""
    shown, ranking = person.candidates, template.ranking
    if template.ranker in ("window", "pairwise"):
        size, stride = (ranking.window, ranking.stride) if template.ranker == "window" else PAIRWISE.values()
        return [shown[start:end] for start, end in islice(windows(len(shown), size, stride), count)]
    several = islice(orders(range(len(shown)), template.sampling.seed), count)
    return [tuple(shown[one] for one in order) for order in several]


async def prefix_of(template: Template, cast: Cast, meter: Meter, step: str | None = None) -> Prefix:
    """Predicts what prompts share, from their tokens."""
    person = cast.typical
    other = replace(cast.worst, candidates=person.candidates)
    answers = answers_for(template, step)
    first, second = [await meter.tokens(one.render(template, step, **answers)) for one in (person, other)]
    users = Shared(common(first, second), min(len(first), len(second)), meter.block)
    follows, questions = None, questions_of(template)
    if place := questions.index(step):
        before = person.render(template, questions[place - 1], **answers)
        follows = Shared(common(await meter.tokens(before), first), len(first), meter.block)
    if "candidates" not in template.variables or step is not None:
        return Prefix(users, None, 0, follows)
    rendered = [person.render(template, candidates=one, **answers) for one in orders_of(template, person)]
    prompts = [await meter.tokens(one) for one in rendered]
    shared = min((common(prompts[0], one) for one in prompts[1:]), default=len(prompts[0]))
    between = Shared(shared, min(len(one) for one in prompts), meter.block)
    return Prefix(users, between, await tokens_before(template, person, meter), follows)


async def tokens_before(template: Template, person: Person, meter: Meter) -> int:
    """Tokens before the first candidate's title, its label and the chat's format included."""

    async def tokens(title: str) -> Tokens:
        candidates: Any = tuple(title_view(title) for _ in person.candidates)
        return await meter.tokens(person.render(template, candidates=candidates, **answers_for(template, None)))

    return common(*[await tokens(title) for title in _SENTINELS])


async def label_tokens(template: Template, llm: LLM, wanted: int) -> list[Problem]:
    """Labels that this server's model has no single token for, and what that means."""
    if not template.ranking.reads_labels(template.ranker):
        return []
    place = (template.ref.path, template.bundle.main.lines.get(("ranker",), 1))
    if template.ranker != "label":
        wanted = min(wanted, 2 if template.ranker == "pairwise" else template.ranking.window)
    try:
        found = [label.text for label in (await llm.labels(wanted)).labels]
    except CapabilityError as error:
        return [Problem(*place, error.message, rule="label-tokens")]
    several = [text for text in LABELS[:wanted] if text not in found]
    if not several:
        return []
    instead = ", ".join(text for text in found if text not in LABELS[:wanted])
    message = f"{', '.join(several)} are not one token each for this model; {instead} stand for them"
    return [Problem(*place, message, "warning", rule="label-tokens")]


def context_fits(
    template: Template, budget: Budget, server: ServerInfo, step: str | None = None
) -> Iterator[Problem]:
    """Whether the worst user's prompt and its answer fit the model's context."""
    if server.context_length is None:
        return
    answer = 1 if template.ranking.reads_labels(template.ranker) else template.sampling.max_tokens
    answer = answer if step is None else template.step_sampling(step).max_tokens
    where = "" if step is None else f"step {step!r}: "
    available = server.context_length - answer
    fixed = budget.total - budget.part("history")
    if fixed > available:
        message = f"{where}the prompt takes {fixed:,} tokens without any history, and {available:,} are available"
        yield Problem(template.ref.path, 1, message, rule="context")
    elif budget.total > available:
        message = (
            f"{where}a history of {budget.shown:,} events makes {budget.total:,} tokens, and {available:,} are "
            "available: its oldest events will be left out"
        )
        yield Problem(template.ref.path, 1, message, "warning", rule="context")


_TRIES = 3
_ONE_TOKEN = Sampling(max_tokens=1)


@dataclass(frozen=True)
class Measured:
    """What the cache did, from the second request on."""

    hits: int  # tokens found in the cache
    queries: int  # tokens of the prompts
    before: int  # of these, before the candidates' first title
    possible: int  # of `before`, in whole blocks: the most that could be found
    requests: int
    users: int
    block: int | None
    disturbed: bool  # others used the server in every try

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
    """Asks about each user's candidates in several orders (or windows), and counts from the second on."""
    hits = queries = before = possible = requests = 0
    disturbed, block, answers = False, meter.block or 1, answers_for(template, None)
    for person in people:
        lists = orders_of(template, person, count)
        prompts = [person.render(template, candidates=one, **answers) for one in lists]
        prefix = await tokens_before(template, person, meter)
        found, clean = await _ask(prompts, client)
        asked = len(prompts) - 1
        hits, queries, requests = hits + found.hits, queries + found.queries, requests + asked
        before, possible = before + prefix * asked, possible + prefix // block * block * asked
        disturbed = disturbed or not clean
    return Measured(hits, queries, before, possible, requests, len(people), meter.block, disturbed)


async def measure_users(
    template: Template, people: Sequence[Person], meter: Meter, client: OpenAIClient, step: str | None = None
) -> Measured:
    """Asks about one pool for one user after the other, and counts from the second on."""
    answers = answers_for(template, step)
    found, clean = await _ask([person.render(template, step, **answers) for person in people], client)
    return Measured(
        found.hits, found.queries, 0, 0, len(people) - 1, len(people), meter.block, disturbed=not clean
    )


async def _ask(prompts: Sequence[tuple[Message, ...]], client: OpenAIClient) -> tuple[CacheCounters, bool]:
    """What the counters say of all prompts but the first, and whether they speak of these prompts alone."""
    for _ in range(_TRIES):
        salt = secrets.token_hex(8)
        requests = [ChatRequest(messages=one, sampling=_ONE_TOKEN, cache_salt=salt) for one in prompts]
        await client.chat(requests[0])
        start = await _read(client)
        own = 0
        for request in requests[1:]:
            own += (await client.chat(request)).usage.prompt_tokens or 0
        found = (await _read(client)).since(start)
        if clean := found.queries == own:
            break
    return found, clean


async def _read(client: OpenAIClient) -> CacheCounters:
    counters = await client.cache_counters()
    if counters is None:
        raise CapabilityError(
            "the server does not count its cache's hits (vLLM's /metrics)", hint="measure on a vLLM server"
        )
    return counters
