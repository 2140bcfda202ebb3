"""Lists of one item per line: numbered, bulleted, headed, labelled, or bare lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

from zsrec.answers.inline_format import JOINT, split_list
from zsrec.answers.mention_spans import title_end, unlabelled
from zsrec.answers.text_spans import YEAR, Piece, Span, has_word, lines, trim
from zsrec.answers.wording import capitalised, is_heading, is_label, is_reason, is_talk, is_title, year_label

_NUMBER = re.compile(
    r"""
    (?:\#{1,6}[ \t]{1,4})? (?:[-*•>][ \t]{1,4})? [*_`"“]{0,3}
    (?P<word>(?:no|number|rank|movie|film|book|item|pick|recommendation|option|choice|top|第)\b\.?[ \t]{0,2})?
    (?: [#№(\[（【]?[ \t]?(?P<digits>\d{1,3})(?:st|nd|rd|th|[部位名个番本首款门])?
        (?P<stop>[ \t]?(?:[.)\]．、。）】](?!\d)|[:：])|\ufe0f?\u20e3|[ \t]{1,4}[-–—](?=[ \t]))
      | \#(?P<hash>\d{1,3})(?=[ \t]) | (?P<ring>[\u2460-\u2473])
      | [第(（]?(?P<han>十?[一二三四五六七八九]|二?十)(?:[部位名个番本首款门]?[、．.：:]|[)）]) )
    [*_]{0,3}[ \t]{0,8}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LETTER = re.compile(r"[*_]{0,3}\(?([A-Za-z])[.)][*_]{0,3}[ \t]{1,8}")
_BULLET = re.compile(
    r"(?:[-*+–—‧∙⁃✓✔☑✅★☆→➤►▶▷>][ \t]{1,8}|[•·・‣▪◦●○▸]\s{0,8}"
    r"|(?:[\U0001f000-\U0001faff\u2600-\u27bf]\ufe0f?){1,3}[ \t]{1,4})+"
)
_RUN_IN_BULLET = re.compile(r"(?<=[:：!.。])[*_]{0,2}\s{1,4}([-*•–+])\s{1,4}(?=\S)")
_TAIL_BRACKET = re.compile(r"\s?[(\[（][^()\[\]（）\n]{1,200}[)\]）][*_]{0,3}$")
_HEADED = re.compile(r"[ \t]{0,8}(?:\#{1,6}[ \t]{1,4}|\*\*(?=\S)|__(?=\S)|[\"“《「『](?=\S))")
_USER_TALK = re.compile(
    r"\b(?:thank(?:s| you)|can you|could you|would you|please|i'?m looking|i am looking|i want|i need"
    r"|i would like|do you|what (?:are|is)|you'?re welcome|recommend me)\b|[?？]",
    re.IGNORECASE,
)
_KNOWN_HEAD = re.compile(
    r"\b(?:history|watched|already seen|have seen|you(?:'ve| have)? (?:seen|liked|enjoyed|rated)|previously"
    r"|recently|your (?:list|favou?rites)|not recommended|avoid|input)\b",
    re.IGNORECASE,
)
_AFTER_COLON = re.compile(r"([^:：\n]{3,100}[:：])\s{1,4}(\S[^\n]{0,200})$")
_MARKED = re.compile(r"\*\*[^*\n]{1,120}\*\*|[\"“《「『][^\"”》」』\n]{1,120}[\"”》」』]")
_SENTENCE_QUOTE = re.compile(r"[^\W_][《「『][^》」』\n]{1,120}[》」』]|[》」』][^\W_]")
Kind = Literal["number", "bullet", "text"]


class Line(NamedTuple):
    """One line that is not empty; it starts behind its list mark, and `indent` counts the columns before that.

    `number` is the number in front, 0 where there is none. A mark is `sure` if it can be nothing else ("1.", but
    not "300:", which may begin a title).
    """

    start: int
    end: int
    indent: int
    kind: Kind
    number: int
    sure: bool


def read_lines(text: str, span: Span) -> list[Line]:
    """The lines of a span with their list marks understood."""
    found: list[Line] = []
    for start, end in lines(text, *span):
        indent = end - start - len(text[start:end].lstrip(" \t\u3000\xa0"))
        if start + indent < end:
            found += _numbered(text, start + indent, end, indent) or _run_in(text, start + indent, end, indent)
    return _only_sequences(text, _with_first(text, found))


