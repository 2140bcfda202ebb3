"""Mentions: where the title in a piece of an answer ends, and where else it may end.

A line such as "Star Wars: A New Hope - the film that began it" can be cut in several places. Form decides some of
them (a year in brackets, closing bold, a reason in small letters); those give the mention and its reason. The
others stay as `readings` for the grounder to decide.
"""

from __future__ import annotations

import re
from itertools import islice, zip_longest

from zsrec.answers.text_spans import CLOSING, QUOTES, YEAR, Piece, Span, has_word, plain, trim
from zsrec.answers.wording import capitalised, is_label, is_reason, is_remark
from zsrec.core.types import Mention

MOST_READINGS = 10
_LONGEST_TITLE = 160
_LABEL = re.compile(
    r"[*_]{0,3}(?:movie|film|title|book|item|product|name|recommendation|recommend(?:ed(?: \w{1,12})?)?|watch"
    r"|candidate|answer|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|[书片]名|电影|影片|书籍|作品|标题|名称|商品|课程"
    r"|my (?:pick|recommendation))(?: (?:title|name))?(?: ?#?\d{1,2})?[*_]{0,3}\s?[:：][*_]{0,3}\s*",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,3}[.)]\s{1,4}")
_SEPARATOR = re.compile(
    r"\s{1,4}[-–—]{1,3}\s{1,4}|[:：]\s{1,4}|：|\s{0,4}[—–]{1,2}\s{0,4}|\s{1,4}\|\s{1,4}|\t|\s{0,4}(?:→|->|=>"
    r"|⟶)\s{0,4}|;\s{1,4}|(?<=[^\W\d_]{2})[.!?]\s{1,4}(?=[A-Z])|,\s{1,4}|\s{1,4}(?=[(（\[])"
    r"|\s{1,4}by\s{1,4}(?=[A-Z])"
)
_YEAR_WITHIN = re.compile(r"[(\[][^()\[\]\n]{0,80}(?:18|19|20)\d\d[^()\[\]\n]{0,80}[)\]]")
_PAIR = re.compile(
    r"\s{1,4}[-–—]{1,3}>?\s{1,4}|\s{0,4}(?:→|->|=>|⟶|—>|➔|➜|<-|←|\||—)\s{0,4}|\t"
    r"|[\"”»》」]\s{0,4}[-–:]\s{0,4}(?=[\"“«《「])"
)
_NAMES = re.compile(r"(?:[A-Z][\w.'’-]*,?\s+(?:and\s+|&\s+|de\s+|van\s+|von\s+|del\s+)?){1,4}[A-Z][\w.'’-]*")
_NOT_NAMES = re.compile(r"\b(?:Your|My|His|Her|Our|Their|Its|The|An?|Me|You|Night|Day)\b")
_AND = re.compile(
    r"\s{0,4},\s{0,4}(?:and|or|&)\s{1,4}|\s{0,4}[,;]\s{1,4}|\s{1,4}(?:and|or)\s{1,4}|\s{1,4}[/|]\s{1,4}"
    r"|/(?=[A-Z])|、"
)
_LEAD = re.compile(
    r"(?:(?:i(?:['’]d| would| can)? (?:also )?(?:recommend|suggest)(?: watching)?|you (?:should|might|may|could"
    r"|can)(?: also)? (?:watch|like|enjoy|try|love|see)|try|watch|check out|consider|how about|what about)"
    r" (?:the (?:movie|film|book|series|show) )?(?=[\"“*_《「]|(?-i:[A-Z0-9]))"
    r"|the (?:movie|film|book|series|show) (?=[\"“*_《「]))",
    re.IGNORECASE,
)
# "余华《活着》", "电影《活着》": book-title marks behind a short word hold the title; not so in "A和《B》".
_BEFORE_MARKS = re.compile(r"[^\W\d_]{1,12}(?<![和与及])[:：]?\s?《(?=[^》\n]{1,120}(?:》|$))")
_BRACKETED = re.compile(r"[(（]([^()（）\n]{2,100}?)(?:[,，]\s?(?:18|19|20)\d\d)?[)）]")
_YEAR_IN_FRONT = re.compile(
    r"[(\[]((?:18|19|20)\d\d)[)\]][*_]{0,3}\s{0,4}[-–—:]?\s{0,4}"
    r"|((?:18|19|20)\d\d)(?:[*_]{1,3}\s{1,4}|[*_]{0,3}\s{0,2}[-–—:,][*_]{0,3}\s{1,4}|\s{1,2}(?=[A-Z]))"
)
_YEAR_BEHIND = re.compile(r"\s{0,4}\|\s{0,4}((?:18|19|20)\d\d)\b")
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1dff\u2e80-\u2eff\u3040-\ud7ff\uf900-\uffdc]")
_LATIN_RUN = re.compile(r"[A-Za-z0-9À-ɏ][^\u0370-\u1dff\u2e80-\ud7ff\uf900-\uffdc\n]{1,160}")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_CLOSE = re.compile(r"[)）\]]")
_DASH = re.compile(r"\s[-–—]\s")
_REASON_MARKS = ("-", "–", "—", "|", ":")
_MOST_CUTS = 12
_LONGEST_PIECE = 1000


