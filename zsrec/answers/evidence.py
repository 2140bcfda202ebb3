"""Gathering evidence: every item a mention may mean, with the best reading and form for each.

Exact forms of the readings come first; only where none of them is convincing are names that look alike
(`title_index`) compared word by word (`title_compare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from zsrec.answers.creator_compare import creator_agreement
from zsrec.answers.mention_readings import MAX_LENGTH, Cut, Piece, Reading, readings
from zsrec.answers.scoring import Agreement, Calibration, Features, exact_agreement, features
from zsrec.answers.title_compare import compare
from zsrec.answers.title_forms import Kind
from zsrec.answers.title_index import Entry, Found, TitleIndex
from zsrec.answers.title_labels import label_agreement
from zsrec.data.title_words import ARTICLES, MARKERS, MEDIA, NOTES, SMALL_WORDS
from zsrec.data.titles import is_number, key, loose_key, verbatim_key, without_article

_CONVINCING = 2.9
"""Log-odds of an exact form after which no shorter reading is tried."""
_GOOD_ENOUGH = 1.0
"""Log-odds of an exact form after which no similar names are looked for."""
_SHORTLIST = 12
_BUDGET = 20_000
_FUZZY_READINGS = 2
_MOST_EXACT = 60
_MEDIUM_WORDS = frozenset(word for words in MEDIA for word in words.split()) | SMALL_WORDS
_HARMLESS = Cut.NOTE | Cut.LABEL | Cut.OWNER


@dataclass(slots=True)
class Evidence:
    """What speaks for one item (its place in the catalog), and the features behind the log-odds, rivals aside."""

    item: int
    log_odds: float
    method: Literal["exact", "fuzzy"]
    features: Features = field(repr=False)
    reading: Reading
    agreement: Agreement

    @property
    def literal(self) -> bool:
        """Whether the mention spells one of the item's names word by word."""
        whole = self.method == "exact" and self.agreement.literal
        return whole and not self.features.get("label_missing") and not self.features.get("note_missing")


def gather(mention: str, index: TitleIndex, calibration: Calibration) -> list[Evidence]:
    """The best evidence for each item that a mention may mean, best first."""
    gathering = _Gathering(index, calibration)
    gathering.read(mention)
    return sorted(gathering.found.values(), key=lambda e: (-e.log_odds, e.item))


