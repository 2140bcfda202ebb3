"""The whole flow of one `recommend` call.

history → candidates → prompt → LLM → answer → mentions → matches → ranking → recommendations

Data goes down the line once. Everything that happened on the way is in the trace of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from zsrec.answers.cleaning import clean
from zsrec.answers.grounder import Context
from zsrec.answers.grounding import ground_answer, resolve_history
from zsrec.core.types import (
    Dropped,
    Exchange,
    Grounded,
    Message,
    RankingUse,
    Recommendation,
    Recommendations,
    Trace,
)
from zsrec.llm.protocol import LLM
from zsrec.ranking.base import Content, Order, RankingResult, RankingTask
from zsrec.ranking.fusion import fill, fuse, select
from zsrec.ranking.rankers import rank
from zsrec.recommender.candidates import Candidates, choose_candidates, history_use
from zsrec.recommender.prompting import Fitted, Prompts, ask_fitting, ask_once
from zsrec.recommender.request import Pipeline, Request

_CUT = "the answer was cut at max_tokens; a title that may be cut in half was not matched"


async def recommend(pipeline: Pipeline, request: Request, llm: LLM) -> Recommendations:
    """The flow of one `recommend` call."""
    pipeline.check(request)
    template, catalog = pipeline.template, pipeline.catalog
    known = resolve_history(request.history, catalog, pipeline.grounder)
    seen = frozenset([one.item.id for one in known if one.item is not None]).union(request.history.shown)
    candidates = choose_candidates(pipeline, request, known, seen, ranks=pipeline.ranks)
    prompts = Prompts(pipeline, request, known, [catalog[one] for one in (candidates.ids if candidates else ())])
    steps = await _ask_steps(pipeline, prompts, llm)
    reader = _AnswerReader(pipeline, seen, candidates, answers=len(steps.exchanges))
    by_text = template.ranker == "generate" and (candidates is None or candidates.prior is None)
    if candidates is None or by_text:
        items, result, fitted = await _rank_by_answer(pipeline, request, prompts, reader, llm)
    else:
        items, result, fitted = await _rank_candidates(pipeline, request, prompts, reader, candidates, llm)
    fitted = steps.with_last(fitted)

    notes = [*(candidates.notes if candidates else ()), *steps.notes, *result.notes, *reader.notes]
    events = prompts.history.events
    if fitted.shown < events:
        left_out = events - fitted.shown
        notes.append(f"the {left_out:,} oldest of {events:,} events were left out to fit the context")
    notes += prompts.history.notes(fitted, template.ref)
    if request.fill is not None and len(items) < request.k:
        pool = pipeline.popularity if request.fill == "popularity" else candidates.ids if candidates else ()
        ranked = len(items)
        items = fill(items, catalog, k=request.k, seen=seen, pool=pool or (), source=request.fill)
        notes.append(f"{len(items) - ranked} places were filled from {request.fill}")
    elif len(items) < request.k:
        notes.append(
            f"the {'answer' if by_text else 'ranking'} gave {len(items)} of the {request.k} items asked for"
        )
    others = candidates is not None and candidates.mode == "training-free"
    trace = Trace(
        template=template.ref,
        mode="training-free" if others or any(one.source == "popularity" for one in items) else "zero-shot",
        evidence=prompts.history.evidence(fitted, request.about),
        exchanges=(*steps.exchanges, *result.exchanges),
        grounded=tuple(reader.grounded),
        dropped=tuple(reader.dropped),
        history=history_use(known, fitted.shown),
        pool=candidates.pool if candidates else None,
        ranking=result.use if candidates else None,
        notes=tuple(notes),
        seed=template.sampling.seed,
    )
    return Recommendations(items=items, trace=trace)


@dataclass
class _Steps:
    """The earlier steps of a template with several: exchanges, prompts as they fitted, and notes."""

    exchanges: list[Exchange] = field(default_factory=list)
    prompts: list[Fitted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def with_last(self, last: Fitted) -> Fitted:
        """All prompts as one; its events are those that every one of them shows."""
        prompts = (*self.prompts, last)
        messages = tuple([message for prompt in prompts for message in prompt.messages])
        return Fitted(messages, min([prompt.shown for prompt in prompts]))


async def _ask_steps(pipeline: Pipeline, prompts: Prompts, llm: LLM) -> _Steps:
    """Asks the earlier steps of the template, one after the other; the answers go into `prompts`."""
    steps = _Steps()
    for name in pipeline.template.steps:
        render = partial(prompts.render, step=name)
        exchange, fitted = await ask_once(
            llm, render, prompts.history.events, pipeline.template.step_sampling(name)
        )
        prompts.answers[name] = clean(exchange.answer).strip()
        steps.exchanges.append(exchange.model_copy(update={"step": name}))
        steps.prompts.append(fitted)
        if not prompts.answers[name]:
            steps.notes.append(f"step {name!r} answered nothing")
        elif exchange.finish_reason == "length":
            steps.notes.append(f"the answer of step {name!r} was cut at max_tokens")
    return steps


class _AnswerReader:
    """Reads one call's answers, and keeps what was found for the trace."""

    def __init__(
        self, pipeline: Pipeline, seen: frozenset[str], candidates: Candidates | None, answers: int
    ) -> None:
        self._pipeline = pipeline
        self._seen = seen
        self._ids = None if candidates is None else candidates.ids
        self._numbers = {item_id: number for number, item_id in enumerate(self._ids or ())}
        self._answers = answers  # exchanges of the trace before the next answer
        self.grounded: list[Grounded] = []
        self.dropped: list[Dropped] = []
        self.first: dict[str, Grounded] = {}
        self.notes: tuple[str, ...] = ()

    def read(self, exchange: Exchange, k: int, members: Sequence[str] | None = None) -> tuple[Recommendation, ...]:
        """At most k items that the next answer names, best first."""
        shown = self._ids if members is None else members
        template, cut = self._pipeline.template, exchange.finish_reason == "length"
        found = ground_answer(
            exchange.answer,
            self._pipeline.grounder,
            style=template.answer,
            side=template.side,
            context=Context(candidates=tuple(shown or ()), history=tuple(self._seen)),
            echo=tuple([message.content for message in exchange.messages]),
            cut=cut,
        )
        grounded = [one.model_copy(update={"exchange": self._answers}) for one in found]
        allowed = None if shown is None else frozenset(shown)
        chosen = select(grounded, self._pipeline.catalog, k=k, seen=self._seen, allowed=allowed)
        self._answers += 1
        if cut:
            self.notes = (_CUT,)
        self.grounded += grounded
        self.dropped += chosen.dropped
        for one in chosen.recommendations:
            if one.provenance is not None:
                self.first.setdefault(one.item.id, one.provenance)
        return chosen.recommendations

    def named(self, exchange: Exchange, order: Order) -> tuple[int, ...]:
        """Which of these candidates an answer names, best first; see `RankingTask.named`."""
        members = [(self._ids or ())[one] for one in order]
        return tuple([self._numbers[one.item.id] for one in self.read(exchange, len(members), members)])


