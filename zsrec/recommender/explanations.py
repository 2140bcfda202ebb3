"""Asking for the sentences: one request an item, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import resolve_history
from zsrec.core.errors import CapabilityError, ConfigError, ContextOverflowError, LLMError
from zsrec.core.privacy import Redactor
from zsrec.core.types import Exchange, Frozen, Item, Message, Recommendation, TemplateRef
from zsrec.core.untrusted_text import TEXT_LIMIT
from zsrec.data.catalog import Catalog
from zsrec.data.history import Feedback, History
from zsrec.llm.protocol import ChatRequest, Plan, ask_each, binds_choices
from zsrec.prompts import Template
from zsrec.prompts.front_matter import CITED
from zsrec.prompts.item_view import ItemView, item_view
from zsrec.recommender.citations import Citation, citations, first_sentence
from zsrec.recommender.prompting import Fitted, Told, ask_fitting, harmless
from zsrec.recommender.recommender import Recommender, User

_REASONS = (Feedback.SEEN.value, Feedback.LIKED.value)
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}\"/-]")


def pattern_of(pattern: str, shown: Iterable[ItemView]) -> str:
    """A template's pattern with the titles that may be cited; empty where there is none to cite.

    Disliked and skipped items are no reason for a recommendation and are left out.

    Args:
        pattern: With `{history}` where a title stands; empty for none.
        shown: The history as the prompt shows it.
    """
    names = dict.fromkeys(one.display for one in shown if one.id and one.feedback in _REASONS)
    if not pattern or not names:
        return ""
    return pattern.replace(CITED, f"(?:{'|'.join(map(_escaped, names))})")


def require_patterns() -> Plan[None]:
    """Makes sure that the server holds answers to what they are held to.

    Raises:
        CapabilityError: It does not, whatever it accepts.
    """
    if not (yield from binds_choices()):
        raise CapabilityError(
            "the server does not hold its answers to patterns (structured_outputs)",
            hint="use 'explain/default', or serve with vLLM 0.12 or later",
        )


def check_held(exchange: Exchange, pattern: str) -> None:
    """Makes sure that an answer is what it was held to.

    An answer that was cut at max_tokens cannot match as a whole and passes.

    Raises:
        CapabilityError: It is something else.
    """
    if pattern and exchange.finish_reason != "length" and not re.fullmatch(pattern, exchange.answer.strip()):
        raise CapabilityError(
            "the server's answer does not match the pattern that it was held to",
            hint="use 'explain/default'",
            request_id=exchange.request_id,
        )


def _escaped(text: str) -> str:
    """A text as a pattern of every dialect: `re.escape` also escapes spaces, which some refuse."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


DEFAULT_TEMPLATE = "explain/default"


class Explanation(Frozen):
    """Why one item was recommended, in the model's words.

    The model writes this after the ranking and knows nothing of how it came about. Whether what it cites mattered
    is another question (`zsrec.recommender.faithfulness.faithfulness`).

    Attributes:
        item: The recommended item.
        text: The first sentence of the answer; the whole answer stands in `exchange`. Empty where there is none.
        citations: The titles in the sentence, each with what it turned out to be.
        exchange: What was sent and answered; None where no answer came.
        error: Why there is no sentence, the error's type first; None where there is one.
    """

    item: Item
    text: str
    citations: tuple[Citation, ...]
    exchange: Exchange | None
    error: str | None = None

    @property
    def cited(self) -> tuple[str, ...]:
        """Ids of the history's items that the sentence cites, each once, in its order."""
        found = (one.grounded.match.item_id for one in self.citations if one.status == "history")
        return tuple(dict.fromkeys(one for one in found if one is not None))


class Explanations(Frozen):
    """The explanations of one list of recommendations; iterates over them.

    Attributes:
        items: In the order of the recommendations, one for each: also where its request failed (`error`).
        history: The user's history by the catalog's ids, as it stood in the prompts.
        template: The template used.
        notes: What the caller should know, in plain words.
    """

    items: tuple[Explanation, ...]
    history: History
    template: TemplateRef
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Any:  # noqa: ANN401  (pydantic iterates over fields; a list of explanations does not)
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Explanation:
        return self.items[index]


def explain(
    recommender: Recommender,
    recommendations: Iterable[Recommendation | Item],
    history: User = (),
    *,
    about: str | None = None,
    template: str | Path | Template = DEFAULT_TEMPLATE,
) -> Explanations:
    """A sentence for each recommendation, with what it cites.

    Where some of the requests fail, the others' sentences are kept, and each failed one says why in `error`.

    With an `AsyncRecommender`: `await recommender.run(explain_plan(…))`.

    Args:
        recommender: Its catalog, grounder, prompts and model are used; its template is not.
        recommendations: Those of `Recommender.recommend`, or items.
        history: The history that they were made from.
        about: The user in words.
        template: A template of the task "explain".

    Raises:
        ConfigError: The template has another task, nothing is known of the user, or there is no recommendation.
        TemplateError: The template is not there or is wrong.
        LLMError: Every request failed (the first one's error), or the server does not hold answers to the
            template's pattern (`CapabilityError`).
    """
    plan = explain_plan(
        recommender.catalog,
        recommender.grounder,
        recommender.with_template(template).template,
        tuple(one.item if isinstance(one, Recommendation) else one for one in recommendations),
        history if isinstance(history, History) else History().with_events(history),
        about,
        redact=recommender.redaction,
    )
    return recommender.run(plan)


