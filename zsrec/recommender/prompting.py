"""Prompts of one call: the history as a prompt shows it, and as much of it as fits the model's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from zsrec.answers.grounding import Known
from zsrec.core.errors import ContextOverflowError
from zsrec.core.privacy import Redactor
from zsrec.core.types import Evidence, Exchange, Item, Message, Sampling
from zsrec.core.untrusted_text import TEXT_LIMIT, TITLE_LIMIT, TURN_LIMIT, inline
from zsrec.data.history import Critique, Feedback
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.prompts.item_view import ItemView, TurnView, item_view, said_view, title_view
from zsrec.ranking.base import Content, Order
from zsrec.recommender.pictures import Pictures
from zsrec.recommender.request import Pipeline, Request

# A byte-level tokenizer spends at most one token per byte; the chat template adds its own around each message.
_MESSAGE_TOKENS = 16
# Where nobody counts: text in Latin letters takes about 4 bytes per token; half of that errs on the safe side.
_BYTES_PER_TOKEN_GUESS = 2
# An image of a shop's size: LLaVA 576 tokens, GPT-4o 765. A prompt that is too long after all is shortened.
_IMAGE_TOKENS = 700
# A prompt that leaves less than this share of its budget unused is full enough.
_SLACK = 0.05
_NOTHING = "N/A"


class Fitted(NamedTuple):
    """A prompt that fits, and how many of the newest events and turns it shows; see `Prompts.size`."""

    messages: tuple[Message, ...]
    shown: int


class Shown(NamedTuple):
    """What a prompt shows of the user: so many events and turns, kinds of evidence; and notes on the rest."""

    events: int
    turns: int
    evidence: tuple[Evidence, ...]
    notes: list[str]


Render = Callable[[int], tuple[Message, ...]]
Answer = TypeVar("Answer")


class HistoryView:
    """The history as a prompt may show it.

    The user's own words are kept however short the history is cut: they are short, and nothing says more. An
    event given by an id that the catalog lacks has no title and is left out.
    """

    def __init__(
        self,
        known: Sequence[Known],
        critiques: Sequence[Critique] = (),
        *,
        last: int | None = None,
        redact: Redactor | None = None,
    ) -> None:
        places = [place for place, one in enumerate(known) if one.item is not None or one.event.by != "id"]
        places = places if last is None else places[-last:]
        self._known = [known[place] for place in places]
        self.events = len(places)
        self._views = [_view(one, self.events - place, redact) for place, one in enumerate(self._known)]
        texts = [redacted(one.text, TEXT_LIMIT, redact) for one in critiques]
        # Each critique with the number of shown events before it.
        before = [sum(place < one.after for place in places) for one in critiques]
        self._critiques = [(place, said_view(text)) for place, text in zip(before, texts, strict=True)]
        self._texts = tuple(inline(text, TEXT_LIMIT) for text in texts)

    def views(self, newest: int) -> list[ItemView]:
        """The newest so many events, oldest first, and all critiques at their places among them."""
        cut = self.events - newest
        views: list[ItemView] = []
        critiques = list(self._critiques)
        for place in range(cut, self.events + 1):
            while critiques and critiques[0][0] <= place:
                views.append(critiques.pop(0)[1])
            views += self._views[place : place + 1]
        return views

    def newest(self, events: int) -> list[Known]:
        """The newest so many of the events that a prompt may show, oldest first."""
        return self._known[self.events - events :]

    def critiques_in(self, messages: Sequence[Message]) -> tuple[int, int]:
        """How many critiques a prompt shows, and how many there are."""
        if not self._texts:
            return 0, 0
        prompt = "\n".join(message.content for message in messages)
        return sum(text in prompt for text in self._texts), len(self._texts)


def redacted(text: str, limit: int, redact: Redactor | None) -> str:
    """The user's own words as they may be sent; made one plain line first, so that nothing hides from `redact`."""
    return text if redact is None else redact(inline(text, limit))


