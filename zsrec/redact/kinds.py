"""Which redactor a setting means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from zsrec.redact.plain import Redaction, Redactor

Redact = Literal["default", "presidio", "off"]
"""What redacts: `Redaction`, `zsrec.redact.presidio.PresidioRedaction`, or nothing."""


def redactor(kind: Redact, names: Iterable[str] = ()) -> Redactor | None:
    """The redactor of that kind; None for "off".

    Args:
        kind: See `Redact`.
        names: Names to take out as well.

    Raises:
        ConfigError: A name is empty.
        MissingExtraError: Presidio is not installed.
    """
    if kind == "off":
        return None
    if kind == "default":
        return Redaction(names)
    from zsrec.redact.presidio import PresidioRedaction  # an extra

    return PresidioRedaction(names)