def _with_first(text: str, found: list[Line]) -> list[Line]:
    """The lines with a text line cut where a list begins on it: "My picks: 1. Heat", and "2. Ronin" below."""
    for place, line in enumerate(found):
        if line.kind == "number" and line.sure:
            if line.number == 2:
                before = takewhile(
                    lambda one: found[one].kind != "number", range(place - 1, max(-1, place - 12), -1)
                )
                for back in before:
                    one = found[back]
                    mark = _next_mark(text, one.start, one.end, 1) if one.kind == "text" else None
                    if mark is not None:
                        return [*found[:back], *_cut_before(text, one, mark, "number"), *found[back + 1 :]]
            return found
        if line.kind == "bullet" and place and found[place - 1].kind == "text":
            one = found[place - 1]
            mark = _RUN_IN_BULLET.search(text, one.start, one.end)
            if mark is not None and mark[1] == text[text.rfind("\n", 0, line.start) + 1 + line.indent]:
                return [*found[: place - 1], *_cut_before(text, one, mark, "bullet"), *found[place:]]
            return found
    return found


def _cut_before(text: str, line: Line, mark: re.Match[str], kind: Kind) -> list[Line]:
    item = Line(mark.end(), line.end, line.indent, kind, int(kind == "number"), sure=True)
    return [line._replace(end=mark.start()), item] if has_word(text, line.start, mark.start()) else [item]


def _numbered(text: str, begin: int, end: int, indent: int) -> list[Line]:
    """The numbered items of one line: mostly one, but "1. Heat 2. Ronin" holds two."""
    found: list[Line] = []
    mark = _NUMBER.match(text, begin, end)
    while mark is not None:
        number = _value(mark)
        following = _next_mark(text, mark.end(), end, number + 1)
        marked = mark["han"] is None and (mark["stop"] or ".").strip()[:1] not in ":：-–—"
        sure = marked or mark["word"] is not None or "#" in mark[0]
        found.append(Line(mark.end(), following.start() if following else end, indent, "number", number, sure))
        mark = following
    return found


def _run_in(text: str, begin: int, end: int, indent: int) -> list[Line]:
    """A line without a number, or with a list in it: "My picks: 1) Heat, 2) Ronin", "• Heat • Ronin"."""
    first = _next_mark(text, begin, end, 1)
    if first is not None and _next_mark(text, first.end(), end, 2) is not None:
        return [_other(text, begin, first.start(), indent), *_numbered(text, first.start(), end, indent)]
    line = _other(text, begin, end, indent)
    if line.kind != "bullet" or text[begin] not in "•·▪●*":
        return [line]
    marks = list(re.finditer(rf"\s{re.escape(text[begin])}\s{{1,4}}", text[line.start : end]))
    begins = [line.start, *(line.start + mark.end() for mark in marks)]
    ends = [*(line.start + mark.start() for mark in marks), end]
    return [line._replace(start=start, end=stop) for start, stop in zip(begins, ends, strict=True)]


def _value(mark: re.Match[str]) -> int:
    if mark["han"]:
        tens = {"十": 10, "二十": 20}.get(mark["han"])
        return tens or 10 * ("十" in mark["han"]) + "一二三四五六七八九".index(mark["han"][-1]) + 1
    return ord(mark["ring"]) - 0x245F if mark["ring"] else int(mark["digits"] or mark["hash"])


def _next_mark(text: str, start: int, end: int, number: int) -> re.Match[str] | None:
    for form in (f" {number}.", f" {number})", f" ({number})", f"、{number}.", f"，{number}.", f" #{number} "):
        place = text.find(form, start, end)
        if place > start and (mark := _NUMBER.match(text, place + 1, end)) is not None and mark.end() < end:
            return mark
    # "1、《活着》2、《三体》": nothing parts the items but the marks themselves
    packed = re.compile(rf"[ 》」』，；。：:!]{number}[、．.](?!\d)").search(text, start + 1, end)
    return _NUMBER.match(text, packed.start() + 1, end) if packed else None


def _other(text: str, begin: int, end: int, indent: int) -> Line:
    bullet = _BULLET.match(text, begin, end)
    if bullet is not None and bullet.end() < end:
        return Line(bullet.end(), end, indent, "bullet", 0, sure=True)
    letter = _LETTER.match(text, begin, end)
    if letter is not None and letter.end() < end:
        return Line(letter.end(), end, indent, "number", ord(letter[1].lower()) - 96, sure=False)
    return Line(begin, end, indent, "text", 0, sure=True)


