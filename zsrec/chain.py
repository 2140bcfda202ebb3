"""The earlier steps of a template that asks several questions: each is answered before the next one is asked.

Only the template's last question is about recommendations (`zsrec.plan`). What an earlier one is answered is a
text, which later steps may show; it is as untrusted as a title, and `Template.render` treats it as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol

from zsrec.fit import Fitted, ask_once
from zsrec.parse.clean import clean
from zsrec.prompts import Template
from zsrec.steps import Plan
from zsrec.types import Exchange, Message


class Render(Protocol):
    """Renders an earlier step."""

    def __call__(self, name: str, newest: int, answers: Mapping[str, str]) -> tuple[Message, ...]:
        """The messages.

        Args:
            name: The step.
            newest: How many of the newest events stand in it.
            answers: What the steps before it answered, by name.
        """


class Earlier(NamedTuple):
    """What became of the earlier steps; empty where the template asks one question only.

    Attributes:
        answers: The text of each answer, by the step's name, without thoughts.
        exchanges: What was sent and answered, in order.
        prompts: The prompts as they fitted.
        notes: What the caller should know, in plain words.
    """

    answers: Mapping[str, str]
    exchanges: tuple[Exchange, ...] = ()
    prompts: tuple[Fitted, ...] = ()
    notes: tuple[str, ...] = ()

    def joined(self, last: Fitted) -> Fitted:
        """All that was told of the user, in any step; `kept` counts the events that stand in every one of them."""
        steps = (*self.prompts, last)
        messages = tuple(message for step in steps for message in step.messages)
        return Fitted(messages, min(step.kept for step in steps))


def ask_steps(template: Template, render: Render, events: int) -> Plan[Earlier]:
    """Asks the earlier steps of a template, one after the other.

    Args:
        template: The template.
        render: Renders one of its steps.
        events: How many events of the history a prompt may show.

    Raises:
        ContextOverflowError: A step does not fit even without a history.
        LLMError: The server failed.
    """
    answers: dict[str, str] = {}
    exchanges: list[Exchange] = []
    prompts: list[Fitted] = []
    notes: list[str] = []
    for name in template.steps:
        exchange, fitted = yield from ask_once(
            partial(render, name, answers=answers), events, template.step_sampling(name)
        )
        answers[name] = clean(exchange.answer).strip()
        exchanges.append(exchange.model_copy(update={"step": name}))
        prompts.append(fitted)
        if not answers[name]:
            notes.append(f"step {name!r} answered nothing")
        elif exchange.finish_reason == "length":
            notes.append(f"the answer of step {name!r} was cut at max_tokens")
    return Earlier(answers, tuple(exchanges), tuple(prompts), tuple(notes))
