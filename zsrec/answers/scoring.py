"""The interpretable features of one (reading, item) pair, as the calibrated model sees them.

Each is 0 where it says nothing, so that the weights read as log-odds: "a dropped subtitle costs 2.1". Features
come in groups, one for each way in which a mention can differ from a title, because what matters differs: a
short name is no trouble where it is spelled out, and much where letters were changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from operator import mul
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
"""The features in the order of the vector."""

_AT = {name: place for place, name in enumerate(NAMES)}
_CUTS = (
    (Cut.NOTE, _AT["cut_note"]),
    (Cut.YEAR, _AT["cut_year"]),
    (Cut.PARENTHESIS, _AT["cut_parenthesis"]),
    (Cut.NUMBER, _AT["cut_number"]),
    (Cut.SUBTITLE, _AT["cut_subtitle"]),
    (Cut.PREFIX, _AT["cut_prefix"]),
    (Cut.OWNER, _AT["cut_owner"]),
)
_FULL_INFORMATION = 4.0
_SHORT = 12.0
_MANY_WORDS = 6


@dataclass(slots=True)
class Agreement:
    """How the words of a reading agree with one form of an item.

    Attributes:
        kind: The form's kind, without `LOOSE`.
        loose: Whether only the content words agree.
        length: Letters of the reading's key.
        information: Sum of the information of the words that agree.
        one_word: Whether a single content word agrees.
        numbered: Whether the reading has a number.
        respaced: Whether the spaces stand elsewhere ("Oldboy", "Old Boy").
        small_extra: How many small words only the reading has.
        small_missing: How many small words only the title has.
        reordered: Whether the words stand in another order.
        shared: Whether other items have the same head or tail.
        dropped_words: How many words of the title were dropped with a part of it.
        dropped_article: Whether the dropped subtitle starts with an article: "Ghost Dog: The Way of the Samurai"
            describes its title, "Stargate: Continuum" names another one.
        franchise: Whether the reading cut off another item's name, or the start of one, and kept a single word:
            "Alien: Covenant" is no "Covenant" in a catalog that has "Alien".
        edits: Letters that differ inside words that correspond.
        edit_at_end: Whether one word is the other with something at its end (plural, tense: often another title).
        edit_at_start: Whether a first letter differs.
        substitution: Whether a letter stands for another one that is no neighbour on the keyboard.
        wordlike: Whether a word taken for a typo is made of common letter sequences only.
        known_word: Whether a word taken for a typo is a word of the catalog.
        extra: Information of the reading's words that the title lacks.
        missing: Information of the title's words that the reading lacks, dropped parts aside.
    """

    kind: Kind
    loose: bool
    length: int
    information: float
    one_word: bool = False
    numbered: bool = False
    respaced: bool = False
    small_extra: int = 0
    small_missing: int = 0
    reordered: bool = False
    shared: bool = False
    dropped_words: int = 0
    dropped_article: bool = False
    franchise: bool = False
    edits: int = 0
    edit_at_end: bool = False
    edit_at_start: bool = False
    substitution: bool = False
    wordlike: bool = False
    known_word: bool = False
    extra: float = 0.0
    missing: float = 0.0


def exact_agreement(kind: int, length: int, information: float) -> Agreement:
    """The agreement of a reading whose key is the form's key."""
    return Agreement(Kind(kind % LOOSE), kind >= LOOSE, length, information)


def vector(how: Agreement, cut: Cut, named: int | None, actual: int | None, *, dated: bool = False) -> list[float]:
    """The feature vector of a pair, in the order of `NAMES`.

    Args:
        how: How the words agree.
        cut: What the reading leaves out.
        named: The year in the mention.
        actual: The item's year.
        dated: Whether the catalog's titles have years, so that one without is unlike the rest.
    """
    x = [0.0] * len(NAMES)
    x[0] = 1.0
    gap = None if named is None or actual is None else abs(named - actual)
    same = 1.0 if gap == 0 else 0.0
    if gap is not None:
        _year(x, gap, how)
    elif named is not None and dated:
        x[_AT["year_absent"]] = 1.0
    if (
        how.kind is not Kind.FULL
        or how.loose
        or how.respaced
        or how.small_extra
        or how.small_missing
        or how.reordered
    ):
        _name(x, how, same)
    if cut:
        for flag, place in _CUTS:
            if cut & flag:
                x[place] = 1.0
        _cut(x, how, cut, same)
    if how.edits:
        _edit(x, how, same)
    if how.extra or how.missing:
        x[_AT["extra"]] = how.extra
        x[_AT["missing"]] = how.missing
        x[_AT["unpaired_year"]] = same
    return x


def _year(x: list[float], gap: int, how: Agreement) -> None:
    if gap == 0:
        x[_AT["year_same"]] = 1.0
    elif gap == 1:
        x[_AT["year_near"]] = 1.0
    elif gap <= 3:
        x[_AT["year_far"]] = 1.0
    else:
        x[_AT["year_conflict"]] = 1.0
        x[_AT["year_conflict_long"]] = min(1.0, max(0.0, (how.information - 1.5) / 2.0))