_Ranked = tuple[tuple[Recommendation, ...], RankingResult, Fitted]


async def _rank_by_answer(
    pipeline: Pipeline, request: Request, prompts: Prompts, reader: _AnswerReader, llm: LLM
) -> _Ranked:
    """The order in which a free text names items."""
    exchange, fitted = await ask_once(llm, prompts.render, prompts.history.events, pipeline.template.sampling)
    items = reader.read(exchange, request.k)
    use = RankingUse(ranker="generate", order=tuple([one.item.id for one in items]))
    return items, RankingResult((), (exchange,), use), fitted


async def _rank_candidates(
    pipeline: Pipeline, request: Request, prompts: Prompts, reader: _AnswerReader, candidates: Candidates, llm: LLM
) -> _Ranked:
    """The ranker's order of the candidates, fused with the retriever's where there is one."""
    template, options, ids = pipeline.template, pipeline.options, candidates.ids
    reads_labels = options.reads_labels(template.ranker)
    # Labels of two letters stand for whatever labels there will be: one token each, or a short number.
    labels = ["AA"] * len(ids) if template.ranker == "choose" or reads_labels else []

    async def ask(fitted: Fitted) -> RankingResult:
        def render(order: Order, labels: Sequence[str] = (), content: Content = "user") -> tuple[Message, ...]:
            return prompts.render(fitted.shown, order, labels, content)

        task = RankingTask(len(ids), render, template.sampling, request.k, reader.named, pipeline.memory)
        return await rank(task, template.ranker, options, llm)

    result, fitted = await ask_fitting(
        llm,
        lambda newest: prompts.render(newest, labels=labels),
        prompts.history.events,
        1 if reads_labels else template.sampling.max_tokens,
        ask,
    )
    items: list[Recommendation] = []
    named = frozenset(result.order)
    for one in fuse(result, len(ids), candidates.prior, options.llm_weight)[: request.k]:
        if one.candidate not in named and candidates.prior is None:
            break  # nothing speaks for the rest: a short answer stays short
        mention = reader.first.get(ids[one.candidate])
        items.append(
            Recommendation(
                rank=len(items) + 1,
                item=pipeline.catalog[ids[one.candidate]],
                score=one.score,
                source="llm" if one.candidate in named else "candidates",
                reason=mention.mention.reason if mention else None,
                provenance=mention,
                parts=one.parts,
            )
        )
    weight = None if candidates.prior is None else options.llm_weight
    order = tuple([ids[one] for one in result.order])
    use = result.use.model_copy(update={"llm_weight": weight, "order": order})
    return tuple(items), replace(result, use=use), fitted
