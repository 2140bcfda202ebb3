"""A user's taste in words: one question over a history, and an answer that can be used as `about=`."""

from __future__ import annotations

from zsrec.answers.cleaning import clean
from zsrec.answers.grounding import resolve_history
from zsrec.core.errors import ConfigError
from zsrec.core.types import Exchange, Frozen, TemplateRef
from zsrec.core.untrusted_text import TEXT_LIMIT, inline
from zsrec.llm.protocol import LLM
from zsrec.recommender.prompting import Prompts, ask_once
from zsrec.recommender.request import Pipeline, Request

DEFAULT_TEMPLATE = "profile/default"


class TasteSummary(Frozen):
    """A user's taste in the model's words, and as fallible as any of them.

    Attributes:
        text: The answer as one harmless line of at most 2,000 characters, without thoughts; may be empty.
        exchange: What was sent and answered.
        template: The template used.
        notes: Anything the caller should know.
    """

    text: str
    exchange: Exchange
    template: TemplateRef
    notes: tuple[str, ...] = ()


async def summarize_taste(pipeline: Pipeline, request: Request, llm: LLM) -> TasteSummary:
    """The flow of one `Recommender.taste_summary` call; see there."""
    template = pipeline.template
    if template.task != "profile":
        raise ConfigError(
            f"the template {template.ref} is for the task {template.task!r}", hint=f"use {DEFAULT_TEMPLATE!r}"
        )
    if request.is_empty:
        raise ConfigError("nothing is known of the user", hint="pass a history or about='…'")
    known = resolve_history(request.history, pipeline.catalog, pipeline.grounder)
    prompts = Prompts(pipeline, request, known, tokens=(await llm.handshake()).control_tokens)
    exchange, fitted = await ask_once(llm, prompts.render, prompts.size, template.sampling)
    text = inline(clean(exchange.answer), TEXT_LIMIT)
    notes = prompts.shown(fitted).notes
    if not text:
        notes.append("the model answered nothing")
    elif exchange.finish_reason == "length":
        notes.append("the answer was cut at max_tokens")
    return TasteSummary(text=text, exchange=exchange, template=template.ref, notes=tuple(notes))
