"""Where a prompt's tokens go: the template's own text, and each variable's share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Protocol

from zsrec.core.errors import CapabilityError, ConfigError, TemplateError
from zsrec.core.types import Message
from zsrec.data.movielens import Dataset
from zsrec.prompts import ItemView, Template, item_view
from zsrec.prompts.diagnostics import unanswered

if TYPE_CHECKING:  # importing the openai package takes a second
    from zsrec.llm.client import OpenAIClient

LABELS = ascii_letters[26:] + ascii_letters[:26]
AT_ONCE = {"explain": 1, "compare": 2}  # candidates in one prompt of these tasks
_PROSE = " This person likes films with a slow pace, a good plan that goes wrong, and few words."
_STAND_INS: dict[str, Any] = {"str": "some text", "int": 3, "items": (), "turns": ()}
_EMPTY: dict[str, Any] = {"items": (), "str": "", "turns": ()}
# Up to six letters of a word with the space before it; a figure; any other sign; a line break.
_PIECE = re.compile(r" ?[^\W\d_]{1,6}|\d| ?[^\w\s]|\s|_")
_FORMAT = 5  # around each message: two marks, the role's name, two line breaks

Tokens = Sequence[int | str]
"""A prompt's tokens in their order; equal ones are equal."""


class Meter(Protocol):
    """A tokenizer, real or estimated."""

    name: str
    block: int | None

    async def tokens(self, prompt: tuple[Message, ...] | str) -> Tokens:
        """The tokens of a chat, its format included, or of a text by itself."""
        ...


class Estimate:
    """Counts without a tokenizer.

    Latin letters by sixes, each figure and each sign, and every CJK character alone: on the shipped templates with
    MovieLens titles docs/linter.md states how far that is from a real tokenizer.
    """

    name = "estimated"
    block: int | None = None

    async def tokens(self, prompt: tuple[Message, ...] | str) -> Tokens:
        """See `Meter`."""
        if isinstance(prompt, str):
            return _pieces(prompt)
        tokens: list[str] = []
        for message in prompt:
            tokens += [f"<{message.role}>", *["<format>"] * (_FORMAT - 1), *_pieces(message.content)]
        return tokens


class Served:
    """Counts with the served model's own tokenizer (vLLM's /tokenize)."""

    def __init__(self, client: OpenAIClient, model: str, block: int | None) -> None:
        self.name, self.block, self._client = f"counted by {model}", block, client

    async def tokens(self, prompt: tuple[Message, ...] | str) -> Tokens:
        """See `Meter`."""
        found = await self._client.token_ids(prompt) if prompt else []
        if found is None:
            raise CapabilityError(
                "the server does not return tokens (vLLM's /tokenize)", hint="leave out --base-url for an estimate"
            )
        return found


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for piece in _PIECE.findall(text):
        pieces += [piece] if piece.isascii() else list(piece.strip()) or [piece]
    return pieces


@dataclass(frozen=True)
class Person:
    """A user and what they are asked about."""

    history: tuple[ItemView, ...]
    candidates: tuple[ItemView, ...]
    known: int
    domain: str | None

    def render(self, template: Template, step: str | None = None, /, **other: Any) -> tuple[Message, ...]:  # noqa: ANN401
        """The prompt of one question."""
        values: dict[str, Any] = {
            name: _STAND_INS[variable.type]
            for name, variable in template.variables.items()
            if variable.default is None and name not in {"history", "candidates", "k", "about", "domain"}
        }
        given = {"history": self.history, "candidates": self.candidates, "domain": self.domain}
        used = {*template.variables, *template.steps}
        values |= {name: value for name, value in (given | other).items() if name in used}
        if "candidates" in values and template.bundle.front.needs_labels:
            pairs = zip(values["candidates"], cycle(LABELS), strict=False)  # beyond the last label they begin anew
            values["candidates"] = tuple(replace(item, label=label) for item, label in pairs)
        return template.render(step, **values)


@dataclass(frozen=True)
class Cast:
    """The users that a template is counted on."""

    typical: Person  # as many events as the median user, the most popular candidates
    worst: Person  # the longest history, the longest titles as candidates
    others: tuple[Person, ...]  # from short histories to long ones


