"""The candidates of one call: the caller's, the retriever's, or the most popular items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import Known, known_ids, resolve_history
from zsrec.core.errors import ConfigError, UnknownItemError
from zsrec.core.types import HistoryUse, Pool, Recommendation, Recommendations, Trace
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.ranking.fusion import in_turn, places
from zsrec.recommender.conversation import conversation_use
from zsrec.recommender.request import Pipeline, PopularityList, Request
from zsrec.retrieval.base import Mode, Retriever, profile, profile_notes, top
from zsrec.retrieval.because import because
from zsrec.retrieval.rerank import Reranked, eligible, filters


@dataclass(frozen=True)
class Candidates:
    """The candidates that the user does not know, each once."""

    pool: Pool
    prior: Mapping[int, float] | None = None
    mode: Mode = "zero-shot"
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Item ids in the order in which a prompt shows them."""
        return self.pool.ids


def choose_candidates(
    pipeline: Pipeline, request: Request, known: Sequence[Known], seen: frozenset[str], *, ranks: bool
) -> Candidates | None:
    """The candidates of a call; None where the whole catalog is open.

    The caller's candidates keep their order; a retriever scores them too, where there is one.
    """
    catalog, retriever = pipeline.catalog, pipeline.retriever
    if request.candidates is not None:
        ids = dict.fromkeys(candidate_id(one, catalog, pipeline.grounder) for one in request.candidates)
        unseen = tuple(item_id for item_id in ids if item_id not in seen)
        if not unseen:
            why = "the user knows them all" if ids else "none was given"
            raise ConfigError(f"no candidate is left: {why}", hint="give other candidates")
        if pipeline.eligible is not None:
            unseen = tuple(item_id for item_id in unseen if item_id in pipeline.eligible)
            if not unseen:
                raise ConfigError("no candidate meets where=", hint="give other candidates or fewer conditions")
        if retriever is None or not ranks:
            return Candidates(Pool(source="caller", ids=unseen))
        return _scored(retriever, unseen, _resolved(known, request.history), request.words)
    if not ranks:
        return None
    if retriever is not None:
        return _retrieved(pipeline, retriever, _resolved(known, request.history), seen, request.words)
    if pipeline.popularity is None:
        raise ConfigError(
            f"the template {pipeline.template.ref} ranks candidates, and none were given",
            hint="pass candidates=[…], use with_retriever(…) or a popularity list, or a generate template",
        )
    popular = [item_id for item_id in pipeline.popularity if item_id in catalog and item_id not in seen]
    return Candidates(Pool(source="popularity", ids=tuple(popular[: pipeline.pool_size])), mode="training-free")


def retrieved(
    pipeline: Pipeline, request: Request, known: Sequence[Known], seen: frozenset[str]
) -> Candidates | None:
    """The retrieved half of a hybrid (docs/strategy.md); None where nothing speaks for any item.

    Lexical matches of the user's words and the retriever's candidates in turn; a retriever that reads words itself
    is asked alone.
    """
    wanted, history = replace(pipeline, pool_size=request.k), _resolved(known, request.history)
    found: list[Candidates] = []
    for retriever, words in _fillers(pipeline, request):
        try:
            found.append(_retrieved(wanted, retriever, history, seen, words))
        except ConfigError:
            continue
    if not found:
        return None
    return Candidates(
        Pool(source=" and ".join(one.pool.source for one in found), ids=in_turn(*(one.ids for one in found))),
        mode=next((one.mode for one in found if one.mode != "zero-shot"), "zero-shot"),
        notes=tuple(note for one in found for note in one.notes),
    )


def _fillers(pipeline: Pipeline, request: Request) -> list[tuple[Retriever, str]]:
    """The retrievers to fill from, each with the words that it reads."""
    own, lexical = pipeline.retriever, None
    if request.speaks and not getattr(own, "reads_words", False):
        lexical = pipeline.shared_grounder.lexical
    if lexical is None:
        return [] if own is None else [(own, request.words)]
    reader: Retriever = lexical
    if request.where:
        reader = Reranked(lexical, pipeline.catalog, filters(request.where, pipeline.catalog))
    return [(reader, request.words), *([] if own is None else [(own, "")])]


