"""A browser tab's page: on the left whom to recommend for and templates, on the right prompts and results."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nicegui import html, ui

from zsrec.data.history import Feedback
from zsrec.playground.draft import MOST_LISTED, Person, chips
from zsrec.playground.pane import Pane
from zsrec.playground.results import named, say
from zsrec.playground.state import Fields, Workshop, toggle

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_USER, _TYPED, _TALK = "A user of the data", "A history I type", "A conversation"
_CONVERSE = "converse/default"
_MOST_K = 100
# Quasar puts the options of a list into an element that can be focused, which hides them from screen readers.
_LISTS = """
new MutationObserver(() => {
  for (const box of document.querySelectorAll("[role=listbox] > .q-virtual-scroll__content[tabindex]"))
    box.removeAttribute("tabindex");
}).observe(document.body, { childList: true, subtree: true });
"""
# On a wide screen the results have a scroll bar of their own; on a narrow one they are below the templates.
_SHOW_RESULTS = """
const results = document.querySelector(".outputs");
if (matchMedia("(max-width: 1099px)").matches) results.scrollIntoView({ block: "start" });
else document.querySelector(".views").scrollTop = 0;
"""
_OUTCOMES = {  # the worst comes first
    "failed": "Not answered.",
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
            self._run_bar()
            with html.div().classes("columns"):
                with html.div().classes("inputs"):
                    self._form()
                    self._editors = html.div()
                with named(html.section().classes("outputs"), "Prompts and results"):
                    self._views = named(html.div().classes("views"), "Results", tabindex="0", role="region")
                    self._refine_bar()
            self._add_pane()
        self._show_chips()

    async def connected(self) -> None:
        """Call when the browser is connected."""
        ui.run_javascript(_LISTS)
        for pane in self._panes:
            pane.connected()
        await self._asks_otherwise()

    def _top(self) -> None:
        catalog = self._workshop.recommender.catalog
        with html.header().classes("top"):
            html.h1("zsrec playground")
            where = f"{len(catalog):,} {catalog.domain} · {self._workshop.recommender.settings.base_url}"
            html.p(where).classes("soft")

    def _run_bar(self) -> None:
        with named(html.section().classes("card sticky"), "Ask"), html.div().classes("bar"):
            self._run = ui.button("Run", on_click=self._start).props("no-caps")
            self._cancel = ui.button("Cancel", on_click=self._stop).props("no-caps outline")
            self._cancel.set_visibility(False)
            self._second = ui.switch("Compare two templates", on_change=self._switch)
            self._status = html.p().classes("soft").props("role=status aria-live=polite")
            self._alert = html.div().classes("errors").props("role=alert")

    def _form(self) -> None:
        users = self._workshop.users
        with named(html.section().classes("card fields"), "For whom"):
            html.h2("For whom")
            self._who = ui.radio(
                [_USER, _TYPED, _TALK] if users else [_TYPED, _TALK],
                value=_USER if users else _TYPED,
                on_change=self._whom,
            ).props("inline dense")
            named(self._who, "Where the history comes from")
            self._user = ui.select(
                users, value=next(iter(users), None), label="User", with_input=True, on_change=self._changed
            ).props("outlined dense")
            self._user.bind_visibility_from(self._who, "value", value=_USER)
            left = len(self._workshop.histories) - len(users)
            if left > 0:
                html.p(f"The first {MOST_LISTED:,} users; {left:,} more are not listed.").classes("soft")
            self._chips = named(html.ul().classes("chips"), "The newest events of the history")
            self._typed = ui.textarea("History", on_change=self._changed).props("outlined debounce=300")
            _hint(self._typed, "One title or id a line, oldest first; “+ ” before it: liked, “- ”: disliked")
            self._typed.bind_visibility_from(self._who, "value", value=_TYPED)
            self._conversation()
            self._about = ui.textarea("In words", on_change=self._changed).props("outlined autogrow debounce=300")
            _hint(self._about, "What they look for; with a history or alone")
            self._about.bind_visibility_from(self._who, "value", backward=lambda who: who != _TALK)
            self._k = ui.number(
                "How many", value=5, min=1, max=_MOST_K, precision=0, on_change=self._asks_otherwise
            ).props("outlined dense")
            self._candidates = ui.textarea("Candidates", on_change=self._asks_otherwise)
            self._candidates.props("outlined autogrow debounce=300")
            popular = self._workshop.recommender.popularity is not None
            default = "if empty, popular items" if popular else "ranking templates need them"
            _hint(self._candidates, f"For ranking templates, one a line; {default}")
            self._retriever = ui.select(
                self._workshop.retrievers,
                value=self._workshop.retriever,
                label="Retrieval",
                on_change=self._asks_otherwise,
            ).props("outlined dense")
            _hint(
                self._retriever, "Gives candidates; with other templates, places in turn with the model's titles"
            )

    def _conversation(self) -> None:
        """The turns so far, and a field for the next one."""
        self._opening = ""  # what was said first, once it was sent
        with html.div().classes("talk") as box:
            self._turns = named(html.ol().classes("turns"), "The conversation")
            with html.div().classes("bar ends"):
                self._say = ui.input("Say what you want", on_change=self._speaking)
                self._say.props("outlined dense").classes("grow")
                _hint(self._say, "For example “I loved Heat. Something quieter?”")
                self._say.on("keydown.enter", self._send)
                ui.button("Send", on_click=self._send).props("no-caps")
            ui.button("Start over", on_click=self._forget).props("no-caps flat dense size=sm")
        box.bind_visibility_from(self._who, "value", value=_TALK)

    async def _whom(self) -> None:
        if self._who.value == _TALK:
            for pane in self._panes:
                if not pane.shows_conversations:
                    pane.pick(_CONVERSE)
        await self._changed()

    async def _speaking(self) -> None:
        if not self._opening:
            await self._changed()

    async def _start(self) -> None:
        if self._who.value == _TALK and not self._opening and (self._say.value or "").strip():
            await self._send()
        else:
            await self._ask(fresh=True)

    async def _send(self) -> None:
        """Say the next thing: it is the person's first words, or what they say of the last recommendations."""
        text = (self._say.value or "").strip()
        if not text or self._run.props.get("loading"):
            return
        if not self._opening:
            self._opening = text
            await self._ask(fresh=True)
        else:
            await self._ask(fresh=False, words=text)
        if any(pane.error is not None for pane in self._panes):
            self._opening = self._opening if any(pane.last is not None for pane in self._panes) else ""
        else:
            self._say.value = ""

    async def _forget(self) -> None:
        self._opening = ""
        await self._changed()

    def _show_turns(self) -> None:
        last = next((pane.last for pane in self._panes if pane.last is not None), None)
        self._turns.clear()
        with self._turns:
            for turn in last.talk if last is not None else ():
                with html.li().classes(turn.role):
                    html.span("You" if turn.role == "user" else "Recommended").classes("who")
                    html.span(turn.text)

    def _refine_bar(self) -> None:
        with named(html.section().classes("card refine"), "Refine"), html.div().classes("bar ends"):
            self._words = ui.input("Say something about these").props("outlined dense").classes("grow")
            self._words.on("keydown.enter", lambda: self._ask(fresh=False))
            _hint(self._words, "For example “less violent”; likes and dislikes are sent as well")
            self._next = ui.button("Next round", on_click=lambda: self._ask(fresh=False)).props("no-caps outline")
        self._enable()

    def _add_pane(self) -> None:
        letter, names = "AB"[len(self._panes)], list(self._workshop.templates)
        name = names[min(len(self._panes), len(names) - 1)]
        self._panes.append(
            Pane(self._workshop, name, letter, self._fields, self._judge, editors=self._editors, views=self._views)
        )

    def _fields(self) -> Fields:
        who = self._who.value
        opening = (self._opening or self._say.value or "") if who == _TALK else ""
        lines = (self._candidates.value or "").splitlines()
        return Fields(
            Person(
                user=self._user.value if who == _USER else None,
                typed=(self._typed.value or "") if who == _TYPED else "",
                about=(self._about.value or "") if who != _TALK else "",
                opening=opening,
            ),
            k=int(self._k.value or 1),
            candidates=tuple(line.strip() for line in lines if line.strip()),
            retriever=self._retriever.value,
        )

    async def _changed(self) -> None:
        """The person changed, so the earlier rounds are somebody else's."""
        self._show_chips()
        for pane in self._panes:
            pane.restart()
        self._show_turns()
        await self._asks_otherwise()
        self._enable()

    async def _asks_otherwise(self) -> None:
        """The question changed: results on the page are from before."""
        for pane in self._panes:
            pane.mark_stale()
        await asyncio.gather(*(pane.preview.ask() for pane in self._panes))

    def _show_chips(self) -> None:
        user = self._fields().person.user
        history = self._workshop.histories.get(user) if user is not None else None
        self._chips.clear()
        self._chips.set_visibility(history is not None)
        if history is None:
            return
        with self._chips:
            for title, feedback in (shown := chips(history, self._workshop.recommender.catalog)):
                sign = {Feedback.LIKED: "+ ", Feedback.DISLIKED: "− "}.get(feedback, "")
                html.li(f"{sign}{title}").classes(f"chip {feedback.value}")
            if len(history) > len(shown):
                html.li(f"{len(history) - len(shown):,} older").classes("soft")

    async def _switch(self) -> None:
        if self._second.value and len(self._panes) == 1:
            self._add_pane()
            self._panes[1].connected()
            await self._panes[1].preview.ask()
        elif not self._second.value and len(self._panes) == 2:
            self._panes.pop().remove()

    def _judge(self, item_id: str, feedback: Feedback) -> None:
        toggle([pane.pending for pane in self._panes], item_id, feedback)
        for pane in self._panes:
            pane.results.mark(pane.pending)
        marks = self._panes[0].pending.marks
        say(self._status, f"{len(marks)} marked for the next round." if marks else "Nothing marked.")

    async def _ask(self, *, fresh: bool, words: str = "") -> None:
        if self._run.props.get("loading"):
            return
        self._busy(True)
        try:
            for pane in self._panes:
                pane.pending.words = words or self._words.value or ""
            done = await asyncio.gather(*(pane.run(fresh=fresh) for pane in self._panes))
        finally:
            if not self._gone:
                self._busy(False)
        if self._gone:
            return
        with self._alert:
            for pane in self._panes:
                if pane.error is not None:
                    hint = f"\nWhat to do: {pane.error.hint}" if pane.error.hint else ""
                    html.p(f"T{pane.label[1:]}: {pane.error.message}{hint}").classes("alert")
        if set(done) == {"answered"} and not fresh and not words:
            self._words.value = ""
        self._show_turns()
        if "answered" in done:
            ui.run_javascript(_SHOW_RESULTS)
        if "stopped" in done:  # the button that had the focus is gone
            ui.run_javascript(f"getElement({self._run.id}).$el.focus()")
        say(self._status, next(words for outcome, words in _OUTCOMES.items() if outcome in done))

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
            self._alert.clear()
            say(self._status, "Asking the model …")
        self._cancel.set_visibility(busy)
        self._enable()

    def _enable(self) -> None:
        self._next.set_enabled(any(pane.last is not None for pane in self._panes))


def _hint(field: ui.input | ui.textarea | ui.select, text: str) -> None:
    """Put a hint below a field; a label that long would be cut."""
    field.props["hint"] = text