def mention_in(
    text: str, piece: Piece, *, side: str | None = None, separator: str | None = None
) -> Mention | None:
    """The mention in a piece of the cleaned answer; None where it has no word.

    `separator` is what sets the reasons off throughout this list, see `common_separator`.
    """
    start, end = trim(text, piece.start, min(piece.end, piece.start + _LONGEST_PIECE))
    if (named := unlabelled(text, start, end)) > start:
        start, end = trim(text, named, end)
    elif (number := _NUMBER.match(text, start, end)) and has_word(text, number.end(), end):
        start, end = trim(text, number.end(), end)
    led, year = (start, end), piece.year
    front = None if YEAR.search(text, start + 6, end) else _YEAR_IN_FRONT.match(text, start, end)
    front = front if front and has_word(text, front.end(), end) else None
    if front and (front[1] or front[0].count("*")):
        start, end = trim(text, front.end(), end)
        year, front = front[1] or front[2], None
    if (opened := _led(text, start, end)) > start:
        start, end = trim(text, opened, end)
    outer = [led] if led[0] < start else []
    halves = [] if side is None else _halves(text, start, end, side)
    if halves:
        start, end = halves[0]
    if not has_word(text, start, end):
        return None
    closing = _closing(text, piece.start, start, end)
    cuts = [closing] if closing else _cuts(text, front.end() - 1 if front else start, end, separator)
    title = whole = (start, end)  # trimmed and with a word
    if cuts and cuts[0] < end:
        title = trim(text, start, cuts[0])
        if not has_word(text, *title) or title[0] != start:
            title, cuts = whole, []
    heads = [*(trim(text, start, cut) for cut in cuts[1:]), whole]
    if closing and is_reason(text[closing:end]):
        heads = []
    inner = [] if closing else _inner(text, *title)
    inner += _translations(text, title, end)
    others = (*piece.joins, *outer, *heads, *inner, *(trim(text, *half) for half in halves[1:]))
    readings = [
        span
        for span in dict.fromkeys(others)
        if span != title and 0 < span[1] - span[0] <= _LONGEST_TITLE and has_word(text, *span)
    ]
    dated = YEAR.search(text, *title)
    year = year or ((behind := _YEAR_BEHIND.match(text, title[1], end)) and behind[1])
    query = f"{plain(text[slice(*title)])} ({year})" if year and not dated else None
    if front and front.end() < title[1]:  # "2004: Collateral", "2001: A Space Odyssey"
        query = f"{plain(text[front.end() : title[1]])} ({front[2]})"
    return Mention(
        text=text[title[0] : title[1]],
        start=title[0],
        end=title[1],
        reason=piece.reason or (_reason(text[title[1] : end]) if title[1] < end else None),
        readings=tuple(readings[:MOST_READINGS]),
        query=query,
    )


def _reason(text: str) -> str | None:
    return plain(text).strip(" -–—:：|,;.→>=\t") or None


def unlabelled(text: str, start: int, end: int) -> int:
    """Where what a label such as "Title:" names begins; `start` where there is no label, or nothing behind it."""
    label = _LABEL.match(text, start, end)
    return label.end() if label and has_word(text, label.end(), end) else start


def _led(text: str, start: int, end: int) -> int:
    lead = _LEAD.match(text, start, end) or _BEFORE_MARKS.match(text, start, end)
    return lead.end() if lead and lead.end() < end else start


def _translations(text: str, title: Span, end: int) -> list[Span]:
    """The same title in another language: in brackets, behind a dash, or in Latin letters among others."""
    found: list[Span] = []
    name = _BRACKETED.search(text, title[0] + 1, end)
    other = _OTHER_SCRIPT.search(text, title[0], end)
    dated = name is not None and name.end() > name.end(1) + 1
    alone = name is not None and (
        other or not dated or not _NAMES.fullmatch(name[1]) or _NOT_NAMES.search(name[1])
    )
    if name and alone and _LETTERS.search(name[1]) and not is_remark(name[1]) and not is_reason(name[1]):
        year = YEAR.match(text, name.end() + 1, end) if text[name.end() : name.end() + 1].isspace() else None
        found.append((name.start(1), year.end()) if year else trim(text, *name.span(1)))
    if other:
        stop = title[1] if _LATIN_RUN.search(text, *title) else end
        runs = [trim(text, *run.span()) for run in islice(_LATIN_RUN.finditer(text, title[0], stop), _MOST_CUTS)]
        found += sorted(runs, key=lambda run: run[0] - run[1])[:1]
    elif (dash := _DASH.search(text, *title)) and " " in text[dash.end() : title[1]].strip():
        found.append(trim(text, dash.end(), title[1]))
    return found


def title_end(text: str) -> int:
    """Where the title ends in a line that begins with one, as far as form tells."""
    cuts = _cuts(text, 0, len(text), None)
    return next((cut for cut in cuts if text[cut : cut + 1] not in {",", "."}), len(text))