def _name(x: list[float], how: Agreement, same: float) -> None:
    short, information = _shortness(how), min(how.information / _FULL_INFORMATION, 1.0)
    x[_AT["loose"]] = float(how.loose)
    x[_AT["loose_one_word"]] = float(how.loose and how.one_word)
    x[_AT["respaced"]] = float(how.respaced)
    x[_AT["small_extra"]] = float(how.small_extra)
    x[_AT["small_missing"]] = float(how.small_missing)
    x[_AT["reordered"]] = float(how.reordered)
    if how.kind is Kind.ALTERNATIVE:
        x[_AT["alternative"]] = 1.0
    elif how.kind is Kind.HEAD:
        x[_AT["head"]] = 1.0
        x[_AT["head_short"]] = short
        x[_AT["head_words"]] = min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS
        x[_AT["head_long"]] = min(max(how.dropped_words - _MANY_WORDS, 0) / _MANY_WORDS, 1.0)
        x[_AT["head_article"]] = float(how.dropped_article)
        x[_AT["head_number"]] = float(how.numbered)
        x[_AT["head_shared"]] = float(how.shared)
        x[_AT["head_year"]] = same
    elif how.kind in (Kind.TAIL, Kind.SKIP):
        x[_AT["tail"]] = 1.0
        x[_AT["tail_short"]] = short
        x[_AT["tail_information"]] = information
        x[_AT["tail_shared"]] = float(how.shared)
        x[_AT["tail_year"]] = same
        x[_AT["skip"]] = float(how.kind is Kind.SKIP)
    elif how.kind is Kind.OWNED:
        x[_AT["owned"]] = 1.0
        x[_AT["owned_year"]] = same
    elif how.kind in (Kind.PREFIX, Kind.SUFFIX):
        x[_AT["edge"]] = 1.0
        x[_AT["suffix"]] = float(how.kind is Kind.SUFFIX)
        x[_AT["edge_information"]] = information
        x[_AT["edge_words"]] = min(how.dropped_words, _MANY_WORDS) / _MANY_WORDS
        x[_AT["edge_year"]] = same


def _cut(x: list[float], how: Agreement, cut: Cut, same: float) -> None:
    if cut & Cut.SUBTITLE:
        x[_AT["cut_subtitle_number"]] = float(how.numbered)
        x[_AT["cut_subtitle_year"]] = same
    if cut & Cut.PREFIX:
        x[_AT["cut_prefix_information"]] = min(max(how.information - 1.0, 0.0) / 3.0, 1.0)
        x[_AT["cut_prefix_year"]] = same
        x[_AT["cut_franchise"]] = float(how.franchise)
    if cut & Cut.OWNER:
        x[_AT["cut_owner_short"]] = _shortness(how)


def _edit(x: list[float], how: Agreement, same: float) -> None:
    x[_AT["edited"]] = 1.0
    x[_AT["edits"]] = float(how.edits - 1)
    x[_AT["edit_share"]] = how.edits / how.length
    x[_AT["edit_short"]] = _shortness(how)
    x[_AT["edit_one_word"]] = float(how.one_word)
    x[_AT["edit_at_end"]] = float(how.edit_at_end)
    x[_AT["edit_at_start"]] = float(how.edit_at_start)
    x[_AT["edit_substitution"]] = float(how.substitution)
    x[_AT["edit_wordlike"]] = float(how.wordlike)
    x[_AT["edit_known_word"]] = float(how.known_word)
    x[_AT["edit_reordered"]] = float(how.reordered)
    x[_AT["edit_year"]] = same


def _shortness(how: Agreement) -> float:
    return max(0.0, 1.0 - how.length / _SHORT)


_FILE = "calibration.json"
MEANING = (-9.5, 8.8, 8.1)
"""The semantic stage's bias, and its weights of cosine and margin, with all-MiniLM-L6-v2 (docs/grounding.md)."""


@dataclass(frozen=True)
class Calibration:
    """The weights of the model.

    Attributes:
        weights: One log-odds weight a feature, in the order of `features.NAMES`.
        threshold: The least probability of a match, in (0, 1). Below one half, a match that is more likely
            wrong than right may still be worth it: a missed item and a wrong one cost F1 the same.
        meaning: Bias and weights of the semantic stage's cosine and margin.
    """

    weights: tuple[float, ...]
    threshold: float = 0.45
    meaning: tuple[float, float, float] = MEANING

    def log_odds(self, features: Sequence[float]) -> float:
        """The log-odds that the pair is right, rivals aside.

        Args:
            features: The vector, in the order of `features.NAMES`.
        """
        return float(sum(map(mul, self.weights, features)))

    def by_meaning(self, cosine: float, margin: float) -> float:
        """The probability that the item nearest in meaning is right.

        Args:
            cosine: Of the mention and the item's name.
            margin: How much nearer the item is than the next one.
        """
        bias, of_cosine, of_margin = self.meaning
        return 1.0 / (1.0 + math.exp(-(bias + of_cosine * cosine + of_margin * min(margin, 1.0))))

    @classmethod
    def default(cls) -> Self:
        """The weights fitted on the development data (docs/grounding.md)."""
        return cls._read(json.loads(resources.files("zsrec.answers").joinpath(_FILE).read_text("utf-8")))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads weights from a JSON file that `save` wrote.

        Raises:
            DataError: The file is missing or lacks a weight.
        """
        try:
            return cls._read(json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"no grounding calibration: {error!r}", path=path, hint="write one with `Calibration.save`"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes the weights to a JSON file, by name."""
        raw = {
            "threshold": self.threshold,
            "meaning": self.meaning,
            "weights": dict(zip(NAMES, self.weights, strict=True)),
        }
        Path(path).write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def _read(cls, raw: Mapping[str, Any]) -> Self:
        bias, of_cosine, of_margin = map(float, raw.get("meaning", MEANING))
        weights = tuple(float(raw["weights"][name]) for name in NAMES)
        return cls(weights, float(raw["threshold"]), (bias, of_cosine, of_margin))
