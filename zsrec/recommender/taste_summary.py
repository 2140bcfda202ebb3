"""A user's taste in words: one question over a history, and an answer that can be used as `about=`.

    me = profile(recommender, history)
    print(me.text)                                   # shown to the user, who may mend it
    recommender.recommend(k=5, about=me.text)        # instead of the history, or beside it

A profile is the model's summary and as fallible as any; it is never used without being asked for.
"""

from __future__ import annotations

from pathlib import Path

from zsrec.answers.cleaning import clean
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import resolve_history
from zsrec.core.errors import ConfigError
from zsrec.core.privacy import Redactor
from zsrec.core.types import Exchange, Frozen, Message, TemplateRef
from zsrec.core.untrusted_text import TEXT_LIMIT
from zsrec.data.catalog import Catalog
from zsrec.data.history import History
from zsrec.llm.protocol import Plan
from zsrec.prompts import Template, inline
from zsrec.recommender.prompting import Told, ask_once, harmless
from zsrec.recommender.recommender import Recommender, User

DEFAULT_TEMPLATE = "profile/default"


class Profile(Frozen):
    """A user's taste in the model's words.

    Attributes:
        text: The answer as one harmless line of at most 2,000 characters, without thoughts; may be empty.
        exchange: What was sent and answered.
        template: The template used.
        notes: What the caller should know, in plain words.
    """

    text: str
    exchange: Exchange
    template: TemplateRef
    notes: tuple[str, ...] = ()


def profile(
    recommender: Recommender,
    history: User = (),
    *,
    about: str | None = None,
    template: str | Path | Template = DEFAULT_TEMPLATE,
) -> Profile:
    """Puts a user's taste into words.

    With an `AsyncRecommender`: `await recommender.run(profile_plan(…))`.

    Args:
        recommender: Its catalog, grounder, prompts and model are used; its template is not.
        history: The user's events, or item ids or titles, oldest first.
        about: What the user says of themselves.
        template: A template of the task "profile".

    Raises:
        ConfigError: The template has another task, or nothing is known of the user.
        TemplateError: The template is not there or is wrong.
        LLMError: The server failed.
    """
    plan = profile_plan(
        recommender.catalog,
        recommender.grounder,
        recommender.with_template(template).template,
        history if isinstance(history, History) else History().with_events(history),
        about,
        redact=recommender.redaction,
    )
    return recommender.run(plan)


def profile_plan(
    catalog: Catalog,
    grounder: Grounder,
    template: Template,
    history: History,
    about: str | None = None,
    redact: Redactor | None = None,
) -> Plan[Profile]:
    """The flow of one `profile` call, without I/O; see there.

    Args:
        catalog: The items.
        grounder: Of the same catalog.
        template: Of the task "profile".
        history: The user's events and words.
        about: What the user says of themselves.
        redact: What takes personal data out of the user's own words before they are sent.

    Yields:
        Steps to be done by a driver (`zsrec.llm.protocol.drive`).
    """
    if template.task != "profile":
        raise ConfigError(
            f"the template {template.ref} is for the task {template.task!r}", hint=f"use {DEFAULT_TEMPLATE!r}"
        )
    if not history.events and not history.critiques and not (about or "").strip():
        raise ConfigError("nothing is known of the user", hint="pass a history or about='…'")
    variable = template.variables.get("history")
    known = resolve_history(history, catalog, grounder)
    told = Told(known, history.critiques, last=variable.last if variable else None, redact=redact)
    words = harmless(about, TEXT_LIMIT, redact) if about else about

    def prompt(newest: int) -> tuple[Message, ...]:
        return template.render(history=told.views(newest), about=words, domain=catalog.domain)

    exchange, fitted = yield from ask_once(prompt, told.events, template.sampling)
    text = inline(clean(exchange.answer), TEXT_LIMIT)
    notes = told.missing(fitted.messages, template.ref)
    if fitted.kept < told.events:
        notes.append(f"the {told.events - fitted.kept:,} oldest of {told.events:,} events were left out")
    if not text:
        notes.append("the model answered nothing")
    elif exchange.finish_reason == "length":
        notes.append("the answer was cut at max_tokens")
    return Profile(text=text, exchange=exchange, template=template.ref, notes=tuple(notes))
