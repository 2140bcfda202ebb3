"""Titles as comparable text: years, alternative names, articles, numerals, scripts.

Everything that compares a mention with a title goes through `words`, so that both sides are spelled the same
way: case, accents and widths are folded (Unicode NFKC and casefold), apostrophes vanish, "&" is "and", and
small numbers, roman numerals and ordinals are written out ("Rocky II" is "rocky two", and a slip in "Ocean's
Thirten" stays a slip of one letter). `key` joins the words without spaces, because models and
catalogs disagree about spaces ("Chain Saw", "Chainsaw") far more often than two titles differ by one.

All regular expressions here are linear in their input, which is untrusted.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from zsrec.data.title_words import (
    ARTICLES,
    EDITIONS,
    FILLERS,
    HAN_COUNTERS,
    HAN_NUMBERS,
    MARKERS,
    MOVABLE_ARTICLES,
    ORDINALS,
    SMALL_WORDS,
    SPELLINGS,
    UNITS,
)

_MOVABLE = "|".join(map(re.escape, MOVABLE_ARTICLES))
_TRAILING_ARTICLE = re.compile(rf"^(.*\S), ?({_MOVABLE}|the|a|an)$", re.DOTALL)
_YEAR_AT_END = re.compile(r"[(\[]((?:18|19|20)\d\d)(?: ?[-–—] ?(?:(?:18|19|20)\d\d)?)?[)\]]$")
_LONGEST_YEAR = 16
_LONGEST_EDITION = 3
_AKA = re.compile(r"^(?:a\.?k\.?a\.?|aka|also known as)[:\s]\s*", re.IGNORECASE)
_SEGMENTS = re.compile(r":(?!\d)\s*|\s[-–—]+\s|;\s|\s\|\s|,?\sor,\s")
_OWNER = re.compile(r"^(?:[^\W\d_][\w.\-]*\s+){1,3}[^\W\d_][\w.\-]*(?:['’]s|s['’])\s+(?=\S)")
_SEGMENT_SIGN = re.compile(r"[:;|\-–—]|\sor,")  # without one of these there is one segment
_CONNECTIVES = ("or", "and", "&")
_DANGLING = re.compile(r"(?<=[\s,])(?:or|and|&)$", re.IGNORECASE)

_SIGNS = dict.fromkeys(map(ord, "'’‘`´ʼʻ′"), None) | dict.fromkeys(map(ord, "&+＆"), " and ")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN_LETTER = re.compile(f"[{_HAN}]")
_WORD = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+")  # each Han character is a word
_ASCII_SIGNS = frozenset("'`&+")
_ASCII_WORD = re.compile("[a-z0-9]+")  # the same in lower-case ASCII, in half the time
_HAN_ORDINAL = re.compile(rf"第([{''.join(HAN_NUMBERS)}\d]{{1,3}})[{HAN_COUNTERS}]")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: ord(" ")}
_NARROW = _WIDE | dict.fromkeys(map(ord, "™®©℠℗"))
_SPELLED_SIGNS = re.compile(r"\((?:TM|R|SM)\)", re.IGNORECASE)
_LETTER_SIGNS = re.compile(r"(?<=[^\W\d_])([$!])(?=[^\W\d_])")  # "Ke$ha", "P!nk"
_ING = re.compile(r"(?<=[^\W\d_]{2}in)['’](?!\w)", re.IGNORECASE)
_SET_OFF = re.compile(r"(?<=\w)([½¼¾⅓⅔²³])")  # "8½" and "Alien³" are two words, not "81/2" and "alien3"
_HALF = re.compile(r"(?:(?<=\d)\.5|(?<=\w)\s1/2)(?!\d)")
_POSSESSIVE_OF_S = re.compile(r"(?<=s)['’]s\b", re.IGNORECASE)  # "Jones's", which many write "Jones" or "Jones'"
_CLITIC_N = re.compile(r"(?<=\w)\s+['’]?n['’]?\s+(?=\w)", re.IGNORECASE)

_ROMAN = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13}
_ROMAN_LETTER = {"i": "one", "v": "five", "x": "ten"}
_ENDING = {1: "st", 2: "nd", 3: "rd"}
_SPELLINGS: dict[str, str] = {
    **{str(value): word for value, word in enumerate(UNITS)},
    **{f"{value}{_ENDING.get(value, 'th')}": word for value, word in enumerate(ORDINALS, start=1)},
    **{roman: UNITS[value] for roman, value in _ROMAN.items()},
    **SPELLINGS,
}
_LIGHT_WORDS = SMALL_WORDS | FILLERS
_NUMBERS = frozenset([*UNITS, *ORDINALS, "half"])


class ParsedTitle(NamedTuple):
    """A title taken apart."""

    main: str
    alternatives: tuple[str, ...]
    year: int | None


def tidy(text: str) -> str:
    """The text with HTML entities resolved, full-width forms narrowed, and trademark signs removed."""
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "(" in text:
        text = _SPELLED_SIGNS.sub("", text)
    return text if text.isascii() else text.translate(_NARROW)


def split_year(text: str) -> tuple[str, int | None]:
    """Splits the year in parentheses off the end: "Heat (1995)" gives ("Heat", 1995)."""
    text = text.rstrip()
    found = _YEAR_AT_END.search(text, max(0, len(text) - _LONGEST_YEAR)) if text.endswith((")", "]")) else None
    return (text, None) if found is None else (text[: found.start()].rstrip(), int(found.group(1)))


def article_first(name: str) -> str:
    """Moves a trailing article to the front: "Matrix, The" gives "The Matrix"."""
    if "," not in name:
        return name
    found = _TRAILING_ARTICLE.match(name)
    if found is None:
        return name
    rest, article = found.groups()
    return f"{article}{rest}" if article.endswith("'") else f"{article} {rest}"


def parse_title(title: str) -> ParsedTitle:
    """Takes a title apart; see `ParsedTitle`.

    Only parentheses at the end hold other names; "(500) Days of Summer" keeps its own.
    """
    rest, year = split_year(tidy(title).strip())
    groups: list[str] = []
    while rest.endswith(")"):
        start = _opening(rest)
        if start <= 0 or not rest[:start].strip():
            break
        groups.append(rest[start + 1 : -1].strip())
        rest = rest[:start].rstrip()
    names = [name for group in reversed(groups) for name in _alternatives(group)]
    main = article_first(rest)
    return ParsedTitle(main, tuple(dict.fromkeys(name for name in names if name and name != main)), year)


def names_title(text: str, title: str) -> bool:
    """Whether a text is one of the names of a title and nothing more, a year aside."""
    spelled, parsed = key(words(split_year(text)[0])), parse_title(title)
    return any(spelled == key(words(name)) for name in (parsed.main, *parsed.alternatives))


def _opening(text: str) -> int:
    """Where the parenthesis opens that the last character closes; -1 where it does not."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += (text[place] == ")") - (text[place] == "(")
        if depth == 0:
            return place
    return -1


def _alternatives(group: str) -> Iterable[str]:
    text = _AKA.sub("", group)
    yield article_first(text)
    parts = text.split(", ")
    if text != group and len(parts) > 1:  # "a.k.a. All I Wanna Do, The Hairy Bird" lists two names
        for part in parts:
            if len(part) > 3:
                yield part


def display_title(title: str) -> str:
    """The title as people write it: "Matrix, The (1999)" gives "The Matrix (1999)".

    Alternative names keep their place, with their articles in front.
    """
    if "," not in title:
        return title
    rest, year = split_year(title)
    tail = "" if year is None else title[len(rest) :]
    groups: list[str] = []
    while rest.endswith(")"):
        start = _opening(rest)
        if start <= 0:
            break
        groups.append(f" ({article_first(rest[start + 1 : -1])})")
        rest = rest[:start].rstrip()
    return article_first(rest) + "".join(reversed(groups)) + tail


def fold(text: str) -> str:
    """Case, width and accents folded: "Amélie" and "ＡＭＥＬＩＥ" give "amelie".

    Accents are taken off Latin and Greek letters only: in other scripts the mark makes another letter (が, й).
    """
    if text.isascii():
        return text.lower()
    text = _SET_OFF.sub(r" \1", text).replace("½", "half")
    text = unicodedata.normalize("NFKC", text).replace("⁄", " ").casefold()
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    kept: list[str] = []
    base = ""
    for char in decomposed:
        if not unicodedata.combining(char):
            base = char
            kept.append(char)
        elif not (base < "\u0400" or base in "еЕ"):
            kept.append(char)
    folded = unicodedata.normalize("NFC", "".join(kept)).translate(_LETTERS)
    return folded.translate(simplified_letters()) if _HAN_LETTER.search(folded) else folded


@cache
def simplified_letters() -> dict[int, str]:
    """The simplified form of each traditional Chinese letter; empty without the extra `zh`."""
    try:
        from opencc import OpenCC
    except ImportError:
        return {}
    convert = OpenCC("t2s").convert
    pairs = ((code, convert(chr(code))) for code in range(0x3400, 0xA000))
    return {code: letter for code, letter in pairs if letter != chr(code)}


_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})