def _only_sequences(text: str, found: list[Line]) -> list[Line]:
    """Unsure numbers count only if they count up from 1; else they begin a title ("300: Rise of an Empire")."""
    unsure = [line for line in found if line.kind == "number" and not line.sure]
    if not unsure or [line.number for line in unsure[:2]] == [1, 2]:
        return found
    return [_as_text(text, line) if line.kind == "number" and not line.sure else line for line in found]


def _as_text(text: str, line: Line) -> Line:
    begin = text.rfind("\n", 0, line.start) + 1 + line.indent
    return Line(min(begin, line.start), line.end, line.indent, "text", 0, sure=True)


def numbered_pieces(text: str, span: Span) -> list[Piece]:
    """The items of a numbered list; of several lists those that are the answer.

    Where the numbers are 1 to n in another order (a countdown), they are the ranks.
    """
    return permuted(_marked(text, read_lines(text, span), "number"))


def permuted(pieces: list[Piece]) -> list[Piece]:
    """The pieces with their numbers as ranks where these are 1 to n in any order; without ranks elsewhere."""
    ranks = [piece.rank for piece in pieces]
    if len(pieces) > 2 and sorted(rank or 0 for rank in ranks) == list(range(1, len(pieces) + 1)):
        return pieces
    return [piece._replace(rank=None) for piece in pieces]


def bulleted_pieces(text: str, span: Span) -> list[Piece]:
    """The items of a bulleted list, unless its bullets only describe headed titles."""
    found = read_lines(text, span)
    pieces = [piece._replace(rank=None) for piece in _marked(text, found, "bullet")]
    titles = sum(_titled(text, piece) for piece in pieces)
    if titles * 2 < len(pieces) and any(_is_headed(text, line) for line in found):
        return []
    return pieces if titles else []


def headed_pieces(text: str, span: Span) -> list[Piece]:
    """Titles that stand in bold, in quotes or as a heading at the start of their line."""
    found = read_lines(text, span)
    headed = [line for line in found if _is_headed(text, line)]
    if len(headed) == 1 and _MARKED.findall(text, headed[0].start, headed[0].end)[1:]:
        return []  # a sentence that begins with one of its titles
    return [Piece(line.start, line.end, year=_year_below(text, found, line)) for line in headed]


def labelled_pieces(text: str, span: Span) -> list[Piece]:
    """Titles in lines such as "Title: Heat"."""
    found = read_lines(text, span)
    return [
        Piece(line.start, line.end, year=_year_below(text, found, line))
        for line in found
        if unlabelled(text, line.start, line.end) > line.start
    ]


def bare_pieces(text: str, span: Span) -> list[Piece]:
    """Titles that fill their line without any mark; empty unless most lines are such or talk."""
    found = [line for line in read_lines(text, span) if line.kind == "text"]
    titles = [line for line in found if _is_bare(text, line)]
    others = [text[line.start : line.end] for line in found if line not in titles]
    prose = sum(not is_talk(other) and not is_label(other) for other in others)
    enough = len(titles) > prose or len(titles) == prose > 1  # a title and a paragraph about it, by turns
    pieces = [Piece(line.start, line.end, year=_year_below(text, found, line)) for line in titles]
    if enough and found[0] not in titles and len(titles) > 1:  # "Here are my picks: Heat", and "Ronin" below
        colon = _AFTER_COLON.match(text, found[0].start, found[0].end)
        if colon and is_talk(colon[1]) and is_title(colon[2]) and found[1] in titles:
            pieces = [Piece(*colon.span(2)), *pieces]
    return pieces if enough else []


def _is_bare(text: str, line: Line) -> bool:
    whole = text[line.start : line.end].strip()
    if is_talk(whole) or is_label(whole):
        return False
    stop = title_end(whole)
    head, rest = whole[:stop], whole[stop:].lstrip('*_"”» ')
    if rest[:1].isalpha() or JOINT.search(whole):  # "Heat (1995) and Ronin (1998) are …"
        return False
    return is_title(head) and not is_talk(head) and not _SENTENCE_QUOTE.search(whole)


