"""Real users to count on: a typical one, a worst one, and some more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import Any

from zsrec.data import Dataset
from zsrec.errors import ConfigError
from zsrec.prompts import ItemView, Template, item_view
from zsrec.prompts.questions import unanswered
from zsrec.types import Message

LABELS = ascii_letters[26:] + ascii_letters[:26]
AT_ONCE = {"explain": 1, "compare": 2}  # candidates in one prompt of these tasks
_PROSE = " This person likes films with a slow pace, a good plan that goes wrong, and few words."
_STAND_INS: dict[str, Any] = {"str": "some text", "int": 3, "items": ()}


@dataclass(frozen=True)
class Person:
    """A user and what they are asked about.

    Attributes:
        history: Their events as a prompt may show them, oldest first.
        candidates: The items to choose from.
        known: How many events there are; the template may show the newest of them only.
        domain: What the items are; None takes the template's default.
    """

    history: tuple[ItemView, ...]
    candidates: tuple[ItemView, ...]
    known: int
    domain: str | None

    def render(self, template: Template, step: str | None = None, /, **other: Any) -> tuple[Message, ...]:  # noqa: ANN401
        """The prompt of one question.

        Args:
            template: The template.
            step: One of its earlier steps; None for its own question.
            other: Variables with other values than this person's, and answers of earlier steps; without these
                "[the answer of …]" stands in their place.

        Raises:
            TemplateError: The template fails on this user.
        """
        values: dict[str, Any] = {
            name: _STAND_INS[variable.type]
            for name, variable in template.variables.items()
            if variable.default is None and name not in {"history", "candidates", "k", "about", "domain"}
        }
        given = {"history": self.history, "candidates": self.candidates, "domain": self.domain}
        used = {*template.variables, *template.steps}
        values |= {name: value for name, value in (given | other).items() if name in used}
        if "candidates" in values and template.bundle.front.needs_labels:
            values["candidates"] = with_labels(values["candidates"])
        return template.render(step, **values)


@dataclass(frozen=True)
class Cast:
    """The users that a template is counted on.

    Attributes:
        typical: Has as many events as the median user, and the pool's candidates in its order.
        worst: Has the longest history, and the longest titles of the catalog as candidates.
        others: Some more, from short histories to long ones, with the typical one's candidates.
    """

    typical: Person
    worst: Person
    others: tuple[Person, ...]


def cast_of(dataset: Dataset, template: Template, *, pool: int = 20, others: int = 5) -> Cast:
    """Chooses the users.

    Args:
        dataset: A catalog and histories; events whose item the catalog lacks are left out.
        template: Whose `history: {last: …}` says how many events are shown.
        pool: How many candidates: those that most of the users know, which nobody's history is kept free of.
        others: How many more users.

    Raises:
        ConfigError: There is no user with a history.
    """
    catalog = dataset.catalog
    lists = [[e for e in history.events if e.item in catalog] for history in dataset.histories.values()]
    lists = sorted((events for events in lists if events), key=len)
    if not lists:
        raise ConfigError("no user has a history that the catalog knows", hint="check --data")
    pool = min(pool, AT_ONCE.get(template.task, pool))
    counts: dict[str, int] = {}
    for events in lists:
        for event in events:
            counts[event.item] = counts.get(event.item, 0) + 1
    popular = sorted(counts, key=lambda item: (-counts[item], item))[:pool]
    longest = sorted((item for item in catalog), key=lambda item: (-len(item.title), item.id))[:pool]
    variable = template.variables.get("history")
    last = variable.last if variable is not None else None

    def person(number: int, candidates: Sequence[ItemView]) -> Person:
        events = lists[number]
        shown = events if last is None else events[-last:]
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
    """What stands for the answers of the steps before `step`: each marked, and as long as its `limit` allows.

    A real answer may be shorter, or end sooner at the step's `max_tokens`.
    """
    names = list(template.steps)
    before = names if step is None else names[: names.index(step)]
    return {name: _filled(unanswered(name), template.steps[name].limit) for name in before}


def _filled(mark: str, length: int) -> str:
    return (mark + _PROSE * (length // len(_PROSE) + 1))[:length]


def with_labels(items: Sequence[ItemView], labels: Sequence[str] = LABELS) -> tuple[ItemView, ...]:
    """The items under labels; behind the last label they begin anew, which only the count of tokens may see."""
    return tuple(replace(item, label=labels[place % len(labels)]) for place, item in enumerate(items))
