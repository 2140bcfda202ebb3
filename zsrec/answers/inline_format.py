"""Lists inside a line: items separated by commas, semicolons, slashes or "or".

The hard part is the comma, which is also part of titles ("The Good, the Bad and the Ugly"). A part that goes on in
small letters is joined to the one before it here; the rest is left to the catalog through `Piece.joins`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from zsrec.answers.text_spans import YEAR, Piece, Span, has_word, lines, trim
from zsrec.answers.wording import SMALL, capitalised, is_reason, is_talk

WORD = re.compile(r"[^\s,;()（）\"“”。，；、]+")
_VERB = re.compile(r"(?:try|watch|consider|check out|how about|what about|see|go with|maybe|perhaps)\s", re.I)
_LIST_LABEL = re.compile(
    r"\s{0,8}(?:[^:：\n]{0,20}(?:推荐|推薦|おすすめ|オススメ|以下|片单|清单|答案|リスト)[^:：\n]{0,10}|[*_]{0,2}"
    r"(?:(?:my|the|your|final|top) ){0,2}(?:\d{1,2} )?(?:ranking|ranked list|order|list|picks|choices)[*_]{0,2})"
    r"[:：]",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(
    r"[;；]|、|\s[/•·>»›]{1,2}\s|\s?\|\s?|\s{0,4}(?:[→⟶➔➜➞]|->|=>)\s{0,4}|，|,(?=[\s\"“*_'‘])|\t+"
    r"|(?<=[^\W\d_]),(?=[^\W\d_])|(?<=[\"”])\s(?=[\"“])|(?<=[》」』])\s?(?=[《「『])"
)
_TIGHT = re.compile(r"(?<!\d),|,(?!\d)|>")
_OR = re.compile(r"\sor\s(?=[A-Z\"“*_\d])")
JOINT = re.compile(r"(?<=[)\]）])\s(?:and|or|&)\s(?!I(?:['’]|\s[a-z]))(?=[A-Z\"“*_\d])")
"""The "and" between two titles where brackets close the first: "Dracula (horror) and Frankenstein"."""

_BRACKETS = re.compile(r"\s?[(\[（][^()\[\]（）\n]{1,100}[)\]）]$")
_LEAD = re.compile(
    r"(?:and|or|&|also|finally|lastly|maybe|perhaps|plus|then|as well as|even|the (?:movies?|films?)|watching"
    r"|you to|you|it|them|of|和|以及|还有|或)\s{1,4}"
)
_FRANCHISE = frozenset("trilogy series saga franchise films movies film movie duology quadrilogy".split())
_MOST_JOINED = 4
_ARROW = re.compile(r"[→⟶➔➜➞]|->|=>")
_QUOTES = '"“”'


def inline_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles of a text that is nothing but a list separated by commas or the like; else empty."""
    filled = [line for line in lines(text, *span) if text[line[0] : line[1]].strip()]
    if not 0 < len(filled) <= 3:
        return []
    start, end = filled[-1]
    talk = text[filled[0][0] : start].strip()
    label = _LIST_LABEL.match(text, start, end)
    begin, end = trim(text, label.end() if label else start, end)
    if side is not None and _ARROW.search(text, begin, end):
        return []  # a pair
    while begin > start and text[begin - 1] in _QUOTES:  # the quotes tell which commas are inside titles
        begin -= 1
    while end < filled[-1][1] and text[end] in _QUOTES:
        end += 1
    if _VERB.match(text, begin, end):
        return []
    pieces = split_list(text, begin, end)
    if len(pieces) < 2 or (talk and not is_talk(talk)) or is_talk(text[pieces[0].start : pieces[0].end]):
        return []
    cased = any(c.isupper() for c in text[begin:end])
    if cased and capitalised(_unbracketed(text[pieces[0].start : pieces[0].end])) < 1:
        return []  # words before the first title
    small = not cased and len(pieces) > 2
    return pieces if all(is_item(text[piece.start : piece.end], small=small) for piece in pieces) else []


def is_item(words: str, *, small: bool = False) -> bool:
    """Whether a part of a list is written as a title; `small` allows for lists without any capitals."""
    # Quotes inside with words around them belong to a sentence.
    words = _unbracketed(words)
    written = capitalised(words) >= 0.7 or (small and len(words.split()) <= 6)
    return written and not any(mark in words for mark in '《》「」『』“”"') and not is_talk(words)


def _unbracketed(words: str) -> str:
    return _BRACKETS.sub("", words)