def _is_headed(text: str, line: Line) -> bool:
    if line.kind != "text" or not _HEADED.match(text, line.start, line.end):
        return False
    if _SENTENCE_QUOTE.search(text, line.start, line.end):
        return False
    start, end = trim(text, line.start, line.end)
    head = re.split(r"\*\*|__|[\"”》」』]", text[start:end], maxsplit=1)[0]
    return not is_heading(head) and not is_talk(head) and not is_label(text[start:end])


def _titled(text: str, piece: Piece | Line) -> bool:
    start, end = trim(text, piece.start, piece.end)
    whole = text[start:end]
    if YEAR.search(whole):
        return True
    return not (is_label(whole) or is_reason(_TAIL_BRACKET.sub("", whole) or whole))


def _marked(text: str, found: Sequence[Line], kind: Kind) -> list[Piece]:
    """The outermost items of one kind, over all lists that belong to the answer."""
    marked = [line for line in found if line.kind == kind]
    if not marked:
        return []
    outer = min(line.indent for line in marked) + 2
    groups: list[list[Piece]] = [[]]
    heads: list[str] = [""]
    between: list[str] = []
    last = 0
    for place, line in enumerate(found):
        if line.kind != kind or line.indent > outer:
            if line.kind == "text" and line.indent <= outer:
                between.append(text[line.start : line.end])
            continue
        restarted = kind == "number" and line.number <= 1 and last >= 1 and between
        if restarted and any(_USER_TALK.search(talk) for talk in between):
            break
        if (restarted or (kind == "bullet" and between)) and groups[-1]:
            groups.append([])
            heads.append(between[-1])
        elif not groups[-1]:
            heads[-1] = between[-1] if between else ""
        if _is_closing(text[line.start : line.end]) or _is_group(text[line.start : line.end]):
            continue
        if (kind == "bullet" or groups[-1]) and is_label(text[line.start : line.end].lstrip("*_ ")):
            year = year_label(text[line.start : line.end])  # "- **Year:** 2004" below "- **Title:** Collateral"
            if year and groups[-1]:
                groups[-1][-1] = groups[-1][-1]._replace(year=year)
            continue
        groups[-1] += _item(text, line, _children(found, place, kind, outer))
        between, last = [], line.number
    return [
        piece
        for group, head in zip(groups, heads, strict=True)
        if group is groups[-1] or not _KNOWN_HEAD.search(head[:200]) or YEAR.search(head[:200])
        for piece in group
    ]


def _year_below(text: str, found: Sequence[Line], line: Line) -> str | None:
    """The year in a label line below an item."""
    place = found.index(line)
    labels = takewhile(lambda one: is_label(text[one.start : one.end]), found[place + 1 : place + 8])
    return next((year for one in labels if (year := year_label(text[one.start : one.end]))), None)


def _is_group(words: str) -> bool:
    # "✅ Recommended:" above a list, whose mark looks like a bullet
    return words.rstrip("*_ ").endswith((":", "：")) and is_heading(words)


def _is_closing(words: str) -> bool:
    # "- I hope you enjoy these movies!" at the end of a list.
    return len(words.split()) > 3 and is_talk(words) and capitalised(words) < 0.5 and not YEAR.search(words)


def _children(found: Sequence[Line], place: int, kind: Kind, outer: int) -> list[Line]:
    """The marked lines under an item, up to the next item of its own kind and depth."""
    return list(takewhile(lambda line: line.kind != kind or line.indent > outer, found[place + 1 : place + 40]))


def _item(text: str, line: Line, under: Sequence[Line]) -> list[Piece]:
    if not has_word(text, line.start, line.end):  # "1." and the title on the next line
        return [Piece(line.start, under[0].end)] if under else []
    inside = [child for child in under if child.kind != "text"]
    titles = [child for child in inside if _titled(text, child)]
    whole = text[line.start : line.end].strip()
    if inside and len(titles) == len(inside) and is_heading(whole):
        return [Piece(child.start, child.end) for child in inside]
    group, colon, rest = whole.partition(": ")
    if colon and is_heading(group) and "," in rest:
        several = split_list(text, line.end - len(text[line.start : line.end].lstrip()) + len(group) + 2, line.end)
        if len(several) > 1:
            return several
    rank = (
        line.number
        if text[line.start - 1 : line.start] != "]" and "]" not in text[line.start - 4 : line.start]
        else None
    )
    years = (year_label(text[child.start : child.end]) for child in under)
    return [Piece(line.start, line.end, year=next(filter(None, years), None), rank=rank)]