class _Gathering:
    """The evidence for one mention while it is gathered, by item."""

    def __init__(self, index: TitleIndex, calibration: Calibration) -> None:
        self._index, self._calibration = index, calibration
        self._entries: dict[int, Entry] = {}
        self.found: dict[int, Evidence] = {}

    def read(self, mention: str) -> None:
        rest = readings(mention, self._index)
        first = next(rest, None)
        if first is None:
            return
        if whole := self._index.find(verbatim_key(mention[:MAX_LENGTH])):
            self._verbatim(whole, self._index.find(first.key), first)
            return
        read: list[Reading] = []
        for reading in chain((first,), rest):
            read.append(reading)
            self._exact(reading)
            if reading.cut & ~_HARMLESS == Cut.NOTHING and self._best() > _CONVINCING:
                return
            if not reading.cut and any(
                e.agreement.literal and e.log_odds > _GOOD_ENOUGH for e in self.found.values()
            ):
                return  # "Jurassic Park - The Game" is a title, so "The Game" is no note
        if self._best() <= _GOOD_ENOUGH:
            for reading in _worth_fuzzy(read):
                for item, name, _ in self._index.shortlist(reading.key, size=_SHORTLIST, budget=_BUDGET):
                    similar = compare(reading, name, self._index)
                    if similar is not None:
                        self._add(item, "fuzzy", reading, similar)

    def _best(self) -> float:
        return max((e.log_odds for e in self.found.values()), default=float("-inf"))

    def _verbatim(self, whole: Sequence[Found], named: Sequence[Found], first: Reading) -> None:
        """A mention that is all of a catalog title: the straight way, without any further reading.

        `named` are the items that its first reading names.
        """
        information = float(len(first.words))
        for item, kind in whole:
            entry = self._entry(item)
            agreement = exact_agreement(kind, first.key, information)
            agreement.labelled = any(label.kind != "s" for label in entry.labels)
            self._add(item, "exact", Reading(first.words, first.key, entry.year, Cut.NOTHING), agreement)
        for item, kind in named:
            labels = self._entry(item).labels if kind == Kind.FULL else ()
            if labels and all(label.kind == "s" for label in labels):  # "The Snowman (Harry Hole, #7)" is one
                self._add(item, "exact", first, exact_agreement(kind, first.key, information))

    def _exact(self, reading: Reading) -> None:
        index, read, strict = self._index, reading.words, reading.key
        hits, loose = index.find(strict), index.find(loose_key(read))
        if not hits and not loose:
            return
        information = sum(index.information(word) for word in read if word not in SMALL_WORDS)
        for item, kind in hits[:_MOST_EXACT]:
            agreement = exact_agreement(kind, strict, information)
            agreement.numbered = any(map(is_number, read)) and len(read) > 1
            if kind >= Kind.HEAD:
                _measure_dropped(agreement, item, read, index)
                agreement.shared = sum(other.kind == kind for other in hits) > 1
            elif len(hits) > 1:
                plain = without_article(read)
                agreement.respaced = all(without_article(name.words) != plain for name in index.names(item))
            self._add(item, "exact", reading, agreement)
        strictly = {found.item for found in hits}
        for item in [item for item, _ in loose[:_MOST_EXACT] if item not in strictly]:
            for name in index.names(item):
                similar = compare(reading, name, index)
                if similar is not None:
                    self._add(item, "exact" if similar.loose else "fuzzy", reading, similar)

    def _add(self, item: int, method: Literal["exact", "fuzzy"], reading: Reading, agreement: Agreement) -> None:
        if agreement.kind is Kind.TAIL and all(word in MARKERS or is_number(word) for word in reading.words):
            return  # "Chapter 2" alone names no film, even where the catalog has one such tail only
        cut, beside = self._beside(item, reading, agreement)
        if agreement.kind is Kind.OWNED:
            agreement.one_word = _is_bare_word(reading.words, item, self._index)
        if cut & Cut.PREFIX:
            if agreement.kind in (Kind.TAIL, Kind.SKIP):
                agreement.other_head = _other_share(reading.prefix, item, self._index)
            if sum(word not in SMALL_WORDS for word in reading.words) == 1:
                agreement.franchise = _is_franchise(reading, item, self._index)
            elif _is_mixture(reading, item, self._entry(item).year, self._index):
                return
            else:
                agreement.franchise_more = _is_franchise(reading, item, self._index)
        found = features(agreement, cut, reading.year, self._entry(item).year, dated=self._index.dated) | beside
        if beside.get("creator_unlike"):  # "Dorian Grey" by Oscar Wilde is a slip
            found.pop("edit_known_word", None)
        if agreement.kind in _ENDS and not agreement.numbered and _has_sequel(reading, item, self._index):
            found["sequel_left"] = 1.0
        log_odds = self._calibration.log_odds(found)
        known = self.found.get(item)
        if known is None or log_odds > known.log_odds:
            self.found[item] = Evidence(item, log_odds, method, found, reading, agreement)

    def _entry(self, item: int) -> Entry:
        entry = self._entries.get(item)
        if entry is None:
            entry = self._entries[item] = self._index.entry(item)
        return entry

    def _beside(self, item: int, reading: Reading, agreement: Agreement) -> tuple[int, Features]:
        """What a reading left out without an explanation, and what its pieces say of the item."""
        entry = self._entry(item)
        found: Features = {}
        cut = reading.cut
        for piece in reading.pieces:
            said = self._said(piece, item, entry)
            found |= said
            if said:
                cut &= ~piece.cut
            elif piece.cut == Cut.OWNER:
                agreement.owner_one = len(piece.words) == 1
            elif piece.cut == Cut.SUBTITLE:
                agreement.cut_words = len(piece.words)
        if agreement.kind is Kind.SERIES:  # all items of a series have the same creator
            return cut, {}
        if found.get("creator_same") and not agreement.literal:
            name = "creator_unlike" if agreement.kind <= Kind.ALTERNATIVE else "creator_shorter"
            found[name] = found.pop("creator_same")
        if cut & Cut.SET and any(label.set for label in entry.labels):
            cut &= ~Cut.SET
        if entry.labels and not agreement.labelled and "label_same" not in found:
            kinds = {label.kind for label in entry.labels}
            found |= {name: 1.0 for kind, name in _MISSING.items() if kind in kinds}
        if cut & Cut.SUBTITLE and not self._index.conventions.subtitled:
            found["cut_subtitle_rare"] = 1.0
        return cut, found

    def _said(self, piece: Piece, item: int, entry: Entry) -> Features:
        """What a piece says of an item as its creator, a label or another name of it; empty where it is none."""
        if not piece.words:
            return {}
        names_title = " by " in piece.text and piece.cut != Cut.OWNER  # "The Hunger Games: Mockingjay by …"
        if entry.creators and not names_title:
            share = creator_agreement(piece.text, entry.creators)
            if share:
                return {"creator_same": 1.0} if share == 1.0 else {"creator_part": share}
            if piece.cut == Cut.OWNER or self._index.is_creator(piece.text):
                return {"creator_other": 1.0}
        if entry.labels:
            same = label_agreement(piece.words, entry.labels)
            if same is not None:
                return {"label_same": 1.0} if same else {"label_clash": 1.0}
        if piece.cut & (Cut.PARENTHESIS | Cut.LABEL | Cut.HALF | Cut.SUBTITLE | Cut.PREFIX):
            begins = piece.cut & (Cut.PARENTHESIS | Cut.LABEL) and len(piece.words) > 1  # perhaps cut off
            for name in self._index.names(item):
                if name.words == piece.words or (
                    begins and name.alternative and name.words[: len(piece.words)] == piece.words
                ):
                    return {"name_same": 1.0}
            if piece.cut == Cut.HALF and len(self._index.names(item)) > 1:
                return {"half_other": 1.0}
        return {}


