"""The readings of a mention: what of it may be the title, and what was added.

A reading is what is left when pieces are cut off: a note, an edition, "by X", a subtitle, what stands before a
colon. Pieces are cut one after another, so that "Me Before You (novel) by Jojo Moyes" becomes "Me Before You".
Whether a piece speaks against an item is for `evidence` to say: it may be the item's creator, series or label.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from zsrec.answers.title_labels import is_version
from zsrec.data.title_words import (
    CREDITS,
    EDITIONS,
    HOUSES,
    MARKERS,
    MEDIA,
    NOTES,
    OPENERS,
    PREDICATES,
    SETS,
    SMALL_WORDS,
)
from zsrec.data.titles import article_first, is_number, key, name_parts, split_scripts, tidy, words

MAX_LENGTH = 300
"""Characters of a mention that are read; titles are shorter, and the rest would only cost time."""
_MOST_READINGS = 40
_MOST_PIECES = 4
_MOST_BREAKS = 4
_FEW_WORDS, _MANY_WORDS = 3, 5


class Cut:
    """What a reading leaves out of the mention: flags, whole numbers since they are compared all the time."""

    NOTHING = 0
    NOTE = 1  # description, cast, genre, edition: says nothing about which title it is
    SUBTITLE = 2  # something behind a colon or dash that may be part of another title
    PREFIX = 4  # something before a colon or dash, often the franchise
    OWNER = 8  # "Ridley Scott's …", "… by Tim Burton"
    YEAR = 16  # a bare number at the end, read as the year
    PARENTHESIS = 32  # a parenthesis that may be another name
    NUMBER = 64  # a number that only counts the sequel ("Thor 2: The Dark World")
    EDITION = 128  # an edition without brackets ("… Remastered")
    LABEL = 256  # a label of the catalog ("- PlayStation 3")
    SET = 512  # a word for several items ("… Trilogy")
    HALF = 1024  # one half of a name in two scripts


class Piece(NamedTuple):
    """What was cut off in one place."""

    text: str
    cut: int
    words: tuple[str, ...]


class Reading(NamedTuple):
    """One way to read a mention."""

    words: tuple[str, ...]  # of the supposed title, in order
    key: str  # the same as one key (`zsrec.data.titles.key`)
    year: int | None  # the year that was named
    cut: int  # what was left out, pieces included
    medium: str = ""  # the words of a note that names a medium ("tv series", "novel")
    pieces: tuple[Piece, ...] = ()  # what was cut off, where it may be a creator, a label or another name

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words cut off in front of a colon or dash."""
        return next((piece.words for piece in self.pieces if piece.cut == Cut.PREFIX), ())


class Known(Protocol):
    """What a catalog knows about pieces; the index is one."""

    def is_label(self, text: str) -> bool:
        """Whether a text is a label of the catalog's titles."""
        ...

    def is_creator(self, text: str) -> bool:
        """Whether a text names a creator of the catalog's items."""
        ...


class _Unknown:
    def is_label(self, _text: str) -> bool:
        return False

    is_creator = is_label


class _State(NamedTuple):
    """A supposed title in the mention's own spelling; the other fields as in `Reading`."""

    name: str
    year: int | None = None
    cut: int = Cut.NOTHING
    medium: str = ""
    pieces: tuple[Piece, ...] = ()
    final: bool = False  # nothing more is to be cut off
    silent: bool = False  # only what is left of it may be a title