def candidate_id(candidate: str, catalog: Catalog, grounder: Grounder, what: str = "candidate") -> str:
    """The item that a caller names as a candidate, by id or title; `what` is the errors' word for it."""
    if candidate in catalog:
        return candidate
    match = grounder.ground(candidate)
    if match.item_id is None:
        raise UnknownItemError(
            f"the {what} {candidate!r} is not in the catalog ({match.reason})",
            hint=f"{what}s are ids or titles of the catalog",
        )
    return match.item_id


def _retrieved(
    pipeline: Pipeline, retriever: Retriever, history: History, seen: frozenset[str], words: str
) -> Candidates:
    lost: list[str] = []
    while True:  # looking through a million items for those that the catalog lacks would take longer
        found = top(retriever, history, pipeline.pool_size, exclude=(*seen, *lost), about=words)
        absent = [item_id for item_id in found.ids if item_id not in pipeline.catalog]
        if not absent:
            break
        lost += absent
    if not found.ids:
        raise ConfigError(
            f"the retriever {retriever.name!r} has no candidate for this user: nothing speaks for any item",
            hint="pass candidates=[…], or use a retriever that needs no history (Popularity)",
        )
    notes = [f"{retriever.name}: {note}" for note in found.notes]
    if lost:
        notes.append(f"{len(lost):,} items of the retriever are not in the catalog; they were passed over")
    return Candidates(
        Pool(source=found.retriever, ids=found.ids, scores=found.scores),
        prior=places(tuple(range(len(found))), len(found)),
        mode=found.mode,
        notes=tuple(notes),
    )


def _scored(retriever: Retriever, ids: tuple[str, ...], history: History, words: str) -> Candidates:
    of = profile(history, retriever.items, about=words)
    scores = retriever.scores(of)
    codes = [retriever.items.code(item_id) for item_id in ids]
    values = [-np.inf if code is None else float(scores[code]) for code in codes]
    order = tuple(sorted(range(len(ids)), key=lambda one: -values[one]))
    notes = [f"{retriever.name}: {note}" for note in (*retriever.notes, *profile_notes(retriever, of))]
    if unscored := sum(value == -np.inf for value in values):
        notes.append(f"{retriever.name}: nothing speaks for {unscored} candidates; they come last")
    return Candidates(
        Pool(source="caller", ids=ids, scores=tuple(values)),
        prior=places(order, len(ids)),
        mode=retriever.mode,
        notes=tuple(notes),
    )


def _resolved(known: Sequence[Known], history: History) -> History:
    """The history as retrievers read it: events by id of the catalog."""
    events = tuple(
        Event(item=one.item.id, by="id", feedback=one.event.feedback) for one in known if one.item is not None
    )
    return history.model_copy(update={"events": events})


def restricted(pipeline: Pipeline, request: Request) -> tuple[Pipeline, tuple[str, ...]]:
    """The pipeline with only the items that meet `Request.where`, and what the trace says of it.

    Raises:
        ConfigError: A condition is not valid.
    """
    if not request.where:
        return pipeline, ()
    where = filters(request.where, pipeline.catalog)
    ids, note = eligible(where, pipeline.catalog)
    popular = pipeline.popularity
    if popular is not None:
        popular = PopularityList(one for one in popular if one in ids)
    retriever = pipeline.retriever
    if retriever is not None:
        if isinstance(retriever, Reranked):  # conditions come before diversity
            retriever = replace(retriever, where=(*retriever.where, *where))
        else:
            retriever = Reranked(retriever, pipeline.catalog, where)
    return replace(pipeline, eligible=ids, popularity=popular, retriever=retriever), (note,)


def unsaid(notes: Sequence[str], said: Sequence[str]) -> list[str]:
    """The notes that no other note contains."""
    return [note for note in notes if not any(note in other for other in said)]


