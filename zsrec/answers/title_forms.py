"""The forms a catalog title may be mentioned in, each with the kind of evidence that it is.

A title is a few *names* (the main one and its alternatives), a name is a few *segments* around its colons and
dashes. People mention the whole name, drop the subtitle, drop the franchise in front, or skip the middle:
"Star Wars: Episode IV - A New Hope" is also "Star Wars: A New Hope" and "A New Hope".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from zsrec.answers.title_labels import Anatomy, split_creators
from zsrec.data.title_words import MARKERS
from zsrec.data.titles import ParsedTitle, is_number, key, loose_key, name_parts, tidy, without_owner, words


class Kind(IntEnum):
    """How a form relates to the item's names.

    All of a name (the main one, another one), or a part of it: without its subtitle, without what stands before
    it, without its middle, without its owner, or only its first or last words where no colon marks the place. Or
    what the item belongs to: its series, its creator. Or all of a title that has labels, with them.
    """

    FULL = 0
    ALTERNATIVE = 1
    HEAD = 2
    TAIL = 3
    SKIP = 4
    OWNED = 5
    PREFIX = 6
    SUFFIX = 7
    SERIES = 8
    CREATOR = 9
    WHOLE = 10


_COUNT_IN_FRONT = re.compile(r"[(\[][^()\[\]]{1,20}[)\]]\s+(?=\S{2,}\s+\S)")  # "(4) Wii …", "[2 Pack] …"

LOOSE = 16
"""Added to a kind where the form is the name's content words only."""


class Name(NamedTuple):
    """One name of an item in its one spelling."""

    parts: tuple[tuple[str, ...], ...]  # the words of each segment, in order
    alternative: bool  # whether it is another name than the main one
    words: tuple[str, ...]  # all words, in order


def names(parsed: ParsedTitle, aliases: Sequence[str] = ()) -> list[Name]:
    """The names of an item; one without a single letter or digit gets its raw text as the only word."""
    found: list[Name] = []
    counted = _COUNT_IN_FRONT.match(parsed.main) if parsed.main.startswith(("(", "[")) else None
    bare = (parsed.main[counted.end() :],) if counted else ()
    for place, text in enumerate((parsed.main, *bare, *parsed.alternatives, *aliases)):
        parts = name_parts(text)
        spelled = parts[0] if len(parts) == 1 else sum(parts, ())
        if parts and spelled not in [other.words for other in found]:
            found.append(Name(parts, place > 0, spelled))
    if not found:
        only = ("".join(parsed.main.split()).casefold(),)
        found.append(Name((only,), False, only))
    return found


def forms(parsed: ParsedTitle, spelled: list[Name]) -> Iterator[tuple[str, int]]:
    """The keys under which the item can be found, each with its kind (`Kind`, plus `LOOSE`)."""
    for name in spelled:
        kind = Kind.ALTERNATIVE if name.alternative else Kind.FULL
        yield from _both(name.words, kind)
        parts = name.parts
        for cut in range(1, len(parts)):
            yield from _both(sum(parts[:cut], ()), Kind.HEAD)
            yield from _both(sum(parts[cut:], ()), Kind.TAIL)
            if 1 < cut < len(parts) and all(word in MARKERS or is_number(word) for word in parts[cut - 1]):
                yield from _both(parts[cut - 1], Kind.SKIP)  # "Episode IV"
            if is_number(parts[cut - 1][-1]) and len(parts[cut - 1]) > 1:  # "Thor 2: …" is "Thor: …" as well
                uncounted = (*parts[: cut - 1], parts[cut - 1][:-1], *parts[cut:])
                yield from _both(sum(uncounted, ()), Kind.SKIP)
            for resume in range(cut + 1, len(parts)):
                yield from _both(sum(parts[:cut], ()) + sum(parts[resume:], ()), Kind.SKIP)
    for text in (parsed.main, *parsed.alternatives):
        if ("'" in text or "’" in text) and (owned := without_owner(text)) is not None:
            yield from _both(words(owned), Kind.OWNED)
    if parsed.alternatives and not parsed.main.endswith(")"):
        whole = words(f"{parsed.main} {' '.join(parsed.alternatives)}")
        yield from _both(whole, Kind.FULL)


def about_forms(title: str, anatomy: Anatomy, creator: str) -> Iterator[tuple[str, int]]:
    """The keys of an item's whole title and series, and of its creators."""
    if anatomy.labels:
        yield key(words(tidy(title))), int(Kind.WHOLE)
    for label in anatomy.labels:
        if label.kind == "s" and len(label.words) > 1:
            yield from _both(label.words[:-1], Kind.SERIES)
    for name in {creator, *split_creators(creator)} if creator else ():
        yield creator_form(words(name)), int(Kind.CREATOR)


def creator_form(spelled: Sequence[str]) -> str:
    """The key of a creator's name; its mark keeps it apart from other keys."""
    return "@" + key(spelled)


def _both(spelled: tuple[str, ...], kind: int) -> tuple[tuple[str, int], ...]:
    strict = key(spelled)
    return ((strict, kind), (loose_key(spelled), kind + LOOSE)) if strict else ()
