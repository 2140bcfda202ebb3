"""Gathering evidence: every item a mention may mean, with the best reading and form for each.

The cascade: exact forms of the readings first; only where none of them is convincing, names that look alike
(`blocking`), compared word by word (`compare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from zsrec.answers.scoring import Agreement, Calibration, exact_agreement, vector
from zsrec.answers.title_compare import compare
from zsrec.answers.title_forms import (
    MAX_LENGTH,
    Cut,
    Kind,
    Reading,
    is_note_word,
    loose_form,
    readings,
    verbatim_form,
)
from zsrec.answers.title_index import TitleIndex
from zsrec.data.titles import ARTICLES, MARKERS, SMALL_WORDS, is_number, key, without_article

_CONVINCING = 2.9
"""Log-odds of an exact form after which no shorter reading is tried."""
_GOOD_ENOUGH = 1.0
"""Log-odds of an exact form after which no similar names are looked for."""
_SHORTLIST = 12
_BUDGET = 20_000
_FUZZY_READINGS = 2
_MOST_EXACT = 60


@dataclass(slots=True)
class Evidence:
    """What speaks for one item.

    Attributes:
        item: The item's place in the catalog.
        log_odds: Of being right, rivals aside.
        method: How it was found.
        features: The vector behind `log_odds`.
        reading: The reading it was found with.
        agreement: How the words agree.
    """

    item: int
    log_odds: float
    method: Literal["exact", "fuzzy", "semantic"]
    features: list[float] = field(repr=False)
    reading: Reading
    agreement: Agreement

    @property
    def literal(self) -> bool:
        """Whether the mention spells one of the item's names word by word."""
        how = self.agreement
        return self.method == "exact" and how.kind <= Kind.ALTERNATIVE and not how.loose and not how.respaced


def gather(mention: str, index: TitleIndex, calibration: Calibration) -> dict[int, Evidence]:
    """The evidence for each item that a mention may mean.

    Args:
        mention: As the model wrote it.
        index: Of the catalog's titles.
        calibration: Weighs the features.

    Returns:
        The best evidence by item.
    """
    found: dict[int, Evidence] = {}
    read = list(readings(mention))
    if read and (verbatim := index.find(verbatim_form(mention[:MAX_LENGTH]))):
        for item, kind in verbatim:
            whole = Reading(read[0].parts, index.year(item), Cut.NOTHING)
            agreement = exact_agreement(kind, len(key(whole.words)), float(len(whole.words)))
            _add(item, "exact", whole, agreement, index, calibration, found)
        return found
    for reading in read:
        _exact(reading, index, calibration, found)
        if found and reading.cut <= Cut.NOTE and max(e.log_odds for e in found.values()) > _CONVINCING:
            return found
    if not found or max(e.log_odds for e in found.values()) <= _GOOD_ENOUGH:
        for reading in _worth_fuzzy(read):
            _fuzzy(reading, index, calibration, found)
    return found


def _worth_fuzzy(read: Sequence[Reading]) -> list[Reading]:
    """The readings to compare letter by letter: without notes, the shorter ones first."""
    plain = [r for r in read if not r.cut & (Cut.SUBTITLE | Cut.PREFIX | Cut.OWNER)]
    other = [r for r in read if r.cut & (Cut.OWNER | Cut.PREFIX)]
    return (list(reversed(plain[-2:])) + other)[:_FUZZY_READINGS]


