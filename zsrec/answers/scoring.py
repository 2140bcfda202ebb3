"""The interpretable features of one (reading, item) pair, and the calibrated model that weighs them.

A feature is absent where it says nothing, so that the weights read as log-odds: "a dropped subtitle costs 5.7".
Features come in groups, one for each way in which a mention can differ from a title, because what matters differs:
a short name is no trouble where it is spelled out, and much where letters were changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from zsrec.answers.mention_readings import Cut
from zsrec.answers.title_forms import LOOSE, Kind
from zsrec.core.errors import DataError
from zsrec.data.titles import is_han

NAMES = (
    "bias",
    # the whole name
    "alternative", "loose", "loose_one_word", "respaced", "small_extra", "small_missing",
    "reordered", "reordered_few",
    # the title without its subtitle
    "head", "head_short", "head_words", "head_long", "head_article", "head_number", "head_shared", "head_year",
    "head_medium",
    # the title without what stands before its subtitle
    "tail", "tail_short", "tail_information", "tail_shared", "tail_year", "tail_other", "skip",
    "owned", "owned_one", "owned_year",
    # the first or last words of the title
    "edge", "suffix", "edge_information", "edge_words", "edge_open", "edge_year",
    # what the reading leaves out of the mention
    "cut_note", "cut_year", "cut_parenthesis", "cut_number",
    "cut_subtitle", "cut_subtitle_number", "cut_subtitle_year", "cut_subtitle_words", "cut_subtitle_long",
    "cut_prefix", "cut_prefix_information", "cut_prefix_year", "cut_franchise",
    "cut_franchise_more", "cut_twice",
    "cut_owner", "cut_owner_short", "cut_owner_one",
    "cut_edition", "cut_label", "cut_set", "cut_half", "cut_subtitle_rare",
    # what was left out, where it says something of the item; what of its labels the mention leaves out
    "creator_same", "creator_shorter", "creator_unlike", "creator_part", "creator_other",
    "label_same", "label_clash", "name_same", "half_other", "sequel_left",
    "label_missing", "note_missing", "series",
    # letters that differ
    "edited", "edits", "edit_share", "edit_short", "edit_one_word", "edit_at_end", "edit_at_start",
    "edit_substitution", "edit_wordlike", "edit_known_word", "edit_compound", "edit_reordered", "edit_year",
    # words without a partner
    "extra", "missing", "unpaired_year",
    # the year
    "year_same", "year_near", "year_far", "year_conflict", "year_conflict_long", "year_absent",
)  # fmt: skip
"""All features."""

Features = dict[str, float]
"""Features by name; those that are not in it are 0."""

_CUTS = {
    Cut.NOTE: "cut_note",
    Cut.YEAR: "cut_year",
    Cut.PARENTHESIS: "cut_parenthesis",
    Cut.NUMBER: "cut_number",
    Cut.EDITION: "cut_edition",
    Cut.LABEL: "cut_label",
    Cut.SET: "cut_set",
    Cut.HALF: "cut_half",
}
_FULL_INFORMATION = 4.0
_SHORT = 12.0
_LONG_TITLE = 0.3
_MANY_WORDS = 6


@dataclass(slots=True)
class Agreement:
    """How the words of a reading agree with one form of an item."""

    kind: Kind  # the form's kind, without `LOOSE`
    loose: bool  # only the content words agree
    length: int  # letters of the reading's key
    size: int  # the same, where a Han character counts as three
    information: float  # sum of the information of the words that agree
    one_word: bool = False  # a single content word agrees
    numbered: bool = False  # the reading has a number
    respaced: bool = False  # the spaces stand elsewhere ("Oldboy", "Old Boy")
    small_extra: int = 0  # small words that only the reading has
    small_missing: int = 0  # small words that only the title has
    reordered: bool = False  # the words stand in another order
    reordered_few: bool = False  # the same, of two words that tell
    shared: bool = False  # other items have the same head or tail
    dropped_words: int = 0  # words of the title that were dropped with a part of it
    # The dropped subtitle starts with an article: "Ghost Dog: The Way of the Samurai" describes its title,
    # "Stargate: Continuum" names another one.
    dropped_article: bool = False
    # The reading cut off another item's name, or the start of one, and kept a single word: "Alien: Covenant" is
    # no "Covenant" in a catalog that has "Alien".
    franchise: bool = False
    franchise_more: bool = False  # the same, where several telling words were kept
    other_head: float = 0.0  # share of what the reading cut off in front that is not in the title, of a tail
    edits: int = 0  # letters that differ inside words that correspond
    edit_at_end: bool = False  # one word is the other with something at its end (plural, tense)
    edit_at_start: bool = False  # a first letter differs
    substitution: bool = False  # a letter stands for another one that is no neighbour on the keyboard
    wordlike: bool = False  # a word taken for a typo is made of common letter sequences only
    compound: bool = False  # a word taken for a typo is a compound with another known word
    known_word: bool = False  # a word taken for a typo is a word of the catalog
    opened: bool = False  # the title goes on with a telling word where the reading ends
    dropped_medium: bool = False  # the dropped subtitle only names a medium ("The Graphic Novel")
    cut_words: int = 0  # words of the subtitle that was cut off
    owner_one: bool = False  # the owner that was cut off is one word
    labelled: bool = False  # the labels of the title agree as well
    extra: float = 0.0  # information of the reading's words that the title lacks
    missing: float = 0.0  # information of the title's words that the reading lacks, dropped parts aside

    @property
    def literal(self) -> bool:
        """Whether a whole name is spelled word by word."""
        unlike = self.loose or self.respaced or self.edits or self.extra or self.missing
        return self.kind <= Kind.ALTERNATIVE and not unlike


def exact_agreement(kind: int, form: str, information: float) -> Agreement:
    """The agreement of a reading whose key is the form's key."""
    of = Kind(kind % LOOSE)
    whole = of is Kind.WHOLE
    agreement = Agreement(Kind.FULL if whole else of, kind >= LOOSE, len(form), size_of(form), information)
    agreement.labelled = whole
    return agreement


