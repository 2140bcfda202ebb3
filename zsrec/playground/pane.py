"""One template on the page: its editor with marks, what the model would receive, and its rounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import Literal

from nicegui import html, ui
from nicegui.element import Element

from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.playground import draft as drafts
from zsrec.playground.draft import Draft
from zsrec.playground.preview import Preview, look
from zsrec.playground.results import Judge, Results, named, say, scrollable
from zsrec.playground.state import (
    ASKS,
    CHECKS,
    LOOKS,
    Feedbacks,
    Fields,
    Latest,
    Round,
    Stoppable,
    StoppedError,
    Workshop,
    ask,
    beside,
)
from zsrec.prompts import Problem
from zsrec.prompts.diagnostics import question_in_words

_QUIET = 0.4  # seconds without typing before a new preview
_LABEL_EDITOR = """
getElement({id}).editorPromise.then((editor) => {{
  editor.contentDOM.setAttribute("aria-label", {label});
  editor.contentDOM.setAttribute("aria-describedby", "c{hint}");
  editor.contentDOM.setAttribute("tabindex", "0");
}});
"""

_OPTION = """
<q-item v-bind="props.itemProps"><q-item-section>
  <q-item-label v-if="GROUPS[props.opt.label]" overline class="group">{{ GROUPS[props.opt.label] }}</q-item-label>
  <q-item-label>{{ props.opt.label.split(" — ")[0] }}</q-item-label>
  <q-item-label caption>{{ props.opt.label.split(" — ").slice(1).join(" — ") }}</q-item-label>
