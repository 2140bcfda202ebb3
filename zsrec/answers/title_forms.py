"""The forms a catalog title may be mentioned in, each with the kind of evidence that it is.

A title is a few *names* (the main one and its alternatives), a name is a few *segments* around its colons and
dashes. People mention the whole name, drop the subtitle, drop the franchise in front, or skip the middle:
"Star Wars: Episode IV - A New Hope" is also "Star Wars: A New Hope" and "A New Hope".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from zsrec.data.titles import (
    MARKERS,
    ParsedTitle,
    article_first,
    fold,
    is_number,
    key,
    loose_key,
    segment_words,
    segments,
    without_owner,
    words,
)


class Kind(IntEnum):
    """How a form relates to the item's names.

    All of a name (the main one, another one), or a part of it: without its subtitle, without what stands before
    it, without its middle, without its owner, or only its first or last words where no colon marks the place.
    """

    FULL = 0
    ALTERNATIVE = 1
    HEAD = 2
    TAIL = 3
    SKIP = 4
    OWNED = 5
    PREFIX = 6
    SUFFIX = 7


LOOSE = 8
"""Added to a kind where the form is the name's content words only."""


class Name(NamedTuple):
    """One name of an item in its one spelling."""

    parts: tuple[tuple[str, ...], ...]  # the words of each segment, in order
    alternative: bool  # whether it is another name than the main one
    words: tuple[str, ...]  # all words, in order


def names(parsed: ParsedTitle) -> list[Name]:
    """The names of an item; one without a single letter or digit gets its raw text as the only word."""
    found: list[Name] = []
    for place, text in enumerate((parsed.main, *parsed.alternatives)):
        parts = name_parts(text)
        if parts:
            found.append(Name(parts, place > 0, sum(parts, ())))
    if not found:
        only = ("".join(parsed.main.split()).casefold(),)
        found.append(Name((only,), False, only))
    return found


def name_parts(text: str) -> tuple[tuple[str, ...], ...]:
    """The words of each segment of a name."""
    return tuple([spelled for part in segments(text) if (spelled := segment_words(part))])


def forms(parsed: ParsedTitle, spelled: list[Name]) -> Iterator[tuple[str, int]]:
    """The keys under which the item can be found, each with its kind (`Kind`, plus `LOOSE`)."""
    for name in spelled:
        kind = Kind.ALTERNATIVE if name.alternative else Kind.FULL
        yield from _both(name.words, kind)
        parts = name.parts
        for cut in range(1, len(parts)):
            yield from _both(sum(parts[:cut], ()), Kind.HEAD)
            yield from _both(sum(parts[cut:], ()), Kind.TAIL)
            for resume in range(cut + 1, len(parts)):
                yield from _both(sum(parts[:cut], ()) + sum(parts[resume:], ()), Kind.SKIP)
    for text in (parsed.main, *parsed.alternatives):
        if ("'" in text or "’" in text) and (owned := without_owner(text)) is not None:
            yield from _both(words(owned), Kind.OWNED)
    if parsed.alternatives and not parsed.main.endswith(")"):
        whole = words(f"{parsed.main} {' '.join(parsed.alternatives)}")
        yield from _both(whole, Kind.FULL)


def _both(spelled: tuple[str, ...], kind: Kind) -> Iterator[tuple[str, int]]:
    strict = key(spelled)
    if not strict:
        return
    yield strict, int(kind)
    yield loose_form(spelled), int(kind) + LOOSE


def verbatim_form(title: str) -> str:
    """The key of a whole catalog title, year and other names included; its mark keeps it apart from other keys."""
    return "=" + "".join(fold(title).split())


def loose_form(spelled: tuple[str, ...]) -> str:
    """The key for the loose comparison; its mark keeps it apart from strict keys."""
    return "~" + loose_key(spelled)


MAX_LENGTH = 300
"""Characters of a mention that are read; titles are shorter, and the rest would only cost time."""


