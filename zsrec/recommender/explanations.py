"""Explanations: a sentence for each recommendation, one request each, all sent together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from zsrec.answers.grounding import resolve_history
from zsrec.core.errors import CapabilityError, ConfigError, ContextOverflowError, LLMError
from zsrec.core.types import Exchange, Frozen, Item, TemplateRef
from zsrec.data.history import Feedback, History
from zsrec.llm.dialects import escaped
from zsrec.llm.protocol import LLM, ChatRequest, chat_each
from zsrec.prompts.front_matter import CITED
from zsrec.prompts.item_view import ItemView
from zsrec.recommender.citations import Citation, citations, first_sentence
from zsrec.recommender.prompting import Fitted, Prompts, ask_fitting
from zsrec.recommender.request import Pipeline, Request

DEFAULT_TEMPLATE = "explain/default"

_CITABLE = (Feedback.SEEN.value, Feedback.LIKED.value)
_Answer = tuple[Exchange | None, LLMError | None]  # an answer, an error, or an answer that is not valid and why


class Explanation(Frozen):
    """Why one item was recommended, in the model's words.

    The model writes this after the ranking and knows nothing of how it came about. Whether what it cites mattered
    is another question (`zsrec.recommender.faithfulness.faithfulness`).

    Attributes:
        item: The recommended item.
        text: The first sentence of the answer; the whole answer is in `exchange`. Empty where there is none.
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
        history: The user's history by the catalog's ids, as the prompts showed it.
        template: The template used.
        notes: Anything the caller should know.
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


async def explain(pipeline: Pipeline, request: Request, items: Sequence[Item], llm: LLM) -> Explanations:
    """The flow of one `Recommender.explain` call; see there."""
    template = pipeline.template
    if template.task != "explain":
        raise ConfigError(
            f"the template {template.ref} is for the task {template.task!r}", hint=f"use {DEFAULT_TEMPLATE!r}"
        )
    if not items:
        raise ConfigError("there is nothing to explain", hint="give at least one recommendation")
    if request.is_empty:
        raise ConfigError(
            "nothing is known of the user to explain with", hint="pass the history that the items were made from"
        )
    if template.pattern:
        await require_patterns(llm)
    known = resolve_history(request.history, pipeline.catalog, pipeline.grounder)
    prompts = Prompts(pipeline, request, known, items, tokens=(await llm.handshake()).control_tokens)
    longest = max(range(len(items)), key=lambda one: len(items[one].title))

    async def ask(fitted: Fitted) -> list[_Answer]:
        pattern = pattern_of(template.pattern, prompts.history.views(prompts.parts(fitted.shown)[0]))
        requests = (
            ChatRequest(messages=prompts.render(fitted.shown, [one]), sampling=template.sampling, pattern=pattern)
            for one in range(len(items))
        )
        answers = [_checked(reply, pattern) for reply in await chat_each(llm, requests)]
        errors = [error for _, error in answers if error is not None]
        too_long = [error for error in errors if isinstance(error, ContextOverflowError)]
        if too_long and fitted.shown > 1:
            raise too_long[0]  # all are asked again with less: every sentence is about the same history
        if len(errors) == len(answers):
            raise errors[0]
        return answers

    answers, fitted = await ask_fitting(
        llm, lambda newest: prompts.render(newest, [longest]), prompts.size, template.sampling.max_tokens, ask
    )
    shown = prompts.shown(fitted)
    newest = [(one.event, one.item) for one in prompts.history.newest(shown.events) if one.item is not None]
    own = {item.id: item for _, item in newest}
    explanations = []
    for item, (exchange, error) in zip(items, answers, strict=True):
        sentence = first_sentence(exchange.answer) if exchange is not None and error is None else ""
        explanations.append(
            Explanation(
                item=item,
                text=sentence,
                citations=citations(sentence, item, tuple(own.values()), pipeline.grounder),
                exchange=exchange,
                error=None if error is None else f"{type(error).__name__}: {error.message}",
            )
        )
    events = tuple(event.model_copy(update={"item": item.id, "by": "id"}) for event, item in newest)
    notes = (*shown.notes, *_notes(explanations, shown=bool(own)))
    return Explanations(
        items=tuple(explanations), history=History(events=events), template=template.ref, notes=notes
    )


def pattern_of(pattern: str, shown: Iterable[ItemView]) -> str:
    """A template's pattern with the titles that may be cited for `{history}`; empty where there is none to cite.

    Disliked and skipped items are no reason for a recommendation and are left out.
    """
    names = dict.fromkeys(one.display for one in shown if one.id and one.feedback in _CITABLE)
    if not pattern or not names:
        return ""
    return pattern.replace(CITED, f"(?:{'|'.join(map(escaped, names))})")


async def require_patterns(llm: LLM) -> None:
    """Checks that the server enforces patterns, whatever it accepts."""
    if not await llm.binds_choices():
        raise CapabilityError(
            "the server does not hold its answers to patterns (structured_outputs)",
            hint="use 'explain/default', or serve with vLLM 0.12 or later",
        )


def check_pattern(exchange: Exchange, pattern: str) -> None:
    """Checks that an answer matches its pattern; one that was cut at max_tokens cannot, and passes."""
    if pattern and exchange.finish_reason != "length" and not re.fullmatch(pattern, exchange.answer.strip()):
        raise CapabilityError(
            "the server's answer does not match the pattern that it was held to",
            hint="use 'explain/default'",
            request_id=exchange.request_id,
        )


def _checked(reply: Exchange | LLMError, pattern: str) -> _Answer:
    if isinstance(reply, LLMError):
        return None, reply
    try:
        check_pattern(reply, pattern)
    except LLMError as error:
        return reply, error
    return reply, None


def _notes(explanations: list[Explanation], *, shown: bool) -> list[str]:
    errors = [one.error for one in explanations if one.error is not None]
    written = [one for one in explanations if one.error is None]
    bare = sum(not one.cited for one in written)
    cited = [citation for one in written for citation in one.citations]
    strange = sum(citation.status in ("not_in_history", "not_in_catalog") for citation in cited)
    exchanges = [(one.exchange, one.text) for one in written if one.exchange is not None]
    cut = sum(
        exchange.finish_reason == "length" and exchange.answer.strip() == text for exchange, text in exchanges
    )
    return [
        *([f"{len(errors)} of {len(explanations)} sentences failed: {errors[0]}"] if errors else []),
        *([f"{bare} of {len(written)} sentences cite nothing of the history"] if bare and shown else []),
        *([f"{strange} citations are not in the history"] if strange else []),
        *([f"{cut} sentences were cut at max_tokens"] if cut else []),
    ]
