"""How a call is answered: generated, ranked or retrieved. docs/strategy.md has the rule and its measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from zsrec.core.errors import ConfigError, LLMConnectionError
from zsrec.core.types import Recommendations, Strategy
from zsrec.llm.protocol import LLM
from zsrec.prompts import Template
from zsrec.recommender.candidates import retrieval_order
from zsrec.recommender.pipeline import recommend
from zsrec.recommender.request import Pipeline, Request

FEW_EVENTS = 3
"""Below so many events a history says less than the model knows."""

CONVERSATION_TEMPLATE = "converse/default"
RANK_TEMPLATE = "rank/default"


class Route(NamedTuple):
    """How a call is answered, and why."""

    strategy: Strategy
    why: str
    pipeline: Pipeline
    request: Request


async def answer(
    pipeline: Pipeline, request: Request, strategy: Strategy, llm: LLM, load: Callable[[str], Template]
) -> Recommendations:
    """Recommends in the way that `strategy` names or, for "auto", that what is known of the user suggests.

    With "auto" and without a template of the caller's, a server that cannot be reached is answered by retrieval
    where there is any, and marked.

    Raises:
        ConfigError: The strategy does not go with the template, or there is nothing to retrieve from.
        ZsrecError: See `recommend`.
    """
    if strategy == "auto" and pipeline.template_given:
        found = await recommend(pipeline, request, llm)
        return _marked(found, "rank" if pipeline.ranks else "generate")
    route = route_of(pipeline, request, strategy, load)
    if route.strategy == "retrieve":
        pipeline.check(request)
        return _marked(retrieval_order(route.pipeline, route.request), "retrieve", route.why)
    try:
        found = await recommend(route.pipeline, route.request, llm)
    except LLMConnectionError as error:
        if strategy != "auto" or (pipeline.retriever is None and pipeline.popularity is None):
            raise
        found = retrieval_order(pipeline, request)
        return _marked(found, "retrieve", f"the model could not be reached: {error.message}")
    return _marked(found, route.strategy, route.why)


def route_of(pipeline: Pipeline, request: Request, strategy: Strategy, load: Callable[[str], Template]) -> Route:
    """The rule of docs/strategy.md."""
    if strategy == "auto":
        strategy, why = _chosen(pipeline, request)
    else:
        why = "the caller asked for it"
    if strategy == "retrieve":
        return Route(strategy, why, pipeline, request)
    if pipeline.template_given:
        task = "rank" if pipeline.ranks else "generate"
        if task != strategy:
            raise ConfigError(
                f"strategy={strategy!r} with the template {pipeline.template.ref} of the task {task!r}",
                hint="leave out one of them",
            )
    elif strategy == "rank":
        pipeline = replace(pipeline, template=load(RANK_TEMPLATE))
    elif request.conversation:
        pipeline = replace(pipeline, template=load(CONVERSATION_TEMPLATE))
    retrieves = pipeline.retriever is not None or request.speaks
    if strategy == "generate" and retrieves and not request.candidates and not request.fill:
        request = replace(request, fill="retrieval")
    return Route(strategy, why, pipeline, request)


def _chosen(pipeline: Pipeline, request: Request) -> tuple[Strategy, str]:
    events = len(request.history.events)
    if request.speaks:
        return "generate", "the user says in words what they want"
    if events < FEW_EVENTS:
        return "generate", f"events known of the user: {events}, fewer than {FEW_EVENTS}"
    if pipeline.retriever is None:
        return "generate", "there is no retriever"
    return "rank", f"{events} events are known, and a retriever orders candidates"


def _marked(found: Recommendations, strategy: Strategy, why: str = "") -> Recommendations:
    notes = (*found.trace.notes, f"strategy {strategy!r}: {why}") if why else found.trace.notes
    return found.model_copy(
        update={"trace": found.trace.model_copy(update={"strategy": strategy, "notes": notes})}
    )
