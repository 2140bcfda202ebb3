"""A tolerant reader of JSON, and of what a model takes for JSON.

The text may be inside prose or a code fence, may end in the middle, may have single or curly quotes or none, raw
line breaks in strings, trailing or missing commas, and comments. So this reads tokens and keeps what it
understood, each with its span; it does not validate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from zsrec.answers.text_spans import Span, blank

_START = re.compile(r"[\[{]\s{0,80}(?=[\"'“{\[]|\\\")|\{\s{0,80}(?=[A-Za-z_]\w{0,30}\s{0,8}:)")
_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*[^*]{0,400}\*/|\#[ ][^\n]*)
    | (?P<mark>[\[\]{},:，：])
    | "(?P<double>(?:[^"\\]|\\.|"(?!\s{0,60}(?:[,:\]}"\[{]|//|\Z)|[ \t]{0,60}\n))*+)(?P<closed>")?
    | “(?P<curly>[^”]{0,400})”
    | '(?P<single>(?:[^'\\]|\\.|'(?!\s{0,40}[,:\]}])){0,400})'(?=\s{0,40}[,:\]}])
    | (?P<scalar>[\w.+-]+)
    """,
    re.VERBOSE | re.DOTALL,
)
# A value without quotes: up to a bracket, a line break, or a comma with the next field behind it.
_BARE = re.compile(
    r"[ \t]{0,8}(?P<bare>[^\s\"'“\[\]{},:][^\n\"{}\[\],]{0,300}"
    r"(?:,(?!\s{0,8}[\"']?[\w ]{1,30}[\"']?\s{0,8}:)[^\n\"{}\[\],]{1,300}){0,6})"
)
_NOT_TEXT = re.compile(r"(?:true|false|null|none|nan|yes|no|[-+.\d]+)\s*$", re.IGNORECASE)
_LOST_QUOTE = re.compile(r",\s{0,8}\"\w{1,30}$")
_OUTER_QUOTE = re.compile(r"\"(?=[\[{])|(?<=[\]}])\"")
_MOST_DEPTH = 12


class Scalar(NamedTuple):
    """A string, without its quotes, or any other single value."""

    start: int
    end: int
    string: bool


class Box:
    """A list or an object while it is read."""

    def __init__(self, mark: str) -> None:
        self.is_object = mark == "{"
        self.key: Scalar | None = None
        self.after_colon = False
        self.entries: list[tuple[Scalar | None, Scalar | Box]] = []

    def take(self, value: Scalar | Box) -> None:
        """Take the next value: an entry, or the key of one."""
        if not self.is_object:
            self.entries.append((None, value))
        elif self.after_colon:
            self.entries.append((self.key, value))
            self.key, self.after_colon = None, False
        elif isinstance(value, Scalar):
            self.key = value

    def end_entry(self) -> None:
        """End an entry at a comma or a closing bracket."""
        if self.is_object and self.key is not None and not self.after_colon:
            self.entries.append((None, self.key))  # {"Heat", "Ronin"}: a set, so to say
        self.key, self.after_colon = None, False


def without_objects(text: str, span: Span) -> str:
    """The text with the JSON objects of a span blanked, for readers that would take their keys for titles."""
    found = boxes(unescaped(text, span), *span)
    return blank(text, (place for box, place in found if box.is_object and any(key for key, _ in box.entries)))


def unescaped(text: str, span: Span) -> str:
    """The text with the escaped quotes of JSON inside a JSON string as plain ones; every offset stays."""
    if re.search(r"[\[{]\s{0,8}(?:\\n\s{0,8})?\\\"", text[slice(*span)]) is None:
        return text
    return _OUTER_QUOTE.sub(" ", text.replace('\\"', ' "').replace("\\n", " \n"))


def boxes(text: str, start: int, end: int) -> Iterator[tuple[Box, Span]]:
    """The outermost lists and objects of a span, each with its place."""
    while (opening := _START.search(text, start, end)) is not None:
        box, start = _read(text, opening.start(), end)
        yield box, (opening.start(), start)


def _read(text: str, start: int, end: int) -> tuple[Box, int]:
    """The outermost box that opens at `start` and where it ends, or where the text does."""
    root = Box(text[start])
    open_boxes = [root]
    place = start + 1
    while place < end and open_boxes:
        box = open_boxes[-1]
        if box.after_colon and (bare := _BARE.match(text, place, end)):
            place = bare.end()
            if place < end:  # else the answer ends inside the value
                box.take(Scalar(*bare.span("bare"), string=not _NOT_TEXT.match(bare["bare"])))
            continue
        token = _TOKEN.match(text, place, end)
        if token is None:
            place += 1
            continue
        place = token.end()
        mark = token["mark"]
        if mark is None:
            if token["comment"] is None and (value := _scalar(token)) is not None:
                box.take(value)
        elif mark in "[{":
            child = Box(mark)
            if len(open_boxes) < _MOST_DEPTH:
                box.take(child)
                open_boxes.append(child)
        elif mark in "]}":
            box.end_entry()
            open_boxes.pop()
        elif mark in ",，":
            box.end_entry()
        elif box.key is not None:
            box.after_colon = True
    return root, place


def _scalar(token: re.Match[str]) -> Scalar | None:
    for group in ("double", "curly", "single"):
        if token[group] is not None:
            if group == "double" and token["closed"] is None:
                return None  # the answer ends inside the string: half a title is none
            lost = _LOST_QUOTE.search(token[group])
            return Scalar(token.start(group), token.end(group) - (len(lost[0]) if lost else 0), string=True)
    return Scalar(*token.span(), string=False)