def size_of(form: str) -> int:
    """The letters of a key, where a Han character says as much as three."""
    return len(form) if form.isascii() else len(form) + 2 * sum(map(is_han, form))


def features(how: Agreement, cut: int, named: int | None, actual: int | None, *, dated: bool = False) -> Features:
    """The features of a pair."""
    gap = None if named is None or actual is None else abs(named - actual)
    same = float(gap == 0)
    found: Features = {"bias": 1.0, **_name(how, same)}
    if cut:
        found |= _cut(how, cut, same)
    if how.edits:
        found |= _edit(how, same)
    if how.extra or how.missing:
        found |= {"extra": how.extra, "missing": how.missing, "unpaired_year": same}
    if gap is not None:
        found |= _year(gap, how)
    elif named is not None and dated:
        found["year_absent"] = 1.0
    return found


def _name(how: Agreement, same: float) -> Features:
    found: Features = {}
    if how.kind is Kind.ALTERNATIVE:
        found["alternative"] = 1.0
    if how.loose or how.respaced or how.small_extra or how.small_missing or how.reordered:
        found |= {
            "loose": float(how.loose),
            "loose_one_word": float(how.loose and how.one_word),
            "respaced": float(how.respaced),
            "small_extra": float(how.small_extra),
            "small_missing": float(how.small_missing),
            "reordered": float(how.reordered),
            "reordered_few": float(how.reordered_few),
        }
    information = min(how.information / _FULL_INFORMATION, 1.0)
    if how.kind is Kind.HEAD:
        found |= {
            "head": 1.0,
            "head_short": _shortness(how),
            "head_words": min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS,
            "head_long": min(max(how.dropped_words - _MANY_WORDS, 0) / _MANY_WORDS, 1.0),
            "head_article": float(how.dropped_article),
            "head_number": float(how.numbered and how.dropped_words <= _MANY_WORDS),
            "head_shared": float(how.shared),
            "head_year": same,
            "head_medium": float(how.dropped_medium),
        }
    elif how.kind in (Kind.TAIL, Kind.SKIP):
        found |= {
            "tail": 1.0,
            "tail_short": _shortness(how),
            "tail_information": information,
            "tail_shared": float(how.shared),
            "tail_year": same,
            "tail_other": how.other_head,
            "skip": float(how.kind is Kind.SKIP),
        }
    elif how.kind is Kind.SERIES:
        found["series"] = 1.0
    elif how.kind is Kind.OWNED:
        found |= {"owned": 1.0, "owned_one": float(how.one_word), "owned_year": same}
    elif how.kind in (Kind.PREFIX, Kind.SUFFIX):
        found |= {
            "edge": 1.0,
            "suffix": float(how.kind is Kind.SUFFIX),
            "edge_information": information,
            "edge_words": min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS,
            "edge_open": float(how.opened),
            "edge_year": same,
        }
    return found


