"""Admission control: capacity, queue, circuit breaker, tenants' shares and deadlines."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeVar

from zsrec.serving.auth import Tenant
from zsrec.serving.problem_details import RefusedError

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Any]]
State = Literal["closed", "open", "half_open"]

_NEWEST_WEIGHT = 0.2


def smoothed(average: float | None, value: float) -> float:
    """The exponential moving average with one more value; the first value is the average."""
    return value if average is None else average + _NEWEST_WEIGHT * (value - average)


class FullError(RefusedError):
    """The queue is full (429)."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(429, "Busy", "too many requests are waiting", retry_after=retry_after)


class TooLateError(Exception):
    """The queue is longer than the caller can wait."""


class CallerGoneError(Exception):
    """The caller closed the connection: nobody reads an answer."""


class Capacity:
    """A bound on the requests that were read and are not answered yet.

    The queue bounds only those that ask the model. Reading requests and ranking without the model keep the
    processor busy too: without this bound an overloaded service would make every request late.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_use = 0

    def acquire(self) -> bool:
        """Admit one request, where there is capacity; whoever was admitted has to `release`."""
        if self.in_use >= self._limit:
            return False
        self.in_use += 1
        return True

    def release(self) -> None:
        """Give one request's capacity back."""
        self.in_use -= 1


class Queue:
    """Slots in first-come order."""

    def __init__(self, slots: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(slots)
        self._slots = slots
        self._most_waiting = waiting
        self._seconds: float | None = None  # how long a slot is usually held
        self.waiting = 0
        self.in_work = 0

    @asynccontextmanager
    async def slot(self, patience: float = math.inf) -> AsyncIterator[None]:
        """A slot, held as long as the block runs.

        A free slot is given whatever `patience` (in seconds) and the usual times say, so that the estimate can
        recover.
        """
        if self._free.locked():
            if self.waiting >= self._most_waiting:
                raise FullError(self.retry_after())
            if self._expected() > patience:
                raise TooLateError
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        started = time.monotonic()
        self.in_work += 1
        try:
            yield
        finally:
            self.in_work -= 1
            self._free.release()
            self._seconds = smoothed(self._seconds, time.monotonic() - started)

    def retry_after(self) -> int:
        """Whole seconds until those who wait now are likely to be served, at least 1."""
        return max(1, math.ceil(self._expected()))

    def _expected(self) -> float:
        """Seconds until a newcomer's turn, from how long slots were held of late; 0 while nothing is known."""
        return 0.0 if self._seconds is None else self._seconds * (self.waiting + 1) / self._slots


class FairSlot:
    """One slot for work that keeps the processor busy, given to waiting tenants in turn.

    One tenant's burst delays another by the work under way, not by all of the burst.
    """

    def __init__(self, waiting: int) -> None:
        self._most_waiting = waiting
        self._busy = False
        self._queues: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def slot(self, tenant: Tenant, seconds: float) -> AsyncIterator[None]:
        """The slot, held as long as the block runs.

        Raises:
            FullError: As many wait as may.
            TooLateError: It was not free within `seconds`.
        """
        if self._busy:
            await self._wait(tenant, seconds)
        self._busy = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, tenant: Tenant, seconds: float) -> None:
        if sum(map(len, self._queues.values())) >= self._most_waiting:
            raise FullError(1)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant.name, deque()).append(turn)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(turn)
        except BaseException as error:
            if turn.done():
                self._pass_on()  # the turn came in the moment of leaving
            turn.cancel()
            if isinstance(error, TimeoutError):
                raise TooLateError from None
            raise

    def _pass_on(self) -> None:
        while self._queues:
            name, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[name] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False


