"""A worker of a batch job; pickled as it is where an engine sends it to other machines."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zsrec.core.concurrency import for_each
from zsrec.core.errors import (
    AnswerError,
    BadReplyError,
    BatchStoppedError,
    ConfigError,
    ContextOverflowError,
    LLMError,
    MissingReplyError,
    ZsrecError,
)
from zsrec.core.types import TemplateRef
from zsrec.data import movielens
from zsrec.data.history import History, Turn
from zsrec.llm.offline import Offline
from zsrec.recommender.loader import Recipe
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.serving.batch_chunks import Chunk, Files, closing_chunks, open_chunk
from zsrec.serving.batch_input import Input
from zsrec.serving.batch_rows import Answer
from zsrec.serving.problem_details import reason

OnDone = Callable[[int], None]
"""Called with a number of users that are done."""


@dataclass(frozen=True)
class Batch:
    """What a job does.

    Attributes:
        source: The users.
        recipe: The recommenders.
        chunk: Users per chunk, at least 1: one file of the output each, and the unit that a worker takes.
        liked_from: Ratings of at least this are likes; None for none.
        disliked_to: Ratings of at most this are dislikes; None for none.
        stop_after: After so many users in a row for whom a server failed, the job stops and can be resumed; 0
            never stops.
        offline: Recorded replies instead of a server. Users without a reply stay to be done where their requests
            are written, else they are rows with the error "missing_reply".
    """

    source: Input
    recipe: Recipe
    chunk: int = 1000
    liked_from: float | None = movielens.LIKED_FROM
    disliked_to: float | None = movielens.DISLIKED_TO
    stop_after: int = 20
    offline: Offline | None = None

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.stop_after < 0:
            raise ConfigError("--chunk is at least 1 and --stop-after at least 0", hint="leave them out")


OnNote = Callable[[str], None]
"""Called with a sentence on what was read and left out."""


@dataclass(frozen=True)
class Work:
    """What a worker needs beside the numbers of its chunks; small, and sent to other machines as it is."""

    out: Path
    batch: Batch
    concurrency: int

    async def run(self, numbers: Sequence[int], on_done: OnDone, on_note: OnNote) -> None:
        """Work through some chunks with recommenders of its own; `ZsrecError` where the job cannot go on."""
        recommenders = self.batch.recipe.recommenders(on_note)
        try:
            await self.run_with(recommenders, numbers, on_done)
        finally:
            for one in recommenders:
                await one.llm.aclose()

    async def run_with(
        self, recommenders: Sequence[AsyncRecommender], numbers: Sequence[int], on_done: OnDone
    ) -> None:
        """Work through some chunks with these recommenders; `ZsrecError` where the job cannot go on."""
        await work_through(
            Files(self.out),
            numbers,
            Asker(recommenders, self.batch),
            template=recommenders[0].template.ref,
            concurrency=self.concurrency,
            liked_from=self.batch.liked_from,
            disliked_to=self.batch.disliked_to,
            stop_after=self.batch.stop_after,
            on_done=on_done,
        )


class Outcome(NamedTuple):
    """The outcome of one user."""

    answer: Answer
    replica: int = 0
    failure: LLMError | None = None
    answered: bool = False
    waits: bool = False  # for a reply to a request that was written to a file


Ask = Callable[[str, History, tuple[Turn, ...]], Awaitable[Outcome]]
"""Asks for one user; never raises what concerns this user alone."""


@dataclass(frozen=True)
class Asker:
    """Asks recommenders, one per server."""

    recommenders: Sequence[AsyncRecommender]
    batch: Batch

    async def __call__(self, user: str, history: History, conversation: tuple[Turn, ...] = ()) -> Outcome:
        """See `Ask`."""
        recipe, offline = self.batch.recipe, self.batch.offline
        replica = replica_of(user, len(self.recommenders))
        recommender = self.recommenders[replica]
        if not history.events and not any(turn.role == "user" and turn.text.strip() for turn in conversation):
            return Outcome(self._without_model(recommender, user, history, (), "no_history"), replica)
        if offline is not None:
            recommender = recommender.with_llm(offline.llm(user))
        try:
            found = await recommender.recommend(history, recipe.k, fill=recipe.fill, conversation=conversation)
            return Outcome(Answer.of(user, found), replica, answered=True)
        except ZsrecError as error:
            why = "missing_reply" if isinstance(error, MissingReplyError) else code(error)
            answer = self._without_model(recommender, user, history, conversation, why)
            if offline is not None:  # there is no server that could be down
                waits = offline.requests is not None and isinstance(error, MissingReplyError | BadReplyError)
                return Outcome(answer, replica, answered=True, waits=waits)
            own = isinstance(error, ContextOverflowError)
            failure = error if isinstance(error, LLMError) and not own else None
            return Outcome(answer, replica, failure, answered=isinstance(error, AnswerError))
        except Exception as error:  # noqa: BLE001  (a fault of ours with one user's data must not cost the others)
            return Outcome(self._without_model(recommender, user, history, conversation, _place(error)), replica)

    def _without_model(
        self, recommender: AsyncRecommender, user: str, history: History, conversation: tuple[Turn, ...], why: str
    ) -> Answer:
        if self.batch.recipe.fallback:
            with suppress(ZsrecError):  # where nothing gives an order for this user either
                found = recommender.retrieval_order(history, self.batch.recipe.k, conversation=conversation)
                return Answer.of(user, found, degraded=why)
        return Answer(user=user, error=why, history_given=len(history.events))


def replica_of(user: str, replicas: int) -> int:
    """The number of a user's server: the same in every process and on every day."""
    if replicas == 1:
        return 0
    return int.from_bytes(hashlib.blake2b(user.encode("utf-8", "replace"), digest_size=8).digest()) % replicas


