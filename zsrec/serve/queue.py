"""A bounded queue: so many in work, so many waiting, the rest refused at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zsrec.serve.smoothing import smoothed


class FullError(Exception):
    """All places are taken.

    Args:
        retry_after: Whole seconds after which a place is likely to be free, at least 1.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after


class HopelessError(Exception):
    """Those who wait already will take longer than the newcomer can wait."""


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
        self._seconds: float | None = None
        self.waiting = 0
        self.in_work = 0

    @asynccontextmanager
    async def place(self, patience: float = math.inf) -> AsyncIterator[None]:
        """A place, held as long as the block runs.

        Args:
            patience: For how many seconds waiting makes sense. A free place is given whatever was measured before,
                so that what is expected does not stay what it was.

        Raises:
            FullError: As many wait as may.
            HopelessError: A place is not to be expected in time.
        """
        if self._places.locked():
            if self.waiting >= self._most_waiting:
                raise FullError(self.retry_after())
            if self._expected() > patience:
                raise HopelessError
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
            self._seconds = smoothed(self._seconds, time.monotonic() - started)

    def retry_after(self) -> int:
        """In how many whole seconds those who wait now are likely to be served, at least 1."""
        return max(1, math.ceil(self._expected()))

    def _expected(self) -> float:
        """Seconds until a newcomer's turn, from how long places were held of late; 0 while nothing is known."""
        return 0.0 if self._seconds is None else self._seconds * (self.waiting + 1) / self._in_work
