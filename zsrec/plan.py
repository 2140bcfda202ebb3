"""The whole flow from a history to recommendations, without I/O.

history → candidates → prompt → answer → mentions → matches → ranking → recommendations

`recommend_plan` is a generator: it yields what it needs from the server and receives the replies
(`zsrec.steps`). httpx's `auth_flow` is the model. Blocking and async callers drive the same generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from zsrec.catalog import Catalog
from zsrec.errors import ConfigError, ContextOverflowError, UnknownItemError
from zsrec.fit import Fitted, Render, fit_history
from zsrec.ground import Context, Grounder
from zsrec.ground.answer import ground_answer
from zsrec.ground.history import Known, resolve_history
from zsrec.llm.chat import ChatRequest
from zsrec.prompts import Template
from zsrec.prompts.views import ItemView, item_view, title_view
from zsrec.rank import fill, select
from zsrec.steps import Plan, ask, handshake
from zsrec.types import Exchange, Grounded, History, HistoryUse, Message, Recommendations, Trace

DEFAULT_POOL = 20


@dataclass(frozen=True)
class Job:
    """Everything that one call of `recommend` brings; see `Recommender.recommend` for the fields."""

    catalog: Catalog
    grounder: Grounder
    template: Template
    history: History
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] | None = None
    fill: Literal["candidates", "popularity"] | None = None
    popularity: tuple[str, ...] | None = None


class _Pool(NamedTuple):
    """The candidates: ids in order (None for the whole catalog), and whether popularity chose them."""

    ids: tuple[str, ...] | None
    from_popularity: bool = False


def recommend_plan(job: Job) -> Plan[Recommendations]:
    """The flow of one `recommend` call.

    Yields:
        Steps to be done by a driver.

    Returns:
        The recommendations with their trace.

    Raises:
        ConfigError: The call asks for something impossible.
        UnknownItemError: A candidate is not in the catalog.
        LLMError: The server failed; what it says comes through untouched.
    """
    _check(job)
    known = resolve_history(job.history, job.catalog, job.grounder)
    seen = frozenset(one.item.id for one in known if one.item is not None)
    pool = _pool(job, seen)
    shown = [one for one in known if one.item is not None or one.event.by != "id"]
    history = _history_views(shown)
    candidates = [item_view(job.catalog[item_id]) for item_id in pool.ids or ()]

    def render(newest: int) -> tuple[Message, ...]:
        return job.template.render(
            history=history[len(history) - newest :],
            candidates=candidates,
            k=job.k,
            about=job.about,
            domain=job.catalog.domain,
        )

    fitted, exchange = yield from _converse(job, render, len(shown))
    grounded = _ground(job, exchange, pool, seen)
    notes = []
    if exchange.finish_reason == "length":
        notes.append("the answer was cut at max_tokens; a title that may be cut in half was not matched")
    use = _history_use(known, len(shown), fitted.kept)
    if use.truncated:
        notes.append(f"the {use.truncated:,} oldest of {len(shown):,} events were left out to fit the context")

    ranked = select(
        grounded, job.catalog, k=job.k, seen=seen, allowed=None if pool.ids is None else frozenset(pool.ids)
    )
    items = ranked.recommendations
    if job.fill is not None and len(items) < job.k:
        source = pool.ids if job.fill == "candidates" else job.popularity
        items = fill(items, job.catalog, k=job.k, seen=seen, pool=source or (), source=job.fill)
        notes.append(f"{len(items) - len(ranked.recommendations)} places were filled from {job.fill}")
    elif len(items) < job.k:
        notes.append(f"the answer gave {len(items)} of the {job.k} items asked for")

    used_others = pool.from_popularity or any(one.source == "popularity" for one in items)
    trace = Trace(
        template=job.template.ref,
        mode="training-free" if used_others else "zero-shot",
        evidence=(*(["history"] if shown else []), *(["about"] if job.about else [])),
        exchanges=(exchange,),
        grounded=grounded,
        dropped=ranked.dropped,
        history=use,
        notes=tuple(notes),
        seed=job.template.sampling.seed,
    )
    return Recommendations(items=items, trace=trace)


def _check(job: Job) -> None:
    if job.k < 1:
        raise ConfigError(f"k is {job.k}, expected at least 1", hint="k is the number of items wanted")
    if not job.history.events and not (job.about or "").strip():
        raise ConfigError(
            "nothing is known of the user: the history is empty and about= is not given",
            hint="give one liked item or a sentence (about='slow-burn heist films'), or recommend what is popular",
        )
    if job.fill == "popularity" and job.popularity is None:
        raise ConfigError(
            "fill='popularity' without a popularity list",
            hint="Recommender(…, popularity=zsrec.candidates.popularity(histories))",
        )
    if job.fill == "candidates" and job.candidates is None:
        raise ConfigError("fill='candidates' without candidates", hint="pass candidates=[…] or another fill")


def _pool(job: Job, seen: frozenset[str]) -> _Pool:
    """The candidates that the user does not know, each once, in the caller's order."""
    if job.candidates is None:
        if job.template.task != "rank":
            return _Pool(None)
        if job.popularity is None:
            raise ConfigError(
                f"the template {job.template.ref} ranks candidates, and none were given",
                hint="pass candidates=[…], give the recommender a popularity list, or use a generate template",
            )
        popular = [item_id for item_id in job.popularity if item_id in job.catalog and item_id not in seen]
        return _Pool(tuple(popular[:DEFAULT_POOL]), from_popularity=True)
    ids = dict.fromkeys(_candidate_id(job, candidate) for candidate in job.candidates)
    unseen = tuple(item_id for item_id in ids if item_id not in seen)
    if not unseen:
        raise ConfigError("no candidate is left: the user knows them all", hint="give other candidates")
    return _Pool(unseen)


