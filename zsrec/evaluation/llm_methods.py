"""Methods that ask an LLM: a template and where its candidates come from, run through `AsyncRecommender`.

No target is looked at before the ranking is made: a request is built from a user's history and from
candidates of a retriever, which is made from interactions without any target (`zsrec.evaluation.splits`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from zsrec.core.concurrency import for_each
from zsrec.core.errors import (
    AnswerError,
    BadReplyError,
    ContextOverflowError,
    LLMRequestError,
    MissingReplyError,
    ZsrecError,
)
from zsrec.core.types import Recommendations
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids
from zsrec.evaluation.metrics import without
from zsrec.evaluation.predictions import FUSED_WITH, Header, Prediction, Use
from zsrec.evaluation.splits import Split
from zsrec.llm.offline import RecordedReplies
from zsrec.llm.protocol import LLM
from zsrec.prompts import Template
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.retrieval.base import Method, Profile, best_codes
from zsrec.retrieval.lists import Listed

PRIOR = "+prior"
"""What the names of methods end with whose ranking is fused with the order of retrieval."""

NAMED: Mapping[str, str] = {
    "generate": "generate/default",
    "label": "rank/label",
    "label-debiased": "rank/label-debiased",
    "window": "rank/window",
    f"label{PRIOR}": "rank/label",
    f"window{PRIOR}": "rank/window",
}
"""The methods known by name, with their templates. Any other template runs under its own name."""

SHORT_LISTS = (
    "A list of an LLM is shorter than the catalog: a target that it does not name is a miss, with HR, NDCG and "
    "reciprocal rank 0. So MRR is cut at the same length for all methods."
)

Outcome = Recommendations | ZsrecError | None
"""The result for one user; None where there was nothing to ask (no history, or no candidate)."""

_REFUSED = (400, 413, 422)  # what one prompt can bring about; 401 or 404 concern everybody


@dataclass(frozen=True)
class LLMMethod:
    """A template and its candidates."""

    name: str  # the name in the report
    # the prompt. One of the task "rank" gets candidates, any other recommends from the whole catalog
    template: Template
    # the name of the retriever whose best items are the candidates; None without candidates
    source: str | None = None
    retriever: Method | None = None  # the retriever itself
    pool: int = 20  # how many candidates, at least 1
    # whether the prompt lists them in an order drawn by hash instead of the order of retrieval
    shuffled: bool = False
    newest: int = 50  # how many of the newest events the prompt shows, at least 1
    prior: bool = False
    replies: RecordedReplies | None = None  # recorded replies instead of a server


class Case(NamedTuple):
    """What a request for one user may contain."""

    number: int  # the case's place in the split
    history: tuple[str, ...]  # oldest first
    candidates: tuple[str, ...] | None  # in the order of retrieval; None where the whole catalog is open
    shown: tuple[int, ...] = ()  # the candidates' order in the prompt, as their places; empty for the same order


def cases(method: LLMMethod, split: Split, numbers: Sequence[int], *, seed: int = 0) -> list[Case]:
    """The history and the candidates of each case."""
    items, make = split.training.items, method.retriever
    retriever = make and make(split.training)
    found = []
    for number in numbers:
        history = split.history(number)
        candidates: tuple[str, ...] | None = None
        shown: tuple[int, ...] = ()
        if make and split.strict_time:
            retriever = make(split.known_at(number))
        if retriever is not None:
            codes = best_codes(without(retriever.scores(Profile.of(history)), history), method.pool, items)
            candidates = tuple(items[code] for code in codes.tolist())
            if method.shuffled:
                user = int(split.training.users.hashes([int(split.users[number])], seed)[0] >> np.uint64(1))
                shown = tuple(np.argsort(items.hashes(codes.tolist(), user), kind="stable").tolist())
        found.append(Case(number, tuple(items[code] for code in history.tolist()), candidates, shown))
    return found


async def ask(
    method: LLMMethod,
    todo: Sequence[Case],
    recommender: AsyncRecommender,
    *,
    k: int,
    llm_of: Callable[[int], LLM] | None = None,
    on_done: Callable[[], None] | None = None,
) -> list[Outcome]:
    """Asks for every case, each its own model where `llm_of` gives one for its place in `todo`; see `ask_all`."""
    items = Ids(recommender.catalog.ids if method.prior else ())

    async def one(number: int) -> Recommendations | None:
        case, candidates = todo[number], todo[number].candidates
        if not case.history or candidates == ():
            return None
        asked = recommender if llm_of is None else recommender.with_llm(llm_of(number))
        if method.prior and candidates is not None:  # the order of retrieval, whatever order the prompt shows
            asked = asked.with_retriever(Listed(items, candidates))
        if candidates is not None and case.shown:
            candidates = tuple(candidates[place] for place in case.shown)
        orders = asked.pipeline.options.permutations  # as the template says, with a prior or without
        events = tuple(Event(item=item, by="id") for item in case.history[-method.newest :])
        asked = asked.with_ranking(permutations=orders)
        return await asked.recommend(History(events=events), k=k, candidates=candidates)

    return await ask_all(
        len(todo), one, concurrency=recommender.settings.concurrency, recorded=llm_of is not None, on_done=on_done
    )


async def ask_all(
    count: int,
    one: Callable[[int], Awaitable[Recommendations | None]],
    *,
    concurrency: int,
    recorded: bool = False,
    on_done: Callable[[], None] | None = None,
) -> list[Outcome]:
    """The outcomes of `one(0)` to `one(count - 1)`, several at once.

    A server that fails stops the run; requests in flight are finished first, since they are paid for. `recorded`
    replies may all fail: that costs nothing.
    """
    outcomes: list[Outcome] = [None] * count
    failures: list[ZsrecError] = []

    async def work(number: int) -> None:
        try:
            outcomes[number] = await one(number)
        except ZsrecError as error:
            if _users_own(error):
                outcomes[number] = error
            else:
                failures.append(error)
        if on_done is not None:
            on_done()

    await for_each(takewhile(lambda _: not failures, range(count)), work, concurrency)
    if failures:
        raise failures[0]
    errors = [error for error in outcomes if isinstance(error, ZsrecError)]
    if errors and not recorded and not any(isinstance(found, Recommendations) for found in outcomes):
        raise errors[0]  # what fails for everybody is no user's own
    return outcomes


def _users_own(error: ZsrecError) -> bool:
    """Whether one user's prompt or answer caused it. Any other error stops the run, which can be resumed."""
    if isinstance(error, LLMRequestError):
        return error.status in _REFUSED
    return isinstance(error, ContextOverflowError | BadReplyError | MissingReplyError | AnswerError)


