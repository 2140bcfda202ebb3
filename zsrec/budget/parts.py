"""Where a prompt's tokens go: the template's own text, and each variable's share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zsrec.budget.meters import Meter
from zsrec.budget.people import Person, answers_for
from zsrec.errors import TemplateError
from zsrec.prompts import Template

_EMPTY: dict[str, Any] = {"items": (), "str": ""}


@dataclass(frozen=True)
class Part:
    """One share of a prompt.

    Attributes:
        name: "system" and "user" for the template's own text, else a variable's name or an earlier step's, whose
            answer it is; "rest" for the chat's format and what only appears where several variables have a value.
        tokens: How many; of "rest" it may be a few below 0.
    """

    name: str
    tokens: int


@dataclass(frozen=True)
class Budget:
    """What one user's prompt costs.

    Attributes:
        total: Tokens of the whole prompt, the chat's format included.
        parts: They sum to `total`.
        shown: Events of the history in the prompt.
        known: Events that the user has.
        candidates: Candidates in the prompt.
        by: How it was counted (`Meter.name`).
    """

    total: int
    parts: tuple[Part, ...]
    shown: int
    known: int
    candidates: int
    by: str

    def part(self, name: str) -> int:
        """A part's tokens; 0 where the prompt has no such part."""
        return sum(part.tokens for part in self.parts if part.name == name)


async def budget_of(template: Template, person: Person, meter: Meter, step: str | None = None) -> Budget:
    """Counts a prompt by parts: a variable's share is what the prompt loses when the variable is empty.

    Args:
        template: The template.
        person: Whose prompt.
        meter: Counts.
        step: One of the template's earlier steps; None for its own question. Answers of the steps before are
            stand-ins, as long as their limit allows.

    Raises:
        TemplateError: The template fails on this user.
        LLMError: The server failed.
    """
    answers = answers_for(template, step)
    messages = person.render(template, step, **answers)
    total = len(await meter.chat(messages))
    empty = {name: _EMPTY[one.type] for name, one in template.variables.items() if one.type in _EMPTY}
    empty.pop("domain", None)  # a word of the template's own sentences
    empty |= dict.fromkeys(answers, "")
    try:
        bare = {message.role: message.content for message in person.render(template, step, **empty)}
    except TemplateError:
        bare = {}  # a template may need a candidate: then its own text counts as the rest
    parts = [Part(role, len(await meter.text(content))) for role, content in bare.items()]
    for name in empty:
        try:
            without = person.render(template, step, **{**answers, name: empty[name]})
        except TemplateError:
            continue
        share = total - len(await meter.chat(without))
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
