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

_START = re.compile(
    r"[\[{]\s{0,80}(?=[\"'“{\[]|\\\")|\{\s{0,80}(?=[A-Za-z_]\w{0,30}\s{0,8}:)|\[(?=\w[^\[\]{}\"\n]{0,120}\",)"
)
_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*[^*]{0,400}\*/|\#[ ][^\n]*)
    | (?P<mark>[\[\]{},:，：])
    | "(?P<double>(?:[^"\\]|\\.|"(?!\s{0,60}(?:[,:\]}"\[{]|//|\Z)|[ \t]{0,60}\n))*+)(?P<closed>")?
    | “(?P<curly>[^”]{0,400})”
    | '(?P<single>(?:[^'\\]|\\.|'(?!\s{0,40}[,:\]}])){0,400})'(?=\s{0,40}[,:\]}])
    | (?P<half>[^\s"'“\[\]{},:][^"\[\]{},:\n]{0,200})"(?=\s{0,40}[,:\]}])    # Heat", without its first quote
    | (?P<scalar>[\w.+-]+)
    """,
    re.VERBOSE | re.DOTALL,
)
# A value without quotes: up to a bracket, a line break, or a comma with the next field behind it.
_BARE = re.compile(
    r"[ \t]{0,8}(?P<bare>[^\s\"'“\[\]{},:][^\n\"{}\[\],]{0,300}"
    r"(?:,(?!\s{0,8}[\"']?[\w ]{1,30}[\"']?\s{0,8}:)[^\n\"{}\[\],]{1,300}){0,6})(?:\"(?=\s{0,40}[,\]}\n]))?"
)
_NOT_TEXT = re.compile(r"(?:true|false|null|none|nan|yes|no|[-+.\d]+)\s*$", re.IGNORECASE)
# Heat, "Ronin and Heat }, { "title: the quote behind "Heat" is missing.
_LOST_QUOTE = re.compile(r"\s{0,40}[}\],][\s}\],\[{]{0,80}\"[^\"]{1,200}$")
_LOST_LAST_QUOTE = re.compile(r"([^\"\n]{1,200}?)\s{0,40}[\]}][\]}\s]{0,80}$")
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
        elif isinstance(value, Scalar) and (self.key is None or not value.string):
            self.key = value
        else:  # {"title" "Heat"}
            self.entries.append((self.key, value))
            self.key = None

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
        mark = token["mark"]
        if mark is not None and mark in "[{" and box.is_object and box.key is None and box.entries:
            open_boxes.pop()  # an object that lost its closing bracket
            if not open_boxes:
                break
            box = open_boxes[-1]
        place = token.end()
        if mark is None:
            value, place = _scalar(token)
            if value is not None:
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
        elif not box.is_object and box.entries and isinstance(key := box.entries[-1][1], Scalar) and key.string:
            box.entries.pop()  # an object that lost its opening bracket: ["title": "Heat"}
            child = Box("{")
            child.key, child.after_colon = key, True
            box.take(child)
            open_boxes.append(child)
    return root, place


def _scalar(token: re.Match[str]) -> tuple[Scalar | None, int]:
    """The value of a token, None where there is none, and where to go on."""
    if token["double"] is not None and token["closed"] is None:
        lost = _LOST_LAST_QUOTE.match(token["double"])
        if lost is None:
            return None, token.end()  # the answer ends inside the string: half a title is none
        stop = token.start("double") + lost.end(1)
        return Scalar(token.start("double"), stop, string=True), stop
    for group in ("double", "curly", "single", "half"):
        if token[group] is not None:
            start, stop = token.span(group)
            if group == "double" and (lost := _LOST_QUOTE.search(token[group])):
                stop = start + lost.start()
                return Scalar(start, stop, string=True), stop
            return Scalar(start, stop, string=True), token.end()
    return (None if token["comment"] else Scalar(*token.span(), string=False)), token.end()
