"""The type rule: what counts as an id, a time or a number in every table, call and request."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

EMPTY = "is empty"
_EXACT = 2**53  # from here on a float no longer tells neighbouring whole numbers apart


def as_id(value: Any) -> str:  # noqa: ANN401
    """Return the text of an id without blanks around it.

    Text stays as it is ("007", "1.0"); whole numbers and integral floats become their decimal text (1.0 → "1"),
    numpy scalars count as their value, bytes are decoded as UTF-8.
    """
    if not isinstance(value, str):
        value = _scalar(value)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise ValueError(f"is {shown(value)}, which is not UTF-8") from None
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        raise ValueError(EMPTY)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    raise ValueError(f"is {shown(value)}, expected text or a whole number")


def as_time(value: Any) -> tuple[float | None, bool]:  # noqa: ANN401
    """Return a time as seconds since 1970 (None for null, NaN and empty text), and whether it is a plain number.

    Datetimes, dates and ISO 8601 text (UTC if they name no zone) become seconds; numbers, also as text, stay in
    their unit, which only the whole column shows (`zsrec.data.blocks.in_seconds`).
    """
    number = _float(value)
    if number is not None and math.isfinite(number):
        return number, True
    value = _scalar(value)
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        return None, False
    if isinstance(value, str):
        value = _parsed(value.strip()) or value
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp(), False
    raise ValueError(f"is {shown(value)}, expected a time")


def as_moment(value: Any) -> datetime | None:  # noqa: ANN401
    """Return a single time as a datetime; a number counts as seconds, or as the unit that its size shows.

    Raises:
        ValueError: The value is not a time between the years 1 and 9999.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    seconds, is_number = as_time(value)
    if seconds is None:
        return None
    scale = unit_of(seconds)[1] if is_number else 1.0
    try:
        return datetime.fromtimestamp(seconds / scale, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"is {shown(value)}, expected a time between the years 1 and 9999") from None


def unit_of(largest: float) -> tuple[str, float]:
    """Return the unit of times by the largest one, and how many of it are a second.

    As seconds, 10^11 is the year 5138; as milliseconds 1973. Beyond nanoseconds, nothing is a time: ("", inf).
    """
    units = ((1e11, "s", 1.0), (1e14, "ms", 1e3), (1e17, "us", 1e6), (1e20, "ns", 1e9))
    return next(((unit, scale) for limit, unit, scale in units if abs(largest) < limit), ("", math.inf))


def as_number(value: Any) -> float | None:  # noqa: ANN401
    """Return a number; None for null, NaN and empty text."""
    number = _float(value)
    if number is not None and math.isfinite(number):
        return number
    value = _scalar(value)
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        return None
    raise ValueError(f"is {shown(value)}, expected a number")


def is_missing(value: Any) -> bool:  # noqa: ANN401
    """Return whether a value is null or a NaN that stands for null."""
    return value is None or (isinstance(value, float | Decimal) and value != value)


def shown(value: object) -> str:
    """Return a value's text for a message, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _scalar(value: Any) -> Any:  # noqa: ANN401
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def _float(value: Any) -> float | None:  # noqa: ANN401
    """Return a number, or a text that is one, as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | Real | Decimal):
        value = _scalar(value)
        if isinstance(value, bool) or not isinstance(value, Real | Decimal):
            return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
