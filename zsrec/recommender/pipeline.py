"""The whole flow from a history to recommendations, without I/O.

history → candidates → prompt → answer → mentions → matches → ranking → recommendations

`recommend_plan` is a generator: it yields what it needs from the server and receives the replies
(`zsrec.llm.protocol`). httpx's `auth_flow` is the model. Blocking and async callers drive the same generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from zsrec.answers.cleaning import clean
from zsrec.answers.grounder import Context
from zsrec.answers.grounding import Known, ground_answer, resolve_history
from zsrec.core.types import (
    Dropped,
    Exchange,
    Grounded,
    HistoryUse,
    Message,
    RankingUse,
    Recommendation,
    Recommendations,
    Trace,
)
from zsrec.core.untrusted_text import TEXT_LIMIT
from zsrec.llm.protocol import Plan
from zsrec.prompts import Template
from zsrec.prompts.item_view import ItemView, item_view, title_view
from zsrec.ranking.base import Content, Judged, Order, Question
from zsrec.ranking.fusion import fill, fuse, select
from zsrec.ranking.rankers import judge
from zsrec.recommender.candidates import Candidates, choose
from zsrec.recommender.prompting import Fitted, Told, ask_fitting, ask_once, harmless
from zsrec.recommender.request import Job


class Render(Protocol):
    """Renders an earlier step."""

    def __call__(self, name: str, newest: int, answers: Mapping[str, str]) -> tuple[Message, ...]:
        """The messages.

        Args:
            name: The step.
            newest: How many of the newest events stand in it.
            answers: What the steps before it answered, by name.
        """


class Earlier(NamedTuple):
    """What became of the earlier steps; empty where the template asks one question only.

    Attributes:
        answers: The text of each answer, by the step's name, without thoughts.
        exchanges: What was sent and answered, in order.
        prompts: The prompts as they fitted.
        notes: What the caller should know, in plain words.
    """

    answers: Mapping[str, str]
    exchanges: tuple[Exchange, ...] = ()
    prompts: tuple[Fitted, ...] = ()
    notes: tuple[str, ...] = ()

    def joined(self, last: Fitted) -> Fitted:
        """All that was told of the user, in any step; `kept` counts the events that stand in every one of them."""
        steps = (*self.prompts, last)
        messages = tuple(message for step in steps for message in step.messages)
        return Fitted(messages, min(step.kept for step in steps))


def ask_steps(template: Template, render: Render, events: int) -> Plan[Earlier]:
    """Asks the earlier steps of a template, one after the other.

    Args:
        template: The template.
        render: Renders one of its steps.
        events: How many events of the history a prompt may show.

    Raises:
        ContextOverflowError: A step does not fit even without a history.
        LLMError: The server failed.
    """
    answers: dict[str, str] = {}
    exchanges: list[Exchange] = []
    prompts: list[Fitted] = []
    notes: list[str] = []
    for name in template.steps:
        exchange, fitted = yield from ask_once(
            partial(render, name, answers=answers), events, template.step_sampling(name)
        )
        answers[name] = clean(exchange.answer).strip()
        exchanges.append(exchange.model_copy(update={"step": name}))
        prompts.append(fitted)
        if not answers[name]:
            notes.append(f"step {name!r} answered nothing")
        elif exchange.finish_reason == "length":
            notes.append(f"the answer of step {name!r} was cut at max_tokens")
    return Earlier(answers, tuple(exchanges), tuple(prompts), tuple(notes))


_CUT = "the answer was cut at max_tokens; a title that may be cut in half was not matched"


class Reader:
    """Reads one call's answers, and keeps what was found for the trace.

    Args:
        job: The call.
        seen: Ids that the user knows.
        candidates: What may be recommended; None for the whole catalog.
        before: How many exchanges of the trace come before the first answer that is read.

    Attributes:
        said: The first mention of each item that may be recommended, by id.
    """

    def __init__(self, job: Job, seen: frozenset[str], candidates: Candidates | None, before: int = 0) -> None:
        self._job = job
        self._seen = seen
        self._pool = None if candidates is None else candidates.ids
        self._numbers = {item_id: number for number, item_id in enumerate(self._pool or ())}
        self._grounded: list[Grounded] = []
        self._dropped: list[Dropped] = []
        self._answers = before
        self._cut = False
        self.said: dict[str, Grounded] = {}

    @property
    def grounded(self) -> tuple[Grounded, ...]:
        """Every mention with its match."""
        return tuple(self._grounded)

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """Grounded mentions that were not taken."""
        return tuple(self._dropped)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller should know of the answers."""
        return (_CUT,) if self._cut else ()

    def read(self, exchange: Exchange, k: int, members: Sequence[str] | None = None) -> tuple[Recommendation, ...]:
        """At most k items that an answer names, best first.

        Args:
            exchange: The next exchange of the call.
            k: The longest list.
            members: Ids that the prompt showed, where these are not all candidates.
        """
        shown = self._pool if members is None else members
        found = ground_answer(
            exchange.answer,
            self._job.grounder,
            style=self._job.template.answer,
            side=self._job.template.side,
            context=Context(candidates=tuple(shown or ()), history=tuple(self._seen)),
            echo=tuple(message.content for message in exchange.messages),
            cut=exchange.finish_reason == "length",
        )
        grounded = [one.model_copy(update={"exchange": self._answers}) for one in found]
        allowed = None if shown is None else frozenset(shown)
        chosen = select(grounded, self._job.catalog, k=k, seen=self._seen, allowed=allowed)
        self._answers += 1
        self._cut |= exchange.finish_reason == "length"
        self._grounded += grounded
        self._dropped += chosen.dropped
        for one in chosen.recommendations:
            if one.provenance is not None:
                self.said.setdefault(one.item.id, one.provenance)
        return chosen.recommendations

    def named(self, exchange: Exchange, order: Order) -> tuple[int, ...]:
        """Which of these candidates an answer names, best first; see `zsrec.ranking.base.Question.named`."""
        members = [(self._pool or ())[one] for one in order]
        return tuple(self._numbers[one.item.id] for one in self.read(exchange, len(members), members))


