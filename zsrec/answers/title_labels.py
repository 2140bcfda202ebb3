"""Labels of titles: what stands in brackets or behind a dash and is no part of the name.

"(PlayStation 3)", "- Remastered 2009", "(feat. Akon)" and "(Harry Potter, #1)" are labels. Some are known by their
form or words; the others are learned from the catalog: a tail or bracket that many titles share names no item.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from rapidfuzz import process
from rapidfuzz.distance import OSA

from zsrec.data.title_words import (
    EDITIONS,
    FEATURES,
    MARKERS,
    MEDIA,
    NOTES,
    SETS,
    SMALL_WORDS,
    VERSION_MODIFIERS,
    VERSIONS,
)
from zsrec.data.titles import (
    ParsedTitle,
    is_han,
    is_number,
    key,
    parse_title,
    split_scripts,
    split_year,
    tidy,
    words,
)

_LEAST_SHARED = 5
_SHARE = 1_000
_BILINGUAL_SHARE = 5
_SUBTITLED_SHARE = 100
_FEW_TITLES = 100
_LONGEST = 120
_LONG_LABEL = 8
_MOST_SLIPS = 2
_LONGEST_TITLE = 500
_BRACKET = re.compile(rf"\s*[(\[]([^()\[\]]{{1,{_LONGEST}}})[)\]]\s*$")
_BROKEN = re.compile(r":\s|\s[-–—]+\s")
_DASH = re.compile(r"\s[-–—]+\s")
_SET_APART = re.compile(r"[(\[]|\s[-–—]")
_FEATURES = tuple(f"{phrase} " if phrase[-1].isalpha() else phrase for phrase in FEATURES)
_SERIES = re.compile(r"^(?P<name>[^#]{2,80}?),?\s*#\s*(?P<number>\d[\d.\-–]*)(?P<rest>.*)$")
_RANGE = re.compile(r"\d\s*[-–]\s*\d")
_CREATORS = re.compile(r"[|;/,&]|\s(?:and|with|y|und|et)\s|(?<![\w.])(?:feat|ft|featuring|vs)\b\.?")


class Label(NamedTuple):
    """A label of one title."""

    kind: str  # "s": a series, "n": a note such as an edition, "l": any other, "c": the item's creator
    words: tuple[str, ...]
    set: bool = False  # it covers several volumes ("#1-3")


class Anatomy(NamedTuple):
    """A title without its labels, and the labels."""

    core: ParsedTitle
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Conventions:
    """How the titles of a catalog are written.

    Attributes:
        labels: The learned labels, as `_pattern` spells them.
        bilingual: Whether many titles are followed by the original title in another script.
        subtitled: Whether some titles have a subtitle behind a colon or dash.
    """

    labels: frozenset[str] = frozenset()
    bilingual: bool = False
    subtitled: bool = True

    @classmethod
    def learn(cls, titles: Sequence[str]) -> Self:
        """Learns from all titles of a catalog."""
        shared: Counter[str] = Counter()
        bilingual = subtitled = 0
        for title in titles:
            subtitled += _BROKEN.search(title) is not None
            bilingual += split_scripts(title[:_LONGEST]) is not None
            rest, _ = split_year(tidy(title[:_LONGEST_TITLE]).strip())
            if _SET_APART.search(rest):
                shared.update({_pattern(text) for text in _candidates(rest)})
        least = max(_LEAST_SHARED, len(titles) // _SHARE)
        labels = (text for text, count in shared.items() if count >= least and not _only_counts(text))
        return cls(
            frozenset(labels),
            bilingual * _BILINGUAL_SHARE > len(titles),
            subtitled * _SUBTITLED_SHARE > len(titles) or len(titles) < _FEW_TITLES,
        )

    def to_json(self) -> dict[str, Any]:
        """The conventions as JSON values."""
        return {"labels": sorted(self.labels), "bilingual": self.bilingual, "subtitled": self.subtitled}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """The conventions that `to_json` gave."""
        return cls(frozenset(map(str, raw["labels"])), bool(raw["bilingual"]), bool(raw["subtitled"]))

    def is_label(self, text: str) -> bool:
        """Whether a text in brackets or behind a dash is a learned label."""
        return bool(self.labels) and len(text) <= _LONGEST and _pattern(text) in self.labels

    def resembles_label(self, text: str) -> bool:
        """Whether a text in brackets or behind a dash is a learned label or a slip of one ("Xboxx 360")."""
        if not self.labels or len(text) > _LONGEST:
            return False
        pattern = _pattern(text)
        near = process.extractOne(pattern, self.labels, scorer=OSA.distance, score_cutoff=_MOST_SLIPS)
        return near is not None and (not near[1] or _slip_of(pattern, near[0]))

    def anatomy(self, title: str, creator: str = "") -> Anatomy:
        """Takes a title apart."""
        rest, year = split_year(tidy(title).strip())
        made = {key(words(name)) for name in (creator, *split_creators(creator))} if creator else set()
        labels: list[Label] = []
        while (found := _last(rest)) is not None:
            before, text = found
            label = self._labels(text, made) if any(map(str.isalnum, before)) else []
            if not label and rest.endswith("]") and before and (spelled := words(text)):
                label = [Label("l", spelled)]
            if not label:
                break
            labels.extend(label)
            rest = before
        core = parse_title(rest)
        halves = split_scripts(core.main) or (self.bilingual and _split_han(core.main)) or None
        if halves is not None:
            core = core._replace(main=halves[0], alternatives=(halves[1], *core.alternatives))
        if year is not None:
            core = ParsedTitle(core.main, core.alternatives, year)
        return Anatomy(core, tuple(labels))

    def _labels(self, text: str, made: set[str]) -> list[Label]:
        found = list(_series(text))
        if found:
            return found
        spelled = words(text)
        if not spelled:
            return []
        if key(spelled) in made:
            return [Label("c", spelled)]
        if is_version(text):
            return [Label("n", spelled)]
        return [Label("l", spelled)] if self.is_label(text) else []


def _split_han(name: str) -> tuple[str, str] | None:
    """The halves of a Chinese name at its space: "喜宴 囍宴"."""
    first, _, second = name.partition(" ")
    return (first, second) if len(first) > 1 and second and is_han(first[0]) and is_han(second[0]) else None


def is_version(text: str) -> bool:
    """Whether a text names an edition, a recording or its guests, which tell no two works apart."""
    spelled = words(text)
    if text.lower().replace(".", "").startswith(_FEATURES) or (len(spelled) > 1 and spelled[-1] in EDITIONS):
        return True
    soft = VERSIONS | VERSION_MODIFIERS | SMALL_WORDS
    return any(word in VERSIONS for word in spelled) and all(word in soft or is_number(word) for word in spelled)


def split_creators(text: str) -> list[str]:
    """The names in a list of creators ("Neil Gaiman & Terry Pratchett")."""
    return [part.strip() for part in _CREATORS.split(text) if part.strip()]


def label_agreement(spelled: Sequence[str], labels: Sequence[Label]) -> bool | None:
    """Whether words name one of the labels: False where the number is another one, None where they do not."""
    found: bool | None = None
    content, numbers = _content(spelled)
    for label in labels:
        its, its_numbers = _content(label.words)
        if label.kind == "s":
            same = bool(content & its and (content <= its or its <= content)) or not content
            if same and (numbers or content):
                if not numbers or numbers <= its_numbers:
                    return True
                found = False
        elif numbers == its_numbers and (content == its or _slip(spelled, label.words)):
            return True
    return found


def _slip(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two labels differ by a slip of the pen."""
    return _slip_of(key(one), key(other))


