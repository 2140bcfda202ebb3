"""Comparing a reading with one name, word by word.

A typo changes a few letters inside a word. Another title has another word or another number. So words are
paired first, and letters are counted only inside pairs; words without a partner cost what they tell
(their information, an inverse document frequency), and a number without a partner is a veto in all but name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from rapidfuzz.distance import OSA

from zsrec.answers.mention_readings import Reading
from zsrec.answers.scoring import Agreement, size_of
from zsrec.answers.title_forms import Kind, Name
from zsrec.data.title_words import ARTICLES, EDGE_WORDS, FILLERS, MARKERS, SETS, SMALL_WORDS
from zsrec.data.titles import is_han, is_number, key, without_article


class Lexicon(Protocol):
    """What is known about words; the index is one."""

    def information(self, word: str) -> float:
        """What a word tells, in [0, 1]."""
        ...

    def known(self, word: str) -> bool:
        """Whether a word stands in any title."""
        ...

    def wordlike(self, word: str) -> bool:
        """Whether all letter sequences of a word occur in titles."""
        ...


_LIGHT = SMALL_WORDS | FILLERS | SETS
_LIGHT_IN_COUNTS = _LIGHT | MARKERS | {"one"}
_LIGHT_COST = 0.1
_LEAST_COST = 0.6
"""What a word of titles costs at least where the other side lacks it: "man" is frequent, and tells films apart."""
_FRANCHISE_SHARE = 0.3
_SMALL_WORD_COST = 0.4
_ENOUGH = 1.2
_LEAST_PART = 3
_LEAST_EDGE_WORDS = 2
_LEAST_OPEN_WORDS = 5
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> frozenset[str]:
    found: set[str] = set()
    for number, row in enumerate(_ROWS):
        for place, letter in enumerate(row):
            near = row[max(0, place - 1) : place + 2]
            if number + 1 < len(_ROWS):
                near += _ROWS[number + 1][max(0, place - 1) : place + 1]
            for other in near:
                found.update((letter + other, other + letter))
    return frozenset(found)


_NEIGHBOURS = _neighbours()


_SOFT = re.compile(r"c(?=[eiy])|z")
_DOUBLE = re.compile(r"(.)\1+")
_SOUNDS = str.maketrans({**dict.fromkeys("aeiouyhw"), "c": "k", "q": "k"})


def allowed_edits(length: int) -> int:
    """How many letters may differ in a whole key of this length."""
    return 0 if length < 4 else 1 if length < 6 else 2 if length < 16 else 3


def _edits_in_word(length: int) -> int:
    """How many letters may differ in one word: in a short one, two make another word."""
    return 1 if length < 5 else 2 if length < 9 else 3


def compare(reading: Reading, name: Name, lexicon: Lexicon) -> Agreement | None:
    """How a reading's words agree with a name; None where they have too little in common."""
    kind = Kind.ALTERNATIVE if name.alternative else Kind.FULL
    return (
        _whole(reading, name.words, kind, lexicon)
        or _edge(reading, name, lexicon)
        or _by_words(reading, name, kind, lexicon)
    )


def _edge(reading: Reading, name: Name, lexicon: Lexicon) -> Agreement | None:
    """The agreement of a reading that is the first or the last words of a name, cut at a small word.

    Where a name has segments only many words are enough.
    """
    mine, its = without_article(reading.words), without_article(name.words)
    rest = len(its) - len(mine)
    if rest < 1 or mine not in (its[: len(mine)], its[rest:]):
        return None
    telling = [word for word in mine if word not in _LIGHT]
    if len(telling) < _LEAST_EDGE_WORDS:
        return None
    opened = len(telling) >= _LEAST_OPEN_WORDS
    if len(name.parts) > 1 and not opened:
        return None
    if its[: len(mine)] == mine and (its[len(mine)] in EDGE_WORDS or opened):
        kind = Kind.PREFIX
    elif its[rest:] == mine and its[rest - 1] in EDGE_WORDS:
        kind = Kind.SUFFIX
    else:
        return None
    information = sum(lexicon.information(word) for word in telling)
    form = reading.key
    opened = kind is Kind.PREFIX and its[len(mine)] not in EDGE_WORDS
    return Agreement(kind, False, len(form), size_of(form), information, dropped_words=rest, opened=opened)


