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

from zsrec.answers.title_forms import LOOSE, Cut, Kind
from zsrec.core.errors import DataError

NAMES = (
    "bias",
    # the whole name
    "alternative", "loose", "loose_one_word", "respaced", "small_extra", "small_missing", "reordered",
    # the title without its subtitle
    "head", "head_short", "head_words", "head_long", "head_article", "head_number", "head_shared", "head_year",
    # the title without what stands before its subtitle
    "tail", "tail_short", "tail_information", "tail_shared", "tail_year", "skip", "owned", "owned_year",
    # the first or last words of the title
    "edge", "suffix", "edge_information", "edge_words", "edge_year",
    # what the reading leaves out of the mention
    "cut_note", "cut_year", "cut_parenthesis", "cut_number",
    "cut_subtitle", "cut_subtitle_number", "cut_subtitle_year",
    "cut_prefix", "cut_prefix_information", "cut_prefix_year", "cut_franchise",
    "cut_owner", "cut_owner_short",
    # letters that differ
    "edited", "edits", "edit_share", "edit_short", "edit_one_word", "edit_at_end", "edit_at_start",
    "edit_substitution", "edit_wordlike", "edit_known_word", "edit_reordered", "edit_year",
    # words without a partner
    "extra", "missing", "unpaired_year",
    # the year
    "year_same", "year_near", "year_far", "year_conflict", "year_conflict_long", "year_absent",
)  # fmt: skip
"""All features."""

Features = dict[str, float]
"""Features by name; those that are not in it are 0."""

_CUTS = {Cut.NOTE: "cut_note", Cut.YEAR: "cut_year", Cut.PARENTHESIS: "cut_parenthesis", Cut.NUMBER: "cut_number"}
_FULL_INFORMATION = 4.0
_SHORT = 12.0
_MANY_WORDS = 6


@dataclass(slots=True)
class Agreement:
    """How the words of a reading agree with one form of an item."""

    kind: Kind  # the form's kind, without `LOOSE`
    loose: bool  # only the content words agree
    length: int  # letters of the reading's key
    information: float  # sum of the information of the words that agree
    one_word: bool = False  # a single content word agrees
    numbered: bool = False  # the reading has a number
    respaced: bool = False  # the spaces stand elsewhere ("Oldboy", "Old Boy")
    small_extra: int = 0  # small words that only the reading has
    small_missing: int = 0  # small words that only the title has
    reordered: bool = False  # the words stand in another order
    shared: bool = False  # other items have the same head or tail
    dropped_words: int = 0  # words of the title that were dropped with a part of it
    # The dropped subtitle starts with an article: "Ghost Dog: The Way of the Samurai" describes its title,
    # "Stargate: Continuum" names another one.
    dropped_article: bool = False
    # The reading cut off another item's name, or the start of one, and kept a single word: "Alien: Covenant" is
    # no "Covenant" in a catalog that has "Alien".
    franchise: bool = False
    edits: int = 0  # letters that differ inside words that correspond
    edit_at_end: bool = False  # one word is the other with something at its end (plural, tense)
    edit_at_start: bool = False  # a first letter differs
    substitution: bool = False  # a letter stands for another one that is no neighbour on the keyboard
    wordlike: bool = False  # a word taken for a typo is made of common letter sequences only
    known_word: bool = False  # a word taken for a typo is a word of the catalog
    extra: float = 0.0  # information of the reading's words that the title lacks
    missing: float = 0.0  # information of the title's words that the reading lacks, dropped parts aside


def exact_agreement(kind: int, length: int, information: float) -> Agreement:
    """The agreement of a reading whose key is the form's key."""
    return Agreement(Kind(kind % LOOSE), kind >= LOOSE, length, information)


def features(how: Agreement, cut: Cut, named: int | None, actual: int | None, *, dated: bool = False) -> Features:
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
        }
    information = min(how.information / _FULL_INFORMATION, 1.0)
    if how.kind is Kind.HEAD:
        found |= {
            "head": 1.0,
            "head_short": _shortness(how),
            "head_words": min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS,
            "head_long": min(max(how.dropped_words - _MANY_WORDS, 0) / _MANY_WORDS, 1.0),
            "head_article": float(how.dropped_article),
            "head_number": float(how.numbered),
            "head_shared": float(how.shared),
            "head_year": same,
        }
    elif how.kind in (Kind.TAIL, Kind.SKIP):
        found |= {
            "tail": 1.0,
            "tail_short": _shortness(how),
            "tail_information": information,
            "tail_shared": float(how.shared),
            "tail_year": same,
            "skip": float(how.kind is Kind.SKIP),
        }
    elif how.kind is Kind.OWNED:
        found |= {"owned": 1.0, "owned_year": same}
    elif how.kind in (Kind.PREFIX, Kind.SUFFIX):
        found |= {
            "edge": 1.0,
            "suffix": float(how.kind is Kind.SUFFIX),
            "edge_information": information,
            "edge_words": min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS,
            "edge_year": same,
        }
    return found


def _cut(how: Agreement, cut: Cut, same: float) -> Features:
    found = {name: 1.0 for flag, name in _CUTS.items() if cut & flag}
    if cut & Cut.SUBTITLE:
        found |= {"cut_subtitle": 1.0, "cut_subtitle_number": float(how.numbered), "cut_subtitle_year": same}
    if cut & Cut.PREFIX:
        found |= {
            "cut_prefix": 1.0,
            "cut_prefix_information": min(max(how.information - 1.0, 0.0) / 3.0, 1.0),
            "cut_prefix_year": same,
            "cut_franchise": float(how.franchise),
        }
    if cut & Cut.OWNER:
        found |= {"cut_owner": 1.0, "cut_owner_short": _shortness(how)}
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
        "edit_known_word": float(how.known_word),
        "edit_reordered": float(how.reordered),
        "edit_year": same,
    }


def _year(gap: int, how: Agreement) -> Features:
    if gap > 3:
        return {"year_conflict": 1.0, "year_conflict_long": min(1.0, max(0.0, (how.information - 1.5) / 2.0))}
    return {"year_same" if gap == 0 else "year_near" if gap == 1 else "year_far": 1.0}


def _shortness(how: Agreement) -> float:
    return max(0.0, 1.0 - how.length / _SHORT)


_FILE = "calibration.json"
MEANING = (-9.5, 8.8, 8.1)
"""The semantic stage's bias, and its weights of cosine and margin, with all-MiniLM-L6-v2 (docs/grounding.md)."""


@dataclass(frozen=True)
class Calibration:
    """The weights of the model."""

    weights: Mapping[str, float]
    threshold: float = 0.45
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