def _halves(text: str, start: int, end: int, side: str) -> list[Span]:
    """The spans that may be the wanted half of a pair, the likeliest first."""
    marks = [mark for _, mark in zip(range(_MOST_CUTS), _PAIR.finditer(text, start, end), strict=False)]
    halves = [
        trim(text, start, mark.start() + 1) if side == "left" else trim(text, mark.end(), end)
        for mark in marks
        if has_word(text, start, mark.start()) and has_word(text, mark.end(), end)
    ]
    # "A - B: C - D": the first mark is the pair's, unless both titles have one of their own.
    middle = (len(halves) - 1) // 2 if len(halves) % 2 else 0
    return [*halves[middle : middle + 1], *halves[:middle], *halves[middle + 1 :]]


def _closing(text: str, outer: int, start: int, end: int) -> int | None:
    """Where the title ends if it is quoted or emphasised from its first letter; a year behind it belongs to it."""
    opened = start - (text[start - 1 : start] == " ")  # "« Dune »"
    mark = text[opened - 1 : opened]
    if opened < outer or mark not in QUOTES or (opened < start and mark not in "«»‹›„“"):
        return None
    closings = [text.find(closing, start, end) for closing in QUOTES[mark]]
    if mark in "'‘":  # not an apostrophe
        closings = [
            close
            for close in range(start, end)
            if text[close] in "'’" and not text[close + 1 : close + 2].isalnum()
        ]
    close = min((place for place in closings if place >= 0), default=-1)
    if close < 0:
        return None
    after = close
    while after < end and (text[after] in CLOSING or text[after].isspace()):
        after += 1
    year = _YEAR_WITHIN.match(text, after, end)
    return year.end() if year else close


def _cuts(text: str, start: int, end: int, separator: str | None) -> list[int]:
    """Where the title may end, the likeliest first; empty where nothing but the title seems to be there."""
    year = YEAR.search(text, start + 1, end)
    if year is not None:
        return [year.end()]
    marks = [mark for _, mark in zip(range(_MOST_CUTS), _SEPARATOR.finditer(text, start + 1, end), strict=False)]
    cuts = []
    for mark, following in zip_longest(marks, marks[1:]):
        kind, rest = mark[0].strip(), text[mark.end() : end]
        if kind == "by":
            names = _NAMES.match(text, mark.end(), end)
            wanted = names is not None and names.end() >= end - 1 and not _NOT_NAMES.search(names[0])
        elif separator is not None and kind == separator:
            wanted = True
        elif kind == "":
            close = _CLOSE.search(text, mark.end(), end)
            wanted = is_remark(text[mark.end() + 1 : close.start() if close else end])
        elif kind == ",":
            wanted = _is_aside(rest)
        elif kind in {".", "!", "?"}:
            wanted = is_reason(rest)
        else:
            stop = following.start() if following and following[0].strip() in "-–—:：|" else end
            # A full stop of Chinese, which `trim` took off, ends a sentence and never a title.
            segment = text[mark.end() : stop]
            numbers = kind == "|" and not _LETTERS.search(segment)  # "Heat | 1995 | 8.3"
            wanted = numbers or is_reason(segment) or (following is None and text[end : end + 1] == "。")
        if wanted:
            cuts.append(mark.start() + (1 if kind in {"!", "?"} else 0))
    return cuts


def _is_aside(rest: str) -> bool:
    # Behind a comma only a clear aside ends a title: "Heat, a crime film", not "The Good, the Bad and the Ugly".
    return is_reason(rest) and (rest[:1].islower() or capitalised(rest) < 0.5 or is_label(rest))


def _inner(text: str, start: int, end: int) -> list[Span]:
    """The parts of a stretch that may be several titles: "Heat, Ronin and Thief"."""
    marks = [mark for _, mark in zip(range(_MOST_CUTS), _AND.finditer(text, start, end), strict=False)]
    marks = [mark for mark in marks if not text[mark.end()].islower() and _balanced(text, start, mark.start())]
    if not marks:
        return []
    begins = [start, *(mark.end() for mark in marks)]
    ends = [*(mark.start() for mark in marks), end]
    parts = [trim(text, *span) for span in zip(begins, ends, strict=True)]
    return parts if all(has_word(text, *part) for part in parts) else []


def _balanced(text: str, start: int, end: int) -> bool:
    return text.count("(", start, end) == text.count(")", start, end)


def common_separator(text: str, pieces: list[Piece]) -> str | None:
    """The separator that most pieces of a list have, with different titles before it; None where there is none.

    In a list of "Heat - Michael Mann", "Ronin - John Frankenheimer", … the dash ends the title, which no single
    line shows.
    """
    if len(pieces) < 3:
        return None
    heads: dict[str, set[str]] = {}
    for piece in pieces:
        seen = set()
        for mark in _SEPARATOR.finditer(text, piece.start + 1, piece.end):
            kind = mark[0].strip()
            if kind in _REASON_MARKS and kind not in seen:
                seen.add(kind)
                heads.setdefault(kind, set()).add(text[piece.start : mark.start()].strip().casefold())
    return next((kind for kind in _REASON_MARKS if len(heads.get(kind, ())) >= 0.7 * len(pieces)), None)