def _cut(how: Agreement, cut: int, same: float) -> Features:
    found = {name: 1.0 for flag, name in _CUTS.items() if cut & flag}
    if cut & Cut.SUBTITLE:
        found |= {
            "cut_subtitle": 1.0,
            "cut_subtitle_number": float(how.numbered),
            "cut_subtitle_year": same,
            "cut_subtitle_words": min(how.cut_words, _MANY_WORDS) / _MANY_WORDS,
            "cut_subtitle_long": min(max(how.cut_words - _MANY_WORDS, 0) / _MANY_WORDS, 1.0),
        }
    if cut & Cut.PREFIX:
        found |= {
            "cut_prefix": 1.0,
            "cut_prefix_information": min(max(how.information - 1.0, 0.0) / 3.0, 1.0),
            "cut_prefix_year": same,
            "cut_franchise": float(how.franchise),
            "cut_franchise_more": float(how.franchise_more),
            "cut_twice": float(bool(cut & (Cut.SUBTITLE | Cut.PARENTHESIS))),
        }
    if cut & Cut.OWNER:
        found |= {"cut_owner": 1.0, "cut_owner_short": _shortness(how), "cut_owner_one": float(how.owner_one)}
    return found


def _edit(how: Agreement, same: float) -> Features:
    return {
        "edited": 1.0,
        "edits": float(how.edits - 1),
        "edit_share": how.edits / how.length,
        "edit_short": _shortness(how),
        "edit_one_word": float(how.one_word),
        "edit_at_end": float(how.edit_at_end),
        "edit_at_start": float(how.edit_at_start),
        "edit_substitution": float(how.substitution),
        "edit_wordlike": float(how.wordlike),
        "edit_known_word": how.known_word * _rarity_of_slips(how),
        "edit_compound": float(how.compound),
        "edit_reordered": float(how.reordered),
        "edit_year": same,
    }


def _rarity_of_slips(how: Agreement) -> float:
    """How far another word is another title: less in a long one, where all else agrees."""
    return min(1.0, max(_LONG_TITLE, 1.0 - (how.information - _FULL_INFORMATION / 2) / 8.0))


def _year(gap: int, how: Agreement) -> Features:
    if gap > 3:
        return {"year_conflict": 1.0, "year_conflict_long": min(1.0, max(0.0, (how.information - 1.5) / 2.0))}
    return {"year_same" if gap == 0 else "year_near" if gap == 1 else "year_far": 1.0}


def _shortness(how: Agreement) -> float:
    return max(0.0, 1.0 - how.size / _SHORT)


_FILE = "calibration.json"
MEANING = (-9.5, 8.8, 8.1)
"""The semantic stage's bias, and its weights of cosine and margin, with all-MiniLM-L6-v2 (docs/grounding.md)."""


@dataclass(frozen=True)
class Calibration:
    """The weights of the model."""

    weights: Mapping[str, float]
    threshold: float = 0.435
    meaning: tuple[float, float, float] = MEANING

    def log_odds(self, found: Features) -> float:
        """The log-odds that the pair is right, rivals aside."""
        weights = self.weights
        return float(sum([weights[name] * value for name, value in found.items()]))

    def by_meaning(self, cosine: float, margin: float) -> float:
        """The probability that the item nearest in meaning is right."""
        bias, of_cosine, of_margin = self.meaning
        return 1.0 / (1.0 + math.exp(-(bias + of_cosine * cosine + of_margin * min(margin, 1.0))))

    @classmethod
    def default(cls) -> Self:
        """The weights fitted on the development data (docs/grounding.md)."""
        return cls._read(json.loads(resources.files("zsrec.answers").joinpath(_FILE).read_text("utf-8")))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads weights from a JSON file that `save` wrote."""
        try:
            return cls._read(json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"no grounding calibration: {error!r}", path=path, hint="write one with `Calibration.save`"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the weights to a JSON file, by name."""
        raw = {"threshold": self.threshold, "meaning": self.meaning, "weights": dict(self.weights)}
        Path(path).write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def _read(cls, raw: Mapping[str, Any]) -> Self:
        bias, of_cosine, of_margin = map(float, raw.get("meaning", MEANING))
        weights = {name: float(raw["weights"][name]) for name in NAMES}
        return cls(weights, float(raw["threshold"]), (bias, of_cosine, of_margin))
