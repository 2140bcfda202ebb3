"""Sanitising of template variables: every text in them, at any depth (`zsrec.core.untrusted_text`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real
from types import MappingProxyType

from zsrec.core.untrusted_text import ELLIPSIS, JOINERS, TITLE_LIMIT, inline

_MAX_DEPTH = 8


def short(value: object, limit: int = 80) -> str:
    """A catalog's attribute as one short piece of a line; the template filter of this name.

    Lists are joined by commas, None is nothing, and what is longer is cut between words where that is possible.

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"short({limit}) keeps nothing: the limit is at least 1")
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray):
        value = ", ".join(str(part) for _, part in zip(range(limit), value, strict=False))
    line = inline("" if value is None else value, limit + 1)
    if len(line) <= limit:
        return line
    head, following = line[: limit - 1], line[limit - 1]
    words = head if following == " " else head.rpartition(" ")[0]
    return (words if len(words) >= limit // 2 else head).rstrip(",;:-–— " + JOINERS) + ELLIPSIS


def sanitize(value: object, limit: int = TITLE_LIMIT, *, _depth: int = 0) -> object:
    """`value` with every string in it, at any depth, made harmless by `inline`.

    Numbers, booleans and None pass; collections become tuples and read-only mappings with text keys;
    anything else becomes its text, and so does what is nested deeper than eight levels.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) or _depth >= _MAX_DEPTH:
        return inline(value, limit)
    if isinstance(value, Integral):  # numpy's numbers are none of Python's
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        pairs = ((inline(key, limit), sanitize(v, limit, _depth=_depth + 1)) for key, v in value.items())
        return MappingProxyType(dict(pairs))
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes | bytearray):
        return tuple(sanitize(v, limit, _depth=_depth + 1) for v in value)
    return inline(value, limit)
