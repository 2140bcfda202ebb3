"""What the service answers without a model: the items of a text, and a history with feedback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zsrec.answers.grounder import Context
from zsrec.answers.grounding import item_ids, read_answer, resolve_history
from zsrec.core.errors import ZsrecError
from zsrec.data.history import History
from zsrec.serving.admission import TooLateError
from zsrec.serving.auth import Tenant
from zsrec.serving.problem_details import RefusedError, refusal
from zsrec.serving.schemas import EventOut, FeedbackIn, FeedbackOut, GroundIn, GroundOut, MentionOut, as_history
from zsrec.serving.service import Service


async def ground(service: Service, wanted: GroundIn, tenant: Tenant) -> GroundOut:
    """The catalog's items in a text."""
    grounder = service.stock.recommender.grounder
    context = Context(candidates=wanted.candidates, history=wanted.history)
    try:
        async with _turn(service, tenant):
            answer = await asyncio.to_thread(read_answer, wanted.text, grounder, side=wanted.side, context=context)
    except ZsrecError as error:
        raise refusal(error) from error
    return GroundOut(
        items=tuple(item_ids(answer.grounded)),
        mentions=tuple(
            MentionOut(text=one.mention.text, start=one.mention.start, end=one.mention.end, match=one.match)
            for one in answer.grounded
        ),
    )


async def feedback(service: Service, given: FeedbackIn, tenant: Tenant) -> FeedbackOut:
    """A history with feedback; where a user is named, it is added to the history that the service keeps."""
    recommender = service.stock.recommender
    if given.user is not None and given.history:
        raise RefusedError(
            422, "UserAndHistory", "user and history are two histories", "the service's and the caller's",
            hint="leave one of them out",
        )  # fmt: skip
    service.check_history(len(given.history) + len(given.feedback))
    async with _turn(service, tenant):
        known = await asyncio.to_thread(
            resolve_history, History(events=given.feedback), recommender.catalog, recommender.grounder
        )
    events = [
        one.event.model_copy(update={"item": one.item.id, "by": "id"}) for one in known if one.item is not None
    ]
    if given.user is not None and events:
        service.keep(given.user, events)
    return FeedbackOut(
        kept=0 if given.user is None else len(events),
        history=as_history((*given.history, *given.feedback)).events,
        feedback=tuple(
            EventOut(event=one.event, item_id=None if one.item is None else one.item.id, why=one.why)
            for one in known
        ),
    )


@asynccontextmanager
async def _turn(service: Service, tenant: Tenant) -> AsyncIterator[None]:
    """A tenant's turn at work that keeps the processor busy."""
    try:
        with service.shares.hold(tenant):
            async with service.cpu_slot.slot(tenant, service.options.deadline):
                yield
    except TooLateError:
        raise RefusedError(503, "Deadline", "others' requests took until the deadline", retry_after=1) from None
