"""Runs of marked titles inside a line: `Try "Dune" by X, or "Hyperion" by Y.`, 《…》《…》, „…“ und „…“.

Two titles belong to one run if nothing stands between them but a year or other brackets, a maker, a separator,
and a word such as "and" (`zsrec/data/words`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from zsrec.answers.prose_format import follows_known
from zsrec.answers.text_spans import MARKED, Piece, Span, has_word, lines
from zsrec.answers.wording import is_label, is_talk
from zsrec.data.title_words import JOINTS, MAKERS

_MAKER = "|".join(re.escape(word) for word in sorted(MAKERS))
_JOINT = "|".join(re.escape(word) for word in sorted(JOINTS, key=len, reverse=True))
_NOTE = r"(?:\s?[(\[（][^()\[\]（）\n]{1,100}[)\]）])?"
_BY = (
    rf"(?:,?\s(?:{_MAKER})\s[^\s,;:\"“”„«»()][^,;:\"“”„«»()\n]{{1,60}}?"
    r"|\s[-–—]\s(?-i:[^\W\d_a-z])[^,;:\"“”„«»\n]{1,60}?)"
)
_STOP = r"(?=(?:(?<!(?-i:[A-Z]))[.!?]|[,;])(?:\s|$)|[。！？，；]|\s{0,4}$)"
_GAP = re.compile(
    rf"(?P<behind>{_NOTE}{_BY}?{_NOTE})\s{{0,4}}[,;、，；/·•|]?\s{{0,4}}(?:{_JOINT})?\s{{0,4}}", re.IGNORECASE
)
"""What may stand between two titles of a run; "behind" belongs to the first: its year or a remark, who made it."""
_LAST = re.compile(rf"{_NOTE}(?:{_BY}{_STOP})?{_NOTE}", re.IGNORECASE)
_MOST_LINES = 12


def quoted_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles of lines that each hold one run of marked titles, beside lines of talk; else empty."""
    if side is not None:
        return []  # a pair
    filled = [line for line in lines(text, *span) if has_word(text, *line)]
    found: list[Piece] = []
    for line in filled[:_MOST_LINES]:
        run = _run(text, *line)
        if not run and (MARKED.search(text, *line) or not is_talk(text[slice(*line)].strip())):
            return []
        found += run
    return found if len(filled) <= _MOST_LINES else []


def _run(text: str, start: int, end: int) -> list[Piece]:
    """The titles of a line's only run, two at least; empty where other marks or known titles stand beside it."""
    marks = list(_marks(text, start, end))
    if (
        len(marks) < 2
        or len({mark.lastgroup for mark in marks}) > 1
        or follows_known(text, start, marks[0].start())
    ):
        return []
    pieces = []
    for mark, following in pairwise(marks):
        gap = _GAP.fullmatch(text, mark.end(), following.start())
        if gap is None:
            return []
        pieces.append(Piece(mark.start(mark.lastgroup or 0), gap.end("behind")))
    last = _LAST.match(text, marks[-1].end(), end)
    return [*pieces, Piece(marks[-1].start(marks[-1].lastgroup or 0), last.end() if last else marks[-1].end())]


def _marks(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """The marked titles of a line; a label in bold before them ("**My picks:**") is none."""
    for place, mark in enumerate(MARKED.finditer(text, start, end)):
        words = mark[mark.lastgroup or 0].strip()
        if place or not (words.endswith((":", "：")) or is_label(words)):
            yield mark
