"""Whole answers: their mentions with the catalog items behind them.

The parser cannot know whether "Star Wars: A New Hope" is a title or a title with a remark, nor whether "Heat and
Ronin" are one film. It states the readings; here the catalog decides between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.parser import Side, parse
from zsrec.answers.text_spans import plain
from zsrec.core.types import Abstention, Grounded, Item, Match, Mention
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.title_words import SMALL_WORDS
from zsrec.data.titles import key, parse_title, split_year, words

_Span = tuple[int, int]
_MOST_COMPARED = 8
_CREATOR = re.compile(
    r"[\"'”»*_]{0,4}[,.]?[\"'”»*_]{0,4}\s{0,3}"
    r"(?:(?:\([^()\n]{1,40}\)\s{0,3})?by\s{1,3}(?P<by>[^\n\"“;:()–—|]{2,80}?)|[-–—(]\s{0,3}(?P<name>[^\n\"“()–—|]{2,80}?))"
    r"\s{0,3}(?=[\n\"“;:()–—|]|\s-\s|$)"
)


def ground_answer(
    answer: str,
    grounder: Grounder,
    *,
    style: str = "titles",
    side: Side | None = None,
    context: Context | None = None,
    echo: Iterable[str] = (),
    cut: bool = False,
) -> list[Grounded]:
    """The mentions of an answer, each with its match, in the order of the answer."""
    mentions = parse(answer, style, side, echo)
    lookup = _Lookup(answer, grounder, context)
    lookup.add(mention.query for mention in mentions if mention.query is not None)
    lookup.add_spans(map(_longest, mentions))
    unsure = (mention for mention in mentions if not lookup.is_title(_longest(mention)))
    lookup.add_spans(span for mention in unsure for span in (_span(mention), *mention.readings))
    found: list[Grounded] = []
    done = 0
    for mention in mentions:
        if mention.start < done:
            continue
        for span, match in _choose(mention, lookup):
            done = max(done, span[1])
            if cut and span[1] >= len(answer.rstrip()) and not answer.rstrip().endswith((")", "]")):
                match = Match(item_id=None, score=match.score, reason="below_threshold", alternatives=_ids(match))
            found.append(Grounded(mention=_recut(answer, mention, span), match=match))
    return found


class _Lookup:
    """The matches of spans of one answer, asked for in batches and once each."""

    def __init__(self, answer: str, grounder: Grounder, context: Context | None) -> None:
        self._answer, self._grounder, self._context = answer, grounder, context
        self._matches: dict[str, Match] = {}
        self._with_creators = grounder.catalog.creator is not None

    def add(self, texts: Iterable[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._matches]
        self._matches.update(zip(new, self._grounder.ground_many(new, self._context), strict=True))

    def add_spans(self, spans: Iterable[_Span]) -> None:
        self.add(map(self._asked, spans))

    def match(self, span: _Span) -> Match:
        return self._matches[self._asked(span)]

    def query(self, mention: Mention) -> Match | None:
        return None if mention.query is None else self._matches[mention.query]

    def is_title(self, span: _Span) -> bool:
        """Whether a span is a catalog title and nothing more (several items may have it)."""
        match = self.match(span)
        if not _named(match):
            return False
        spelled = _key(split_year(self._text(span))[0])
        catalog = self._grounder.catalog
        titles = (parse_title(catalog[item].title) for item in _ids(match)[:_MOST_COMPARED])
        return any(spelled == _key(name) for title in titles for name in (title.main, *title.alternatives))

    def _asked(self, span: _Span) -> str:
        """The text of a span with the creator that stands behind it, where the catalog has creators."""
        text = self._text(span)
        found = _CREATOR.match(self._answer, span[1]) if self._with_creators else None
        if found is None:
            return text
        name = _capitalised(plain(found["by"] or found["name"]))
        return f"{text} by {name}" if name and found["by"] or self._grounder.index.is_creator(name) else text

    def _text(self, span: _Span) -> str:
        return plain(self._answer[span[0] : span[1]])


def _capitalised(text: str) -> str:
    """The words of a name at the start of a text: "Lewis Carroll have all …" gives "Lewis Carroll"."""
    kept: list[str] = []
    for word in text.split():
        if word[0].islower() and word.strip(".,") not in SMALL_WORDS | {"ft", "feat", "featuring"}:
            break
        kept.append(word)
    while kept and kept[-1][0].islower():
        kept.pop()
    return " ".join(kept)


def _key(name: str) -> str:
    return key(words(name))


def _span(mention: Mention) -> _Span:
    return mention.start, mention.end


def _length(span: _Span) -> int:
    return span[1] - span[0]


def _longest(mention: Mention) -> _Span:
    return max((_span(mention), *mention.readings), key=_length)


def _named(match: Match) -> bool:
    """Whether the catalog has the title as written: one item, or several of that name."""
    return match.method == "exact" or match.reason == "ambiguous"


def _choose(mention: Mention, lookup: _Lookup) -> Sequence[tuple[_Span, Match]]:
    """The spans of a mention that are titles, with their matches; see `ground_answer`."""
    own = _span(mention)
    queried = lookup.query(mention)
    if queried is not None and _named(queried):
        return [(own, queried)]
    spans = sorted({own, *mention.readings}, key=_length, reverse=True)
    if lookup.is_title(spans[0]):
        return [(spans[0], lookup.match(spans[0]))]
    parts = _parts(mention.readings)
    for span in spans:
        if span not in parts and lookup.is_title(span):
            return [(span, lookup.match(span))]
    if len(parts) > 1 and sum(map(lookup.is_title, parts)) * 2 > len(parts):
        return [(span, lookup.match(span)) for span in parts]
    inside = [span for span in spans if span not in parts and span[1] <= own[1]]
    for exact in (True, False):
        found = [
            span for span in inside if lookup.match(span).item_id and (not exact or _named(lookup.match(span)))
        ]
        if found:
            best = own if own in found else max(found, key=lambda span: lookup.match(span).score)
            return [(best, lookup.match(best))]
    return [(own, lookup.match(own))]


def _parts(readings: Sequence[_Span]) -> list[_Span]:
    """The readings that are apart from another one: pieces of an enumeration."""
    return [a for a in readings if any(a[1] <= b[0] or b[1] <= a[0] for b in readings)]


def _ids(match: Match) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*((match.item_id,) if match.item_id else ()), *match.alternatives)))


def _recut(answer: str, mention: Mention, span: _Span) -> Mention:
    """The mention as the chosen reading cuts it; what the cut sets free becomes its reason."""
    if span == _span(mention):
        return mention
    reason = mention.reason
    if span[0] == mention.start and span[1] < mention.end:
        freed = plain(answer[span[1] : mention.end]).strip(" -–—:：|,;.")
        reason = " ".join(part for part in (freed, reason) if part) or None
    elif reason is not None and span[1] > mention.end:
        rest = answer.find(reason, span[1])
        reason = reason if rest >= 0 else None
    return mention.model_copy(
        update={
            "text": answer[span[0] : span[1]],
            "start": span[0],
            "end": span[1],
            "reason": reason,
            "query": None,
        }
    )


def item_ids(grounded: Iterable[Grounded]) -> Iterator[str]:
    """The ids of the grounded items, each once, in order."""
    seen: set[str] = set()
    for one in grounded:
        if one.match.item_id is not None and one.match.item_id not in seen:
            seen.add(one.match.item_id)
            yield one.match.item_id


class Known(NamedTuple):
    """One event with the item that it is about."""

    event: Event
    item: Item | None
    why: Abstention | None = None


def resolve_history(history: History, catalog: Catalog, grounder: Grounder) -> tuple[Known, ...]:
    """Finds the item of every event: by id, else by title through the grounder."""
    return tuple(_resolve(event, catalog, grounder) for event in history.events)


def _resolve(event: Event, catalog: Catalog, grounder: Grounder) -> Known:
    if event.by != "title" and event.item in catalog:
        return Known(event, catalog[event.item])
    if event.by == "id":
        return Known(event, None, "not_in_catalog")
    match = grounder.ground(event.item)
    if match.item_id is None:
        return Known(event, None, match.reason)
    return Known(event, catalog[match.item_id])