class Cut(IntFlag):
    """What a reading leaves out of the mention."""

    NOTHING = 0
    NOTE = 1  # description, cast, genre, edition: says nothing about which title it is
    SUBTITLE = 2  # something behind a colon or dash that may be part of another title
    PREFIX = 4  # something before a colon or dash, often the franchise
    OWNER = 8  # "Ridley Scott's …", "… by Tim Burton"
    YEAR = 16  # a bare number at the end, read as the year
    PARENTHESIS = 32  # a parenthesis that may be another name
    NUMBER = 64  # a number that only counts the sequel ("Thor 2: The Dark World")


class Reading(NamedTuple):
    """One way to read a mention."""

    parts: tuple[tuple[str, ...], ...]  # the words of each segment of the supposed title
    year: int | None  # the year that was named
    cut: Cut  # what was left out
    medium: str = ""  # the words of a note that names another medium ("tv series", "novel")
    prefix: tuple[str, ...] = ()  # the words cut off in front of a colon or dash

    @property
    def words(self) -> tuple[str, ...]:
        """All words of the supposed title, in order."""
        return self.parts[0] if len(self.parts) == 1 else tuple(word for part in self.parts for word in part)


class _Named(NamedTuple):
    """A supposed title in the mention's own spelling; the other fields as in `Reading`."""

    name: str
    year: int | None
    cut: Cut
    medium: str
    prefix: str = ""