def code(error: ZsrecError) -> str:
    """An error's code in the output: as in the service where that has one, else from its type's name."""
    if (known := reason(error)) is not None:
        return known
    if type(error) is ConfigError:
        return "not_possible"  # what concerns the whole job was refused at its start: no candidate is left
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")


def _place(error: Exception) -> str:
    """Type and place of a fault of ours; its message might quote a history."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"internal: {type(error).__name__}{where}"


class PendingFailures:
    """Failures that count against a server, not written until it answers again.

    If it answers a request that was sent after them, they were those users' own and are written. If `most` come
    without such an answer, the server is down: none of them is written, and a resumed job asks for those users
    again. With `most` 0 everything is written at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending: dict[int, list[tuple[float, Callable[[], None]]]] = {}

    def record(self, outcome: Outcome, sent: float, write: Callable[[], None]) -> None:
        """Take one user's outcome."""
        pending = self._pending.setdefault(outcome.replica, [])
        if outcome.failure is None or not self._most:
            if outcome.answered:
                self.release(outcome.replica, before=sent)
            write()
            return
        pending.append((time.monotonic(), write))
        if len(pending) >= self._most:
            raise BatchStoppedError(
                f"the server failed for {len(pending)} users in a row; the last time: {outcome.failure.message}",
                hint="the same command resumes where this one stopped",
            )

    def release(self, replica: int | None = None, *, before: float = math.inf) -> None:
        """Write the pending failures, of one server or of all, that happened before that time."""
        for one in [replica] if replica is not None else list(self._pending):
            pending = self._pending.get(one, [])
            self._pending[one] = [each for each in pending if each[0] >= before]
            for failed, write in pending:
                if failed < before:
                    write()


async def work_through(
    files: Files,
    numbers: Iterable[int],
    ask: Ask,
    *,
    template: TemplateRef,
    concurrency: int,
    liked_from: float | None = None,
    disliked_to: float | None = None,
    stop_after: int = 20,
    on_done: OnDone,
) -> None:
    """Ask for all users of some chunks who are not done, and write each chunk's part when its last one is.

    A chunk is opened when the one before has no user left to ask, so memory holds a few chunks whatever their
    number, and a slow user holds up neither the others nor the next chunk. `on_done` counts users, those of an
    earlier run included; the rest is described at `Batch`.
    """
    failures = PendingFailures(stop_after)

    async def work(task: tuple[Chunk, int]) -> None:
        chunk, index = task
        history = chunk.history(index, liked_from=liked_from, disliked_to=disliked_to)
        sent = time.monotonic()
        if chunk.is_bad(index):
            outcome = Outcome(Answer(chunk.user(index), error="bad_value", history_given=len(history.events)))
        else:
            outcome = await ask(chunk.user(index), history, chunk.conversation(index))
        if outcome.waits:
            return

        def write() -> None:
            chunk.write(outcome.answer)
            on_done(1)
            if chunk.done:
                chunk.finish(template)

        failures.record(outcome, sent, write)

    with closing_chunks(_opened(files, numbers, template, on_done)) as chunks:
        await for_each(((chunk, index) for chunk in chunks for index in chunk.pending), work, concurrency)
        failures.release()


def _opened(files: Files, numbers: Iterable[int], template: TemplateRef, on_done: OnDone) -> Iterator[Chunk]:
    for number in numbers:
        chunk = open_chunk(files, number)
        if chunk is None:
            continue
        on_done(len(chunk) - len(chunk.pending))
        if chunk.done:  # killed between the last user and the part
            chunk.finish(template)
        else:
            yield chunk
