"""What a prompt tells of the user: the events of the history, and their own words at their place among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from zsrec.answers.grounding import Known
from zsrec.core.errors import ContextOverflowError
from zsrec.core.privacy import Redactor
from zsrec.core.types import Evidence, Exchange, Message, Sampling, TemplateRef
from zsrec.core.untrusted_text import TEXT_LIMIT, TITLE_LIMIT, inline
from zsrec.data.history import Critique, Event, Feedback
from zsrec.llm.protocol import ChatRequest, Plan, ask, count_tokens, handshake
from zsrec.prompts.item_view import ItemView, item_view, said_view, title_view

# A byte-level tokenizer spends at most one token a byte; the chat template adds its own around each message.
_TEMPLATE_TOKENS = 16
# Where nobody counts: text in Latin letters takes about 4 bytes a token; half of that errs on the safe side.
_BYTES_PER_TOKEN_GUESS = 2
# A prompt that leaves less than this share of its room unused is full enough.
_SLACK = 0.05


class Fitted(NamedTuple):
    """A prompt that fits.

    Attributes:
        messages: The rendered roles.
        kept: How many of the newest events stand in it.
    """

    messages: tuple[Message, ...]
    kept: int


Render = Callable[[int], tuple[Message, ...]]
Answer = TypeVar("Answer")


def ask_fitting(
    render: Render, events: int, max_tokens: int, ask: Callable[[Fitted], Plan[Answer]]
) -> Plan[tuple[Answer, Fitted]]:
    """Asks with a prompt that fits; where it is too long after all, with half of the history each time.

    Args:
        render: Renders the prompt with the newest n events.
        events: How many events there are.
        max_tokens: Tokens that the answer may have.
        ask: Asks with what fits.

    Raises:
        ContextOverflowError: The prompt does not fit even without a history.
        LLMError: What `ask` raises.
    """
    server = yield from handshake()
    budget = None if server.context_length is None else server.context_length - max_tokens
    fitted = yield from fit_history(render, events, budget)
    while True:
        try:
            answer = yield from ask(fitted)
        except ContextOverflowError:
            if fitted.kept <= 1:
                raise
            fitted = Fitted(render(fitted.kept // 2), fitted.kept // 2)
        else:
            return answer, fitted


def ask_once(render: Render, events: int, sampling: Sampling) -> Plan[tuple[Exchange, Fitted]]:
    """Asks one question with a prompt that fits; see `ask_fitting`."""

    def one(fitted: Fitted) -> Plan[Exchange]:
        (exchange,) = yield from ask(ChatRequest(messages=fitted.messages, sampling=sampling))
        return exchange

    return (yield from ask_fitting(render, events, sampling.max_tokens, one))


def fit_history(render: Render, events: int, budget: int | None) -> Plan[Fitted]:
    """The prompt with as many of the newest events as the context takes.

    Tokens grow about evenly with the events, so a straight line between a prompt that fits and one that does
    not lands near the answer: few prompts are counted, however long the history is.

    Args:
        render: Renders the prompt with the newest n events.
        events: How many events there are.
        budget: Tokens that the prompt may have; None where the context's length is unknown.

    Raises:
        ContextOverflowError: The prompt does not fit even without a history.
    """
    messages = render(events)
    if budget is None or _most_tokens(messages) <= budget:
        return Fitted(messages, events)
    tokens = yield from _tokens(messages)
    if tokens <= budget:
        return Fitted(messages, events)
    bare = render(0)
    bare_tokens = yield from _tokens(bare)
    if bare_tokens > budget:
        raise ContextOverflowError(
            f"the prompt takes {bare_tokens:,} tokens without any history, and only {budget:,} are free for it",
            hint="send fewer candidates or lower max_tokens in the template, or serve a longer context",
        )
    fits, fitting, most = Fitted(bare, 0), bare_tokens, tokens
    too_many = events
    while too_many - fits.kept > 1 and budget - fitting > budget * _SLACK:
        between = fits.kept + (budget - fitting) * (too_many - fits.kept) // (most - fitting)
        guess = min(max(between, fits.kept + 1), too_many - 1)
        messages = render(guess)
        tokens = yield from _tokens(messages)
        if tokens <= budget:
            fits, fitting = Fitted(messages, guess), tokens
        else:
            too_many, most = guess, tokens
    return fits


def _tokens(messages: tuple[Message, ...]) -> Plan[int]:
    counted = yield from count_tokens(messages)
    return _most_tokens(messages) // _BYTES_PER_TOKEN_GUESS if counted is None else counted


def _most_tokens(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.encode()) + _TEMPLATE_TOKENS for message in messages)


class Told:
    """The history as a prompt may show it.

    What the user said is kept however short the history is cut: it is short, and nothing says more.

    Args:
        known: The events with their items. One given by an id that the catalog lacks has no title and is left out.
        critiques: The user's own words.
        last: Only so many of the newest events; None for all.
        redact: Takes personal data out of what the user wrote; None leaves it as it came.

    Attributes:
        events: How many events a prompt may show.
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
        # Each with the number of shown events before it; what was said before the first of them comes first.
        texts = [harmless(one.text, TEXT_LIMIT, redact) for one in critiques]
        before = [sum(place < one.after for place in places) for one in critiques]
        self._said = [(place, said_view(text)) for place, text in zip(before, texts, strict=True)]
        self._texts = tuple(inline(text, TEXT_LIMIT) for text in texts)

    def views(self, newest: int) -> list[ItemView]:
        """The newest so many events, oldest first, with everything that was said at its place."""
        cut = self.events - newest
        views: list[ItemView] = []
        said = list(self._said)
        for place in range(cut, self.events + 1):
            while said and said[0][0] <= place:
                views.append(said.pop(0)[1])
            views += self._views[place : place + 1]
        return views

    def kept(self, newest: int) -> list[Known]:
        """The newest so many of the events that a prompt may show, oldest first."""
        return self._known[self.events - newest :]

    def evidence(self, fitted: Fitted, about: str | None) -> tuple[Evidence, ...]:
        """What of the user stands in a prompt.

        Args:
            fitted: The prompt.
            about: The user in words.
        """
        kept = [one.event for one in self.kept(fitted.kept)]
        found: list[Evidence] = ["history"] if self.events else []
        found += ["about"] if about else []
        found += ["feedback"] if any(_judged(event) for event in kept) else []
        found += ["critique"] if any(text in _whole(fitted.messages) for text in self._texts) else []
        return tuple(found)

    def missing(self, messages: Sequence[Message], template: TemplateRef) -> list[str]:
        """Says so where a template leaves out what the user said."""
        lost = sum(text not in _whole(messages) for text in self._texts)
        return [f"the template {template} leaves out {lost} of {len(self._texts)} critiques"] if lost else []


def _judged(event: Event) -> bool:
    return event.feedback is not Feedback.SEEN


def _whole(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


def harmless(text: str, limit: int, redact: Redactor | None) -> str:
    """The user's own words as they may be sent; made one plain line first, so that nothing hides from `redact`.

    Args:
        text: What the user wrote.
        limit: Its most characters in a prompt.
        redact: Takes personal data out; None leaves the text as it came.
    """
    return text if redact is None else redact(inline(text, limit))


def _view(one: Known, age: int, redact: Redactor | None) -> ItemView:
    if one.item is None:
        return title_view(harmless(one.event.item, TITLE_LIMIT, redact), one.event, age)
    return item_view(one.item, one.event, age)