_SPACE = re.compile(r"\s+")
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{0,200}\)")
_MARK = re.compile(r"^(?:[#>\-*•·–—]+\s+|\[[ x]?\]\s+|\(?\d{1,2}[.)]\s+|(?:or|and|like|also)\s+(?=[A-Z\"'“]))+")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,40}>")
_FIELD = re.compile(r'"(?:title|name|movie|item|book|product)"\s*:\s*"([^"]{1,200})"', re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[a-z]{3})(?=\d)|(?<=[a-z]['’]s)(?=[A-Z])")
_EMPHASIS = re.compile(r"\*\*|__|`|~~")
_EDGE = " \t\"'“”„«»‘’*_`~#|,.;:!?-–—"
_QUOTED = re.compile(r"^[\"“«„‘'*_]+([^\"“”«»„*_]{1,200}?)[\"”»“’'*_]+(?=[\s,.:;()\[\]\-–—]|$)(.*)$")
_YEAR = r"(?:18[89]\d|19\d\d|20\d\d)"
_YEAR_NOTE = re.compile(
    rf"[(\[]([^()\[\]]{{0,40}}?)({_YEAR})(?:\s?[-–—/]\s?(?:{_YEAR}|\d\d|present)?)?([^()\[\]]{{0,40}})[)\]]?"
)
_BARE_YEAR = re.compile(rf"^(.*\S?)(?:,|\s[-–—|]|\s)\s?(?:({_YEAR})|['’](\d\d))$")
_GROUP = re.compile(r"\s*[(\[]([^()\[\]]{0,120})[)\]]\s*$")
_BREAK = re.compile(r"\s[-–—|]+\s|:\s|(?<=[a-z]{3}[.!?])\s+(?=[A-Z])|,\s+(?=directed by|starring|featuring|with )")
_CREDIT = re.compile(
    r"[,;]?\s+(?:directed by|starring|featuring|written by|created by|from director|on (?:netflix|hulu|dvd)"
    r"|is an? |was an? |which is )\s*",
    re.IGNORECASE,
)
_BY = re.compile(r",?\s+by\s+(?=[^\W\d_a-z][\w.'’\-]*(?:\s+[\w.'’\-]+){1,4}$)")
_CAPITAL = r"[^\W\d_a-z][\w.\-]*"
_OWNER = re.compile(
    rf"^(?!(?:The|A|An)\s){_CAPITAL}\s+(?:(?:de|del|van|von|der|la|di|da|le)\s+|{_CAPITAL}\s+){{0,2}}{_CAPITAL}(?:['’]s|s['’])\s+(?=\S)"
)
_ONE_OWNER = re.compile(r"^[^\W\d_a-z][\w.\-]*(?:['’]s|s['’])\s+(?=The\s\S)")
_HOUSE_OWNER = re.compile(
    r"^(?:disney|pixar|marvel|netflix|bbc|hbo|dreamworks|dc)(?:['’]s)?\s+(?=\S)", re.IGNORECASE
)
_COUNTED = re.compile(
    r"^(?P<name>.{2,80}?)"
    r"(?:\s(?:part |vol\.? )?(?:\d|[IVX]{1,4})(?=:\s|\s[-–—]\s)"  # "Thor 2: …"
    r"|:\s(?:Episode|Part|Chapter)\s[\dIVX]{1,4}(?=\s[-–—:]))"  # "Star Wars: Episode VIII - …"
    r"(?P<rest>.{3,})$"
)
_NAMES = re.compile(r"^(?:[^\W\d_a-z][\w.'’\-]*(?:\s|$)){2,4}$")

_MEDIUM = re.compile(
    r"\b(tv|television|series|miniseries|sitcom|season|seasons|novel|book|books|audiobook|comic|comics|manga"
    r"|video ?game|game|soundtrack|album|song|musical|play|podcast|fan ?fiction|figure|toy|trilogy|franchise|saga"
    r"|collection|anthology|films|movies|shorts|fictional)\b",
    re.IGNORECASE,
)
_NOTE_WORDS = frozenset(
    "action adventure animation animated anime biographical biography biopic black children classic comedy coming"
    " crime cult dark documentary drama dramedy epic family fantasy film foreign heist historical history holiday"
    " horror independent indie live martial movie music musical mystery noir period political psychological"
    " romance romantic satire sci fi science fiction short slasher sport sports spy superhero supernatural"
    " suspense thriller true story war western and or of age arts based on the a an version remake original reboot"
    " edition special extended directors director's cut uncut unrated remastered restoration restored anniversary"
    " collectors imax 3d 4k uhd hd blu ray bluray dvd vhs netflix hulu disney amazon prime hbo streaming".split()
)
_EDITIONS = frozenset({"edition", "cut", "restoration", "remastered", "version", "restored"})
_TITLE_CUTS = Cut.SUBTITLE | Cut.PREFIX | Cut.OWNER | Cut.NUMBER
_LONGEST_MEDIUM = 4
_PLAIN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def clean(mention: str) -> str:
    """The mention on one line, without list marks and emphasis, at most `MAX_LENGTH` characters long."""
    text = _SPACE.sub(" ", mention[: 2 * MAX_LENGTH]).strip()[:MAX_LENGTH]
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


def readings(mention: str) -> Iterator[Reading]:
    """All readings of a mention, the most literal first, each title once."""
    text = clean(mention)
    seen: set[tuple[tuple[tuple[str, ...], ...], int | None]] = set()
    for name, year, cut, medium, prefix in _names(text):
        parts = name_parts(article_first(name))
        if not parts or (
            cut & _TITLE_CUTS and all(word in MARKERS or is_number(word) for part in parts for word in part)
        ):
            continue
        if (parts, year) not in seen:
            seen.add((parts, year))
            yield Reading(parts, year, cut, medium, words(article_first(prefix)) if prefix else ())


def _names(text: str) -> Iterator[_Named]:
    bare = text.strip(_EDGE)
    found = _YEAR_NOTE.search(text)
    quoted = _QUOTED.match(text)
    if quoted is not None and quoted.group(2).strip(_EDGE):
        name, rest = quoted.groups()
        year = _first_year(rest)
        medium = _medium(rest)
        yield from _inner(name, year, Cut.NOTE, medium)
    if found is not None and text[: found.start()].strip(_EDGE):
        name = text[: found.start()].strip(_EDGE)
        behind = text[found.end() :]
        medium = _medium(found.group(1) + " " + found.group(3)) or _medium(" ".join(_groups(behind)))
        cut = Cut.NOTE if behind.strip(_EDGE) else Cut.NOTHING
        yield from _inner(name, int(found.group(2)), cut, medium)
        return
    yield _Named(bare, None, Cut.NOTHING, "")
    dated = _BARE_YEAR.match(bare)
    if dated is not None and dated.group(1).strip(_EDGE):
        full, short = dated.group(2), dated.group(3)
        year = int(full) if full else 1900 + int(short) + (100 if int(short) < 30 else 0)
        yield from _inner(dated.group(1).strip(_EDGE), year, Cut.YEAR, "")
    yield from _inner(bare if text[-1:] not in ")]" else text, None, Cut.NOTHING, "")


def _first_year(text: str) -> int | None:
    found = re.search(rf"(?<!\d){_YEAR}(?!\d)", text)
    return None if found is None else int(found.group())


def _groups(text: str) -> list[str]:
    return re.findall(r"[(\[]([^()\[\]]{1,120})[)\]]", text)


def _medium(note: str) -> str:
    if len(note.split()) > _LONGEST_MEDIUM:
        return ""
    return " ".join(word.lower() for word in _MEDIUM.findall(note))


def _inner(name: str, year: int | None, cut: Cut, medium: str) -> Iterator[_Named]:
    """A name with the notes behind it, and without them."""
    name = name.strip(" \t|,;-–—")
    group = _GROUP.search(name)
    if group is not None and name[: group.start()].strip(_EDGE):
        note = group.group(1)
        if not _is_note(note):
            yield _Named(name, year, cut | Cut.PARENTHESIS, medium)
        rest = name[: group.start()].strip(_EDGE)
        yield from _inner(
            rest, year, cut | (Cut.NOTE if _is_note(note) else Cut.PARENTHESIS), medium or _medium(note)
        )
        return
    bare = name.strip(_EDGE)
    yield _Named(bare, year, cut, medium)
    yield from _shorter(bare, year, cut, medium)


def _shorter(name: str, year: int | None, cut: Cut, medium: str) -> Iterator[_Named]:
    for credit in (_CREDIT.search(name), _BY.search(name)):
        if credit is not None and credit.start():
            kind = Cut.OWNER if credit.re is _BY else Cut.NOTE
            yield _Named(name[: credit.start()].strip(_EDGE), year, cut | kind, medium)
    breaks = list(_BREAK.finditer(name))[:4]
    for place in breaks:
        head, tail = name[: place.start()].strip(_EDGE), name[place.end() :].strip(_EDGE)
        if not head or not tail:
            continue
        note = _is_note(tail, cased=head != head.lower())
        if not _only_counts(tail):
            named_medium = medium or (_medium(tail) if note else "")
            yield _Named(head, year, cut | (Cut.NOTE if note else Cut.SUBTITLE), named_medium)
        if not note:
            described = head[:1].islower() or len(head.split()) > 5
            kind, prefix = (Cut.NOTE, "") if described else (Cut.PREFIX, head)
            yield _Named(tail, year, cut | kind, medium, prefix)
    counted = _COUNTED.match(name)
    if counted is not None:
        yield _Named(counted.group("name") + counted.group("rest"), year, cut | Cut.NUMBER, medium)
    for pattern in (_OWNER, _ONE_OWNER, _HOUSE_OWNER):
        owner = pattern.match(name)
        if owner is not None:
            yield _Named(name[owner.end() :], year, cut | Cut.OWNER, medium)
    if _CAMEL.search(name) is not None:
        yield _Named(_CAMEL.sub(" ", name), year, cut, medium)
    elif name.startswith(("The", "THE", "the")) and " " not in name and len(name) > 6:
        yield _Named(name[3:], year, cut, medium)


def is_note_word(word: str) -> bool:
    """Whether a word, in small letters, names a genre or an edition: alone it says nothing of a title."""
    return word in _NOTE_WORDS


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
    if (cased and text[0].islower() and 2 * lower > len(found)) or all(
        word.lower() in _NOTE_WORDS for word in found
    ):
        return True
    if found[-1].lower() in _EDITIONS or _CREDIT.match(f" {text}") is not None or _medium(text) == text.lower():
        return True
    people = [part for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if part]
    if len(people) > 1 and all(_NAMES.match(part) for part in people):
        return True
    long = [word for word in found[1:] if len(word) > 3]
    return cased and len(found) > 3 and bool(long) and sum(word.islower() for word in long) > 0.5 * len(long)