_ENDS = (Kind.TAIL, Kind.OWNED, Kind.SUFFIX)
_MISSING = {"l": "label_missing", "n": "note_missing"}


def _worth_fuzzy(read: Sequence[Reading]) -> list[Reading]:
    """The readings to compare letter by letter: without notes, the shorter ones first."""
    plain = [r for r in read if not r.cut & (Cut.SUBTITLE | Cut.PREFIX | Cut.OWNER)]
    other = [r for r in read if r.cut & (Cut.OWNER | Cut.PREFIX)]
    whole = [r for r in plain if not r.cut & (Cut.NUMBER | Cut.EDITION | Cut.SET)]
    longest = max(whole, key=lambda r: len(r.pieces), default=None)  # without labels, but with its edition
    first = [r for r in plain[-2:][::-1] if r is not longest]
    return ([longest] if longest else []) + (first + other)[: _FUZZY_READINGS - 1]


def _measure_dropped(agreement: Agreement, item: int, read: Sequence[str], index: TitleIndex) -> None:
    """Notes how much of the title a head or tail leaves out, and what that looks like."""
    agreement.dropped_words = 1
    if agreement.kind is Kind.OWNED:
        return
    for name in index.names(item):
        if len(name.parts) > 1 and len(name.words) > len(read):
            agreement.dropped_words = len(name.words) - len(read)
            agreement.dropped_medium = all(word in _MEDIUM_WORDS for part in name.parts[1:] for word in part)
            agreement.dropped_article = agreement.kind is Kind.HEAD and name.parts[1][0] in ARTICLES
            if all(word in MARKERS or word == "one" for word in name.parts[-1]):
                agreement.numbered = True  # "Infinity War" is the first part as well as "Infinity War - Part I" is
            return


def _other_share(prefix: Sequence[str], item: int, index: TitleIndex) -> float:
    """What share of the words in front of a tail, by information, no name of the item has."""
    told = {word: index.information(word) for word in prefix if word not in SMALL_WORDS}
    named = {word for name in index.names(item) for word in name.words}
    return sum(told[word] for word in told.keys() - named) / (sum(told.values()) or 1.0)


def _is_bare_word(read: Sequence[str], item: int, index: TitleIndex) -> bool:
    """Whether one telling word is left of a name without its owner, and no article before it ("… The Butler")."""
    if sum(word not in SMALL_WORDS for word in read) > 1:
        return False
    names = (name.words for name in index.names(item))
    return not any(name[-1] == read[-1] and name[-2:-1] and name[-2] in ARTICLES for name in names)


def _has_sequel(reading: Reading, item: int, index: TitleIndex) -> bool:
    """Whether the second part of what was read is another item: then the first part is no tail of this one."""
    return any(
        other.item != item and other.kind in (Kind.FULL, Kind.ALTERNATIVE, Kind.HEAD)
        for second in ("two", "parttwo", "voltwo")
        for other in index.find(reading.key + second)
    )


def _is_franchise(reading: Reading, item: int, index: TitleIndex) -> bool:
    """Whether a reading left out another item's name; of those that kept a single telling word."""
    return any(
        other.item != item and other.kind in (Kind.FULL, Kind.ALTERNATIVE, Kind.HEAD)
        for other in index.find(key(reading.prefix))
    )


def _is_mixture(reading: Reading, item: int, year: int | None, index: TitleIndex) -> bool:
    """Whether a reading of several telling words left out all of another item's title that heads no series."""
    if NOTES.issuperset(reading.prefix):
        return False
    if reading.year is not None and reading.year == year:
        return False
    others = index.find(key(reading.prefix))
    if any(other.item == item or other.kind == Kind.HEAD for other in others):
        return False
    telling = {word for word in reading.prefix if word not in SMALL_WORDS}
    if any(telling.intersection(name.words) for name in index.names(item)):
        return False
    return any(other.kind in (Kind.FULL, Kind.ALTERNATIVE) for other in others)