_NOTHING = "N/A"


class _Ranked(NamedTuple):
    """What a way of ranking brings: recommendations, and what the trace says of them."""

    items: tuple[Recommendation, ...]
    exchanges: tuple[Exchange, ...]
    use: RankingUse | None = None
    notes: tuple[str, ...] = ()


def recommend_plan(job: Job) -> Plan[Recommendations]:
    """The flow of one `recommend` call.

    Yields:
        Steps to be done by a driver.

    Returns:
        The recommendations with their trace.

    Raises:
        ConfigError: The call asks for something impossible.
        UnknownItemError: A candidate is not in the catalog.
        AnswerError: The ranker reads labels, and the model begins its answer with something else.
        LLMError: The server failed, or lacks what the ranker needs; what it says comes through untouched.
    """
    job.check()
    known = resolve_history(job.history, job.catalog, job.grounder)
    seen = frozenset(one.item.id for one in known if one.item is not None).union(job.history.shown)
    candidates = choose(job, known, seen)
    prompts = _Prompts(job, known, candidates)
    earlier = yield from ask_steps(job.template, prompts.step, prompts.events)
    prompts.answers = earlier.answers
    reader = Reader(job, seen, candidates, before=len(earlier.exchanges))
    names_only = job.template.ranker == "generate" and (candidates is None or candidates.prior is None)
    if candidates is None or names_only:
        ranked, fitted = yield from _by_names(job, prompts, reader, candidates)
    else:
        ranked, fitted = yield from _by_pool(job, prompts, reader, candidates)

    fitted = earlier.joined(fitted)
    notes = [*(candidates.notes if candidates else ()), *earlier.notes, *ranked.notes, *reader.notes]
    if fitted.kept < prompts.events:
        left_out = prompts.events - fitted.kept
        notes.append(f"the {left_out:,} oldest of {prompts.events:,} events were left out to fit the context")
    notes += prompts.told.missing(fitted.messages, job.template.ref)
    items = ranked.items
    if job.fill is not None and len(items) < job.k:
        source = job.popularity if job.fill == "popularity" else candidates.ids if candidates else ()
        items = fill(items, job.catalog, k=job.k, seen=seen, pool=source or (), source=job.fill)
        notes.append(f"{len(items) - len(ranked.items)} places were filled from {job.fill}")
    elif len(items) < job.k:
        what = "the answer" if names_only else "the ranking"
        notes.append(f"{what} gave {len(items)} of the {job.k} items asked for")

    others = candidates is not None and candidates.mode == "training-free"
    others = others or any(one.source == "popularity" for one in items)
    trace = Trace(
        template=job.template.ref,
        mode="training-free" if others else "zero-shot",
        evidence=prompts.told.evidence(fitted, job.about),
        exchanges=(*earlier.exchanges, *ranked.exchanges),
        grounded=reader.grounded,
        dropped=reader.dropped,
        history=_history_use(known, fitted.kept),
        pool=candidates.pool if candidates else None,
        ranking=ranked.use,
        notes=tuple(notes),
        seed=job.template.sampling.seed,
    )
    return Recommendations(items=items, trace=trace)