def predictions(split: Split, todo: Sequence[Case], outcomes: Sequence[Outcome]) -> list[Prediction]:
    """The outcomes with the places of the targets: here they are looked at for the first time."""
    return [_prediction(split, case, outcome) for case, outcome in zip(todo, outcomes, strict=True)]


def _prediction(split: Split, case: Case, outcome: Outcome) -> Prediction:
    known = frozenset(case.history)  # the prompt holds the newest events only
    found = outcome.items if isinstance(outcome, Recommendations) else ()
    kept = [one for one in found if one.item.id not in known]
    items = tuple(one.item.id for one in kept)
    target = split.training.items[int(split.targets[case.number])]
    return Prediction(
        user=split.training.users[int(split.users[case.number])],
        target=target,
        order=0,
        history=len(case.history),
        above=items.index(target) if target in items else -1,
        tied=0,
        items=items,
        scores=tuple(float(one.score) for one in kept),
        use=_use(case, outcome),
    )


def _use(case: Case, outcome: Outcome) -> Use:
    asked = Use(candidates=case.candidates or (), shown=case.shown)
    if outcome is None:
        return replace(asked, error="nothing to ask")
    if isinstance(outcome, ZsrecError):
        return replace(asked, error=type(outcome).__name__)
    trace, known = outcome.trace, frozenset(case.history)
    dropped = [one.why for one in trace.dropped]
    unmatched = [one.match.reason for one in trace.unresolved]
    return replace(
        asked,
        requests=len(trace.exchanges),
        prompt_tokens=sum(one.usage.prompt_tokens or 0 for one in trace.exchanges),
        completion_tokens=sum(one.usage.completion_tokens or 0 for one in trace.exchanges),
        named=len(trace.grounded),
        unmatched=len(unmatched),
        not_in_catalog=unmatched.count("not_in_catalog"),
        seen=dropped.count("seen") + sum(one.item.id in known for one in outcome.items),
        repeated=dropped.count("duplicate"),
        foreign=dropped.count("not_a_candidate"),
        wrong_format=not trace.grounded and not outcome.items,
        cut=any(
            one.finish_reason == "length" and one.usage.completion_tokens != 1
            for one in trace.exchanges
            if not one.step
        ),
    )


def seconds(outcomes: Sequence[Outcome]) -> list[float | None]:
    """The time that each user's requests took, one after the other; None without an answer or a time."""
    found: list[float | None] = []
    for outcome in outcomes:
        exchanges = outcome.trace.exchanges if isinstance(outcome, Recommendations) else None
        times = [one.seconds for one in exchanges or () if one.seconds is not None]
        found.append(None if exchanges is None or len(times) < len(exchanges) else sum(times))
    return found


def header(
    method: LLMMethod, model: str, outcomes: Sequence[Outcome], source_mode: str | None, seed: int
) -> Header:
    """The header of a method's predictions."""
    modes = {one.trace.mode for one in outcomes if isinstance(one, Recommendations)} | {source_mode}
    failed = [one for one in outcomes if isinstance(one, ZsrecError)]
    nothing = sum(one is None for one in outcomes)
    notes = [f"{len(failed):,} users got no answer; the first: {type(failed[0]).__name__}"] if failed else []
    notes += [f"{nothing:,} users were not asked for: no history, or no candidate"] if nothing else []
    notes += [] if method.replies is None else method.replies.counts().notes
    order = f"shuffled by hash (seed {seed})" if method.shuffled else "best first"
    where = f"the best {method.pool} of {method.source}, {order}" if method.source else "none: the whole catalog"
    history = method.template.variables.get("history")
    last = None if history is None else history.last  # the template shows no more
    prior = f"the order of retrieval, llm_weight {method.template.ranking.llm_weight:g}"
    return Header(
        method=method.name,
        mode="training-free" if "training-free" in modes else "zero-shot",
        notes=tuple(notes),
        llm={
            "template": str(method.template.ref),
            "sha256": method.template.ref.sha256,
            "model": model,
            "candidates": where,
            "newest events in the prompt, at most": min(method.newest, last or method.newest),
            **({FUSED_WITH: prior} if method.prior else {}),
        },
    )
