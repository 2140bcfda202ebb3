"""JSON, and what a model takes for JSON.

The text may be inside prose or a code fence, may end in the middle, may have single or curly quotes, trailing
commas and comments. So this reads tokens and keeps what it understood; it does not validate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from zsrec.answers.text_spans import Piece, Span, blank

_START = re.compile(r"[\[{]\s{0,80}(?=[\"'“{\[])")
_TOKEN = re.compile(
    r"""
    (?P<mark>[\[\]{},:])
    | "(?P<double>(?:[^"\\\n]|\\.)*)(?P<closed>")?
    | “(?P<curly>[^”\n]{0,400})”
    | '(?P<single>(?:[^'\\\n]|\\.|'(?!\s{0,40}[,:\]}])){0,400})'(?=\s{0,40}[,:\]}])
    | (?P<scalar>[\w.+-]+)
    """,
    re.VERBOSE,
)
_MOST_DEPTH = 12

_TITLE = frozenset(
    "title name movie film item book product song show series game track recommendation recommended candidate"
    " answer"
    " pick choice prediction predicted".split()
)
_YEAR = frozenset("year releaseyear releasedate released date".split())
_REASON = frozenset(
    "reason reasons reasoning explanation why description rationale justification summary comment note notes"
    " synopsis"
    " plot overview relevance".split()
)
_ASIDE = frozenset(
    "genre genres cast actor actors star stars starring director directors author authors writer writers tag tags"
    " keyword keywords history watched seen liked disliked previous previously input user userid username language"
    " country rating ratings score scores confidence rank id theme themes mood moods thinking thought thoughts"
    " analysis preference preferences query source basedon because similar similarto count total type category"
    " status message error format".split()
)
_ORDINAL = re.compile(r"^\D{0,24}\d{1,3}$|^(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)$")
_FIELD = re.compile(r"[a-z]+(?:[_A-Z-][A-Za-z_-]*)?$")
_NOT_LETTERS = re.compile(r"[^a-z]+")
_YEAR_DIGITS = re.compile(r"(?:18|19|20)\d\d")


class _Scalar(NamedTuple):
    start: int
    end: int
    string: bool


class _Box:
    """A list or an object while it is read."""

    def __init__(self, mark: str) -> None:
        self.is_object = mark == "{"
        self.key: _Scalar | None = None
        self.after_colon = False
        self.entries: list[tuple[_Scalar | None, _Scalar | _Box]] = []

    def take(self, value: _Scalar | _Box) -> None:
        if not self.is_object:
            self.entries.append((None, value))
        elif self.after_colon:
            self.entries.append((self.key, value))
            self.key, self.after_colon = None, False
        elif isinstance(value, _Scalar):
            self.key = value

    def end_entry(self) -> None:
        if self.is_object and self.key is not None and not self.after_colon:
            self.entries.append((None, self.key))  # {"Heat", "Ronin"}: a set, so to say
        self.key, self.after_colon = None, False


def json_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles in the JSON of a span, in order; empty where there is none.

    `side` says which element of a pair (an inner list of two strings) holds the title.
    """
    return [piece for box, _ in _boxes(text, *span) for piece in _titles(text, box, side)]


def without_objects(text: str, span: Span) -> str:
    """The text with the JSON objects of a span blanked, for readers that would take their keys for titles."""
    boxes = _boxes(text, *span)
    return blank(text, (place for box, place in boxes if box.is_object and any(key for key, _ in box.entries)))


def _boxes(text: str, start: int, end: int) -> Iterator[tuple[_Box, Span]]:
    while (opening := _START.search(text, start, end)) is not None:
        box, start = _read(text, opening.start(), end)
        yield box, (opening.start(), start)