def explain_plan(
    catalog: Catalog,
    grounder: Grounder,
    template: Template,
    items: tuple[Item, ...],
    history: History,
    about: str | None = None,
    redact: Redactor | None = None,
) -> Plan[Explanations]:
    """The flow of one `explain` call, without I/O; see there.

    Args:
        catalog: The items.
        grounder: Of the same catalog.
        template: Of the task "explain".
        items: What to explain.
        history: The user's events and words.
        about: The user in words.
        redact: What takes personal data out of the user's own words before they are sent.

    Yields:
        Steps to be done by a driver (`zsrec.llm.protocol.drive`).
    """
    if template.task != "explain":
        raise ConfigError(
            f"the template {template.ref} is for the task {template.task!r}", hint=f"use {DEFAULT_TEMPLATE!r}"
        )
    if not items:
        raise ConfigError("there is nothing to explain", hint="give at least one recommendation")
    if not history.events and not history.critiques and not (about or "").strip():
        raise ConfigError(
            "nothing is known of the user to explain with", hint="pass the history that the items were made from"
        )
    known = resolve_history(history, catalog, grounder)
    variable = template.variables.get("history")
    told = Told(known, history.critiques, last=variable.last if variable else None, redact=redact)
    about = harmless(about, TEXT_LIMIT, redact) if about else about

    def prompt(item: Item, newest: int) -> tuple[Message, ...]:
        return template.render(
            history=told.views(newest), candidates=[item_view(item)], about=about, domain=catalog.domain
        )

    longest = max(items, key=lambda item: len(item.title))

    if template.pattern:
        yield from require_patterns()

    def one(fitted: Fitted) -> Plan[tuple[_Asked, ...]]:
        pattern = pattern_of(template.pattern, told.views(fitted.kept))
        requests = (
            ChatRequest(messages=prompt(item, fitted.kept), sampling=template.sampling, pattern=pattern)
            for item in items
        )
        replies = yield from ask_each(*requests)
        asked = tuple(_asked(reply, pattern) for reply in replies)
        errors = [error for _, error in asked if error is not None]
        too_long = [error for error in errors if isinstance(error, ContextOverflowError)]
        if too_long and fitted.kept > 1:
            raise too_long[0]  # all are asked again with less: every sentence is about the same history
        if len(errors) == len(asked):
            raise errors[0]
        return asked

    max_tokens = template.sampling.max_tokens
    asked, fitted = yield from ask_fitting(lambda newest: prompt(longest, newest), told.events, max_tokens, one)
    shown = told.kept(fitted.kept)
    mine = {one.item.id: one.item for one in shown if one.item is not None}
    explanations = []
    for item, (exchange, error) in zip(items, asked, strict=True):
        why = None if error is None else f"{type(error).__name__}: {error.message}"
        sentence = first_sentence(exchange.answer) if exchange is not None and error is None else ""
        found = citations(sentence, item, tuple(mine.values()), grounder)
        explanations.append(Explanation(item=item, text=sentence, citations=found, exchange=exchange, error=why))
    return Explanations(
        items=tuple(explanations),
        history=History(
            events=tuple(
                one.event.model_copy(update={"item": one.item.id, "by": "id"})
                for one in shown
                if one.item is not None
            )
        ),
        template=template.ref,
        notes=(*told.missing(fitted.messages, template.ref), *_notes(explanations, shown=bool(mine))),
    )


class _Asked(NamedTuple):
    """What came of one request: an answer, an error, or an answer that is no good and why."""

    exchange: Exchange | None
    error: LLMError | None = None


def _asked(reply: Exchange | LLMError, pattern: str) -> _Asked:
    if isinstance(reply, LLMError):
        return _Asked(None, reply)
    try:
        check_held(reply, pattern)
    except LLMError as error:
        return _Asked(reply, error)
    return _Asked(reply)


def _notes(explanations: list[Explanation], *, shown: bool) -> list[str]:
    errors = [one.error for one in explanations if one.error is not None]
    said = [one for one in explanations if one.error is None]
    bare = sum(not one.cited for one in said)
    cited = [citation for one in said for citation in one.citations]
    strange = sum(citation.status in ("not_in_history", "not_in_catalog") for citation in cited)
    exchanges = [(one.exchange, one.text) for one in said if one.exchange is not None]
    cut = sum(
        exchange.finish_reason == "length" and exchange.answer.strip() == text for exchange, text in exchanges
    )
    return [
        *([f"{len(errors)} of {len(explanations)} sentences failed: {errors[0]}"] if errors else []),
        *([f"{bare} of {len(said)} sentences cite nothing of the history"] if bare and shown else []),
        *([f"{strange} citations are not in the history"] if strange else []),
        *([f"{cut} sentences were cut at max_tokens"] if cut else []),
    ]