def _candidate_id(job: Job, candidate: str) -> str:
    if candidate in job.catalog:
        return candidate
    match = job.grounder.ground(candidate)
    if match.item_id is None:
        raise UnknownItemError(
            f"the candidate {candidate!r} is not in the catalog ({match.reason})",
            hint="candidates are ids or titles of the catalog",
        )
    return match.item_id


def _history_views(shown: list[Known]) -> list[ItemView]:
    newest = len(shown)
    return [
        title_view(one.event.item, one.event, newest - place)
        if one.item is None
        else item_view(one.item, one.event, newest - place)
        for place, one in enumerate(shown)
    ]


def _converse(job: Job, render: Render, events: int) -> Plan[tuple[Fitted, Exchange]]:
    """Asks once; where the server finds the prompt too long after all, with half of the history each time."""
    server = yield from handshake()
    sampling = job.template.sampling
    budget = None if server.context_length is None else server.context_length - sampling.max_tokens
    fitted = yield from fit_history(render, events, budget)
    while True:
        try:
            (exchange,) = yield from ask(ChatRequest(messages=fitted.messages, sampling=sampling))
        except ContextOverflowError:
            if fitted.kept <= 1:
                raise
            fitted = Fitted(render(fitted.kept // 2), fitted.kept // 2)
        else:
            return fitted, exchange


def _ground(job: Job, exchange: Exchange, pool: _Pool, seen: frozenset[str]) -> tuple[Grounded, ...]:
    return tuple(
        ground_answer(
            exchange.answer,
            job.grounder,
            style=job.template.answer,
            side=job.template.side,
            context=Context(candidates=pool.ids or (), history=tuple(seen)),
            echo=tuple(message.content for message in exchange.messages),
            cut=exchange.finish_reason == "length",
        )
    )


def _history_use(known: tuple[Known, ...], shown: int, kept: int) -> HistoryUse:
    return HistoryUse(
        given=len(known),
        resolved=sum(one.item is not None for one in known),
        rendered=kept,
        truncated=shown - kept,
        unresolved=tuple((one.event.item, one.why) for one in known if one.why is not None),
    )
