"""The routes: they read a request, call the service and write the answer."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from zsrec.errors import LLMError, ZsrecError
from zsrec.ground import Context
from zsrec.ground.answer import ground_answer, item_ids
from zsrec.ground.history import resolve_history
from zsrec.serve.bodies import (
    EventOut,
    FeedbackIn,
    FeedbackOut,
    GroundIn,
    GroundOut,
    Health,
    MentionOut,
    Problem,
    Ready,
    RecommendIn,
    RecommendOut,
    ReloadOut,
    TemplateOut,
    as_history,
)
from zsrec.serve.deadline import until, while_called
from zsrec.serve.keys import Keys, Tenant
from zsrec.serve.problems import RefusedError, refusal
from zsrec.serve.service import Service
from zsrec.serve.stock import Stock
from zsrec.types import History

_HANDSHAKE = 2.0
_bearer = HTTPBearer(auto_error=False, description="A key of the file given as --keys.")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    what = {
        400: "The body is no JSON.",
        401: "No key, or an unknown one.",
        403: "The key is no admin's.",
        413: "The body is too large.",
        422: "The request is wrong.",
        429: "The queue is full, or the key has too many requests under way; see Retry-After.",
        503: "Neither the model nor anything else gives an order.",
    }
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": what[status], "content": schema, "model": Problem} for status in statuses}


async def service_of(request: Request) -> Service:  # not sync: FastAPI would send it to a thread
    """The application's service."""
    service: Service = request.app.state.service
    return service


async def caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Tenant:
    """Who calls.

    Raises:
        RefusedError: The service asks for keys, and this is none of them.
    """
    keys: Keys | None = request.app.state.keys
    if keys is None:
        return Tenant(None, admin=False)
    tenant = None if given is None else keys.tenant(given.credentials)
    if tenant is None:
        raise RefusedError(401, "Unauthorized", "a key is needed", hint="Authorization: Bearer KEY")
    return tenant


Called = Annotated[Service, Depends(service_of)]
By = Annotated[Tenant, Depends(caller)]
router = APIRouter()
v1 = APIRouter(prefix="/v1", dependencies=[Depends(caller)])


@v1.post("/recommend", responses=_problems(400, 401, 413, 422, 429, 503))
async def recommend(wanted: RecommendIn, request: Request, service: Called, tenant: By) -> RecommendOut:
    """Recommends items that the user does not know.

    Where the model is down, too slow or of no use, `degraded` says why and the items come in retrieval order.
    """
    return await while_called(request.receive, service.recommend(wanted, tenant, request.state.id))


@v1.post("/ground", responses=_problems(400, 401, 413, 422, 429))
async def ground(wanted: GroundIn, service: Called, tenant: By) -> GroundOut:
    """Finds the catalog's items in a text, without a model."""
    grounder = service.stock.recommender.grounder
    context = Context(candidates=wanted.candidates, history=wanted.history)
    try:
        with service.shares.one(tenant):
            async with service.desk.place():
                found = await asyncio.to_thread(
                    ground_answer, wanted.text, grounder, side=wanted.side, context=context
                )
    except ZsrecError as error:
        raise refusal(error) from error
    return GroundOut(
        items=tuple(item_ids(found)),
        mentions=tuple(
            MentionOut(text=one.mention.text, start=one.mention.start, end=one.mention.end, match=one.match)
            for one in found
        ),
    )


@v1.post("/feedback", responses=_problems(400, 401, 413, 422, 429))
async def feedback(given: FeedbackIn, service: Called, tenant: By) -> FeedbackOut:
    """Adds feedback to a history and gives it back; the service keeps nothing."""
    recommender = service.stock.recommender
    if len(given.history) + len(given.feedback) > service.options.max_history:
        raise RefusedError(
            422, "HistoryTooLong", "the history is too long", f"at most {service.options.max_history} events"
        )
    with service.shares.one(tenant):
        async with service.desk.place():
            known = await asyncio.to_thread(
                resolve_history, History(events=given.feedback), recommender.catalog, recommender.grounder
            )
    return FeedbackOut(
        history=as_history((*given.history, *given.feedback)).events,
        feedback=tuple(
            EventOut(event=one.event, item_id=None if one.item is None else one.item.id, why=one.why)
            for one in known
        ),
    )


@v1.get("/templates", responses=_problems(401))
async def templates(service: Called) -> list[TemplateOut]:
    """The templates that requests may name."""
    stock = service.stock
    return [
        TemplateOut(
            name=name,
            version=one.ref.version,
            task=one.task,
            ranker=one.ranker if one.task == "rank" else None,
            description=one.description,
            sha256=one.ref.sha256,
            default=one.ref.name == stock.recommender.template.ref.name,
        )
        for name, one in stock.templates.items()
    ]


@v1.post("/reload", responses=_problems(401, 403, 422))
async def reload(service: Called, tenant: By) -> ReloadOut:
    """Reads catalog and templates anew; if anything is wrong with them, what is served stays."""
    if not tenant.admin:
        raise RefusedError(403, "Forbidden", "only an admin's key may reload", hint="or send SIGHUP")
    try:
        stock: Stock = await service.reload()
    except ZsrecError as error:
        raise refusal(error) from error
    return ReloadOut(items=len(stock.recommender.catalog), templates=len(stock.templates))


@router.get("/healthz")
async def healthz() -> Health:
    """Says that the process is alive; asks nobody."""
    return Health()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Not ready."}})
async def readyz(service: Called, response: Response) -> Ready:
    """Says whether requests can be answered now: by the model, or in retrieval order."""
    stock = service.stock
    state = "breaker_open" if service.breaker.state == "open" else "ok"
    if state == "ok":
        try:
            await until(_HANDSHAKE, service.llm.handshake())
        except (LLMError, TimeoutError):
            state = "unreachable"
    ready = state == "ok" or stock.fallback is not None
    response.status_code = 200 if ready else 503
    return Ready.model_validate(
        {
            "ready": ready,
            "llm": state,
            "fallback": stock.fallback,
            "items": len(stock.recommender.catalog),
        }
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(service: Called) -> Response:
    """What Prometheus reads."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
