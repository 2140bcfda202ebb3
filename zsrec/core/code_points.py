"""Kinds of characters that Python's `unicodedata` does not name: ignorable ones, and forms of ASCII characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

_IGNORABLE_RANGES = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
IGNORABLE = frozenset(chr(code) for first, last in _IGNORABLE_RANGES for code in range(first, last + 1))
"""Default_Ignorable_Code_Point: what is drawn as nothing, unassigned code points of the blocks included.

Source: Unicode 17.0, DerivedCoreProperties.txt.
"""

# The blocks that have characters with a compatibility decomposition to one ASCII character.
_FORMS = (
    (0x80, 0x300),
    (0x2000, 0x2500),
    (0x3000, 0x3400),
    (0xFE00, 0x10000),
    (0x1D400, 0x1D800),
    (0x1F100, 0x1F200),
)


@cache
def _folding() -> dict[int, str]:
    found = {}
    for first, end in _FORMS:
        for code in range(first, end):
            form = unicodedata.normalize("NFKC", chr(code))
            if len(form) == 1 and form.isascii():
                found[code] = form
    return found


def folded(text: str) -> str:
    """Return a text of the same length with every form of an ASCII character in place of it.

    Full-width, small and vertical forms, mathematical letters and the like: what NFKC, which some tokenizers
    apply, makes one ASCII character.
    """
    return text if text.isascii() else text.translate(_folding())


def replaced(pattern: re.Pattern[str], replacement: Callable[[str], str], text: str) -> str:
    """Return a text with the matches of its folded form replaced; what `replacement` returns as it is stays."""
    pieces, end = [], 0
    for found in pattern.finditer(folded(text)):
        new = replacement(found[0])
        if new != found[0]:
            pieces += [text[end : found.start()], new]
            end = found.end()
    return "".join([*pieces, text[end:]])