</q-item-section></q-item>
"""

Outcome = Literal["answered", "failed", "stopped"]
"""How a run ended; in the last two cases the results are as before."""


class Pane:
    """One template of a page."""

    def __init__(
        self,
        workshop: Workshop,
        name: str,
        letter: str,
        fields: Callable[[], Fields],
        judge: Judge,
        *,
        editors: Element,
        views: Element,
    ) -> None:
        self._workshop, self._fields = workshop, fields
        self.label = f"template {letter}"
        self.draft: Draft = drafts.opened(name, workshop.library)
        self.pending = Feedbacks()
        self.last: Round | None = None
        self.error: ZsrecError | None = None
        self._asking: Stoppable | None = None
        self._rounds = 0
        self._shown: tuple[str, Fields] | None = None  # the text and the fields of the results on the page
        self._check = Latest(self._recheck)
        self.preview = Latest(self._relook, _QUIET)
        with editors:
            self._edit = named(html.section().classes("card"), f"Template {letter}")
        with views:
            self._view = named(html.section().classes("card"), f"Prompt and results of {self.label}")
        with self._edit:
            html.h2(f"Template {letter}")
            self._select = ui.select(
                workshop.templates, value=name, label="Start from", with_input=True, on_change=self._pick
            ).props("outlined dense")
            self._select.add_slot("option", _grouped(workshop.templates))
            self._hint = html.p("Escape, then Tab, leaves the editor.").classes("soft")
            self._editor = ui.codemirror(
                self.draft.text,
                language="Jinja2",
                theme="eclipse",  # the only light one whose every colour of text has a contrast of 4.5
                line_wrapping=True,
                on_change=self._edited,
            ).classes("editor w-full")
            self._findings = html.div().props("role=status aria-live=polite")
        with self._view:
            self._name = html.p().classes("role")
            self._stale = html.p().classes("stale-note").props("role=status aria-live=polite")
            self.results = Results(workshop, self.label, judge)
            with html.details().props("open"):
                self._summary = html.summary()
                self._roles = html.div()
        say(self._name, self._title())
        say(self._summary, "What the model would receive")

    def connected(self) -> None:
        """Name the editor for screen readers and mark its lines; call when the browser is connected."""
        code = _LABEL_EDITOR.format(id=self._editor.id, label=f'"Text of {self.label}"', hint=self._hint.id)
        ui.run_javascript(code)
        self._show_findings()

    def remove(self) -> None:
        """Stop the pane's request and remove it from the page."""
        self.stop()
        self._edit.delete()
        self._view.delete()

    def restart(self) -> None:
        """Forget the rounds; the last results stay on the page until there are others."""
        self.last, self._rounds, self.pending = None, 0, Feedbacks()
        self.results.mark(self.pending)

    def _title(self) -> str:
        return f"T{self.label[1:]}: {self.draft.name}{', edited' if self.draft.edited else ''}"

    def mark_stale(self) -> None:
        """Mark the results on the page if the template or the fields have changed since."""
        stale = self._shown is not None and self._shown != (self._editor.value, self._fields())
        say(self._stale, "From before your last change: press Run for a new result." if stale else "")
        self.results.box.classes(add="stale" if stale else "", remove="" if stale else "stale")

    def stop(self) -> None:
        """Cancel this pane's request, if there is one."""
        if self._asking is not None:
            self._asking.stop()

    async def run(self, *, fresh: bool) -> Outcome:
        """Ask with the editor's text: a first round if `fresh`, else the next one. A failure changes nothing."""
        if self._editor.value != self.draft.text:
            await self._recheck()
        draft, fields = self.draft, self._fields()
        pending = Feedbacks() if fresh else self.pending
        last = None if fresh else self.last
        self.error = None
        try:
            if draft.template is None:
                raise ConfigError("it has errors, so nothing was sent", hint="fix the marked lines")
            question = fields.question(draft.template, self._workshop.histories)
            recommender = await beside(LOOKS, self._workshop.with_retriever, question.retriever)
            before = (question.history, question.conversation) if last is None else (last.after, last.talk)
            history, talk = pending.applied(recommender.with_template(draft.template), *before)
            question = replace(question, history=history, conversation=talk)
            self._asking = Stoppable(recommender.llm)
            found = await beside(ASKS, ask, recommender.with_llm(self._asking), question)
        except StoppedError:
            return "stopped"
        except ZsrecError as error:
            self.error = error
            return "failed"
        finally:
            self._asking = None
        number = 1 if last is None else self._rounds + 1
        self.restart()
        if fields.person == self._fields().person:  # otherwise the next round is somebody else's
            self.last, self._rounds = found, number
        self.results.show(found, number, draft, fields.person)
        self._shown = (draft.text, fields)
        self.mark_stale()
        return "answered"

    def pick(self, name: str) -> None:
        """Start from a template of the library, unless the text was edited."""
        if not self.draft.edited:
            self._select.value = name

    @property
    def shows_conversations(self) -> bool:
        """Whether the template shows a conversation."""
        return self.draft.template is not None and "conversation" in self.draft.template.variables

    def _pick(self) -> None:
        name = self._select.value
        if name in self._workshop.templates and name != self.draft.name:
            self.draft = drafts.opened(name, self._workshop.library)
            self._editor.value = self.draft.text  # which is an edit, and checked as one

    async def _edited(self) -> None:
        self.mark_stale()
        await self._check.ask()
        await self.preview.ask()

    async def _recheck(self) -> None:
        text, origin = self._editor.value or "", self.draft.origin
        draft = await beside(CHECKS, drafts.drafted, text, origin, self._workshop.library)
        if origin is self.draft.origin:
            self.draft = draft
            say(self._name, self._title())
            self._show_findings()

    def _show_findings(self) -> None:
        marks = self.draft.marks()
        lines = self.draft.text.count("\n") + 1
        # The editor's methods, not its properties: those are sent with the server's copy of the text, which would
        # undo what was typed since.
        lint = {line: f"lint-{_worst(found)}" for line, found in marks.items()}
        self._editor.run_method(
            "setDecorations",
            [{"kind": "line", "line": min(line, lines), "class": mark} for line, mark in lint.items()],
        )
        self._editor.run_method(
            "setLineTooltips",
            {min(line, lines): "\n".join(one.message for one in found) for line, found in marks.items()},
        )
        self._findings.clear()
        with self._findings:
            html.p(_counted(self.draft)).classes("soft")
            with html.ul().classes("findings"):
                for problem in self.draft.problems:
                    self._finding(problem)

    def _finding(self, problem: Problem) -> None:
        with html.li().classes(problem.severity):
            if problem.path == self.draft.path:
                html.button(f"Line {problem.line}").props("type=button").on(
                    "click", lambda: self._editor.reveal_line(problem.line)
                )
            else:
                html.span(f"{problem.path}:{problem.line} ")
            html.span(f"{problem.severity}: {problem.message}")

    async def _relook(self) -> None:
        template = self.draft.template
        if template is None:
            say(self._summary, "What the model would receive: below, the last version without errors")
            return
        try:
            question = self._fields().question(template, self._workshop.histories)
            recommender = await beside(LOOKS, self._workshop.with_retriever, question.retriever)
            found = await beside(LOOKS, look, recommender, question)
        except ZsrecError as error:
            self._roles.clear()
            with self._roles:
                html.p(error.message).classes("soft")
            return
        self._show_preview(found)

    def _show_preview(self, found: Preview) -> None:
        say(self._summary, f"What the model would receive: {tokens_in_words(found)}")
        self._roles.clear()
        with self._roles:
            for place, prompt in enumerate(found.prompts):
                where = question_in_words(place, len(found.prompts), prompt.step)
                if where:
                    html.h3(where)
                for message, tokens in zip(prompt.request.messages, prompt.tokens, strict=True):
                    html.p(f"{message.role}: {'' if found.counted else 'about '}{tokens:,} tokens").classes("role")
                    with scrollable(f"The {message.role} role" + (f" of {where}" if where else "")):
                        html.span(message.content)
            if found.at_once > 1:
                html.p(f"This is the first of {found.at_once} requests that go out together.").classes("soft")
            for note in found.notes:
                html.p(note).classes("soft")


def _grouped(templates: Mapping[str, str]) -> str:
    """The Vue template of the list's options: name and description, and above each group's first one its name."""
    groups: dict[str, str] = {}
    for name, label in templates.items():
        group = drafts.group_of(name)
        if group not in groups.values():
            groups[label] = group
    return _OPTION.replace("GROUPS", escape(json.dumps(groups)))


def tokens_in_words(found: Preview) -> str:
    """A prompt's length and who counted it."""
    totals = [sum(prompt.tokens) for prompt in found.prompts]
    most = max(totals, default=0)
    several = f"{len(totals)} questions, the longest " if len(totals) > 1 else ""
    if found.counted and found.server is not None:
        length = found.server.context_length
        room = f" of {length:,}" if length else ""
        return f"{several}{most:,}{room} tokens, counted by {found.server.model}'s tokenizer"
    return f"{several}about {most:,} tokens, estimated from bytes: no server counts them"


def _counted(draft: Draft) -> str:
    if not draft.problems:
        return "No problems found."
    warnings = len(draft.problems) - draft.errors
    words = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((draft.errors, "error"), (warnings, "warning")) if n]
    return f"{' and '.join(words)}."


def _worst(problems: list[Problem]) -> str:
    return "error" if any(problem.severity == "error" for problem in problems) else "warning"
