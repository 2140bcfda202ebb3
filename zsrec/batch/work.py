"""Working through chunks: so many users at once, each written down when answered. Knows no engine."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator

from zsrec.batch.asking import Ask, Asked
from zsrec.batch.chunk import Chunk, Files, closing, opened
from zsrec.errors import BatchStoppedError
from zsrec.types import TemplateRef

OnDone = Callable[[int], None]
"""Called with a number of users that are done."""


class Held:
    """Failures that speak against a server, held back until it answers again.

    If it answers a request that was sent after them, they were those users' own and are written down. If so many
    come without such an answer, the server is down: nothing is written down of them, and the same command asks for
    those users again.

    Args:
        most: How many; 0 writes everything down at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[int, list[tuple[float, Callable[[], None]]]] = {}

    def told(self, asked: Asked, sent: float, note: Callable[[], None]) -> None:
        """Takes one user's outcome.

        Args:
            asked: The outcome.
            sent: When it was asked for, by `time.monotonic`.
            note: Writes it down; called now, later, or never.

        Raises:
            BatchStoppedError: The server is down.
        """
        held = self._held.setdefault(asked.replica, [])
        if asked.failure is None or not self._most:
            if asked.answered:
                self.release(asked.replica, before=sent)
            note()
            return
        held.append((time.monotonic(), note))
        if len(held) >= self._most:
            raise BatchStoppedError(
                f"the server failed for {len(held)} users in a row; the last time: {asked.failure.message}",
                hint="the same command goes on where this one stopped",
            )

    def release(self, replica: int | None = None, *, before: float = math.inf) -> None:
        """Writes down what is held back, of one server or of all, and failed before that time."""
        for one in [replica] if replica is not None else list(self._held):
            held = self._held.get(one, [])
            self._held[one] = [each for each in held if each[0] >= before]
            for failed, note in held:
                if failed < before:
                    note()


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
    """Asks for all users of some chunks who are not done, and writes each chunk's part when its last one is.

    A chunk is opened when the one before has no user left to ask, so memory holds a few chunks whatever their
    number, and a slow user holds up neither the others nor the next chunk.

    Args:
        files: Where the chunks lie.
        numbers: Which chunks.
        ask: Asks for one user.
        template: For the output's rows.
        concurrency: Users in work at once, at least 1.
        liked_from: Ratings of at least this are likes.
        disliked_to: Ratings of at most this are dislikes.
        stop_after: See `Held`.
        on_done: Hears of users that are done, those of an earlier run included.

    Raises:
        BatchStoppedError: See `Held`; everything that was done stays done.
        ConfigError: A file cannot be written.
        DataError: A chunk cannot be read.
    """
    held = Held(stop_after)

    def noted(chunk: Chunk, asked: Asked) -> None:
        chunk.note(asked.answer)
        on_done(1)
        if chunk.done:
            chunk.finish(template)

    async def work(todo: Iterator[tuple[Chunk, int]]) -> None:
        for chunk, place in todo:  # all workers share one iterator
            history = chunk.history(place, liked_from=liked_from, disliked_to=disliked_to)
            sent = time.monotonic()
            asked = await ask(chunk.user(place), history)
            held.told(asked, sent, lambda chunk=chunk, asked=asked: noted(chunk, asked))  # type: ignore[misc]

    with closing(_opened(files, numbers, template, on_done)) as chunks:
        todo = ((chunk, place) for chunk in chunks for place in chunk.pending)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(work(todo))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        held.release()


def _opened(files: Files, numbers: Iterable[int], template: TemplateRef, on_done: OnDone) -> Iterator[Chunk]:
    for number in numbers:
        chunk = opened(files, number)
        if chunk is None:
            continue
        on_done(len(chunk) - len(chunk.pending))
        if chunk.done:  # killed between the last user and the part
            chunk.finish(template)
        else:
            yield chunk
