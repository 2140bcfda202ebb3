"""What came back, on the screen: the answer with its mentions, the ranked list, and code that does the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from nicegui import html, ui
from nicegui.element import Element

from zsrec.core.errors import ZsrecError
from zsrec.core.types import Exchange, Grounded, Match, Recommendation, Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.history import Feedback
from zsrec.data.titles import display_title
from zsrec.playground import snippets
from zsrec.playground.draft import Draft, Person
from zsrec.playground.preview import look
from zsrec.playground.state import LOOKS, Feedbacks, Round, Workshop, beside
from zsrec.prompts.diagnostics import question_in_words

Kind = Literal["plain", "matched", "left out", "unmatched"]

_WHY = {
    "not_in_catalog": "not in the catalog",
    "ambiguous": "could be several items",
    "below_threshold": "no item is sure enough",
    "seen": "the person knows it already",
    "duplicate": "named before",
    "not_a_candidate": "not one of the candidates",
    "beyond_k": "the list was full",
}
_MOST_ALTERNATIVES = 3


@dataclass(frozen=True)
class Piece:
    """A part of an answer's text.

    Attributes:
        text: As the model wrote it; all pieces together are the answer.
        kind: "matched" where it became a recommendation, "left out" where its item did not, "unmatched" where
            there is no item, "plain" for all else.
        note: What it was matched to and how, or why not; empty for plain text.
    """

    text: str
    kind: Kind = "plain"
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A place of the ranked list.

    Attributes:
        rank: 1 for the best.
        item_id: The item.
        title: As people write it.
        how: How it came there: the match's method and confidence, its score's parts, or what filled the place.
        reason: What the model wrote about it; empty where it wrote nothing.
    """

    rank: int
    item_id: str
    title: str
    how: str
    reason: str = ""


def pieces(result: Recommendations, exchange: int, catalog: Catalog) -> list[Piece]:
    """An answer in pieces.

    Args:
        result: With its trace.
        exchange: Which of the trace's answers.
        catalog: Where matched items have their titles.
    """
    trace = result.trace
    answer = trace.exchanges[exchange].answer
    left_out = {_place(one.grounded): one.why for one in trace.dropped}
    found: list[Piece] = []
    end = 0
    mentions = sorted((one for one in trace.grounded if one.exchange == exchange), key=lambda g: g.mention.start)
    for grounded in mentions:
        mention = grounded.mention
        if mention.start < end or mention.end <= mention.start:
            continue  # two readings of one place: the first is shown
        if mention.start > end:
            found.append(Piece(answer[end : mention.start]))
        text = answer[mention.start : mention.end]
        found.append(_answer_piece(text, grounded.match, left_out.get(_place(grounded)), catalog))
        end = mention.end
    if end < len(answer):
        found.append(Piece(answer[end:]))
    return found


def rows(result: Recommendations) -> list[Row]:
    """The ranked list."""
    return [
        Row(one.rank, one.item.id, display_title(one.item.title), _how(one), one.reason or "") for one in result
    ]


def summary(result: Recommendations) -> str:
    """The round in one sentence: places, mentions, tokens, seconds."""
    trace = result.trace
    named = len(trace.grounded)
    parts = [f"{len(result)} recommended"]
    if named:
        parts.append(f"{named} named, {len(trace.unresolved)} of them without an item")
    tokens = [exchange.usage for exchange in trace.exchanges]
    if any(one.prompt_tokens is not None for one in tokens):
        prompt, answer = (sum(getattr(one, f"{side}_tokens") or 0 for one in tokens) for side in _SIDES)
        parts.append(f"{prompt:,} + {answer:,} tokens")
    parts.append(f"{sum(one.seconds or 0.0 for one in trace.exchanges):.1f} s")
    return " · ".join((*parts, trace.mode))


_SIDES = ("prompt", "completion")


def remarks(result: Recommendations) -> list[str]:
    """What else a reader should know: unknown titles of the history, cut answers, short lists."""
    return list(_remarks(result))


