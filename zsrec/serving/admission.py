"""A bounded queue: so many in work, so many waiting, the rest refused at once."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeVar

from zsrec.serving.auth import Tenant
from zsrec.serving.problem_details import RefusedError

_NEWEST = 0.2  # the share of the newest value


def smoothed(before: float | None, value: float) -> float:
    """The figure with one more value, by exponential smoothing; the first value is the figure.

    Args:
        before: The figure so far; None where nothing was measured.
        value: The newest.
    """
    return value if before is None else before + _NEWEST * (value - before)


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


State = Literal["closed", "open", "half_open"]


class Breaker:
    """Counts failures in a row.

    closed: everybody may ask. open: nobody may, until `seconds` are over. half_open: one may, and its outcome
    closes or opens the breaker again.

    Args:
        failures: How many in a row open it, at least 1.
        seconds: For how long.
        clock: Gives seconds that never run backwards.
    """

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._trying = False
        self._usual: dict[str, float] = {}

    @property
    def state(self) -> State:
        """Where it stands."""
        if self._opened is None:
            return "closed"
        return "open" if self._clock() - self._opened < self._seconds else "half_open"

    @property
    def remaining(self) -> float:
        """Seconds until somebody may try again; 0 unless open."""
        return 0.0 if self._opened is None else max(0.0, self._opened + self._seconds - self._clock())

    def admits(self) -> bool:
        """Whether the caller may ask; one who may has to say `succeeded`, `failed` or `gave_up` afterwards."""
        state = self.state
        if state == "open" or (state == "half_open" and self._trying):
            return False
        self._trying = state == "half_open"
        return True

    def succeeded(self) -> None:
        """The model answered (be it that it refused this one request): it is alive."""
        self._failures, self._opened, self._trying = 0, None, False

    def took(self, seconds: float, what: str) -> None:
        """Notes how long an answer took, for `timed_out`.

        Args:
            seconds: How long.
            what: What was asked, by its template: a label takes less than a list.
        """
        self._usual[what] = smoothed(self._usual.get(what), seconds)

    def failed(self) -> None:
        """The model is down or too slow."""
        self._failures += 1
        if self._opened is None:
            if self._failures >= self._most:
                self._opened = self._clock()
        elif self._trying:  # latecomers from before the opening do not make it last longer
            self._opened, self._trying = self._clock(), False

    def timed_out(self, seconds: float, what: str) -> None:
        """The caller could wait no longer: a failure only where the model had the time that it usually takes.

        Otherwise one caller who is always in a hurry would close the model to everybody.

        Args:
            seconds: How long the model was waited for.
            what: What was asked; see `took`. Where it never was answered, every time-out is a failure.
        """
        if seconds >= self._usual.get(what, 0.0):
            self.failed()
        else:
            self.gave_up()

    def gave_up(self) -> None:
        """The caller left before there was an outcome; somebody else may try."""
        self._trying = False


Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Any]]


class CallerGoneError(Exception):
    """The caller closed the connection: nobody reads an answer."""


async def until(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """Runs work for at most so many seconds.

    Raises:
        TimeoutError: They are over; the work was cancelled, and has ended.
    """
    async with asyncio.timeout(seconds):
        return await work


async def while_called(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Runs work as long as the caller is there.

    Args:
        receive: ASGI's; the request's body is read already, so that only a disconnect is left to come.
        work: What to do.

    Raises:
        CallerGoneError: The caller left; the work was cancelled, and has ended.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise CallerGoneError
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Door:
    """Counts the requests that were read and are not answered yet.

    The queue counts only who asks the model. What comes before and after, reading a request or ordering items
    without the model, keeps the processor busy too: past its capacity a service that takes everybody in makes all
    of them late, those in the queue included.

    Args:
        room: How many may be inside.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.inside = 0

    def enter(self) -> bool:
        """Takes one in, where there is room; whoever was taken in has to `leave`."""
        if self.inside >= self._room:
            return False
        self.inside += 1
        return True

    def leave(self) -> None:
        """Lets one out."""
        self.inside -= 1


class Shares:
    """Counts each tenant's requests, waiting ones included.

    Args:
        most: How many a tenant may have at once; None for as many as there are places.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    @contextmanager
    def one(self, tenant: Tenant) -> Iterator[None]:
        """One more request of a tenant, as long as the block runs; a caller without a key has no share.

        Raises:
            RefusedError: The tenant has as many as it may (429).
        """
        name = tenant.name
        if name is None or self._most is None:
            yield
            return
        if self._held[name] >= self._most:
            raise RefusedError(
                429,
                "TenantBusy",
                "too many requests of this key are under way",
                f"at most {self._most} at once",
                hint="wait for answers before asking again",
                retry_after=1,
            )
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
