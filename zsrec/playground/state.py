"""The playground's state and its jobs: what all tabs share, a question, its answer, feedback, and how to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any, TypeVar, TypeVarTuple

from zsrec.core.types import Item, Recommendations
from zsrec.data.history import Feedback, History, Turn
from zsrec.data.interactions import Interactions
from zsrec.llm.forwarding import ForwardingLLM
from zsrec.llm.protocol import LLM
from zsrec.playground import draft
from zsrec.playground.draft import Person
from zsrec.prompts import Library, Template
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.request import Fill
from zsrec.recommender.session import Session
from zsrec.retrieval.by_name import NAMES, WITHOUT_INTERACTIONS, retriever_named

_RETRIEVERS = {
    "pop": "pop — the most popular items",
    "itemknn": "itemknn — what others had beside the same items",
    "cooccurrence": "cooccurrence — what others went on to",
    "lexical": "lexical — items with the user's words",
    "semantic": "semantic — items of like meaning",
    "fused": "fused — contacts and texts together",
}

FIRST = "generate/default"
NO_RETRIEVER = "none"


@dataclass(frozen=True)
class Workshop:
    """What all tabs share and none changes."""

    recommender: Recommender  # its template is not used
    library: Library
    histories: Mapping[str, History]  # the data set's users by id; may be empty
    opening: tuple[str, ...] = ()  # lines of Python that define `catalog` and `histories`, for snippets
    model: Mapping[str, str] | None = None  # the given ones of "base_url" and "model", for snippets
    known: Interactions | None = None  # the users' interactions, for retrievers
    retriever: str = NO_RETRIEVER  # the one to begin with

    @cached_property
    def templates(self) -> dict[str, str]:
        """Labels of the templates that can be run, by name and group, the default first."""
        found = draft.names(self.library)
        groups = list(dict.fromkeys(draft.group_of(name) for name in (FIRST, *found)))
        names = sorted(found, key=lambda name: (groups.index(draft.group_of(name)), name != FIRST, name))
        return {name: f"{name} — {found[name]}" if found[name] else name for name in names}

    @cached_property
    def retrievers(self) -> dict[str, str]:
        """The retrievers that candidates may come from."""
        names = [one for one in NAMES if self.known is not None or one in WITHOUT_INTERACTIONS]
        semantic = find_spec("sentence_transformers") is not None
        usable = [one for one in names if one != "semantic" or semantic]
        return {NO_RETRIEVER: "no retriever", **{one: _RETRIEVERS[one] for one in usable}}

    @cached_property
    def _made(self) -> dict[str, Recommender]:
        return {NO_RETRIEVER: self.recommender.with_retriever(None)}

    def with_retriever(self, name: str) -> Recommender:
        """The recommender with a retriever, which is built once; blocks, a second for 10,000 items.

        Raises:
            ZsrecError: It cannot be built.
        """
        if name not in self._made:
            made = retriever_named(name, self.known, self.recommender.catalog)
            self._made[name] = self.recommender.with_retriever(made)
        return self._made[name]

    @cached_property
    def users(self) -> dict[str, str]:
        """Descriptions of the first users by id."""
        return draft.listed(self.histories, self.recommender.catalog)


@dataclass(frozen=True)
class Question:
    """What is asked; without candidates the recommender chooses them."""

    template: Template
    history: History
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] = ()
    conversation: tuple[Turn, ...] = ()
    retriever: str = NO_RETRIEVER

    @property
    def takes_turns(self) -> bool:
        """Whether what the model names and what is retrieved take turns (docs/strategy.md)."""
        return self.retriever != NO_RETRIEVER and self.template.task == "generate"


@dataclass(frozen=True)
class Fields:
    """What the page's fields say: whom to ask for, how many items, candidates, and the retriever."""

    person: Person
    k: int
    candidates: tuple[str, ...]
    retriever: str = NO_RETRIEVER

    def question(self, template: Template, histories: Mapping[str, History]) -> Question:
        """The question for a template; `ConfigError` if nothing can be asked."""
        return Question(
            template=template,
            history=self.person.history(histories),
            k=self.k,
            about=self.person.about.strip() or None,
            candidates=self.candidates if template.task == "rank" else (),
            conversation=self.person.conversation,
            retriever=self.retriever,
        )