def _read(text: str, start: int, end: int) -> tuple[_Box, int]:
    """The outermost box that opens at `start` and where it ends, or where the text does."""
    root = _Box(text[start])
    open_boxes = [root]
    place = start + 1
    while place < end and open_boxes:
        token = _TOKEN.match(text, place, end)
        if token is None:
            place += 1
            continue
        place = token.end()
        mark, box = token["mark"], open_boxes[-1]
        if mark is None:
            if (value := _scalar(token)) is not None:
                box.take(value)
        elif mark in "[{":
            child = _Box(mark)
            if len(open_boxes) < _MOST_DEPTH:
                box.take(child)
                open_boxes.append(child)
        elif mark in "]}":
            box.end_entry()
            open_boxes.pop()
        elif mark == ",":
            box.end_entry()
        elif box.key is not None:
            box.after_colon = True
    return root, place


def _scalar(token: re.Match[str]) -> _Scalar | None:
    for group in ("double", "curly", "single"):
        if token[group] is not None:
            if group == "double" and token["closed"] is None:
                return None  # the answer ends inside the string: half a title is none
            return _Scalar(*token.span(group), string=True)
    return _Scalar(*token.span(), string=False)


def _titles(text: str, box: _Box, side: str | None) -> list[Piece]:
    if box.is_object:
        return _object_titles(text, box, side)
    values = [value for _, value in box.entries]
    if side is not None and len(values) == 2 and all(isinstance(value, _Scalar) for value in values):
        values = values[:1] if side == "left" else values[1:]
    pieces: list[Piece] = []
    for value in values:
        if isinstance(value, _Box):
            pieces += _titles(text, value, side)
        elif value.string:
            pieces.append(Piece(value.start, value.end))
    return pieces


def _object_titles(text: str, box: _Box, side: str | None) -> list[Piece]:
    year = reason = None
    named: list[tuple[str, _Scalar]] = []
    inner: list[Piece] = []
    other: list[tuple[_Scalar, _Scalar | _Box]] = []
    loose: list[Piece] = []
    for key, value in box.entries:
        name = "" if key is None else _name(text, key)
        if key is None:
            if isinstance(value, _Scalar) and value.string:
                loose.append(Piece(value.start, value.end))
        elif isinstance(value, _Box):
            if name not in _REASON and not _is_aside(name):
                found = _titles(text, value, side)
                inner += found
                if not found and value.is_object:
                    other.append((key, value))
        elif name in _YEAR:
            digits = _YEAR_DIGITS.search(text, value.start, value.end)
            year = digits[0] if digits else None
        elif name in _REASON:
            reason = text[value.start : value.end]
        elif _is_title_key(name) or _ORDINAL.match(text[key.start : key.end].strip().lower()):
            named.append((name, value))
        elif not _is_aside(name):
            other.append((key, value))
    if named:
        several = len(named) > 1 and all(not _is_title_key(name) or name == named[0][0] for name, _ in named)
        chosen = [value for _, value in named] if several else [named[0][1]]
        return [Piece(value.start, value.end, reason, year) for value in chosen] + inner
    if inner or loose:
        return loose + inner
    return [_odd_title(text, key, value) for key, value in other if key.string]


def _odd_title(text: str, key: _Scalar, value: _Scalar | _Box) -> Piece:
    # {"next": "Heat"}: an unknown field of a program. {"Heat": "A cop …", "Ronin": 0.9}: the keys are the titles.
    if isinstance(value, _Scalar) and value.string and _FIELD.match(text, key.start, key.end):
        return Piece(value.start, value.end)
    reason = text[value.start : value.end] if isinstance(value, _Scalar) and value.string else None
    return Piece(key.start, key.end, reason)


def _name(text: str, key: _Scalar) -> str:
    return _NOT_LETTERS.sub("", text[key.start : key.end].lower())


def _is_aside(name: str) -> bool:
    return name in _ASIDE or name.endswith(("history", "watched", "seen", "genres", "preferences"))


def _is_title_key(name: str) -> bool:
    titled = name in _TITLE or name.endswith(("title", "titles")) or (name.endswith("name") and len(name) > 4)
    return titled and not _is_aside(name)
