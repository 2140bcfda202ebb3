"""A running figure of what was measured of late."""

from __future__ import annotations

_NEWEST = 0.2  # the share of the newest value


def smoothed(before: float | None, value: float) -> float:
    """The figure with one more value, by exponential smoothing; the first value is the figure.

    Args:
        before: The figure so far; None where nothing was measured.
        value: The newest.
    """
    return value if before is None else before + _NEWEST * (value - before)