@lru_cache(maxsize=16_384)
def words(text: str) -> tuple[str, ...]:
    """The words of a name in their one spelling, in order.

    "Star Wars: Episode IV - A New Hope" gives ("star", "wars", "episode", "four", "a", "new", "hope").
    """
    found: list[str] = []
    for segment in _raw_segments(text):
        found.extend(segment_words(segment))
    return tuple(found)


def segment_words(segment: str) -> tuple[str, ...]:
    """The `words` of one of a name's `segments`."""
    if "'" in segment or "’" in segment or " n " in segment:
        segment = _POSSESSIVE_OF_S.sub("", _CLITIC_N.sub(" & ", segment))
    if "1/2" in segment or ".5" in segment:
        segment = _HALF.sub(" half", segment)
    if "$" in segment or "!" in segment:
        segment = _LETTER_SIGNS.sub(lambda sign: "s" if sign.group() == "$" else "i", segment)
    folded = fold(_ING.sub("g", segment) if "'" in segment or "’" in segment else segment)
    if folded.isascii():
        if not _ASCII_SIGNS.isdisjoint(folded):
            folded = folded.translate(_SIGNS)
        found = _ASCII_WORD.findall(folded)
    else:
        if _HAN_LETTER.search(folded):
            folded = _HAN_ORDINAL.sub(lambda found: f" {HAN_NUMBERS.get(found[1], found[1])} ", folded)
        found = _WORD.findall(folded.translate(_SIGNS))
    last = len(found) - 1
    if last > 1 and found[last] in HAN_NUMBERS and _HAN_LETTER.match(found[last - 1]):
        found[last] = HAN_NUMBERS[found[last]]
    for place, word in enumerate(found):
        spelled = _SPELLINGS.get(word)
        if spelled is not None:
            found[place] = spelled
        if (
            word in _ROMAN_LETTER
            and place
            and _counts(found[place - 1], place == last or _names_edition(found[place + 1 :]))
        ):
            found[place] = _ROMAN_LETTER[word]
        elif word == "v" and 0 < place < last:
            found[place] = "vs"
    return tuple(found)