_SPACE = re.compile(r"\s+")
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{0,200}\)")
_MARK = re.compile(r"^(?:[#>\-*•·–—]+\s+|\[[ x]?\]\s+|\(?\d{1,2}[.)]\s+|(?:or|and|like|also)\s+(?=[A-Z\"'“]))+")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,40}>")
_FIELD = re.compile(r'"(?:title|name|movie|item|book|product)"\s*:\s*"([^"]{1,200})"', re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[a-z]{3})(?=\d)|(?<=[a-z]['’]s)(?=[A-Z])")
_EMPHASIS = re.compile(r"\*\*|__|`|~~")
_EDGE = " \t\"'“”„«»‘’*_`~#|,.;:!?-–—《》〈〉「」『』【】、。"
_QUOTED = re.compile(
    r"^(?:[\"“«„*_]+(?P<double>[^\"“”«»„*_]{1,200})[\"”»“*_]+|[‘'](?P<single>[^\"“”«»„*_]{1,200}?)[’'])"
    r"(?=[\s,.:;()\[\]\-–—]|$)(?P<rest>.*)$"
)
_BOOK_MARKS = re.compile(r"^([^《「『【]{0,40})[《「『【]([^《》「」『』【】]{1,200})[》」』】](.*)$")
_YEAR = r"(?:18[89]\d|19\d\d|20\d\d)"
_YEAR_NOTE = re.compile(
    rf"[(\[]([^()\[\]]{{0,40}}?)({_YEAR})(?:\s?[-–—/]\s?(?:{_YEAR}|\d\d|present)?)?([^()\[\]]{{0,40}})[)\]]?"
)
_BARE_YEAR = re.compile(rf"^(.*\S?)(?:,|\s[-–—|]|\s)\s?(?:({_YEAR})|['’](\d\d))$")
_GROUP = re.compile(r"\s*[(\[]([^()\[\]]{0,120})(?:[)\]]\s*)?$")  # closed, or cut off
_BREAK = re.compile(r"\s[-–—|]+\s|:\s|(?<=[a-z]{3}[.!?])\s+(?=[A-Z])|,\s+(?=directed by|starring|featuring|with )")
_CREDIT = re.compile(
    rf"[,;]?\s+(?:(?:{'|'.join(map(re.escape, CREDITS))})(?:\s+|$)"
    rf"|(?:{'|'.join(map(re.escape, PREDICATES))})(?:\s+(?=(?-i:[^A-Z\s]))|$))",  # not "Three Is a Magic Number"
    re.IGNORECASE,
)
_BY = re.compile(r",?\s+by\s+(?=[^a-z\s])(.{2,80})$")
_LOWER_BY = re.compile(r",?\s+by\s+(.{2,80})$")
_CAPITAL = r"[^\W\d_a-z][\w.\-]*"
_OWNER = re.compile(
    rf"^(?!(?:The|A|An)\s){_CAPITAL}\s+(?:(?:de|del|van|von|der|la|di|da|le)\s+|{_CAPITAL}\s+){{0,2}}{_CAPITAL}(?:['’]s|s['’])\s+(?=\S)"
)
_ONE_OWNER = re.compile(r"^[^\W\d_a-z][\w.\-]*(?:['’]s|s['’])\s+(?=The\s\S)")
_HOUSE_OWNER = re.compile(rf"^(?:{'|'.join(sorted(HOUSES))})(?:['’]s)?\s+(?=\S)", re.IGNORECASE)
_COUNTED = re.compile(
    r"^(?P<name>.{2,80}?)"
    r"(?:\s(?:part |vol\.? )?(?:\d|[IVX]{1,4})(?=:\s|\s[-–—]\s)"  # "Thor 2: …"
    r"|:\s(?:Episode|Part|Chapter)\s[\dIVX]{1,4}(?=\s[-–—:]))"  # "Star Wars: Episode VIII - …"
    r"(?P<rest>.{3,})$"
)
_NAMES = re.compile(r"^(?:[^\W\d_a-z][\w.'’\-]*(?:\s|$)){2,4}$")
_EDITION = re.compile(rf"\s+(?:{'|'.join(sorted(EDITIONS))})$", re.IGNORECASE)
_LONG_EDITION = re.compile(rf"\s+[^\W\d_]+(?:['’]s)?{_EDITION.pattern}", re.IGNORECASE)
_SET = re.compile(
    rf"\s+(?:{'|'.join(sorted(word for word in SETS if word.isascii()))})$"
    rf"|(?:{'|'.join(sorted(word for word in SETS if not word.isascii()))})$",
    re.IGNORECASE,
)
_FOR = re.compile(r"\s+(?:for|on)\s+(\S.{1,60})$")
_MEDIUM = re.compile(
    rf"\b({'|'.join(sorted((re.escape(word) for word in MEDIA if word.isascii()), key=len, reverse=True))})\b"
    rf"|({'|'.join(sorted(word for word in MEDIA if not word.isascii()))})",
    re.IGNORECASE,
)
_MEDIUM_WORDS = frozenset(word for name, medium in MEDIA.items() if medium != "film" for word in name.split())
_MEDIUM_WORDS |= MARKERS | SMALL_WORDS
_TITLE_CUTS = Cut.SUBTITLE | Cut.PREFIX | Cut.NUMBER
_LONGEST_MEDIUM = 4
_PLAIN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def clean(mention: str) -> str:
    """The mention on one line, without list marks and emphasis, at most `MAX_LENGTH` characters long."""
    text = _SPACE.sub(" ", tidy(mention[: 2 * MAX_LENGTH])).strip()[:MAX_LENGTH]
    text = _LINK.sub(r"\1", text) if "](" in text else text
    if text.startswith("|"):
        text = _row(text)
    elif text.startswith("{"):
        text = _object(text)
    if "<" in text:
        text = _TAG.sub("", text)
    text = _EMPHASIS.sub("", text).strip()
    return _MARK.sub("", text)


def _row(text: str) -> str:
    """A table row as one line: the first cell with letters, and the year where another cell is one."""
    cells = [cell.strip() for cell in text.strip("|").split("|")]
    titles = [cell for cell in cells if not cell.isdigit() and cell] or cells
    years = [cell for cell in cells if re.fullmatch(_YEAR, cell)]
    return f"{titles[0]} ({years[0]})" if years and titles[0] not in years else titles[0]


def _object(text: str) -> str:
    """A JSON object, whole or cut off, as one line: its title, and its year where it has one."""
    found = _FIELD.search(text)
    if found is None:
        return text
    year = _first_year(text.replace(found.group(), ""))
    return found.group(1) if year is None else f"{found.group(1)} ({year})"


def readings(mention: str, known: Known | None = None) -> Iterator[Reading]:
    """All readings of a mention, the most literal first, each title once."""
    seen: set[tuple[tuple[tuple[str, ...], ...], int | None]] = set()
    cutter = _Cutter(_Unknown() if known is None else known)
    for state in cutter.states(clean(mention)):
        parts = name_parts(article_first(state.name))
        if not parts or (
            state.cut & _TITLE_CUTS and all(word in MARKERS or is_number(word) for part in parts for word in part)
        ):
            continue
        if (parts, state.year) not in seen:
            seen.add((parts, state.year))
            spelled = parts[0] if len(parts) == 1 else sum(parts, ())
            yield Reading(spelled, key(spelled), state.year, state.cut, state.medium, state.pieces)


class _Cutter:
    """Cuts pieces off a mention, one after another."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def states(self, text: str) -> Iterator[_State]:
        """Supposed titles, those with fewer pieces cut off first."""
        todo = deque(self._start(text))
        done = 0
        while todo and done < _MOST_READINGS:
            state = todo.popleft()
            done += 1
            if not state.silent:
                yield state
            if not state.final and len(state.pieces) < _MOST_PIECES:
                todo.extend(self._shorter(state))

    def _start(self, text: str) -> Iterator[_State]:
        bare = _bare(text)
        found = _YEAR_NOTE.search(text)
        marked = _BOOK_MARKS.match(text)
        quoted = _QUOTED.match(text) if marked is None else None
        if marked is not None and marked[2].strip(_EDGE) and not marked[3][:1].isdigit():
            yield self._quoted(marked[2], marked[3], f"{marked[1]} {marked[3]}")
        elif quoted is not None and quoted["rest"].strip(_EDGE):
            yield self._quoted(quoted["double"] or quoted["single"], quoted["rest"], quoted["rest"])
        if found is not None and text[: found.start()].strip(_EDGE):
            name = _bare(text[: found.start()])
            behind = text[found.end() :]
            medium = _medium(found.group(1) + " " + found.group(3)) or _medium(" ".join(_groups(behind)))
            cut = Cut.NOTE if behind.strip(_EDGE) else Cut.NOTHING
            beside = (found.group(1) + found.group(3)).strip(_EDGE)
            pieces = (_piece(beside, Cut.NOTHING),) if beside else ()
            yield _State(name, int(found.group(2)), cut, medium, pieces, silent=_has_group(name))
            return
        dated = _BARE_YEAR.match(bare)
        group = _GROUP.search(text)
        medium = _medium(group[1]) if group is not None else ""
        yield _State(bare if group is None else text, medium=medium, final=quoted is not None)
        if dated is not None and any(word not in SMALL_WORDS for word in words(dated.group(1))):
            full, short = dated.group(2), dated.group(3)
            year = int(full) if full else 1900 + int(short) + (100 if int(short) < 30 else 0)
            yield _State(_bare(dated.group(1)), year, Cut.YEAR)

    def _quoted(self, name: str, behind: str, note: str) -> _State:
        """A quoted title, with a creator behind it where one is named."""
        by = _LOWER_BY.match(" " + behind.strip(_EDGE))
        group = _GROUP.search(behind.strip())
        if by is not None:
            piece = _piece(_GROUP.sub("", by[1]) or by[1], Cut.OWNER)
        else:
            piece = _piece(group[1] if group is not None else behind, Cut.NOTE)
        return _State(name, _first_year(behind), piece.cut, _medium(note), (piece,), silent=_has_group(name))

    def _shorter(self, state: _State) -> Iterator[_State]:
        name = state.name.strip(" \t|,;-–—")
        group = _GROUP.search(name)
        if group is not None and name[: group.start()].strip(_EDGE):
            yield from self._without_group(state._replace(name=name), group)
            return
        name = _bare(name)
        state = state._replace(name=name)
        for pattern, cut in ((_CREDIT, Cut.NOTE), (_BY, Cut.OWNER)):
            credit = pattern.search(name)
            if credit is not None and credit.start():
                yield _cut(
                    state,
                    name[: credit.start()],
                    name[credit.end() if cut == Cut.NOTE else credit.start(1) :],
                    cut,
                )
        yield from self._without_break(state)
        yield from self._without_rest(state)

    def _without_group(self, state: _State, group: re.Match[str]) -> Iterator[_State]:
        name, note = state.name, group[1]
        cut = Cut.LABEL if self._is_label(note) else Cut.NOTE if _is_note(note) else Cut.PARENTHESIS
        if cut == Cut.PARENTHESIS:
            yield state._replace(cut=state.cut | cut, final=True)
        shorter = _cut(state, name[: group.start()], note, cut)
        yield shorter._replace(medium=state.medium or _medium(note))

    def _is_label(self, text: str) -> bool:
        return not is_version(text) and self._known.is_label(text)

    def _without_break(self, state: _State) -> Iterator[_State]:
        name = state.name
        for place in list(_BREAK.finditer(name))[:_MOST_BREAKS]:
            head, tail = _bare(name[: place.start()]), _bare(name[place.end() :])
            if not head or not tail:
                continue
            label = self._is_label(tail)
            quoted = name[place.end() :].lstrip().startswith(('"', "“"))
            note = not label and not quoted and _is_note(tail, cased=not head.islower())
            if note and (inner := _BREAK.search(tail)):  # "Anarchy - a gripping story" begins with a subtitle
                note = _is_note(tail[: inner.start()], cased=not head.islower())
            if note and self._known.is_creator(head):
                note = tail[:1].islower() and len(tail.split()) > _FEW_WORDS
            if not _only_counts(tail):
                cut = Cut.LABEL if label else Cut.NOTE if note else Cut.SUBTITLE
                yield _cut(state, head, tail, cut)._replace(medium=state.medium or (_medium(tail) if note else ""))
            if not note and not label:
                small = [word[0].islower() for word in head.split()]
                described = small[0] or (len(small) > _MANY_WORDS and 2 * sum(small) > len(small))
                described |= all(word.strip("!.,").lower() in OPENERS for word in head.split())
                yield _cut(state, tail, head, Cut.NOTE if described else Cut.PREFIX)

    def _without_rest(self, state: _State) -> Iterator[_State]:
        name = state.name
        counted = _COUNTED.match(name)
        if counted is not None and not self._known.is_label(counted["rest"].strip(_EDGE)):
            yield state._replace(name=counted["name"] + counted["rest"], cut=state.cut | Cut.NUMBER)
        for pattern in (_OWNER, _ONE_OWNER, _HOUSE_OWNER):
            owner = pattern.match(name)
            if owner is not None:
                yield _cut(state, name[owner.end() :], name[: owner.end()].rstrip(" s'’"), Cut.OWNER)
        last = name[max((place.end() for place in _BREAK.finditer(name)), default=0) :]
        for pattern, cut in ((_EDITION, Cut.EDITION), (_LONG_EDITION, Cut.EDITION), (_SET, Cut.SET)):
            found = None if len(last) < len(name) and _is_note(last) else pattern.search(name)
            if found is not None and any(word not in SMALL_WORDS for word in words(name[: found.start()])):
                yield _cut(state, name[: found.start()], found.group(), cut)
        suited = _FOR.search(name)
        if suited is not None and self._known.is_label(suited[1]):
            yield _cut(state, name[: suited.start()], suited[1], Cut.LABEL)
        before, comma, behind = name.rpartition(", ")
        if comma and self._known.is_creator(behind):
            yield _cut(state, before, behind, Cut.OWNER)
        halves = split_scripts(name)
        if halves is not None:
            yield _cut(state, halves[0], halves[1], Cut.HALF)
            yield _cut(state, halves[1], halves[0], Cut.HALF)
        if _CAMEL.search(name) is not None:
            yield state._replace(name=_CAMEL.sub(" ", name), final=True)
        elif name.startswith(("The", "THE", "the")) and " " not in name and len(name) > 6:
            yield state._replace(name=name[3:], final=True)


def _bare(text: str) -> str:
    """The text without quotes and marks around it; the apostrophe of "Walkin'" stays."""
    bare = text.strip(_EDGE)
    if (
        bare.endswith(("in", "IN"))
        and bare + "'" in text.replace("’", "'")
        and not text.lstrip().startswith(("'", "‘"))
    ):
        return bare + "'"
    return bare


def _has_group(name: str) -> bool:
    """Whether a name ends with brackets and has something before them."""
    group = _GROUP.search(name)
    return group is not None and bool(name[: group.start()].strip(_EDGE))


def _cut(state: _State, name: str, text: str, cut: int) -> _State:
    """A state with one more piece cut off."""
    pieces = (*state.pieces, _piece(text, cut))
    return state._replace(name=_bare(name) or name, cut=state.cut | cut, pieces=pieces, silent=False)


def _piece(text: str, cut: int) -> Piece:
    text = text.strip(_EDGE)
    return Piece(text, cut, words(article_first(text)))


def _first_year(text: str) -> int | None:
    found = re.search(rf"(?<!\d){_YEAR}(?!\d)", text)
    return None if found is None else int(found.group())


def _groups(text: str) -> list[str]:
    return re.findall(r"[(\[]([^()\[\]]{1,120})[)\]]", text)


def _medium(note: str) -> str:
    if not 0 < len(note.split()) <= _LONGEST_MEDIUM:
        return ""
    return " ".join(found.group().lower() for found in _MEDIUM.finditer(note))


def _only_counts(text: str) -> bool:
    """Whether a text only counts: "Part 2" is no subtitle that one might leave out."""
    spelled = words(text)
    return any(map(is_number, spelled)) and all(word in MARKERS or is_number(word) for word in spelled)


def _is_note(text: str, *, cased: bool = True) -> bool:
    """Whether a text behind a title describes it: genre words, a sentence, or a list of people."""
    found = _PLAIN.findall(text)
    if not found:
        return True
    lower = sum(word[0].islower() for word in found)
    if (cased and text[0].islower() and 2 * lower > len(found)) or all(word.lower() in NOTES for word in found):
        return True
    if all(word.lower() in _MEDIUM_WORDS for word in found):
        return True
    if found[-1].lower() in EDITIONS or _CREDIT.match(f" {text}") is not None or _medium(text) == text.lower():
        return True
    if is_version(text):
        return True
    people = [part for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if part]
    if len(people) > 1 and all(_NAMES.match(part) for part in people):
        return True
    long = [word for word in found[1:] if len(word) > 3]
    return cased and len(found) > 3 and bool(long) and sum(word.islower() for word in long) > 0.5 * len(long)
