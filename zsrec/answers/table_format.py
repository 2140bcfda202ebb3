"""Tables in Markdown."""

from __future__ import annotations

import re

from zsrec.answers.text_spans import Piece, Span, has_word, lines, trim

_TITLE_HEAD = re.compile(
    r"\b(?:title|movie|film|name|item|book|product|recommend\w*|candidate|show|song|game)", re.I
)
_KNOWN_HEADER = re.compile(r"\b(?:watched|seen|history|liked|because)\b", re.I)
_YEAR_HEAD = re.compile(r"\b(?:year|released?|date)\b", re.I)
_REASON_HEAD = re.compile(r"\b(?:reason|why|description|comment|note|synopsis|plot|summary|explanation)", re.I)
_YEAR = re.compile(r"(?:18|19|20)\d\d")
_RANK_HEAD = re.compile(r"\W*(?:#|no\.?|rank|ranking|position|place)?\W*$", re.I)
_ASIDE_HEAD = re.compile(r"\b(?:#|no|rank|genre|director|cast|stars?|rating|score|author)\b|^\W*$", re.I)

Row = list[Span]


def table_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles of the first table in a span, in order; empty where there is none.

    Of two columns of titles, one watched and one recommended, `side` says which to take.
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
    bars = [place for place in range(start, end) if text[place] == "|"]
    inner = zip([start, *(bar + 1 for bar in bars)], [*bars, end], strict=True)
    cells = [trim(text, *cell) for cell in inner]
    before, behind = text[start : bars[0]].isspace() or bars[0] == start, not text[bars[-1] + 1 : end].strip()
    return cells[1 if before else 0 : -1 if behind else None]


def _words(text: str, cell: Span) -> str:
    return text[cell[0] : cell[1]]


def _title_column(text: str, head: Row | None, body: list[Row], side: str | None) -> int:
    names = [_words(text, cell) for cell in head or ()]
    titled = [i for i, name in enumerate(names) if _TITLE_HEAD.search(name) or _KNOWN_HEADER.search(name)]
    if side is not None and len(titled) == 2:
        return titled[0] if side == "left" else titled[1]
    new = [i for i in titled if not _KNOWN_HEADER.search(names[i])]
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
    year = reason = rank = None
    for name, cell in zip(head or (), row, strict=False):
        if _YEAR_HEAD.search(_words(text, name)) and (digits := _YEAR.search(text, *cell)):
            year = digits[0]
        elif _REASON_HEAD.search(_words(text, name)):
            reason = _words(text, cell) or None
        elif _RANK_HEAD.match(_words(text, name)) and _words(text, cell).isdigit():
            rank = int(_words(text, cell)[:6])
    return Piece(*row[column], reason, year, rank=rank)
