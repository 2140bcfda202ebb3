"""A browser tab's page: whom to recommend for, one or two templates, and the buttons that ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nicegui import html, ui

from zsrec.data.history import Feedback
from zsrec.playground.draft import MOST_LISTED, Person
from zsrec.playground.pane import Pane
from zsrec.playground.results import named, say
from zsrec.playground.state import Question, Workshop, toggle
from zsrec.prompts import Template

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_USER, _TYPED = "A user of the data", "A history I type"
_MOST_K = 100
# Quasar puts the options of a list into an element that can be focused, which hides them from screen readers.
_LISTS = """
new MutationObserver(() => {
  for (const box of document.querySelectorAll("[role=listbox] > .q-virtual-scroll__content[tabindex]"))
    box.removeAttribute("tabindex");
}).observe(document.body, { childList: true, subtree: true });
"""
_OUTCOMES = {  # the worst comes first
    "failed": "Not answered: see the message below the template.",
    "stopped": "Cancelled: nothing has changed.",
    "answered": "Done.",
}
_BLUE = "#0b57d0"  # 6.4:1 on white


class Page:
    """The page of one tab."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._panes: list[Pane] = []
        self._gone = False
        ui.context.client.on_delete(self._leave)
        ui.page_title("zsrec playground")
        ui.add_css(_STYLE)
        ui.colors(primary=_BLUE)
        with html.div().classes("page"):  # NiceGUI's own element around it is the main landmark
            self._top()
            self._form()
            self._run_bar()
            self._panes_box = html.div().classes("panes")
            self._refine_bar()
            self._add_pane()

    async def connected(self) -> None:
        """Call when the browser is connected."""
        ui.run_javascript(_LISTS)
        for pane in self._panes:
            pane.connected()
        await asyncio.gather(*(pane.preview.ask() for pane in self._panes))

    def _top(self) -> None:
        catalog = self._workshop.recommender.catalog
        with html.header().classes("top"):
            html.h1("zsrec playground")
            html.p(f"{len(catalog):,} {catalog.domain} · {self._workshop.recommender.settings.base_url}").classes(
                "soft"
            )

    def _form(self) -> None:
        users = self._workshop.users
        with named(html.section().classes("card"), "For whom"):
            html.h2("For whom")
            with html.div().classes("fields"):
                with html.div():
                    self._who = ui.radio(
                        [_USER, _TYPED] if users else [_TYPED],
                        value=_USER if users else _TYPED,
                        on_change=self._changed,
                    ).props("inline")
                    named(self._who, "Where the history comes from")
                    self._user = ui.select(
                        users,
                        value=next(iter(users), None),
                        label="User",
                        with_input=True,
                        on_change=self._changed,
                    ).props("outlined dense")
                    self._user.bind_visibility_from(self._who, "value", value=_USER)
                    left = len(self._workshop.histories) - len(users)
                    if left > 0:
                        html.p(f"The first {MOST_LISTED:,} users; {left:,} more are not listed.").classes("soft")
                    self._typed = ui.textarea("History", on_change=self._changed).props("outlined debounce=300")
                    _hint(
                        self._typed, "One title or id a line, oldest first; “+ ” before it: liked, “- ”: disliked"
                    )
                    self._typed.bind_visibility_from(self._who, "value", value=_TYPED)
                self._about = ui.textarea("In words", on_change=self._changed).props(
                    "outlined autogrow debounce=300"
                )
                _hint(self._about, "What they look for; beside a history or alone")
                with html.div():
                    self._k = ui.number(
                        "How many", value=5, min=1, max=_MOST_K, precision=0, on_change=self._asks_otherwise
                    ).props("outlined dense")
                    self._candidates = ui.textarea("Candidates", on_change=self._asks_otherwise).props(
                        "outlined autogrow debounce=300"
                    )
                    _hint(self._candidates, f"For ranking, one a line; {self._default_candidates()}")

    def _default_candidates(self) -> str:
        popular = self._workshop.recommender.popularity is not None
        return "empty: what is popular" if popular else "ranking templates need them"

    def _run_bar(self) -> None:
        with named(html.section().classes("card sticky"), "Ask"), html.div().classes("bar"):
            self._run = ui.button("Run", on_click=lambda: self._ask(fresh=True)).props("no-caps")
            self._cancel = ui.button("Cancel", on_click=self._stop).props("no-caps outline")
            self._cancel.set_visibility(False)
            self._second = ui.switch("Compare two templates", on_change=self._switch)
            self._status = html.p().classes("soft").props("role=status aria-live=polite")

    def _refine_bar(self) -> None:
        with named(html.section().classes("card"), "Refine"):
            html.h2("Refine")
            with html.div().classes("bar ends"):
                self._words = (
                    ui.input("Say something about these")
                    .props("outlined dense")
                    .classes("grow")
                    .on("keydown.enter", lambda: self._ask(fresh=False))
                )
                _hint(self._words, "For example “like these but less violent”; likes and dislikes go along")
                self._next = ui.button("Next round", on_click=lambda: self._ask(fresh=False)).props(
                    "no-caps outline"
                )
        self._enable()

    def _add_pane(self) -> None:
        letter, place = "AB"[len(self._panes)], len(self._panes)
        names = self._workshop.templates
        with self._panes_box:
            name = names[min(place, len(names) - 1)]
            self._panes.append(Pane(self._workshop, name, letter, self._question, self._person, self._judge))

    def _person(self) -> Person:
        typed = self._who.value == _TYPED
        return Person(
            user=None if typed else self._user.value,
            typed=(self._typed.value or "") if typed else "",
            about=self._about.value or "",
        )

    def _question(self, template: Template) -> Question:
        person = self._person()
        lines = (self._candidates.value or "").splitlines()
        return Question(
            template=template,
            history=person.history(self._workshop.histories),
            k=int(self._k.value or 1),
            about=person.about.strip() or None,
            candidates=tuple(line.strip() for line in lines if line.strip()) if template.task == "rank" else (),
        )

    async def _changed(self) -> None:
        await asyncio.gather(*(pane.changed() for pane in self._panes))
        self._enable()

    async def _asks_otherwise(self) -> None:
        await asyncio.gather(*(pane.preview.ask() for pane in self._panes))

    async def _switch(self) -> None:
        if self._second.value and len(self._panes) == 1:
            self._add_pane()
            self._panes[1].connected()
            await self._panes[1].preview.ask()
        elif not self._second.value and len(self._panes) == 2:
            gone = self._panes.pop()
            gone.stop()
            gone.box.delete()

    def _judge(self, item_id: str, feedback: Feedback) -> None:
        toggle([pane.pending for pane in self._panes], item_id, feedback)
        for pane in self._panes:
            pane.results.mark(pane.pending)
        marks = self._panes[0].pending.marks
        self._say(f"{len(marks)} marked for the next round." if marks else "Nothing marked.")

    async def _ask(self, *, fresh: bool) -> None:
        if self._run.props.get("loading"):
            return
        self._busy(True)
        try:
            for pane in self._panes:
                pane.pending.words = self._words.value or ""
            done = await asyncio.gather(*(pane.run(fresh=fresh) for pane in self._panes))
        finally:
            if not self._gone:
                self._busy(False)
        if self._gone:
            return
        if set(done) == {"answered"} and not fresh:
            self._words.value = ""
        if "stopped" in done:  # the button that had the focus is gone
            ui.run_javascript(f"getElement({self._run.id}).$el.focus()")
        self._say(next(words for outcome, words in _OUTCOMES.items() if outcome in done))

    def _stop(self) -> None:
        for pane in self._panes:
            pane.stop()

    def _leave(self) -> None:  # the tab was closed: nobody will read an answer
        self._gone = True
        self._stop()

    def _busy(self, busy: bool) -> None:
        for button in (self._run, self._next):
            button.props("loading" if busy else "", remove="" if busy else "loading")
        if busy:
            self._say("Asking the model …")
        self._cancel.set_visibility(busy)
        self._enable()

    def _enable(self) -> None:
        self._next.set_enabled(any(pane.last is not None for pane in self._panes))

    def _say(self, text: str) -> None:
        say(self._status, text)


def _hint(field: ui.input, text: str) -> None:
    """Put a hint below a field; a label that long would be cut."""
    field.props["hint"] = text
