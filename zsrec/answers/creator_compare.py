"""Comparing the name of a creator in a mention with an item's creators."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import OSA

from zsrec.answers.title_labels import split_creators
from zsrec.data.title_words import SMALL_WORDS
from zsrec.data.titles import is_han, key, words

_PART, _TYPO = 0.6, 0.8
_LEAST_CUT = 5
_LEAST_TYPED = 6
_LONG_NAME = 12


def creator_agreement(text: str, creators: Sequence[str]) -> float:
    """How well a text names one of the creators, in [0, 1]: 1 for a full name, less for a first or last name."""
    asked = [_telling(part) for part in (text, *split_creators(text))]
    known = [_telling(part) for name in creators for part in (name, *split_creators(name))]
    return max((_agreement(one, other) for one in asked for other in known if one and other), default=0.0)


def _telling(name: str) -> tuple[str, ...]:
    spelled = words(name)
    return tuple(word for word in spelled if word not in SMALL_WORDS) or spelled


def _agreement(asked: tuple[str, ...], known: tuple[str, ...]) -> float:
    mine, its = key(asked), key(known)
    if mine == its:
        return 1.0
    if is_han(asked[0]) or is_han(known[0]):
        return _PART if min(len(mine), len(its)) > 1 and (mine in its or its in mine) else 0.0
    short, long = sorted((asked, known), key=len)
    if len(short) > 1 and set(short) <= set(long) and len(asked) <= len(known) + 1:
        return 1.0
    if len(asked) > 1 and asked[-1] == known[-1] and len(asked[-1]) > 2 and asked[0][0] == known[0][0]:
        return 1.0
    if len(mine) >= _LEAST_CUT and its.startswith(mine) and asked[0] == known[0]:  # cut off
        return _TYPO
    if len(asked) == 1 and asked[0] in (known[0], known[-1]) and len(asked[0]) > 2:
        return _PART
    edits = 2 if len(its) > _LONG_NAME else 1
    typed = min(len(mine), len(its)) >= _LEAST_TYPED and OSA.distance(mine, its, score_cutoff=edits) <= edits
    return _TYPO if typed else 0.0