def title_run(text: str, start: int, end: int) -> int:
    """Where the run of capitalised words that begins at `start` ends; small words count between two of them."""
    stop = last = start
    for word in WORD.finditer(text, start, end):
        if last > start and not text[last : word.start()].isspace():
            break
        bare = word[0].strip("*_'’‘")
        if bare[:1].isupper() or bare[:1].isdigit():
            stop = word.end()
        elif bare.lower().rstrip(".!?") in _FRANCHISE and stop == last > start:
            stop = word.end()
            break
        elif bare.lower() not in SMALL or stop == start:
            break
        last = word.end()
    if stop > start and text[stop - 1] in ".?" and not text[stop:end].strip(" *_\"'”’"):
        stop -= 1
    year = YEAR.match(text, stop + 1, end) if text[stop : stop + 1].isspace() else None
    return year.end() if year else stop


def split_list(text: str, start: int, end: int, *, running: bool = False) -> list[Piece]:
    """The items of a list inside a line, one piece per item.

    Where a comma may belong to a title ("Crazy, Stupid, Love"), the pieces carry the longer spans in `joins`. A
    `running` list is part of a sentence, so words behind it must not become items.
    """
    parts = [span for span in _parts(text, start, end) if has_word(text, *span)]
    parts = [half for span in parts for half in _cut(span, list(_outside(text, *span, JOINT)))]
    if running:  # no title list in a sentence says "or" inside a title
        parts = [half for span in parts for half in _cut(span, list(_OR.finditer(text, *span)))]
    pieces: list[Span] = []
    for place, part in enumerate(parts):
        begin, stop = _led(text, *trim(text, *part))
        if begin >= stop:
            continue
        words = text[begin:stop]
        small = words[:1].islower()
        if pieces and place and small and _continues(words):
            pieces[-1] = (pieces[-1][0], stop)
            continue
        if running:
            if small and not words[:1].isdigit() and capitalised(words) < 0.6:
                if pieces or place:
                    break
                begin = _first_capital(text, begin, stop)
            run = title_run(text, begin, stop)
            if run > begin and (place == len(parts) - 1 or is_reason(words)):
                stop = run
            if run <= begin and not _uncased(words):
                break
        if has_word(text, begin, stop):
            pieces.append((begin, stop))
    commas = any(text[a[1] : b[0]].lstrip("*_\"”’'")[:1] == "," for a, b in pairwise(pieces))
    return [_joined(text, pieces, place) if commas else Piece(*span) for place, span in enumerate(pieces)]


def _uncased(words: str) -> bool:
    return not any(c.isupper() or c.islower() for c in words)


def _continues(words: str) -> bool:
    # "the Bad and the Ugly" goes on with a title; "the story of a cop" ends one.
    first = words.split(None, 1)[0].lower()
    return first in SMALL and any(word[:1].isupper() for word in words.split()[1:4]) and not is_reason(words)


def _first_capital(text: str, start: int, end: int) -> int:
    for word in WORD.finditer(text, start, end):
        if word[0].lstrip("*_'’‘\"“")[:1].isupper() or word[0][:1].isdigit():
            return word.start()
    return end


def _led(text: str, start: int, end: int) -> Span:
    lead = _LEAD.match(text, start, end)
    while lead is not None:
        start = lead.end()
        lead = _LEAD.match(text, start, end)
    return start, end


def _joined(text: str, pieces: list[Span], place: int) -> Piece:
    start, end = pieces[place]
    joins = []
    for _, stop in pieces[place + 1 : place + _MOST_JOINED]:
        if YEAR.search(text, start, end):
            break
        joins.append((start, stop))
        end = stop
    return Piece(start, pieces[place][1], joins=tuple(reversed(joins)))


def _parts(text: str, start: int, end: int) -> list[Span]:
    """The stretch cut at its separators, outside quotes and brackets; semicolons and the like go before commas."""
    marks = list(_outside(text, start, end, _SEPARATORS)) or list(_outside(text, start, end, _TIGHT))
    strong = [mark for mark in marks if mark[0].strip() != ","]
    marks = strong or marks
    return _cut((start, end), marks)


def _cut(span: Span, marks: Sequence[re.Match[str]]) -> list[Span]:
    begins = [span[0], *(mark.end() for mark in marks)]
    ends = [*(mark.start() for mark in marks), span[1]]
    return list(zip(begins, ends, strict=True))


def _outside(text: str, start: int, end: int, what: re.Pattern[str]) -> Iterator[re.Match[str]]:
    depth, quoted, place = 0, False, start
    for mark in what.finditer(text, start, end):
        for c in text[place : mark.start()]:
            depth += (c in "(（[《「『“") - (c in ")）]》」』”")
            quoted ^= c == '"'
        place = mark.start()
        if depth <= 0 and not quoted:
            yield mark