class _Prompts:
    """Renders a call's prompts.

    Attributes:
        events: How many events of the history a prompt may show.
        answers: What the template's earlier steps answered, by their names.
    """

    def __init__(self, job: Job, known: Sequence[Known], candidates: Candidates | None) -> None:
        self._job = job
        self.answers: Mapping[str, str] = {}
        variable = job.template.variables.get("history")
        self.told = Told(known, job.history.critiques, last=variable.last if variable else None, redact=job.redact)
        self.events = self.told.events
        self._shown = [item_view(job.catalog[one]) for one in job.history.shown if one in job.catalog]
        self._about = harmless(job.about, TEXT_LIMIT, job.redact) if job.about else job.about
        self._candidates = [item_view(job.catalog[item_id]) for item_id in (candidates.ids if candidates else ())]

    def step(self, name: str, newest: int, answers: Mapping[str, str]) -> tuple[Message, ...]:
        """The prompt of an earlier step; see `zsrec.recommender.pipeline.Render`."""
        return self._render(self.told.views(newest), self._candidates, self._about, answers, name)

    def whole(self, newest: int) -> tuple[Message, ...]:
        """The prompt with the newest events and all candidates."""
        return self._render(self.told.views(newest), self._candidates, self._about, self.answers)

    def part(
        self, newest: int, order: Order, labels: Sequence[str] = (), content: Content = "user"
    ) -> tuple[Message, ...]:
        """The prompt with some of the candidates; see `zsrec.ranking.base.Render`."""
        views = [self._candidates[one] for one in order]
        if content == "nothing":
            views = [title_view(_NOTHING)] * len(views)
        if labels:
            views = [replace(view, label=label) for view, label in zip(views, labels, strict=True)]
        if content == "user":
            return self._render(self.told.views(newest), views, self._about, self.answers)
        answers = dict.fromkeys(self.answers, _NOTHING)
        return self._render([title_view(_NOTHING)], views, _NOTHING if self._job.about else None, answers)

    def _render(
        self,
        history: list[ItemView],
        views: list[ItemView],
        about: str | None,
        answers: Mapping[str, str],
        step: str | None = None,
    ) -> tuple[Message, ...]:
        job = self._job
        further: dict[str, str | list[ItemView]] = {**answers}
        if "shown" in job.template.variables:
            further["shown"] = self._shown
        domain = job.catalog.domain
        return job.template.render(
            step, history=history, candidates=views, k=job.k, about=about, domain=domain, **further
        )


def _by_names(
    job: Job, prompts: _Prompts, reader: Reader, candidates: Candidates | None
) -> Plan[tuple[_Ranked, Fitted]]:
    """The order in which a free text names items."""
    exchange, fitted = yield from ask_once(prompts.whole, prompts.events, job.template.sampling)
    items = reader.read(exchange, job.k)
    order = tuple(one.item.id for one in items)
    use = None if candidates is None else RankingUse(ranker="generate", order=order)
    return _Ranked(items, (exchange,), use), fitted


def _by_pool(job: Job, prompts: _Prompts, reader: Reader, candidates: Candidates) -> Plan[tuple[_Ranked, Fitted]]:
    """The ranker's order of the candidates, fused with the retriever's where there is one."""
    template, options = job.template, job.options
    labelled = template.ranker == "choose" or options.reads_labels(template.ranker)
    everything = range(len(candidates.ids))
    # Labels of two letters stand for whatever labels there will be: one token each, or a short number.
    labels = ["AA"] * len(everything) if labelled else []

    def longest(newest: int) -> tuple[Message, ...]:
        return prompts.part(newest, everything, labels)

    def one(fitted: Fitted) -> Plan[Judged]:
        question = Question(
            size=len(everything),
            render=lambda order, labels=(), content="user": prompts.part(fitted.kept, order, labels, content),
            sampling=template.sampling,
            k=job.k,
            named=reader.named,
            memory=job.memory,
        )
        return (yield from judge(question, template.ranker, options))

    max_tokens = 1 if options.reads_labels(template.ranker) else template.sampling.max_tokens
    judged, fitted = yield from ask_fitting(longest, prompts.events, max_tokens, one)
    scored = fuse(judged, len(everything), candidates.prior, options.llm_weight)
    items: list[Recommendation] = []
    for entry in scored[: job.k]:
        if not entry.named and candidates.prior is None:
            break  # nothing speaks for the rest: a short answer stays short
        item_id = candidates.ids[entry.candidate]
        said = reader.said.get(item_id)
        items.append(
            Recommendation(
                rank=len(items) + 1,
                item=job.catalog[item_id],
                score=entry.score,
                source="llm" if entry.named else "candidates",
                reason=said.mention.reason if said else None,
                provenance=said,
                parts=entry.parts,
            )
        )
    use = RankingUse(
        ranker=template.ranker,
        llm_weight=None if candidates.prior is None else options.llm_weight,
        labels_by=judged.labels_by,
        permutations=judged.permutations,
        stability=judged.stability,
        calibrate=options.calibrate,
        order=tuple(candidates.ids[one] for one in judged.order),
        label_mass=judged.label_mass,
    )
    return _Ranked(tuple(items), judged.exchanges, use, judged.notes), fitted


def _history_use(known: Sequence[Known], kept: int) -> HistoryUse:
    shown = sum(one.item is not None or one.event.by != "id" for one in known)
    return HistoryUse(
        given=len(known),
        resolved=sum(one.item is not None for one in known),
        rendered=kept,
        truncated=shown - kept,
        unresolved=tuple((one.event.item, one.why) for one in known if one.why is not None),
    )