def _view(one: Known, age: int, redact: Redactor | None) -> ItemView:
    if one.item is None:
        return title_view(redacted(one.event.item, TITLE_LIMIT, redact), one.event, age)
    return item_view(one.item, one.event, age)


class Prompts:
    """Renders the prompts of one call.

    What does not fit is left out from its start: the oldest events, then the oldest turns of the conversation. The
    last turn always stays. `size` is how many events and turns can be left out, one by one; `turns` how many turns
    a prompt may show; `answers` has the answers to the template's earlier steps. `tokens` are broken in every
    prompt (`ServerInfo.control_tokens`).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        request: Request,
        known: Sequence[Known],
        candidates: Sequence[Item] = (),
        *,
        tokens: Sequence[str] = (),
    ) -> None:
        template, redact = pipeline.template, pipeline.redact
        variable = template.variables.get("history")
        self.history = HistoryView(
            known, request.history.critiques, last=variable.last if variable else None, redact=redact
        )
        shows = "conversation" in template.variables
        views = [
            TurnView(turn.role, redacted(turn.text, TURN_LIMIT, redact))
            for turn in request.conversation
            if shows and turn.text.strip()
        ]
        self._conversation = [view for view in views if view.text]
        self.turns = len(self._conversation)
        self.size = self.history.events + max(0, self.turns - 1)
        self.answers: dict[str, str] = {}
        self._request = request
        self._tokens = tokens
        self._template = template
        self._pictures = Pictures(pipeline)
        self._k, self._domain = request.k, pipeline.catalog.domain
        self._about = redacted(request.about, TEXT_LIMIT, redact) if request.about else None
        self.candidates = [item_view(item) for item in candidates]
        self._shown: dict[str, list[ItemView]] = {}
        if "shown" in template.variables:
            shown = (one for one in request.history.shown if one in pipeline.catalog)
            self._shown["shown"] = [item_view(pipeline.catalog[one]) for one in shown]

    def render(
        self,
        newest: int,
        order: Order | None = None,
        labels: Sequence[str] = (),
        content: Content = "user",
        *,
        step: str | None = None,
    ) -> tuple[Message, ...]:
        """The messages with the newest events and turns and these candidates (None for all)."""
        views = self.candidates if order is None else [self.candidates[one] for one in order]
        if content == "nothing":
            views = [title_view(_NOTHING)] * len(views)
        if labels:
            views = [replace(view, label=label) for view, label in zip(views, labels, strict=True)]
        events, turns = self.parts(newest)
        history, about, answers = self.history.views(events), self._about, self.answers
        conversation = self._conversation[self.turns - turns :]
        if content != "user":
            history, about = [title_view(_NOTHING)], None if about is None else _NOTHING
            conversation = [TurnView("user", _NOTHING)] if turns else []
            answers = dict.fromkeys(answers, _NOTHING)
        further: dict[str, str | list[ItemView] | list[TurnView]] = {**answers, **self._shown}
        if conversation:
            further["conversation"] = conversation
        messages = self._template.render(
            step, history=history, candidates=views, k=self._k, about=about, domain=self._domain, **further
        )
        return self._template.without_tokens(self._pictures.beside(messages, history, views), self._tokens)

    def parts(self, newest: int) -> tuple[int, int]:
        """How many events and how many turns the newest so many of them are."""
        turns = min(self.turns, newest + 1)
        return newest - max(0, turns - 1), turns

    def shown(self, fitted: Fitted) -> Shown:
        """What a prompt shows of the user, and what it leaves out."""
        events, turns = self.parts(fitted.shown)
        critiques, said = self.history.critiques_in(fitted.messages)
        judged = any(one.event.feedback is not Feedback.SEEN for one in self.history.newest(events))
        found: list[Evidence] = ["history"] if self.history.events else []
        found += ["about"] if self._request.about else []
        found += ["feedback"] if judged else []
        found += ["critique"] if critiques else []
        found += ["conversation"] if turns else []
        template, notes = self._template.ref, []
        for shown, given, what in ((events, self.history.events, "events"), (turns, self.turns, "turns")):
            if shown < given:
                left_out = given - shown
                notes.append(f"the {left_out:,} oldest of {given:,} {what} were left out to fit the context")
        if critiques < said:
            notes.append(f"the template {template} leaves out {said - critiques} of {said} critiques")
        if self._request.conversation and not self.turns:
            notes.append(f"the template {template} leaves out the conversation")
        elif blank := len(self._request.conversation) - self.turns:
            notes.append(f"{blank} turns of the conversation have no text")
        return Shown(events, turns, tuple(found), notes + self._pictures.notes())


async def ask_once(llm: LLM, render: Render, size: int, sampling: Sampling) -> tuple[Exchange, Fitted]:
    """Asks one question with a prompt that fits; see `ask_fitting`."""

    def ask(fitted: Fitted) -> Awaitable[Exchange]:
        return llm.chat(ChatRequest(messages=fitted.messages, sampling=sampling))

    return await ask_fitting(llm, render, size, sampling.max_tokens, ask)


async def ask_fitting(
    llm: LLM, render: Render, size: int, max_tokens: int, ask: Callable[[Fitted], Awaitable[Answer]]
) -> tuple[Answer, Fitted]:
    """Asks with a prompt that fits; where it is too long after all, with half of its content each time."""
    context = (await llm.handshake()).context_length
    fitted = await fit_history(llm, render, size, None if context is None else context - max_tokens)
    while True:
        try:
            return await ask(fitted), fitted
        except ContextOverflowError:
            if fitted.shown <= 1:
                raise
            fitted = Fitted(render(fitted.shown // 2), fitted.shown // 2)


async def fit_history(llm: LLM, render: Render, size: int, budget: int | None) -> Fitted:
    """The prompt with as many of the newest events and turns as the budget allows; None for no limit.

    Tokens grow about evenly with them, so a straight line between a prompt that fits and one that does not lands
    near the answer: few prompts are counted, however many there are.
    """
    messages = render(size)
    images = sum(len(message.images) for message in messages)
    if budget is not None and images:
        budget -= min(
            _IMAGE_TOKENS * images, budget // 2
        )  # a guess: it may shorten a history, not refuse a prompt
    if budget is None or _most_tokens(messages) <= budget:
        return Fitted(messages, size)
    tokens = await _tokens(llm, messages)
    if tokens <= budget:
        return Fitted(messages, size)
    bare = render(0)
    bare_tokens = await _tokens(llm, bare)
    if bare_tokens > budget:
        raise ContextOverflowError(
            f"the prompt takes {bare_tokens:,} tokens without any history, and only {budget:,} are free for it",
            hint="send fewer candidates or lower max_tokens in the template, or serve a longer context",
        )
    fits, fitting, most = Fitted(bare, 0), bare_tokens, tokens
    too_many = size
    while too_many - fits.shown > 1 and budget - fitting > budget * _SLACK:
        between = fits.shown + (budget - fitting) * (too_many - fits.shown) // (most - fitting)
        guess = min(max(between, fits.shown + 1), too_many - 1)
        messages = render(guess)
        tokens = await _tokens(llm, messages)
        if tokens <= budget:
            fits, fitting = Fitted(messages, guess), tokens
        else:
            too_many, most = guess, tokens
    return fits


async def _tokens(llm: LLM, messages: tuple[Message, ...]) -> int:
    """The tokens of the texts; servers count no images without the model."""
    texts = tuple([one.model_copy(update={"images": ()}) if one.images else one for one in messages])
    counted = await llm.count_tokens(texts)
    return _most_tokens(texts) // _BYTES_PER_TOKEN_GUESS if counted is None else counted


def _most_tokens(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.encode()) + _MESSAGE_TOKENS for message in messages)
