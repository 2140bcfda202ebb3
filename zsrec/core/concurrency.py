"""Concurrency: an event loop in a thread of its own, and a bounded loop over items.

The blocking API runs the async flow here, so there is one flow and one connection pool, and it works where a loop
is already running (notebooks).
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class LoopThread:
    """A daemon thread with an event loop; started by the first `run`, stopped by `close` or when deleted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finalizer: Callable[[], object] | None = None

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine and return its result; cancel it when interrupted (Ctrl-C)."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stop the loop and its thread; safe to call twice."""
        with self._lock:
            if self._finalizer is not None:
                self._finalizer()
                self._loop = self._finalizer = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name="zsrec", daemon=True)
                thread.start()
                self._finalizer = weakref.finalize(self, _stop, self._loop, thread)
            return self._loop


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)
    if not thread.is_alive():
        loop.close()


async def for_each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Run `work` for every item, at most `concurrency` at once; the first error cancels the rest and is raised."""
    shared = iter(items)  # shared by all workers, so a slow item holds up one of them only

    async def worker() -> None:
        for item in shared:
            await work(item)

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(worker())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