def _whole(reading: Reading, written: Sequence[str], kind: Kind, lexicon: Lexicon) -> Agreement | None:
    read, read_key, written_key = reading.words, reading.key, key(written)
    limit = allowed_edits(min(len(read_key), len(written_key)))
    edits = OSA.distance(read_key, written_key, score_cutoff=limit)
    if edits > 1:
        edits = min(edits, OSA.distance("".join(read), "".join(written), score_cutoff=limit))
    if edits > limit:
        return None
    odd, lacking = _unlike(without_article(read), without_article(written))
    if len(odd) != len(lacking):  # a slip in an article, perhaps ("Te Piano")
        odd, lacking = _unlike(read, written)
    if any(map(is_number, odd)) or any(map(is_number, lacking)):
        return None
    if any(word in SMALL_WORDS for word in odd) and any(word in SMALL_WORDS for word in lacking):
        return None  # "Man on the Moon" is not a slip of "The Man in the Moon"
    agreement = Agreement(
        kind,
        False,
        len(read_key),
        size_of(read_key),
        sum(lexicon.information(word) for word in written if word not in SMALL_WORDS),
        edits=edits,
        one_word=sum(word not in _LIGHT for word in written) == 1,
        respaced=not edits and without_article(read) != without_article(written),
    )
    if edits and "".join(odd) != "".join(lacking):
        if len(odd) == len(lacking):
            for mine, its in zip(odd, lacking, strict=True):
                if OSA.distance(mine, its) > _edits_in_word(min(len(mine), len(its))):
                    return None
                _note_edit(agreement, mine, its, lexicon)
        elif edits > 1:
            return None
        else:
            agreement.respaced = True
            agreement.compound = _is_compound("".join(odd), "".join(lacking), lexicon)
            agreement.known_word = any(_known(word, lexicon) for word in odd)
            agreement.wordlike = all(lexicon.wordlike(word) for word in odd)
    return agreement