def _counts(before: str, last: bool) -> bool:
    """Whether a roman numeral of one letter counts: at the end ("Rocky V", but not "A.V."), or behind "part"."""
    return before in MARKERS or (last and len(before) > 1 and before not in ARTICLES)


def _names_edition(rest: Sequence[str]) -> bool:
    """Whether the last words of a name, few, name an edition: "Resident Evil V Gold Edition"."""
    return len(rest) <= _LONGEST_EDITION and rest[-1] in EDITIONS


def is_number(word: str) -> bool:
    """Whether a word, as `words` spells it, is a number."""
    return word in _NUMBERS or (word[0].isdigit() and word not in FILLERS)


def without_article(spelled: Sequence[str]) -> Sequence[str]:
    """The words without a leading English article, unless nothing else is left."""
    return spelled[1:] if len(spelled) > 1 and spelled[0] in ARTICLES else spelled


def is_han(word: str) -> bool:
    """Whether a word, as `words` spells it, is a Han character."""
    return word > "\u3400" and _HAN_LETTER.match(word) is not None


def has_han(text: str) -> bool:
    """Whether a text has a Han character."""
    return not text.isascii() and _HAN_LETTER.search(text) is not None


def key(spelled: Sequence[str]) -> str:
    """The words joined, without a leading article; equal for all ways to spell one name."""
    return "".join(without_article(spelled))


