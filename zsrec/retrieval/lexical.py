"""Lexical candidates: items whose titles and attributes share words with the request and with liked items."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.core.types import Item
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.titles import words
from zsrec.retrieval.base import Evidence, Mode, Profile, Recency, Scores

_NEGATION = frozenset("no not less never nothing without avoid dislike hate dont isnt".split())
_ENDS_NEGATION = re.compile(r"[.,;:!?\n]|\b(?:but|and more|more|rather|instead|only)\b")
_STOP = frozenset(
    "a about all also am an and any are as at be because been but by can could do does else few for from get "
    "give go good great had has have he her him his how i if in into is it its just kind like liked likes "
    "look looking lot love loved make many maybe me more most much my need new of on one or other our out "
    "please rather really recommend same see seen she similar so some something sort stuff suggest than that "
    "the their them then there these they thing things this those to too up us very want wanted was watch "
    "watched we were what when where which while who why will with would you your film films movie movies "
    "item items product products".split()
) | _NEGATION  # fmt: skip
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{2,}")
_LONGEST = 32


class LexicalConfig(Recency):
    """Parameters of the lexical retriever.

    Attributes:
        fields: Columns that are read after the title; None takes all columns with words.
        likes: The weight of liked items' words together, where the user's own words weigh 1; at least 0.
        similar: How alike a word must be to stand for another, in (0, 1]; 1 takes equal words only.
        k1: BM25's saturation of repeated words, above 0.
        b: BM25's normalisation by length, in [0, 1].
    """

    fields: tuple[str, ...] | None = None
    likes: float = 0.5
    similar: float = 0.55
    k1: float = 1.2
    b: float = 0.3


class Lexical:
    """score(x) = Σ_q w_q · idf(q) · max_e s(q, e)² · tf_e(x)·(k1 + 1) / (tf_e(x) + k1·(1 − b + b·len(x)/mean)).

    q are the words of the request (`about=`, critiques) with weight 1, or −1 after "no", "less", "without" and the
    like, and the words of the newest liked items with their share of `likes`. e are the catalog's words like q:
    s(q, e) is the Dice overlap of their letter trigrams, so that "romantic" finds "romance" and a slip finds the
    word. Nothing is fitted, and `add` makes a new item findable at once.

    Source: BM25 (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework"); feedback by words of liked
    items is Rocchio's (1971).

    Args:
        catalog: The items.
        config: The parameters.

    Raises:
        ConfigError: `config` is out of range, or names a column that the catalog lacks.
    """

    name: ClassVar[str] = "lexical"
    mode: ClassVar[Mode] = "zero-shot"
    notes: ClassVar[tuple[str, ...]] = ()
    reads_words: ClassVar[bool] = True
    reads_critiques: ClassVar[bool] = True

    def __init__(self, catalog: Catalog, config: LexicalConfig | None = None) -> None:
        c = self.config = config or LexicalConfig()
        c.check()
        if not (0 < c.similar <= 1 and c.k1 > 0 and 0 <= c.b <= 1 and c.likes >= 0):
            raise ConfigError(f"{c}", hint="similar in (0, 1], k1 above 0, b in [0, 1], likes at least 0")
        lacking = [name for name in c.fields or () if name not in catalog.attribute_names]
        if lacking:
            raise ConfigError(
                f"the catalog has no column {lacking[0]!r}", hint=f"one of {', '.join(catalog.attribute_names)}"
            )
        self._index, self._ids = _Index(), Ids()
        self.add_items(catalog)

    @property
    def items(self) -> Ids:
        """The items that are scored."""
        return self._ids

    def add_items(self, items: Iterable[Item]) -> None:
        """Make new items findable; those that are known already are skipped."""
        new = [item for item in items if item.id not in self._ids]
        for item in new:
            self._index.add(self._words(item))
        self._ids = self._ids.extended(item.id for item in new)

    def scores(self, of: Profile) -> Scores:
        """The score of each item; -inf where no word speaks for it; shape (number of items,)."""
        scores = np.zeros(len(self.items))
        for word, weight in self.query(of).items():
            self._index.score(scores, word, weight, self.config)
        scores[scores <= 0.0] = -np.inf
        return scores

    def query(self, of: Profile) -> dict[str, float]:
        """The words to look for with their weights; those below 0 speak against an item."""
        weights: Counter[str] = Counter()
        for text in (of.words, *of.critiques):
            weights.update(signed_words(text))
        recent = self.config.recent(of)
        total = float(np.abs(recent.weights).sum())
        for code, weight in zip(recent.codes.tolist(), recent.weights.tolist(), strict=True):
            own = self._index.words_of(code)
            for word in own:
                if word not in _STOP:
                    weights[word] += self.config.likes * weight / total / len(own) ** 0.5
        return dict(weights)

    def profile_notes(self, of: Profile) -> tuple[str, ...]:
        """A note on the words that were read as unwanted."""
        texts = (of.words, *of.critiques)
        unwanted = dict.fromkeys(word for text in texts for word, sign in signed_words(text).items() if sign < 0)
        if not unwanted:
            return ()
        return (f"read as unwanted: {', '.join(unwanted)}; where= leaves items out for certain",)

    def evidence(self, of: Profile, codes: Sequence[int]) -> list[Evidence | None]:
        """The words that speak for each item."""
        found = [self.matches(of, code) for code in codes]
        return [Evidence("words", words=tuple(words)) if words else None for words in found]

    def matches(self, of: Profile, item: int) -> list[str]:
        """The words of an item that speak for it, the strongest first."""
        found: list[tuple[float, str]] = []
        for word, weight in self.query(of).items():
            for place, alike in self._index.alike(word, self.config.similar):
                spelled = self._index.vocabulary[place]
                if weight <= 0 or (spelled.isdigit() and alike < 1):  # a near year is no reason that one would say
                    continue
                if self._index.has(place, item):
                    found.append((-weight * alike * self._index.idf([(place, alike)]), spelled))
        return list(dict.fromkeys(word for _, word in sorted(found)))

    def _words(self, item: Item) -> list[str]:
        texts = [item.title]
        for name in self.config.fields if self.config.fields is not None else item.attributes:
            texts += _texts(item.attributes.get(name))
        return [word for text in texts for word in tokens(text)]


def tokens(text: str) -> list[str]:
    """The words of a text in one spelling; runs of Chinese and Japanese characters by pairs of characters."""
    found: list[str] = []
    for word in words(text):
        if _UNSPACED.fullmatch(word):
            found += [word[place : place + 2] for place in range(len(word) - 1)]
        elif len(word) <= _LONGEST:
            found.append(word)
    return found


def signed_words(text: str) -> dict[str, float]:
    """The words of a request: 1, or -1 after a negation in the same clause ("like these but less violent")."""
    signs: dict[str, float] = {}
    for clause in _ENDS_NEGATION.split(text.replace("'", "").replace("’", "").lower()):
        sign = 1.0
        for word in tokens(clause):
            sign = -1.0 if word in _NEGATION else sign
            signs[word] = sign
    telling = {word: sign for word, sign in signs.items() if word not in _STOP}
    return telling or dict.fromkeys(signs, 1.0)  # "Up", "It" and "Us" are films


def _texts(value: Any) -> list[str]:  # noqa: ANN401  (an attribute is whatever the file holds)
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return value.split("|")
        return []
    if isinstance(value, Sequence):
        return [text for one in value for text in _texts(one)]
    return []


class _Index:
    """Postings by word, which grow at their ends."""

    def __init__(self) -> None:
        self.vocabulary: list[str] = []
        self._places: dict[str, int] = {}
        self._items: list[array[int]] = []
        self._counts: list[array[int]] = []
        self._trigrams: dict[str, array[int]] = {}
        self._sizes = array("i")  # trigrams of each word
        self._lengths = array("i")  # words of each item
        self._own: list[array[int]] = []

    def add(self, item: Sequence[str]) -> None:
        code, counts = len(self._lengths), Counter(item)
        own = array("i", [self._place(word) for word in counts])
        for place, count in zip(own, counts.values(), strict=True):
            self._items[place].append(code)
            self._counts[place].append(count)
        self._own.append(own)
        self._lengths.append(len(item))

    def _place(self, word: str) -> int:
        """A word's place in the vocabulary, to which a new one is added."""
        if (known := self._places.get(word)) is not None:
            return known
        place = self._places[word] = len(self.vocabulary)
        self.vocabulary.append(word)
        self._items.append(array("i"))
        self._counts.append(array("i"))
        trigrams = _trigrams(word)
        self._sizes.append(len(trigrams))
        for one in trigrams:
            self._trigrams.setdefault(one, array("i")).append(place)
        return place

    def words_of(self, item: int) -> list[str]:
        return [self.vocabulary[place] for place in self._own[item]]

    def has(self, word: int, item: int) -> bool:
        return word in self._own[item]

    def alike(self, word: str, least: float) -> list[tuple[int, float]]:
        """Words of the vocabulary at least this much like a word, and how much."""
        exact = self._places.get(word)
        found = [] if exact is None else [(exact, 1.0)]
        if least >= 1 or len(word) < 4:
            return found
        trigrams = _trigrams(word)
        having = [np.array(self._trigrams[one]) for one in trigrams if one in self._trigrams]
        if not having:
            return found
        places, counts = np.unique(np.concatenate(having), return_counts=True)
        dice = 2 * counts / (len(trigrams) + np.array(self._sizes)[places])
        near = zip(places[dice >= least].tolist(), dice[dice >= least].tolist(), strict=True)
        return found + [one for one in near if one[0] != exact and len(self.vocabulary[one[0]]) >= 4]

    def idf(self, alike: Iterable[tuple[int, float]]) -> float:
        """Of a word by the items that have it or one like it."""
        n, having = len(self._lengths), sum(len(self._items[place]) * s * s for place, s in alike)
        return float(np.log1p((max(n - having, 0.0) + 0.5) / (having + 0.5)))

    def score(self, scores: Scores, word: str, weight: float, config: LexicalConfig) -> None:
        """Add a word's part to the scores."""
        alike = self.alike(word, config.similar)
        if not alike:
            return
        part: NDArray[np.float64] = np.zeros(len(scores))
        lengths = np.array(self._lengths, dtype=np.float64)
        mean = float(lengths.mean()) or 1.0
        for place, s in alike:
            items = np.array(self._items[place])
            counts = np.array(self._counts[place], dtype=np.float64)
            norm = config.k1 * (1.0 - config.b + config.b * lengths[items] / mean)
            part[items] = np.maximum(part[items], s * s * counts * (config.k1 + 1.0) / (counts + norm))
        scores += weight * self.idf(alike) * part


def _trigrams(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[place : place + 3] for place in range(len(padded) - 2)}