def with_reasons(
    pipeline: Pipeline, request: Request, known: Sequence[Known], items: Sequence[Recommendation]
) -> tuple[Recommendation, ...]:
    """Items without a reason of the model's get a retriever's: the words that match, or the event behind it."""
    silent = [one.item.id for one in items if one.reason is None and one.source != "popularity"]
    history, found = _resolved(known, request.history), dict[str, str]()
    if request.fill == "retrieval":  # or the index of words would be built for reasons alone
        readers = _fillers(pipeline, request)
    else:
        readers = [] if pipeline.retriever is None else [(pipeline.retriever, request.words)]
    for retriever, words in readers:
        if asked := [item_id for item_id in silent if item_id not in found]:
            of = profile(history, retriever.items, about=words)
            why = because(retriever, of, asked, pipeline.catalog)
            found |= {item_id: one.text for item_id, one in why.items()}
    return tuple(
        one.model_copy(update={"reason": found[one.item.id]}) if one.item.id in found else one for one in items
    )


def history_use(known: Sequence[Known], rendered: int | None = None) -> HistoryUse:
    """What became of a history's events; `rendered` of them are in the prompt (None where there was no prompt)."""
    titled = sum([one.item is not None or one.event.by != "id" for one in known])
    return HistoryUse(
        given=len(known),
        resolved=sum([one.item is not None for one in known]),
        rendered=rendered or 0,
        truncated=0 if rendered is None else titled - rendered,
        unresolved=tuple([(one.event.item, one.why) for one in known if one.why is not None]),
        guessed=tuple([(one.event.item, one.item.title) for one in known if one.guessed and one.item is not None]),
    )


def retrieval_order(pipeline: Pipeline, request: Request) -> Recommendations:
    """The first k candidates of a call in the order that a ranking prompt would show them, without a model.

    The caller's candidates come in the retriever's order, or in their own where there is no retriever. Without
    them the retriever gives the candidates; where it has none for this user, or there is none, popularity does.
    The pipeline's template plays no part.
    """
    pipeline, restrictions = restricted(pipeline, request)
    request = request.with_mentions(pipeline.shared_grounder.titles)
    known = resolve_history(request.history, pipeline.catalog, pipeline.grounder)
    seen = known_ids(known).union(request.history.shown)
    found = _ordered(replace(pipeline, pool_size=request.k), request, known, seen)
    by_popularity = found.pool.source == "popularity"
    items = tuple(
        Recommendation(
            rank=rank,
            item=pipeline.catalog[item_id],
            score=0.0,
            source="popularity" if by_popularity else "candidates",
        )
        for rank, item_id in enumerate(found.ids[: request.k], start=1)
    )
    trace = Trace(
        template=pipeline.template.ref,
        mode=found.mode,
        evidence=("history",) if any(one.item for one in known) and not by_popularity else (),
        history=history_use(known),
        conversation=conversation_use(request.conversation, request.mentions, 0, 0),
        pool=found.pool,
        notes=(
            *unsaid(restrictions, found.notes),
            *found.notes,
            f"no model was asked: this is the order of {found.pool.source}",
        ),
    )
    return Recommendations(items=with_reasons(pipeline, request, known, items), trace=trace)


def _ordered(pipeline: Pipeline, request: Request, known: tuple[Known, ...], seen: frozenset[str]) -> Candidates:
    def choose(pipeline: Pipeline) -> Candidates | None:
        pipeline.check_strict(request, ranks=True)
        return choose_candidates(pipeline, request, known, seen, ranks=True)

    try:
        found = choose(pipeline)
    except ConfigError:
        if request.candidates is not None or pipeline.retriever is None or pipeline.popularity is None:
            raise
        found = choose(replace(pipeline, retriever=None))  # nothing speaks for any item: a cold user
    if found is None or not found.ids:
        raise ConfigError("no item is left to recommend", hint="give a longer popularity list or candidates")
    scores = found.pool.scores
    if request.candidates is not None and scores is not None:
        order = sorted(range(len(scores)), key=lambda one: -scores[one])
        ids, sorted_scores = tuple(found.ids[one] for one in order), tuple(scores[one] for one in order)
        found = replace(found, pool=found.pool.model_copy(update={"ids": ids, "scores": sorted_scores}))
    return found
