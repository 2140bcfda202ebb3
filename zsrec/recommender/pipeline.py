"""The whole flow of one `recommend` call.

history → candidates → prompt → LLM → answer → mentions → matches → ranking → recommendations

Data goes down the line once. Everything that happened on the way is in the trace of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from zsrec.answers.candidate_lines import candidate_lines
from zsrec.answers.cleaning import clean
from zsrec.answers.grounder import Context
from zsrec.answers.grounding import known_ids, read_answer, resolve_history
from zsrec.core.types import (
    Dropped,
    Exchange,
    Grounded,
    Message,
    RankingUse,
    Recommendation,
    Recommendations,
    Skipped,
    Trace,
)
from zsrec.llm.protocol import LLM
from zsrec.prompts.item_view import ItemView
from zsrec.ranking.base import Content, Order, RankingResult, RankingTask
from zsrec.ranking.fusion import fill, fuse, select, take_turns
from zsrec.ranking.rankers import rank
from zsrec.recommender.ambiguity import Ambiguity
from zsrec.recommender.candidates import (
    Candidates,
    choose_candidates,
    history_use,
    restricted,
    retrieved,
    unsaid,
    with_reasons,
)
from zsrec.recommender.conversation import conversation_use
from zsrec.recommender.prompting import Fitted, Prompts, ask_fitting, ask_once
from zsrec.recommender.request import Pipeline, Request

_CUT_THOUGHT = "the model's thought was cut at max_tokens before its answer; nothing of it is recommended"
_OPEN_THOUGHT = "the model's thought has no end; nothing of it is recommended"
_CUT = "the answer was cut at max_tokens; a title that may be cut in half was not matched"


async def recommend(pipeline: Pipeline, request: Request, llm: LLM) -> Recommendations:
    """The flow of one `recommend` call."""
    pipeline.check(request)
    pipeline, restrictions = restricted(pipeline, request)
    template, catalog = pipeline.template, pipeline.catalog
    request = request.with_mentions(pipeline.shared_grounder.titles)
    known = resolve_history(request.history, catalog, pipeline.grounder)
    seen = known_ids(known).union(request.history.shown)
    ambiguity = Ambiguity(pipeline, request, known)
    candidates = choose_candidates(pipeline, request, known, seen, ranks=pipeline.ranks)
    offered = [catalog[one] for one in (candidates.ids if candidates else ())]
    prompts = Prompts(pipeline, request, known, offered, tokens=(await llm.handshake()).control_tokens)
    steps = await _ask_steps(pipeline, prompts, llm)
    reader = _AnswerReader(pipeline, seen, candidates, prompts.candidates, ambiguity, len(steps.exchanges))
    by_text = template.ranker == "generate" and (candidates is None or candidates.prior is None)
    if candidates is None or by_text:
        items, result, fitted = await _rank_by_answer(pipeline, request, prompts, reader, llm)
    else:
        items, result, fitted = await _rank_candidates(pipeline, request, prompts, reader, candidates, llm)
    fitted = steps.with_last(fitted)

    shown = prompts.shown(fitted)
    use = history_use(known, shown.events)
    found = candidates.notes if candidates else ()
    notes = [
        *unsaid(restrictions, found),
        *found,
        *steps.notes,
        *result.notes,
        *reader.notes,
        *ambiguity.notes(),
        *shown.notes,
    ]
    mode = candidates.mode if candidates else "zero-shot"
    if pipeline.retriever is not None and not pipeline.ranks and request.fill != "retrieval":
        name = pipeline.retriever.name
        notes.append(f"the retriever {name!r} was not used: the template {template.ref} ranks no candidates")
    if use.is_unknown:
        notes.append(f"none of the {use.given:,} events of the history is in the catalog")
    ranked = len(items)
    # A critique alone ("less violent") is no wish that words of titles could meet.
    turns_taken = candidates is None and (pipeline.retriever is not None or bool(request.words))
    if request.fill == "retrieval" and (turns_taken or ranked < request.k):
        more = retrieved(pipeline, request, known, seen)
        ids, how = (more.ids, f" ({more.pool.source})") if more is not None else ((), "")
        named = items
        if turns_taken:
            items = take_turns(named, catalog, k=request.k, pool=ids)
            reader.cut([one for one in named if one.item.id not in {kept.item.id for kept in items}])
        else:
            items = fill(named, catalog, k=request.k, seen=seen, pool=ids, source="retrieval")
        added = sum(one.source == "retrieval" for one in items)
        if more is not None and added:
            mode = more.mode if mode == "zero-shot" else mode
            notes += unsaid(more.notes, notes)
        after = ", in turn with what the model names" if turns_taken and named else ""
        notes.append(f"{added} places are from retrieval{how}{after}")
    elif request.fill is not None and ranked < request.k:
        pool = pipeline.popularity if request.fill == "popularity" else candidates.ids if candidates else ()
        items = fill(items, catalog, k=request.k, seen=seen, pool=pool or (), source=request.fill)
        notes.append(f"{len(items) - ranked} places were filled from {request.fill}")
    elif len(items) < request.k:
        notes.append(
            f"the {'answer' if by_text else 'ranking'} gave {len(items)} of the {request.k} items asked for"
        )
    if mode == "zero-shot" and (ambiguity.used_interactions or any(one.source == "popularity" for one in items)):
        mode = "training-free"
    exchanges = (*steps.exchanges, *result.exchanges)
    notes += dict.fromkeys(note for exchange in exchanges for note in exchange.notes)
    trace = Trace(
        template=template.ref,
        mode=mode,
        evidence=shown.evidence,
        exchanges=exchanges,
        grounded=tuple(reader.grounded),
        dropped=tuple(reader.dropped),
        skipped=tuple(reader.skipped),
        history=use,
        conversation=conversation_use(request.conversation, request.mentions, shown.turns, prompts.turns),
        pool=candidates.pool if candidates else None,
        ranking=result.use if candidates else None,
        notes=tuple(notes),
        seed=template.sampling.seed,
    )
    return Recommendations(items=with_reasons(pipeline, request, known, items), trace=trace)


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
        exchange, fitted = await ask_once(llm, render, prompts.size, pipeline.template.step_sampling(name))
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
        self,
        pipeline: Pipeline,
        seen: frozenset[str],
        candidates: Candidates | None,
        views: Sequence[ItemView],
        ambiguity: Ambiguity,
        answers: int,
    ) -> None:
        self._pipeline = pipeline
        self._seen = seen
        self._ambiguity = ambiguity
        self._ids = None if candidates is None else candidates.ids
        self._numbers = {item_id: number for number, item_id in enumerate(self._ids or ())}
        self._views = dict(zip(self._ids or (), views, strict=True))  # as the prompts show the candidates
        self._answers = answers  # exchanges of the trace before the next answer
        self.grounded: list[Grounded] = []
        self.dropped: list[Dropped] = []
        self.skipped: list[Skipped] = []
        self.first: dict[str, Grounded] = {}
        self.notes: list[str] = []

    def read(self, exchange: Exchange, k: int, members: Sequence[str] | None = None) -> tuple[Recommendation, ...]:
        """At most k items that the next answer names, best first."""
        shown = self._ids if members is None else members
        template, cut = self._pipeline.template, exchange.finish_reason == "length"
        prompt = tuple([message.content for message in exchange.messages])
        answer = read_answer(
            exchange.answer,
            self._pipeline.grounder,
            style=template.answer,
            side=template.side,
            context=Context(candidates=tuple(shown or ()), history=tuple(self._seen)),
            echo=prompt,
            cut=cut,
            thinks=self._pipeline.settings.thinking == "on",
            candidates=None if shown is None else candidate_lines(prompt, self._names(shown)),
        )
        allowed = self._pipeline.eligible if shown is None else frozenset(shown)
        grounded = [
            self._ambiguity.settle(
                one.model_copy(update={"exchange": self._answers}) if self._answers else one, allowed
            )
            for one in answer.grounded
        ]
        seen = self._seen - self._ambiguity.unlikely(grounded)
        chosen = select(grounded, self._pipeline.catalog, k=k, seen=seen, allowed=allowed)
        self.skipped += [
            Skipped(start=skip.start, end=skip.end, why=skip.why, exchange=self._answers) for skip in answer.skips
        ]
        self._answers += 1
        if answer.problem is not None:
            self._note(f"an answer names nothing: {answer.problem}")
        if any(skip.why == "unfinished thought" for skip in answer.skips):
            self._note(_CUT_THOUGHT if cut else _OPEN_THOUGHT)
        elif cut:
            self._note(_CUT)
        self.grounded += grounded
        self.dropped += chosen.dropped
        for one in chosen.recommendations:
            if one.provenance is not None:
                self.first.setdefault(one.item.id, one.provenance)
        return chosen.recommendations

    def cut(self, left_out: Iterable[Recommendation]) -> None:
        """Records items that an answer names and for which retrieved ones leave no place."""
        self.dropped += [
            Dropped(grounded=one.provenance, why="beyond_k") for one in left_out if one.provenance is not None
        ]

    def _names(self, shown: Sequence[str]) -> Iterator[tuple[str, str]]:
        """What a prompt may call the candidates that it shows."""
        for item_id in shown:
            view = self._views[item_id]
            yield item_id, view.display
            if view.title != view.display:
                yield item_id, view.title

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def named(self, exchange: Exchange, order: Order) -> tuple[int, ...]:
        """Which of these candidates an answer names, best first; see `RankingTask.named`."""
        members = [(self._ids or ())[one] for one in order]
        return tuple([self._numbers[one.item.id] for one in self.read(exchange, len(members), members)])


_Ranked = tuple[tuple[Recommendation, ...], RankingResult, Fitted]


async def _rank_by_answer(
    pipeline: Pipeline, request: Request, prompts: Prompts, reader: _AnswerReader, llm: LLM
) -> _Ranked:
    """The order in which a free text names items."""
    exchange, fitted = await ask_once(llm, prompts.render, prompts.size, pipeline.template.sampling)
    items = reader.read(exchange, request.k)
    use = RankingUse(ranker="generate", order=tuple([one.item.id for one in items]))
    return items, RankingResult((), (exchange,), use), fitted


async def _rank_candidates(
    pipeline: Pipeline, request: Request, prompts: Prompts, reader: _AnswerReader, candidates: Candidates, llm: LLM
) -> _Ranked:
    """The ranker's order of the candidates, fused with the retriever's where there is one."""
    template, ids = pipeline.template, candidates.ids
    options = pipeline.ranking_options(prior=candidates.prior is not None)
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
        prompts.size,
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