def cast_of(dataset: Dataset, template: Template, *, pool: int = 20, others: int = 5) -> Cast:
    """Chooses the users."""
    catalog = dataset.catalog
    lists = [[e for e in history.events if e.item in catalog] for history in dataset.histories.values()]
    lists = sorted((events for events in lists if events), key=len)
    if not lists:
        raise ConfigError("no user has a history that the catalog knows", hint="check --data")
    pool = min(pool, AT_ONCE.get(template.task, pool))
    counts = Counter(event.item for events in lists for event in events)
    popular = sorted(counts, key=lambda item: (-counts[item], item))[:pool]
    longest = sorted(catalog, key=lambda item: (-len(item.title), item.id))[:pool]
    variable = template.variables.get("history")
    last = variable and variable.last

    def person(number: int, candidates: Sequence[ItemView]) -> Person:
        events = lists[number]
        shown = events[-last:] if last else events
        ages = range(len(shown), 0, -1)
        views = [item_view(catalog[e.item], e, age) for e, age in zip(shown, ages, strict=True)]
        return Person(tuple(views), tuple(candidates), len(events), catalog.domain)

    usual = [item_view(catalog[item_id]) for item_id in popular]
    people = [person(number, usual) for number in range(len(lists))]
    typical = people[len(people) // 2]
    heaviest = max(range(len(people)), key=lambda number: sum(len(view.title) for view in people[number].history))
    places = [round(place * (len(people) - 1) / max(others - 1, 1)) for place in range(others)]
    return Cast(
        typical,
        person(heaviest, [item_view(item) for item in longest]),
        tuple(people[place] for place in dict.fromkeys(places)),
    )


def questions_of(template: Template) -> tuple[str | None, ...]:
    """Everything that a template asks, in order: its earlier steps, then None for its own question."""
    return (*template.steps, None)


def answers_for(template: Template, step: str | None) -> dict[str, str]:
    """Placeholders for the answers of the steps before `step`: each marked, and as long as its `limit` allows.

    A real answer may be shorter, or end sooner at the step's `max_tokens`.
    """
    names = list(template.steps)
    before = names if step is None else names[: names.index(step)]
    limits = {name: template.steps[name].limit for name in before}
    return {name: (unanswered(name) + _PROSE * (n // len(_PROSE) + 1))[:n] for name, n in limits.items()}


@dataclass(frozen=True)
class Part:
    """One share of a prompt."""

    name: str  # system, user: the template's own text; a variable or an earlier step; rest: the chat's format
    tokens: int


@dataclass(frozen=True)
class Budget:
    """What one user's prompt costs."""

    total: int
    parts: tuple[Part, ...]
    shown: int  # events in the prompt
    known: int  # events that the user has
    candidates: int
    by: str  # how it was counted

    def part(self, name: str) -> int:
        """A part's tokens; 0 where the prompt has no such part."""
        return sum(part.tokens for part in self.parts if part.name == name)


async def budget_of(template: Template, person: Person, meter: Meter, step: str | None = None) -> Budget:
    """Counts a prompt by parts: a variable's share is what the prompt loses when the variable is empty."""
    answers = answers_for(template, step)
    messages = person.render(template, step, **answers)
    total = len(await meter.tokens(messages))
    empty = {name: _EMPTY[one.type] for name, one in template.variables.items() if one.type in _EMPTY}
    empty.pop("domain", None)  # a word of the template's own sentences
    empty |= dict.fromkeys(answers, "")
    try:
        bare = {message.role: message.content for message in person.render(template, step, **empty)}
    except TemplateError:
        bare = {}  # a template may need a candidate: then its own text counts as the rest
    parts = [Part(role, len(await meter.tokens(content))) for role, content in bare.items()]
    for name in empty:
        try:
            without = person.render(template, step, **{**answers, name: empty[name]})
        except TemplateError:
            continue
        share = total - len(await meter.tokens(without))
        if share:
            parts.append(Part(name, share))
    parts.append(Part("rest", total - sum(part.tokens for part in parts)))
    uses = set(template.variables) if step is None else {part.name for part in parts}
    return Budget(
        total=total,
        parts=tuple(parts),
        shown=len(person.history) if "history" in uses else 0,
        known=person.known,
        candidates=len(person.candidates) if "candidates" in uses else 0,
        by=meter.name,
    )
