"""Recommendations without a model: what is left when none answers."""

from __future__ import annotations

from dataclasses import replace

from zsrec.errors import ConfigError
from zsrec.ground.history import Known, resolve_history
from zsrec.job import Job
from zsrec.pool import Candidates, choose
from zsrec.types import HistoryUse, Recommendation, Recommendations, Trace

_NOTE = "no model was asked: this is the order of {source}"


def retrieval_order(job: Job) -> Recommendations:
    """The first k candidates of a call in the order that a ranking prompt would show them.

    The caller's candidates come in the retriever's order, or in their own where there is no retriever. Without
    them the retriever gives the candidates; where it has none for this user, or there is none, popularity does.
    Nothing is sent anywhere.

    Args:
        job: The call; its template and options play no part.

    Returns:
        Items with the source "candidates" or "popularity"; the trace has no exchanges.

    Raises:
        ConfigError: Nothing gives an order, or no item is left.
        UnknownItemError: A candidate is not in the catalog.
    """
    known = resolve_history(job.history, job.catalog, job.grounder)
    seen = frozenset(one.item.id for one in known if one.item is not None).union(job.history.shown)
    found = _candidates(replace(job, pool_size=job.k), known, seen)
    by_popularity = found.pool.source == "popularity"
    items = tuple(
        Recommendation(
            rank=rank, item=job.catalog[item_id], score=0.0, source="popularity" if by_popularity else "candidates"
        )
        for rank, item_id in enumerate(found.ids[: job.k], start=1)
    )
    trace = Trace(
        template=job.template.ref,
        mode=found.mode,
        evidence=("history",) if any(one.item for one in known) and not by_popularity else (),
        history=HistoryUse(
            given=len(known),
            resolved=sum(one.item is not None for one in known),
            unresolved=tuple((one.event.item, one.why) for one in known if one.why is not None),
        ),
        pool=found.pool,
        notes=(*found.notes, _NOTE.format(source=found.pool.source)),
    )
    return Recommendations(items=items, trace=trace)


def _candidates(job: Job, known: tuple[Known, ...], seen: frozenset[str]) -> Candidates:
    try:
        found = _choose(job, known, seen)
    except ConfigError:
        if job.candidates is not None or job.retriever is None or job.popularity is None:
            raise
        found = _choose(replace(job, retriever=None), known, seen)  # nothing speaks for any item: a cold user
    if found is None or not found.ids:
        raise ConfigError("no item is left to recommend", hint="give a longer popularity list or candidates")
    if job.candidates is not None and found.pool.scores is not None:
        scores = found.pool.scores
        order = sorted(range(len(scores)), key=lambda one: -scores[one])
        pool = found.pool.model_copy(update={"ids": tuple(found.ids[one] for one in order)})
        found = replace(found, pool=pool.model_copy(update={"scores": tuple(scores[one] for one in order)}))
    return found


def _choose(job: Job, known: tuple[Known, ...], seen: frozenset[str]) -> Candidates | None:
    job.check_strict(ranks=True)
    return choose(job, known, seen, ranks=True)