def content(spelled: Sequence[str]) -> list[str]:
    """The words that tell titles apart: no small words, fillers and number markers.

    Falls back to all words where none would be left ("In & Out").
    """
    kept = [
        word
        for place, word in enumerate(spelled)
        if word not in _LIGHT_WORDS
        and not (word in MARKERS and place and place + 1 < len(spelled) and is_number(spelled[place + 1]))
    ]
    return kept or list(spelled)


def loose_key(spelled: Sequence[str]) -> str:
    """The `content` words joined: equal also where small words were dropped, added or moved to the end.

    Its mark keeps it apart from other keys.
    """
    return "~" + "".join(content(spelled))


def verbatim_key(title: str) -> str:
    """The letters of a whole title, year and other names included; its mark keeps it apart from other keys."""
    return "=" + "".join(fold(tidy(title)).split())


def name_parts(name: str) -> tuple[tuple[str, ...], ...]:
    """The words of each of a name's `segments`."""
    return tuple([spelled for part in segments(name) if (spelled := segment_words(part))])


def segments(name: str) -> list[str]:
    """The parts of a name around colons and dashes: "Kill Bill: Vol. 1" gives ["Kill Bill", "Vol. 1"]."""
    parts = [part for raw in _raw_segments(name) if (part := _bare(raw))]
    return [part for part in parts if part.lower() not in _CONNECTIVES] or parts


def _raw_segments(name: str) -> Sequence[str]:
    return _SEGMENTS.split(name) if _SEGMENT_SIGN.search(name) else (name,)


def _bare(part: str) -> str:
    """A part of a name without the connective or comma that it ends with."""
    part = part.strip()
    if part[-3:].lower().endswith(_CONNECTIVES):
        part = _DANGLING.sub("", part)
    return part.rstrip(" ,")


def split_scripts(name: str) -> tuple[str, str] | None:
    """The two halves of a name that changes its script once, at a space: "阿甘正传 Forrest Gump"; else None."""
    if name.isascii() or " " not in name:
        return None
    words_of = name.split()
    scripts = [next((script for script, letters in _SCRIPTS if letters.search(word)), "") for word in words_of]
    for place in range(len(scripts) - 2, -1, -1):  # a number belongs to what follows
        scripts[place] = scripts[place] or scripts[place + 1]
    scripts[-1] = scripts[-1] or scripts[-2]
    changes = [place for place in range(1, len(scripts)) if scripts[place] != scripts[place - 1]]
    if len(changes) != 1 or not scripts[0]:
        return None
    return " ".join(words_of[: changes[0]]), " ".join(words_of[changes[0] :])


_SCRIPTS = (
    ("kana", re.compile("[\u3040-\u30ff]")),
    ("han", _HAN_LETTER),
    ("hangul", re.compile("[\uac00-\ud7af]")),
    ("cyrillic", re.compile("[\u0400-\u04ff]")),
    ("greek", re.compile("[\u0370-\u03ff]")),
    ("hebrew", re.compile("[\u0590-\u05ff]")),
    ("arabic", re.compile("[\u0600-\u06ff]")),
    ("thai", re.compile("[\u0e00-\u0e7f]")),
    ("latin", re.compile(r"[^\W\d_]")),
)


def without_owner(name: str) -> str | None:
    """The name without its owner in front ("Tyler Perry's Madea" gives "Madea"), or None where it has none.

    An owner has two to four words: with one it is a part of most titles ("Schindler's List").
    """
    found = _OWNER.match(name)
    return None if found is None else name[found.end() :]
