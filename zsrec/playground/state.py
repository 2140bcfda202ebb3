"""What all tabs of a playground share, and none of them changes: recommender, templates, users."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, TypeVarTuple

from zsrec.core.types import Exchange, Item, Message, Recommendations
from zsrec.data.history import Feedback, History
from zsrec.llm.protocol import LLM, ChatRequest, LabelSet, ServerInfo
from zsrec.playground import draft
from zsrec.prompts import Library, Template
from zsrec.recommender.recommender import Recommender
from zsrec.recommender.session import Session

FIRST = "generate/default"


@dataclass(frozen=True)
class Workshop:
    """What a playground works with.

    Attributes:
        recommender: Asks the model; its template plays no part.
        library: Where templates are found.
        histories: The data set's users by id; may be empty.
        opening: Lines of Python that define `catalog` and `histories`, for snippets.
        model: The recommender's arguments "base_url" and "model", as far as they were given, for snippets.
    """

    recommender: Recommender
    library: Library
    histories: Mapping[str, History]
    opening: tuple[str, ...] = ()
    model: Mapping[str, str] | None = None

    @cached_property
    def templates(self) -> list[str]:
        """The names of the templates that can be run; the one to start with comes first."""
        found = draft.names(self.library)
        return sorted(found, key=lambda name: name != FIRST)

    @cached_property
    def users(self) -> dict[str, str]:
        """The first users by id, each in words."""
        return draft.listed(self.histories, self.recommender.catalog)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        template: The prompt.
        history: What is known of the person.
        k: How many items.
        about: The person in words; None for none.
        candidates: Ids or titles to choose from; empty leaves the choice to the recommender.
    """

    template: Template
    history: History
    k: int = 10
    about: str | None = None
    candidates: tuple[str, ...] = ()

    def to(self, recommender: Recommender) -> Recommendations:
        """Asks, and blocks until the answer is there.

        Raises:
            ZsrecError: See `Recommender.recommend`.
        """
        return recommender.with_template(self.template).recommend(
            self.history, self.k, about=self.about, candidates=self.candidates or None
        )


@dataclass(frozen=True)
class Round:
    """A question with its answer.

    Attributes:
        question: As it was asked.
        recommendations: The answer.
        after: What is known of the person afterwards: what was shown, too.
    """

    question: Question
    recommendations: Recommendations
    after: History


@dataclass
class Feedbacks:
    """What a person makes of a round, until the next one is asked.

    Attributes:
        marks: What they think of items, by id.
        words: What they say.
    """

    marks: dict[str, Feedback] = field(default_factory=dict)
    words: str = ""

    def __bool__(self) -> bool:
        return bool(self.marks or self.words.strip())

    def applied(self, recommender: Recommender, history: History) -> History:
        """The history with the feedback after it.

        Raises:
            ConfigError: The words are too long.
        """
        session = Session(recommender, history)
        for item_id, feedback in self.marks.items():
            item: Item = recommender.catalog[item_id]
            session = session.like(item) if feedback is Feedback.LIKED else session.dislike(item)
        return (session.say(self.words) if self.words.strip() else session).history


def toggle(everywhere: Sequence[Feedbacks], item_id: str, feedback: Feedback) -> None:
    """Marks an item, or takes the same mark away again: one person judges, whichever template named the item.

    Args:
        everywhere: What is pending for each template.
        item_id: The item.
        feedback: What the person thinks of it.
    """
    taken_back = any(one.marks.get(item_id) is feedback for one in everywhere)
    for one in everywhere:
        one.marks.pop(item_id, None)
        if not taken_back:
            one.marks[item_id] = feedback


def ask(recommender: Recommender, question: Question) -> Round:
    """Asks one round of a session, and blocks until the answer is there.

    Raises:
        ZsrecError: See `Recommender.recommend`.
    """
    session = Session(recommender.with_template(question.template), question.history, about=question.about)
    found = session.recommend(question.k, candidates=question.candidates or None)
    return Round(question, found, session.history)


Reply = TypeVar("Reply")


class StoppedError(Exception):
    """Ends a flow whose model was told to stop."""


class Stoppable:
    """Passes everything on to a model, until it is stopped.

    A request that is under way is cancelled, which closes its connection; vLLM then ends its work on it.

    Args:
        llm: The model; closing it is left to its owner.
    """

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Stops it; may be called from any thread, and more than once."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _pass(self, asked: Coroutine[Any, Any, Reply]) -> Reply:
        self._loop = asyncio.get_running_loop()
        task = self._loop.create_task(asked)
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

    async def handshake(self) -> ServerInfo:
        """See `LLM`."""
        return await self._pass(self._llm.handshake())

    async def chat(self, request: ChatRequest) -> Exchange:
        """See `LLM`."""
        return await self._pass(self._llm.chat(request))

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """See `LLM`."""
        return await self._pass(self._llm.count_tokens(messages))

    async def labels(self, count: int) -> LabelSet:
        """See `LLM`."""
        return await self._pass(self._llm.labels(count))

    async def binds_choices(self) -> bool:
        """See `LLM`."""
        return await self._pass(self._llm.binds_choices())

    async def aclose(self) -> None:
        """Nothing of its own is open."""


Given = TypeVarTuple("Given")
Result = TypeVar("Result")

CHECKS = ThreadPoolExecutor(2, "zsrec-check")
"""Checks of templates: a few hundredths of a second each."""
LOOKS = ThreadPoolExecutor(4, "zsrec-look")
"""Previews: they count tokens at the server."""
ASKS = ThreadPoolExecutor(16, "zsrec-ask")
"""Questions to the model: each may take minutes."""


async def beside(pool: ThreadPoolExecutor, job: Callable[[*Given], Result], *given: *Given) -> Result:
    """The result of a blocking call, made in one of a pool's threads.

    Args:
        pool: `CHECKS`, `LOOKS` or `ASKS`.
        job: What to call.
        given: Its arguments.
    """
    return await asyncio.get_running_loop().run_in_executor(pool, job, *given)


class Latest:
    """Runs a job for the newest state only: what is asked for while it runs makes it run once more.

    Args:
        job: Reads the state itself.
        wait: Seconds without another asking before each run.
    """

    def __init__(self, job: Callable[[], Awaitable[None]], wait: float = 0.0) -> None:
        self._job = job
        self._wait = wait
        self._wanted = False
        self._running = False

    async def ask(self) -> None:
        """Asks for a run; returns at once where one is going on, which then runs again."""
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