@dataclass(frozen=True)
class Round:
    """A question with its answer."""

    question: Question
    recommendations: Recommendations
    after: History  # the history with what was shown
    talk: tuple[Turn, ...] = ()  # what was said until then, the titles included


@dataclass
class Feedbacks:
    """A person's feedback on a round, until the next one is asked."""

    marks: dict[str, Feedback] = field(default_factory=dict)  # by item id
    words: str = ""

    def applied(
        self, recommender: Recommender, history: History, talk: tuple[Turn, ...] = ()
    ) -> tuple[History, tuple[Turn, ...]]:
        """The history and the conversation, each followed by the feedback; `ConfigError` for words too long."""
        session = Session(recommender, history, conversation=talk)
        for item_id, feedback in self.marks.items():
            item: Item = recommender.catalog[item_id]
            session = session.like(item) if feedback is Feedback.LIKED else session.dislike(item)
        session = session.say(self.words) if self.words.strip() else session
        return session.history, session.conversation


def toggle(everywhere: Sequence[Feedbacks], item_id: str, feedback: Feedback) -> None:
    """Mark an item for all templates (it is one person's opinion), or remove the same mark."""
    taken_back = any(one.marks.get(item_id) is feedback for one in everywhere)
    for one in everywhere:
        one.marks.pop(item_id, None)
        if not taken_back:
            one.marks[item_id] = feedback


def ask(recommender: Recommender, question: Question) -> Round:
    """Ask one round of a session, and block until the answer is there; for errors see `Recommender.recommend`."""
    asked = recommender.with_template(question.template)
    session = Session(asked, question.history, about=question.about, conversation=question.conversation)
    fill: Fill | None = "retrieval" if question.takes_turns else None
    found = session.recommend(question.k, candidates=question.candidates or None, fill=fill)
    return Round(question, found, session.history, session.conversation)


Reply = TypeVar("Reply")


class StoppedError(Exception):
    """Ends a flow that was stopped."""


class Stoppable(ForwardingLLM):
    """A model that can be stopped: requests in progress are cancelled, their connections closed."""

    def __init__(self, llm: LLM) -> None:
        super().__init__(llm)
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Stop; may be called from any thread, and more than once."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _forward(self, call: Coroutine[Any, Any, Reply]) -> Reply:
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(call)
        self._tasks.add(task)
        if self._stopped:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopped:
                raise StoppedError from None
            raise
        finally:
            self._tasks.discard(task)

    async def aclose(self) -> None:
        """The model is closed by its owner."""


Given = TypeVarTuple("Given")
Result = TypeVar("Result")

CHECKS = ThreadPoolExecutor(2, "zsrec-check")
"""Checks of templates, of some hundredths of a second."""
LOOKS = ThreadPoolExecutor(4, "zsrec-look")
"""Previews, which count tokens at the server."""
ASKS = ThreadPoolExecutor(16, "zsrec-ask")
"""Questions to the model, of up to minutes."""


async def beside(pool: ThreadPoolExecutor, job: Callable[[*Given], Result], *given: *Given) -> Result:
    """The result of a blocking call in a thread of `CHECKS`, `LOOKS` or `ASKS`."""
    return await asyncio.get_running_loop().run_in_executor(pool, job, *given)


class Latest:
    """Runs a job for the newest state only: a request during a run makes it run once more."""

    def __init__(self, job: Callable[[], Awaitable[None]], wait: float = 0.0) -> None:
        self._job = job
        self._wait = wait
        self._wanted = False
        self._running = False

    async def ask(self) -> None:
        """Request a run; returns at once if the job is running, which then runs again."""
        self._wanted = True
        if self._running:
            return
        self._running = True
        try:
            while self._wanted:
                self._wanted = False
                await asyncio.sleep(self._wait)
                if not self._wanted:
                    await self._job()
        finally:
            self._running = False
