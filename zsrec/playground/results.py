"""A round's results on the page: the ranked list, the answer with its mentions, and code that does the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nicegui import html, ui
from nicegui.element import Element

from zsrec.core.errors import ZsrecError
from zsrec.core.types import Exchange
from zsrec.data.history import Feedback
from zsrec.playground import snippets
from zsrec.playground.answers import Piece, Row, label_bars, pieces, remarks, rows, summary
from zsrec.playground.draft import Draft, Person
from zsrec.playground.preview import look
from zsrec.playground.state import LOOKS, Feedbacks, Round, Workshop, beside
from zsrec.prompts.diagnostics import question_in_words

_MOST_ANSWERS = 10
Judge = Callable[[str, Feedback], None]


class Results:
    """One round's results; all texts are put on the page as text, never as HTML."""

    def __init__(self, workshop: Workshop, label: str, judge: Judge) -> None:
        self._workshop = workshop
        self._label = label
        self._judge = judge
        self._buttons: dict[tuple[str, Feedback], Element] = {}
        self.box = named(html.section(), f"Results of {label}")

    def clear(self) -> None:
        """Remove the results from the page."""
        self._buttons.clear()
        self.box.clear()

    def show(self, one: Round, number: int, draft: Draft, person: Person) -> None:
        """Show a round, whose number starts from 1, with the draft and the person that it was asked for."""
        self.clear()
        with self.box:
            html.h3(f"Round {number}: recommended")
            html.p(summary(one.recommendations)).classes("soft")
            self._ranked(one)
            html.h3("The model's answer")
            self._answers(one)
            with html.ul().classes("soft"):
                for remark in remarks(one.recommendations, self._workshop.recommender.catalog):
                    html.li(remark)
            self._code(one, draft, person)

    def mark(self, feedbacks: Feedbacks) -> None:
        """Show the person's feedback so far."""
        for (item_id, feedback), button in self._buttons.items():
            button.props["aria-pressed"] = "true" if feedbacks.marks.get(item_id) is feedback else "false"

    def _ranked(self, one: Round) -> None:
        ranked = rows(one.recommendations)
        if not ranked:
            html.p("Nothing could be recommended: the answer names no item that is new to this person.")
        with html.ol().classes("ranked"):
            for row in ranked:
                with html.li():
                    html.span(f"{row.rank}.").classes("place")
                    with html.div().classes("what"):
                        html.span(row.title).classes("title")
                        html.span(f" {row.how}").classes("note")
                        if row.probability is not None:
                            _bar(row.probability)
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
            if exchange.label_logprobs:
                self._labels(number, exchange.label_logprobs)
                continue
            with scrollable(f"Answer {number + 1} of {self._label}"):
                for piece in pieces(result, number, self._workshop.recommender.catalog):
                    _piece(piece)
        if len(exchanges) > _MOST_ANSWERS:
            html.p(f"… and {len(exchanges) - _MOST_ANSWERS} more requests").classes("soft")

    def _labels(self, number: int, logprobs: Mapping[str, float]) -> None:
        """The probabilities of an answer of one token, the most likely labels first."""
        with named(html.ul().classes("labels"), f"Answer {number + 1} of {self._label}"):
            for label, probability in label_bars(logprobs):
                with html.li():
                    html.span(label).classes("label")
                    _bar(probability)

    def _sent(self, exchange: Exchange, where: str) -> None:
        """What was sent for one of several questions, earlier answers included; folded."""
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
                recommender = await beside(LOOKS, workshop.with_retriever, one.question.retriever)
                found = await beside(LOOKS, look, recommender, one.question)
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
                    html.p(f"Not available: {why}.").classes("soft")

        details.on("toggle", fetch)


def _bar(probability: float) -> None:
    """A probability as a bar and a number."""
    with html.span().classes("prob"):
        with html.span():
            html.span().style(f"width: {100 * probability:.1f}%")
        html.span(f"{probability:.1%}").classes("note")


def _piece(piece: Piece) -> None:
    if piece.kind == "plain":
        html.span(piece.text)
        return
    {"matched": html.mark, "left out": html.span, "unmatched": html.del_}[piece.kind](piece.text).classes(
        "out" if piece.kind == "left out" else ""
    )
    html.span(f"[{piece.note}]").classes("note")


def say(box: Element, text: str) -> None:
    """Replace the content of a box by one text, or by nothing."""
    box.clear()
    if text:
        with box:
            html.span(text)


def scrollable(label: str) -> Element:
    """A box of text that a keyboard can scroll, with a name for screen readers."""
    box: Element = html.pre().classes("text")
    return named(box, label, tabindex="0", role="region")


def named(element: Element, label: str, **further: str) -> Element:
    """Give an element a name for screen readers, and other attributes."""
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