def _remarks(result: Recommendations) -> Iterator[str]:
    unknown = result.trace.history.unresolved
    if unknown:
        first = ", ".join(repr(name) for name, _ in unknown[:_MOST_ALTERNATIVES])
        more = f" and {len(unknown) - _MOST_ALTERNATIVES:,} more" if len(unknown) > _MOST_ALTERNATIVES else ""
        yield f"of the history the catalog lacks {first}{more}"
    yield from result.trace.notes


def _answer_piece(text: str, match: Match, why: str | None, catalog: Catalog) -> Piece:
    if match.item_id is None:
        note = _WHY[match.reason or "not_in_catalog"]
        if match.reason == "ambiguous" and match.alternatives:
            note += ": " + "; ".join(_title(one, catalog) for one in match.alternatives[:_MOST_ALTERNATIVES])
        return Piece(text, "unmatched", note)
    note = f"{_title(match.item_id, catalog)} · {match.method} {match.score:.0%}"
    return Piece(text, "matched", note) if why is None else Piece(text, "left out", f"{note} · {_WHY[why]}")


def _how(one: Recommendation) -> str:
    if one.source != "llm":
        return f"filled from {one.source}"
    if one.provenance is not None:
        return f"{one.provenance.match.method} {one.provenance.match.score:.0%}"
    if one.parts is None:
        return "ranked by the model"
    parts = [f"model {one.parts.llm:.2f}"]
    if one.parts.probability is not None:
        parts.append(f"probability {one.parts.probability:.1%}")
    if one.parts.prior is not None:
        parts.append(f"retriever {one.parts.prior:.2f}")
    return ", ".join(parts)


def _title(item_id: str, catalog: Catalog) -> str:
    return display_title(catalog[item_id].title) if item_id in catalog else item_id


def _place(grounded: Grounded) -> tuple[int, int, int]:
    return grounded.exchange, grounded.mention.start, grounded.mention.end


def say(box: Element, text: str) -> None:
    """Puts one text into a box, in the place of what was there."""
    box.clear()
    with box:
        html.span(text)


def scrollable(label: str) -> Element:
    """A box of text that a keyboard can scroll and a screen reader can name."""
    box: Element = html.pre().classes("text")
    return named(box, label, tabindex="0", role="region")


def named(element: Element, label: str, **further: str) -> Element:
    """An element with a name for screen readers, and other attributes."""
    element.props.update({"aria-label": label, **further})
    return element


def copyable(code: str, label: str) -> None:
    """Code in a box, with a button that copies it."""

    def copy() -> None:
        ui.clipboard.write(code)
        ui.notify("Copied")

    ui.button(label, on_click=copy).props("outline no-caps size=sm")
    with scrollable(label.removeprefix("Copy ")):
        html.span(code)


_MOST_ANSWERS = 10
Judge = Callable[[str, Feedback], None]


