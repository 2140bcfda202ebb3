"""The candidates of one call: the caller's, the retriever's, or what is popular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import Known, resolve_history
from zsrec.core.errors import ConfigError, UnknownItemError
from zsrec.core.types import HistoryUse, Pool, Recommendation, Recommendations, Trace
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.ranking.fusion import places
from zsrec.recommender.request import Job
from zsrec.retrieval.base import Mode, Retriever, profile, top, unread


@dataclass(frozen=True)
class Candidates:
    """The candidates that the user does not know, each once.

    Attributes:
        pool: What stands in the trace.
        prior: The retriever's part of the fused score by candidate, in (0, 1]; None without a retriever.
        mode: What data chose them.
        notes: What the caller should know, in plain words.
    """

    pool: Pool
    prior: Mapping[int, float] | None = None
    mode: Mode = "zero-shot"
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Item ids in the order in which a prompt shows them."""
        return self.pool.ids


def choose(
    job: Job, known: Sequence[Known], seen: frozenset[str], *, ranks: bool | None = None
) -> Candidates | None:
    """The candidates of a call; None where the whole catalog is open.

    The caller's candidates keep their order; a retriever scores them too, where there is one.

    Args:
        job: The call.
        known: The user's history.
        seen: Ids that the user knows.
        ranks: Whether candidates are ranked at all; None goes by the template's task.

    Raises:
        ConfigError: There are none, or the user knows them all.
        UnknownItemError: A candidate is not in the catalog.
    """
    ranks = job.template.task == "rank" if ranks is None else ranks
    if job.candidates is not None:
        ids = dict.fromkeys(candidate_id(one, job.catalog, job.grounder) for one in job.candidates)
        unseen = tuple(item_id for item_id in ids if item_id not in seen)
        if not unseen:
            raise ConfigError("no candidate is left: the user knows them all", hint="give other candidates")
        if job.retriever is None or not ranks:
            return Candidates(Pool(source="caller", ids=unseen))
        return _scored(job.retriever, unseen, _history(known), job.about)
    if not ranks:
        return None
    if job.retriever is not None:
        return _retrieved(job, job.retriever, _history(known), seen)
    if job.popularity is None:
        raise ConfigError(
            f"the template {job.template.ref} ranks candidates, and none were given",
            hint="pass candidates=[…], use with_retriever(…) or a popularity list, or a generate template",
        )
    popular = [item_id for item_id in job.popularity if item_id in job.catalog and item_id not in seen]
    return Candidates(Pool(source="popularity", ids=tuple(popular[: job.pool_size])), mode="training-free")


def _retrieved(job: Job, retriever: Retriever, history: History, seen: frozenset[str]) -> Candidates:
    lost: list[str] = []
    while True:  # looking through a million items for those that the catalog lacks would take longer
        found = top(retriever, history, job.pool_size, exclude=(*seen, *lost), about=job.about)
        strange = [item_id for item_id in found.ids if item_id not in job.catalog]
        if not strange:
            break
        lost += strange
    if not found.ids:
        raise ConfigError(
            f"the retriever {retriever.name!r} has no candidate for this user: nothing speaks for any item",
            hint="pass candidates=[…], or use a retriever that needs no history (Popularity)",
        )
    notes = (
        (f"{len(lost):,} items of the retriever are not in the catalog; they were passed over",) if lost else ()
    )
    return Candidates(
        Pool(source=found.retriever, ids=found.ids, scores=found.scores),
        prior=places(tuple(range(len(found))), len(found)),
        mode=found.mode,
        notes=(*(f"{retriever.name}: {note}" for note in found.notes), *notes),
    )


def _scored(retriever: Retriever, ids: tuple[str, ...], history: History, about: str | None) -> Candidates:
    of = profile(history, retriever.items, about=about)
    scores = retriever.scores(of)
    codes = [retriever.items.code(item_id) for item_id in ids]
    values = [-np.inf if code is None else float(scores[code]) for code in codes]
    order = tuple(sorted(range(len(ids)), key=lambda one: -values[one]))
    unheard = sum(value == -np.inf for value in values)
    notes = (f"{retriever.name}: nothing speaks for {unheard} candidates; they come last",) if unheard else ()
    return Candidates(
        Pool(source="caller", ids=ids, scores=tuple(values)),
        prior=places(order, len(ids)),
        mode=retriever.mode,
        notes=(*(f"{retriever.name}: {note}" for note in (*retriever.notes, *unread(retriever, of))), *notes),
    )


def _history(known: Sequence[Known]) -> History:
    """The history as retrievers read it: ids of the catalog, with what the user thought of them."""
    return History(
        events=tuple(
            Event(item=one.item.id, by="id", feedback=one.event.feedback) for one in known if one.item is not None
        )
    )


def candidate_id(candidate: str, catalog: Catalog, grounder: Grounder) -> str:
    """The item that a caller names as a candidate, by id or title.

    Raises:
        UnknownItemError: The catalog lacks it, or has several of that title.
    """
    if candidate in catalog:
        return candidate
    match = grounder.ground(candidate)
    if match.item_id is None:
        raise UnknownItemError(
            f"the candidate {candidate!r} is not in the catalog ({match.reason})",
            hint="candidates are ids or titles of the catalog",
        )
    return match.item_id


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