def _slip_of(mine: str, its: str) -> bool:
    limit = _MOST_SLIPS if len(its) > _LONG_LABEL else 1
    return min(len(mine), len(its)) > limit * 3 and OSA.distance(mine, its, score_cutoff=limit) <= limit


def _content(spelled: Sequence[str]) -> tuple[set[str], set[str]]:
    """The telling words, and the numbers."""
    light = SMALL_WORDS | MARKERS | SETS
    content = {word for word in spelled if word not in light and not is_number(word)}
    return content, {word for word in spelled if is_number(word)}


def _series(text: str) -> Iterator[Label]:
    if "#" not in text:
        return
    for part in text.split(";"):
        found = _SERIES.match(part.strip())
        if found is not None:
            spans = _RANGE.search(found["number"]) is not None
            yield Label("s", (*words(found["name"]), *words(found["number"])[:1]), spans)
            if rest := words(found["rest"]):
                yield Label("l", rest)


def _last(title: str) -> tuple[str, str] | None:
    """What stands before and in the last brackets, or before and behind the last dash."""
    if title.endswith((")", "]")):
        found = _BRACKET.search(title)
        return None if found is None else (title[: found.start()], found.group(1).strip())
    dashes = list(_DASH.finditer(title))
    return (title[: dashes[-1].start()].rstrip(), title[dashes[-1].end() :].strip()) if dashes else None


def _candidates(rest: str) -> Iterator[str]:
    """The texts in a title without its year that may be labels; behind the last dash also without its brackets."""
    while (found := _last(rest)) is not None:
        before, text = found
        if len(text) <= _LONGEST:
            yield text
        if not rest.endswith((")", "]")):
            return
        dashes = list(_DASH.finditer(rest))
        if dashes and len(rest) - dashes[-1].end() <= _LONGEST:
            yield rest[dashes[-1].end() :]
        rest = before


def _pattern(text: str) -> str:
    return " ".join("#" if is_number(word) else word for word in words(text))


def _only_counts(pattern: str) -> bool:
    light = MARKERS | NOTES | SMALL_WORDS | MEDIA.keys()
    return all(word == "#" or word in light for word in pattern.split())
