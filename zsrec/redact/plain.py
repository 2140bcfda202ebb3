"""What redacts by rule: e-mail addresses, phone and card numbers, given names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from zsrec.errors import ConfigError

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w)")
_NUMBER = re.compile(r"(?<![\w+])(?:\+|00)?[(]?\d(?:[ ().\-/]{0,3}\d){6,24}(?!\w)")
_YEARS = re.compile(r"(?:19|20)\d\d(?:[ ().\-/]{1,3}(?:19|20)\d\d)*")
_CARD_DIGITS, _PHONE_DIGITS = range(13, 20), range(9, 16)
_SHORTEST_ABROAD = 7


class Redactor(Protocol):
    """Anything that takes personal data out of a text; an adapter to another library is such a function."""

    def __call__(self, text: str) -> str:
        """The text with placeholders in the place of personal data."""
        ...


class Redaction:
    """The default: e-mail addresses, phone numbers, payment cards, and names that the caller gives.

    A number is a card where it has 13 to 19 digits that fulfil the Luhn formula (ISO/IEC 7812-1, annex B), and a
    phone number where it has 9 to 15 digits (ITU-T E.164), or at least 7 and starts with + or 00; rows of years
    ("1990-1999 2001") are neither. Local numbers of up to 8 digits stay, since so do order numbers and dates: this
    is a net with a known mesh, not a proof.

    Args:
        names: Names to take out, in any case and as whole words.

    Raises:
        ConfigError: A name is empty.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        known = sorted({" ".join(name.split()) for name in names}, key=lambda name: (-len(name), name))
        if "" in known:
            raise ConfigError("a name to redact is empty", hint="leave it out")
        words = "|".join(r"\s+".join(map(re.escape, name.split())) for name in known)
        self._names = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if known else None

    def __call__(self, text: str) -> str:
        """The text with [email], [card], [phone] and [name] in the place of what was found."""
        text = _EMAIL.sub("[email]", text)
        text = _NUMBER.sub(lambda found: _number(found[0]), text)
        return text if self._names is None else self._names.sub("[name]", text)


def _number(text: str) -> str:
    digits = [int(char) for char in text if char.isdigit()]
    if _YEARS.fullmatch(text):
        return text
    if len(digits) in _CARD_DIGITS and _luhn(digits):
        return "[card]"
    abroad = text.startswith(("+", "00")) and len(digits) >= _SHORTEST_ABROAD
    return "[phone]" if abroad or len(digits) in _PHONE_DIGITS else text


def _luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