def _unlike(read: Sequence[str], written: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that only one side has, each as often as the other lacks it."""
    odd, lacking = [], list(written)
    for word in read:
        if word in lacking:
            lacking.remove(word)
        else:
            odd.append(word)
    return odd, lacking


def _note_edit(agreement: Agreement, mine: str, its: str, lexicon: Lexicon) -> None:
    """Notes what tells a typo from another word."""
    if its in SMALL_WORDS:
        return
    if is_han(its):
        agreement.substitution = agreement.known_word = True
        return
    agreement.known_word = agreement.known_word or _known(mine, lexicon)
    agreement.compound = agreement.compound or _is_compound(mine, its, lexicon)
    agreement.edit_at_end = agreement.edit_at_end or _ends(mine, its)
    agreement.edit_at_start = agreement.edit_at_start or (mine[0] != its[0] and mine[:2] != its[1::-1])
    agreement.substitution = agreement.substitution or _substituted(mine, its)
    agreement.wordlike = agreement.wordlike or lexicon.wordlike(mine)


def _known(word: str, lexicon: Lexicon) -> bool:
    """Whether a word, or what it is the plural of, is a word of titles."""
    return len(word) > 3 and (lexicon.known(word) or (word[-1] == "s" and lexicon.known(word[:-1])))


def _is_compound(mine: str, its: str, lexicon: Lexicon) -> bool:
    """Whether a word is another compound, not a slip: "DungeonTop" beside "DungeonUp"."""
    for place in range(_LEAST_PART, len(mine) - 1):
        head, tail = mine[:place], mine[place:]
        other_tail = its.startswith(head) and its[place:] != tail
        other_head = len(tail) >= _LEAST_PART and its.endswith(tail) and its[: -len(tail)] != head
        if (other_tail or other_head) and lexicon.known(head) and lexicon.known(tail):
            return True
    return False


def _ends(first: str, second: str) -> bool:
    """Whether one word is the other with something at its end, as plurals and tenses are."""
    short, long = sorted((first, second), key=len)
    return long != short and long.startswith(short)


def _substituted(first: str, second: str) -> bool:
    if len(first) != len(second):
        return False
    places = [place for place in range(len(first)) if first[place] != second[place]]
    if len(places) == 2 and first[places[0]] == second[places[1]] and first[places[1]] == second[places[0]]:
        return False
    return any(first[place] + second[place] not in _NEIGHBOURS for place in places)


def _by_words(reading: Reading, name: Name, kind: Kind, lexicon: Lexicon) -> Agreement | None:
    read, form = reading.words, reading.key
    if not any(word in name.words and word not in _LIGHT for word in read):
        return None  # with all words mistyped, `_whole` would have found it
    written = [(word, place) for place, part in enumerate(name.parts) for word in part]
    open_places = list(range(len(written)))
    rest: list[tuple[int, str]] = []
    matched: list[tuple[int, int]] = []
    for position, word in enumerate(read):
        for slot, place in enumerate(open_places):
            if written[place][0] == word:
                matched.append((position, place))
                del open_places[slot]
                break
        else:
            rest.append((position, word))
    agreement = Agreement(kind, False, len(form), size_of(form), 0.0)
    extra: list[str] = []
    for number, (position, word) in enumerate(rest):
        pair = _partner(word, rest[number + 1][1] if number + 1 < len(rest) else "", written, open_places)
        if pair is None:
            extra.append(word)
            continue
        slots, cost = pair
        if cost:
            agreement.edits += cost
            _note_edit(agreement, word, written[open_places[slots[0]]][0], lexicon)
        for slot in sorted(slots, reverse=True):
            matched.append((position, open_places[slot]))
            del open_places[slot]
    telling = [place for _, place in sorted(matched) if written[place][0] not in _LIGHT]
    if not telling:
        return None
    touched = {written[place][1] for place in telling}
    lacking = [written[place][0] for place in open_places if written[place][1] in touched]
    agreement.information = sum(lexicon.information(written[place][0]) for place in telling)
    if odd_number(extra, lacking):
        return None
    numbered = any(map(is_number, read))
    agreement.numbered = numbered and len(read) > 1  # "300" counts no sequels
    agreement.extra = _cost(extra, lacking, numbered, lexicon)
    agreement.extra += sum(word in SETS for word in extra)  # "The Dark Tower Series" is not "The Dark Tower"
    agreement.missing = _cost(lacking, extra, numbered, lexicon)
    if "one" in lacking and name.words[0] == "one":  # "One Nation" is not the first "Nation"
        agreement.missing += _LEAST_COST
    if agreement.missing and len(touched) > 1 and _has_whole_part(name, open_places, written, lexicon):
        agreement.missing *= _FRANCHISE_SHARE
    if agreement.extra + agreement.missing > agreement.information:
        return None
    agreement.small_extra = sum(word in SMALL_WORDS and word not in ARTICLES for word in extra)
    agreement.small_missing = sum(word in SMALL_WORDS and word not in ARTICLES for word in lacking)
    if agreement.small_extra and agreement.small_missing:  # "The Man in the Moon" is not "Man on the Moon"
        agreement.extra += _SMALL_WORD_COST
    agreement.reordered = any(b < a for a, b in pairwise(telling))
    agreement.reordered_few = agreement.reordered and len(telling) < 3
    agreement.one_word = len(telling) == 1
    agreement.loose = not agreement.edits and not agreement.extra and not agreement.missing
    if len(touched) < len(name.parts):
        agreement.kind = _dropped_kind(touched, len(name.parts))
        dropped = [word for place, part in enumerate(name.parts) if place not in touched for word in part]
        agreement.dropped_words = len(dropped)
        agreement.dropped_article = agreement.kind is Kind.HEAD and dropped[0] in ARTICLES
        agreement.loose = False
    return agreement


def _has_whole_part(
    name: Name, open_places: Sequence[int], written: Sequence[tuple[str, int]], lexicon: Lexicon
) -> bool:
    """Whether one telling segment agrees in full, so that words lacking in another are its franchise's."""
    open_parts = {written[place][1] for place in open_places if written[place][0] not in SMALL_WORDS}
    return any(
        place not in open_parts and sum(lexicon.information(word) for word in part) > _ENOUGH
        for place, part in enumerate(name.parts)
    )


def _cost(found: Sequence[str], others: Sequence[str], numbered: bool, lexicon: Lexicon) -> float:
    """What words without a partner cost."""
    light = _LIGHT_IN_COUNTS if numbered or "one" in found else _LIGHT
    instead = any(word not in SMALL_WORDS and not (numbered and word in MARKERS) for word in others)
    return sum(
        max(lexicon.information(word), _LEAST_COST) if instead or word not in light else _LIGHT_COST
        for word in found
        if word not in SMALL_WORDS
    )


def odd_number(extra: Sequence[str], lacking: Sequence[str]) -> bool:
    """Whether a number tells two names apart; a first part may go without its "one"."""
    mine = [word for word in extra if is_number(word)]
    its = [word for word in lacking if is_number(word)]
    return bool(mine and its) or any(word != "one" for word in (*mine, *its))


def _dropped_kind(touched: set[int], parts: int) -> Kind:
    if 0 not in touched:
        return Kind.TAIL
    return Kind.HEAD if max(touched) < parts - 1 else Kind.SKIP


def _partner(
    word: str, following: str, written: Sequence[tuple[str, int]], open_places: Sequence[int]
) -> tuple[tuple[int, ...], int] | None:
    """The title's word or two words that a word stands for, and in how many letters they differ."""
    if is_number(word):
        return None
    for slot in range(len(open_places) - 1):
        if word == written[open_places[slot]][0] + written[open_places[slot + 1]][0]:
            return (slot, slot + 1), 0
    best: tuple[tuple[int, ...], int] | None = None
    for slot, place in enumerate(open_places):
        other = written[place][0]
        if following and word + following == other:
            return (slot,), 0
        limit = min(allowed_edits(max(len(word), len(other))), 2)
        if best is not None:
            limit = min(limit, best[1] - 1)
        if limit > 0 and min(len(word), len(other)) > 2:
            edits = OSA.distance(word, other, score_cutoff=limit)
            if edits <= limit:
                best = ((slot,), edits)
        if best is None and len(word) > 5 and abs(len(word) - len(other)) < 2 and sound(word) == sound(other):
            best = ((slot,), 2)
    return best


def sound(word: str) -> str:
    """The consonants of an English word by sound, doubles once: "cemetery" and "sematary" are both "smtr".

    A coarse cousin of Soundex (Russell 1918) that keeps all consonants and tells soft c from hard.
    """
    spelled = _SOFT.sub("s", word).translate(_SOUNDS)
    return _DOUBLE.sub(r"\1", spelled)