class Results:
    """One round's results. All texts are put on the page as text, never as HTML.

    Args:
        workshop: The shared parts.
        label: What the template is called, for screen readers.
        judge: Called with an item's id and what the person thinks of it.
    """

    def __init__(self, workshop: Workshop, label: str, judge: Judge) -> None:
        self._workshop = workshop
        self._label = label
        self._judge = judge
        self._buttons: dict[tuple[str, Feedback], Element] = {}
        self._box = named(html.section(), f"Results of {label}")

    def clear(self) -> None:
        """Takes the results off the page."""
        self._buttons.clear()
        self._box.clear()

    def show(self, one: Round, number: int, draft: Draft, person: Person) -> None:
        """Shows a round.

        Args:
            one: The round.
            number: Which one, from 1.
            draft: The template as it was asked.
            person: Whom it was for.
        """
        self.clear()
        with self._box:
            html.h3(f"Round {number}: recommended")
            html.p(summary(one.recommendations)).classes("soft")
            self._ranked(one)
            html.h3("The model's answer")
            self._answers(one)
            said = remarks(one.recommendations)
            if said:
                with html.ul().classes("soft"):
                    for remark in said:
                        html.li(remark)
            self._code(one, draft, person)

    def mark(self, feedbacks: Feedbacks) -> None:
        """Shows what the person thinks of the items so far."""
        for (item_id, feedback), button in self._buttons.items():
            button.props["aria-pressed"] = "true" if feedbacks.marks.get(item_id) is feedback else "false"

    def _ranked(self, one: Round) -> None:
        ranked = rows(one.recommendations)
        if not ranked:
            html.p("Nothing could be recommended: the answer names nothing that the person does not know yet.")
        with html.ol().classes("ranked"):
            for row in ranked:
                with html.li():
                    html.span(f"{row.rank}.").classes("place")
                    with html.div().classes("what"):
                        html.span(row.title).classes("title")
                        html.span(f" {row.how}").classes("note")
                        if row.reason:
                            html.p(row.reason).classes("soft")
                    with html.div().classes("judges"):
                        self._button(row, Feedback.LIKED, "Like")
                        self._button(row, Feedback.DISLIKED, "Dislike")

    def _button(self, row: Row, feedback: Feedback, word: str) -> None:
        button = html.button(word).classes("judge").on("click", lambda: self._judge(row.item_id, feedback))
        self._buttons[row.item_id, feedback] = named(
            button, f"{word} {row.title}", **{"type": "button", "aria-pressed": "false"}
        )

    def _answers(self, one: Round) -> None:
        result = one.recommendations
        exchanges = result.trace.exchanges
        steps = sum(bool(one.step) for one in exchanges)
        for number, exchange in enumerate(exchanges[:_MOST_ANSWERS]):
            if steps:
                self._sent(exchange, question_in_words(min(number, steps), steps + 1, exchange.step))
            with scrollable(f"Answer {number + 1} of {self._label}"):
                for piece in pieces(result, number, self._workshop.recommender.catalog):
                    _piece(piece)
        if len(exchanges) > _MOST_ANSWERS:
            html.p(f"… and {len(exchanges) - _MOST_ANSWERS} more requests").classes("soft")

    def _sent(self, exchange: Exchange, where: str) -> None:
        """What was really sent for one of several questions, earlier answers and all; folded up."""
        html.h4(where.capitalize())
        with html.details():
            html.summary("What was sent")
            for message in exchange.messages:
                html.p(message.role).classes("role")
                with scrollable(f"The {message.role} role sent for {where}, {self._label}"):
                    html.span(message.content)

    def _code(self, one: Round, draft: Draft, person: Person) -> None:
        workshop = self._workshop
        known = workshop.histories.get(person.user) if person.user is not None else None
        python = snippets.as_python(
            one.question,
            draft,
            opening=workshop.opening,
            known=person.user,
            base=0 if known is None else len(known.events),
            model=dict(workshop.model or {}),
            popular=workshop.recommender.popularity is not None,
        )
        with html.details():
            html.summary("The same in Python")
            copyable(python, "Copy Python")
        with html.details() as details:
            html.summary("The same request as curl")
            place = html.div()

        async def fetch() -> None:
            if place.default_slot.children:
                return
            try:
                found = await beside(LOOKS, look, workshop.recommender, one.question)
            except ZsrecError as error:
                found, why = None, error.message
            else:
                why = "the server does not answer, so its address and model are unknown"
            with place:
                if found is not None and found.request is not None and found.server is not None:
                    copyable(snippets.as_curl(found.request, found.server), "Copy curl")
                    requests = len(found.prompts) - 1 + found.at_once
                    if requests > 1:
                        html.p(f"It is the first of {requests} requests.").classes("soft")
                else:
                    html.p(f"There is none: {why}.").classes("soft")

        details.on("toggle", fetch)


def _piece(piece: Piece) -> None:
    if piece.kind == "plain":
        html.span(piece.text)
        return
    {"matched": html.mark, "left out": html.span, "unmatched": html.del_}[piece.kind](piece.text).classes(
        "out" if piece.kind == "left out" else ""
    )
    html.span(f"[{piece.note}]").classes("note")