class Breaker:
    """A circuit breaker over consecutive failures.

    closed: requests pass. open: none passes until `seconds` are over. half_open: one passes, and its outcome
    closes or opens the breaker again.
    """

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._probing = False
        self._usual: dict[str, float] = {}

    @property
    def state(self) -> State:
        """The current state."""
        if self._opened is None:
            return "closed"
        return "open" if self._clock() - self._opened < self._seconds else "half_open"

    @property
    def remaining(self) -> float:
        """Seconds until a request may pass; 0 unless open."""
        return 0.0 if self._opened is None else max(0.0, self._opened + self._seconds - self._clock())

    def admits(self) -> bool:
        """Whether a request may pass; it then has to report `succeeded`, `failed`, `timed_out` or `gave_up`."""
        state = self.state
        if state == "open" or (state == "half_open" and self._probing):
            return False
        self._probing = state == "half_open"
        return True

    def succeeded(self) -> None:
        """The model answered, even if it refused this one request."""
        self._failures, self._opened, self._probing = 0, None, False

    def took(self, seconds: float, what: str) -> None:
        """Record how long an answer took, for `timed_out`; `what` is the template."""
        self._usual[what] = smoothed(self._usual.get(what), seconds)

    def failed(self) -> None:
        """The model is down or too slow."""
        self._failures += 1
        if self._opened is None:
            if self._failures >= self._most:
                self._opened = self._clock()
        elif self._probing:  # requests from before the opening do not prolong it
            self._opened, self._probing = self._clock(), False

    def timed_out(self, seconds: float, what: str) -> None:
        """The caller could not wait longer than `seconds`: a failure only where the model had its usual time.

        Otherwise one caller with short deadlines would close the model to everybody. Where `what` never was
        answered, every time-out is a failure.
        """
        if seconds >= self._usual.get(what, 0.0):
            self.failed()
        else:
            self.gave_up()

    def gave_up(self) -> None:
        """The caller left before there was an outcome; another request may probe."""
        self._probing = False


class Breakers:
    """The breaker of all requests, and one of each tenant.

    A deadline that a caller made shorter than the service's own is evidence for that tenant alone, so that nobody
    closes the model to others by asking in a hurry.
    """

    def __init__(self, failures: int, seconds: float) -> None:
        self.shared = Breaker(failures, seconds)
        self._own: defaultdict[str | None, Breaker] = defaultdict(lambda: Breaker(failures, seconds))

    def admits(self, tenant: Tenant) -> bool:
        """Whether a tenant's request may pass; see `Breaker.admits`."""
        own = self._own[tenant.name]
        if not own.admits():
            return False
        if not self.shared.admits():
            own.gave_up()
            return False
        return True

    def of(self, tenant: Tenant) -> tuple[Breaker, Breaker]:
        """Both breakers that a tenant's outcome is reported to."""
        return self.shared, self._own[tenant.name]

    def timed_out(self, tenant: Tenant, seconds: float, what: str, *, shortened: bool) -> None:
        """See `Breaker.timed_out`; `shortened` says whether the caller's deadline is below the service's own."""
        self._own[tenant.name].timed_out(seconds, what)
        if shortened:
            self.shared.gave_up()
        else:
            self.shared.timed_out(seconds, what)


class Shares:
    """A bound on each tenant's requests, waiting ones included; None sets no bound."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._in_use: Counter[str] = Counter()

    @contextmanager
    def hold(self, tenant: Tenant) -> Iterator[None]:
        """One more request of a tenant, as long as the block runs; callers without a key are not counted."""
        name = tenant.name
        if name is None or self._most is None:
            yield
            return
        if self._in_use[name] >= self._most:
            what, most = "too many requests of this key are under way", f"at most {self._most} at once"
            hint = "wait for answers before asking again"
            raise RefusedError(429, "TenantBusy", what, most, hint=hint, retry_after=1)
        self._in_use[name] += 1
        try:
            yield
        finally:
            self._in_use[name] -= 1
            if not self._in_use[name]:
                del self._in_use[name]


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` as long as the caller is connected; `CallerGoneError` where the caller left."""
    try:
        async with asyncio.timeout(None) as connection:
            leaving = asyncio.ensure_future(_disconnected(receive, connection))
            try:
                return await work
            finally:
                leaving.cancel()
    except TimeoutError:
        if connection.expired():
            raise CallerGoneError from None
        raise


async def _disconnected(receive: Receive, connection: asyncio.Timeout) -> None:
    """Wait until the caller leaves, and end the connection's block then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    connection.reschedule(asyncio.get_running_loop().time())