def _exact(reading: Reading, index: TitleIndex, calibration: Calibration, found: dict[int, Evidence]) -> None:
    read = reading.words
    strict = key(read)
    hits = index.find(strict)
    loose = index.find(loose_form(read))
    if not hits and not loose:
        return
    information = sum(index.information(word) for word in read if word not in SMALL_WORDS)
    agreement: Agreement | None
    strictly = {found.item for found in hits}
    for item, kind in hits[:_MOST_EXACT]:
        agreement = exact_agreement(kind, len(strict), information)
        agreement.numbered = any(map(is_number, read)) and len(read) > 1
        if kind >= Kind.HEAD:
            _measure_dropped(agreement, item, read, index)
            agreement.shared = sum(other.kind == kind for other in hits) > 1
        elif len(hits) > 1:
            plain = without_article(read)
            agreement.respaced = all(without_article(name.words) != plain for name in index.names(item))
        _add(item, "exact", reading, agreement, index, calibration, found)
    for item, _ in loose[:_MOST_EXACT]:
        if item not in strictly:
            for name in index.names(item):
                agreement = compare(read, name, index)
                if agreement is not None:
                    _add(
                        item,
                        "exact" if agreement.loose else "fuzzy",
                        reading,
                        agreement,
                        index,
                        calibration,
                        found,
                    )


def _measure_dropped(agreement: Agreement, item: int, read: Sequence[str], index: TitleIndex) -> None:
    """How much of the title a head or tail leaves out, and what that looks like."""
    agreement.dropped_words = 1
    if agreement.kind is Kind.OWNED:
        return
    for name in index.names(item):
        if len(name.parts) > 1 and len(name.words) > len(read):
            agreement.dropped_words = len(name.words) - len(read)
            agreement.dropped_article = agreement.kind is Kind.HEAD and name.parts[1][0] in ARTICLES
            if all(word in MARKERS or word == "one" for word in name.parts[-1]):
                agreement.numbered = True  # "Infinity War" is the first part as well as "Infinity War - Part I" is
            return


def _fuzzy(reading: Reading, index: TitleIndex, calibration: Calibration, found: dict[int, Evidence]) -> None:
    read = reading.words
    for item, name, _ in index.shortlist(key(read), size=_SHORTLIST, budget=_BUDGET):
        agreement = compare(read, name, index)
        if agreement is not None:
            _add(item, "fuzzy", reading, agreement, index, calibration, found)


def _add(
    item: int,
    method: Literal["exact", "fuzzy"],
    reading: Reading,
    agreement: Agreement,
    index: TitleIndex,
    calibration: Calibration,
    found: dict[int, Evidence],
) -> None:
    if agreement.kind is Kind.TAIL and all(word in MARKERS or is_number(word) for word in reading.words):
        return  # "Chapter 2" alone names no film, even where the catalog has one such tail only
    agreement.franchise = False
    if reading.prefix:
        if sum(word not in SMALL_WORDS for word in reading.words) > 1:
            if _mixture(reading, item, index):
                return
        else:
            agreement.franchise = _franchise(reading, item, index)
    features = vector(agreement, reading.cut, reading.year, index.year(item), dated=index.dated)
    log_odds = calibration.log_odds(features)
    known = found.get(item)
    if known is None or log_odds > known.log_odds:
        found[item] = Evidence(item, log_odds, method, features, reading, agreement)


def _franchise(reading: Reading, item: int, index: TitleIndex) -> bool:
    """Whether a reading left out another item's name; of those that kept a single telling word."""
    return any(
        other.item != item and other.kind in (Kind.FULL, Kind.ALTERNATIVE, Kind.HEAD)
        for other in index.find(key(reading.prefix))
    )


def _mixture(reading: Reading, item: int, index: TitleIndex) -> bool:
    """Whether a reading of several telling words left out all of another item's title that heads no series.

    "The Matrix: The Last Stand" is neither film; "Batman: The Dark Knight" is one, since "Batman: Mask of the
    Phantasm" shows that "Batman" stands before others. The item's own year or a word of the other title in its
    name speak for it; the name of a genre is a label ("Heist: …").
    """
    if all(map(is_note_word, reading.prefix)):
        return False
    if reading.year is not None and reading.year == index.year(item):
        return False
    others = index.find(key(reading.prefix))
    if any(other.item == item or other.kind == Kind.HEAD for other in others):
        return False
    told = {word for word in reading.prefix if word not in SMALL_WORDS}
    if any(told.intersection(name.words) for name in index.names(item)):
        return False
    return any(other.kind in (Kind.FULL, Kind.ALTERNATIVE) for other in others)
