"""Spans of text: trimming, plain words, comparison.

Every step of the parser works on spans, pairs of (start, end) offsets into one text, and never on copies, so that
a mention can always say where in the raw answer it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

Span = tuple[int, int]
"""Start and end (exclusive) in characters."""


class Skip(NamedTuple):
    """A stretch of the answer that names no recommendation, and why."""

    start: int
    end: int
    why: str


class Piece(NamedTuple):
    """A stretch of the answer that holds a title, before its readings are worked out.

    List marks are outside, a reason behind the title may be inside. `reason`, `year` and `rank` are what another
    field or column says; `joins` are longer spans that begin here and may be the title instead. `skip` is the
    reason why the title is no recommendation, `item` the catalog's item where the text leaves no doubt.
    """

    start: int
    end: int
    reason: str | None = None
    year: str | None = None
    joins: tuple[Span, ...] = ()
    rank: int | None = None
    skip: str | None = None
    item: str | None = None


QUOTES = {
    '"': '"', "“": "”", "„": "“”\"", "”": "”", "«": "»", "»": "«", "‹": "›", "›": "‹", "《": "》", "〈": "〉",
    "「": "」", "『": "』", "【": "】", "‘": "’", "'": "'", "‚": "‘", "`": "`", "*": "*", "_": "_", "＂": "＂",
}  # fmt: skip
"""Marks that models put around titles, with those that may close them."""

CLOSING = frozenset("".join(QUOTES.values()))
"""What closes them."""

MARKED = re.compile(
    r"\"(?P<a>[^\"\n]{1,120})\"|“(?P<b>[^“”\n]{1,120})”|《(?P<c>[^《》\n]{1,120})》|「(?P<d>[^」\n]{1,120})」"
    r"|『(?P<e>[^』\n]{1,120})』|\*{1,3}(?P<f>[^*\s][^*\n]{0,120})\*{1,3}"
    r"|(?<!\w)_(?P<g>[^_\s][^_\n]{0,120})_(?!\w)|«(?P<h>[^«»\n]{1,120})»"
    r"|(?<![\w])['‘](?P<i>[A-Z0-9][^'’\n]{1,80}(?:['’][a-z][^'’\n]{0,60})?)['’](?!\w)"
    r"|„(?P<j>[^„“”\"\n]{1,120})[“”\"]|»(?P<k>[^»«\n]{1,120})«|〈(?P<l>[^〉\n]{1,120})〉|【(?P<m>[^】\n]{1,120})】"
    r"|‹(?P<n>[^‹›\n]{1,120})›|›(?P<o>[^›‹\n]{1,120})‹|‚(?P<p>[^‚‘\n]{1,120})‘"
)
"""A stretch in quotes, book-title marks or emphasis; the group that matched is the title."""

YEAR = re.compile(r"[(\[]\s?(?:18|19|20)\d\d(?:\s?[-–—,;/][^()\[\]\n]{0,120})?[)\]]")
"""A year in brackets behind a title, also of a series ("1999-2007") or with more in it ("1995, Michael Mann")."""
_EDGE_OPEN = '*_"“„”«《〈「『【`~>＂'
_EDGE_CLOSE = '*_"“”»》〉」』】`~＂,;:，、；：。'
_EMOJI = "\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2b00-\u2bff\ufe0f\u200b-\u200d\u2060\ufeff"
_LEADING = re.compile(rf"[\s{re.escape(_EDGE_OPEN)}{_EMOJI}\U0001f000-\U0001faff]+")
_TRAILING = re.compile(rf"[\s{re.escape(_EDGE_CLOSE)}{_EMOJI}\U0001f000-\U0001faff]")
_DASHES = "-–—"
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/*_#`\[\]()~'nt]))")
_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,9}(?: [^<>\n]{0,200})?/?>")
_LINK = re.compile(r"\[([^\[\]\n]{1,200})\]\([^()\s]{1,300}\)")
_YEAR_AND_MORE = re.compile(r"[(\[]((?:18|19|20)\d\d)\s?[,;/|]\s?[^()\[\]\n]{1,120}[)\]]")
_MORE_AND_YEAR = re.compile(r"[(\[][^()\[\]\n]{1,120}[,;/|]\s?((?:18|19|20)\d\d)[)\]]")
_MARKS = '*_`"“”„«»‹›《》〈〉「」『』【】＂'
_PLAIN = str.maketrans(f"（）：，［］{_MARKS}", f"():,[]{' ' * len(_MARKS)}")
_LONE_BRACKET = re.compile(r"(?<![(\[\d])\)(?=\s?\()")
_SPACES = re.compile(r"\s+")
_LETTER = re.compile(r"[^\W_]")


def trim(text: str, start: int, end: int) -> Span:
    """The span without spaces, list marks, emphasis and quotes at its edges; may end up empty (end == start).

    A closing "!" or "?" stays, since titles end so; one full stop goes unless it ends an abbreviation.
    """
    before = -1
    while start < end and before != end - start:
        before = end - start
        leading = _LEADING.match(text, start, end)
        start = leading.end() if leading else start
        while end > start and _TRAILING.match(text[end - 1]):
            end -= 1
        while start < end and text[start] in _DASHES and text[start + 1 : start + 2].isspace():
            start += 1
        while end > start and text[end - 1] in _DASHES and (end - 1 == start or text[end - 2].isspace()):
            end -= 1
        # An apostrophe may belong to the title ("'Til", "Bros'"): only a pair around everything goes.
        if end - start > 2 and text[start] in "'‘’" and text[end - 1] in "'’":
            start, end = start + 1, end - 1
        end = _without_stop(text, start, end)
        start, end = _without_open_brackets(text, start, end)
    return start, max(start, end)


def _without_stop(text: str, start: int, end: int) -> int:
    tail = text[max(start, end - 4) : end]
    if end - start <= 2 or not tail.endswith(".") or tail.count(".") > 1:
        return end
    return end - 1 if tail[-2].isalnum() or tail[-2] in ')]!?"”»》' else end


def _without_open_brackets(text: str, start: int, end: int) -> Span:
    """The span without brackets that have no partner inside it, and without a pair of square ones around it."""
    while end > start and text[end - 1] in ")]}" and text.count(_PARTNER[text[end - 1]], start, end) == 0:
        end -= 1
    while start < end and text[start] in "([{" and text.count(_PARTNER[text[start]], start, end) == 0:
        start += 1
    if end - start > 2 and text[start] == "[" and text[end - 1] == "]" and text.count("[", start, end) == 1:
        return start + 1, end - 1
    return start, end


_PARTNER = {")": "(", "]": "[", "}": "{", "(": ")", "[": "]", "{": "}"}


def plain(text: str) -> str:
    """A title as words only: without markdown, tags, quotes around parts of it, and escapes.

    `**Heat** (1995, Michael Mann)` becomes "Heat (1995)", which is what to look up.
    """
    if "\\" in text:
        text = _ESCAPE.sub(_unescape, text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    if "&" in text:
        text = html.unescape(text)
    text = text.translate(_PLAIN)
    if text.count(")") > text.count("("):  # "The Godfather) (1972)", of "Der Pate (The Godfather) (1972)"
        text = _LONE_BRACKET.sub(" ", text, count=1)
    if ("(" in text or "[" in text) and ("," in text or ";" in text or "/" in text or "|" in text):
        text = _MORE_AND_YEAR.sub(r"(\1)", _YEAR_AND_MORE.sub(r"(\1)", text))
    return _SPACES.sub(" ", text).strip()


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        code = int(match[1], 16)
        return "" if 0xD800 <= code <= 0xDFFF else chr(code)
    return " " if match[2] in "nt" else match[2]


def has_word(text: str, start: int, end: int) -> bool:
    """Whether a letter or digit stands in the span."""
    return _LETTER.search(text, start, end) is not None


def blank(text: str, spans: Iterable[Span]) -> str:
    """The text with some spans overwritten by newlines; every offset stays."""
    parts, done = [], 0
    for start, end in sorted(spans):
        start = max(start, done)
        if start < end:
            parts += [text[done:start], "\n" * (end - start)]
            done = end
    return "".join([*parts, text[done:]]) if parts else text


def lines(text: str, start: int, end: int) -> list[Span]:
    """The lines of a span, without their newlines."""
    found: list[Span] = []
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        found.append((start, stop))
        start = stop + 1
    return found


def same(text: str) -> str:
    """A form in which a repeat or an echo equals what it repeats: words in lower case."""
    return " ".join(re.findall(r"[^\W_]+", plain(text).casefold()))
