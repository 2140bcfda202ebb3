"""A circuit breaker: a model that fails again and again is left alone for a while.

Ours, because what is on the package index brings stores and threads that one event loop has no use for: this is
three states and a clock (M. Nygard, *Release It!*, "Circuit Breaker").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from zsrec.serve.smoothing import smoothed

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
