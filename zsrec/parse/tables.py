"""Answers in a table of columns set off by "|"."""

from __future__ import annotations

import re

from zsrec.parse.spans import Piece, Span, has_word, lines, trim

_TITLE_HEAD = re.compile(
    r"\b(?:title|movie|film|name|item|book|product|recommend\w*|candidate|show|song|game)", re.I
)
_KNOWN_HEAD = re.compile(r"\b(?:watched|seen|history|liked|because)\b", re.I)
_YEAR_HEAD = re.compile(r"\b(?:year|released?|date)\b", re.I)
_REASON_HEAD = re.compile(r"\b(?:reason|why|description|comment|note|synopsis|plot|summary|explanation)", re.I)
_YEAR = re.compile(r"(?:18|19|20)\d\d")
_ASIDE_HEAD = re.compile(r"\b(?:#|no|rank|genre|director|cast|stars?|rating|score|author)\b|^\W*$", re.I)

Row = list[Span]


def table_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles of the first table in a span, in order; empty where there is none.

    Args:
        text: The cleaned answer.
        span: The turn to read.
        side: Where the two columns of titles are watched and recommended items: the one to take.
    """
    head: Row | None = None
    body: list[Row] = []
    ruled = False
    previous: Row | None = None
    for start, end in lines(text, *span):
        if "|" not in text[start:end]:
            if ruled and body:
                break
            previous = None
            continue
        if _is_rule(text[start:end]):
            if not ruled:
                head, ruled = previous, True
            continue
        previous = _cells(text, start, end)
        if ruled:
            body.append(previous)
    if not body:
        return []
    column = _title_column(text, head, body, side)
    return [piece for row in body if (piece := _piece(text, row, head, column)) is not None]


def _is_rule(line: str) -> bool:
    return "--" in line and not line.strip(" \t|:+=-")


def _cells(text: str, start: int, end: int) -> Row:
    start, end = start + (len(text[start:end]) - len(text[start:end].lstrip())), end
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    if text[start : start + 1] == "|":
        start += 1
    if end > start and text[end - 1] == "|":
        end -= 1
    cells: Row = []
    for part in text[start:end].split("|"):
        cells.append(trim(text, start, start + len(part)))
        start += len(part) + 1
    return cells


def _words(text: str, cell: Span) -> str:
    return text[cell[0] : cell[1]]


def _title_column(text: str, head: Row | None, body: list[Row], side: str | None) -> int:
    names = [_words(text, cell) for cell in head or ()]
    titled = [i for i, name in enumerate(names) if _TITLE_HEAD.search(name) or _KNOWN_HEAD.search(name)]
    if side is not None and len(titled) == 2:
        return titled[0] if side == "left" else titled[1]
    new = [i for i in titled if not _KNOWN_HEAD.search(names[i])]
    if new:
        return new[0]
    wordy = [
        i
        for i in range(max(len(row) for row in body))
        if not (i < len(names) and _ASIDE_HEAD.search(names[i]))
        and sum(i < len(row) and any(c.isalpha() for c in _words(text, row[i])) for row in body) * 2 > len(body)
    ]
    if side == "right" and len(wordy) == 2:
        return wordy[1]
    return wordy[0] if wordy else 0


def _piece(text: str, row: Row, head: Row | None, column: int) -> Piece | None:
    if column >= len(row) or not has_word(text, *row[column]):
        return None
    year = reason = None
    for name, cell in zip(head or (), row, strict=False):
        if _YEAR_HEAD.search(_words(text, name)) and (digits := _YEAR.search(text, *cell)):
            year = digits[0]
        elif _REASON_HEAD.search(_words(text, name)):
            reason = _words(text, cell) or None
    return Piece(*row[column], reason, year)
