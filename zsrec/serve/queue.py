"""A bounded queue: so many in work, so many waiting, the rest refused at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SMOOTHING = 0.2


class FullError(Exception):
    """All places are taken.

    Args:
        retry_after: Whole seconds after which a place is likely to be free, at least 1.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after


class Queue:
    """Places in first-come order.

    Args:
        in_work: Places.
        waiting: How many may wait for one.
    """

    def __init__(self, in_work: int, waiting: int) -> None:
        self._places = asyncio.Semaphore(in_work)
        self._in_work = in_work
        self._most_waiting = waiting
        self._seconds = 1.0
        self.waiting = 0
        self.in_work = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, held as long as the block runs.

        Raises:
            FullError: As many wait as may.
        """
        if self.waiting >= self._most_waiting and self._places.locked():
            raise FullError(self._retry_after())
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        started = time.monotonic()
        self.in_work += 1
        try:
            yield
        finally:
            self.in_work -= 1
            self._places.release()
            self._seconds += _SMOOTHING * (time.monotonic() - started - self._seconds)

    def _retry_after(self) -> int:
        """When those who wait now are likely to be served, from how long places were held of late."""
        return max(1, math.ceil(self._seconds * (self.waiting + 1) / self._in_work))
