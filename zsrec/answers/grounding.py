"""Whole answers: their mentions with the catalog items behind them.

The parser cannot know whether "Star Wars: A New Hope" is a title or a title with a remark, nor whether "Heat and
Ronin" are one film. It states the readings; here the catalog decides between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zsrec.answers.candidate_lines import CandidateLines
from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.parser import Side, parse_answer
from zsrec.answers.text_spans import Skip, plain
from zsrec.core.types import Abstention, Grounded, Item, Match, Mention
from zsrec.data.catalog import Catalog
from zsrec.data.history import Event, History
from zsrec.data.title_words import SMALL_WORDS
from zsrec.data.titles import key, parse_title, split_year, words

_Span = tuple[int, int]
_MOST_COMPARED = 8
_LONGEST_SHORT_FORM = 5  # "feat." goes on, "Voltaire." ends a sentence
_CREATOR = re.compile(
    r"[\"'”»*_]{0,4}[,.]?[\"'”»*_]{0,4}\s{0,3}"
    r"(?:(?:\([^()\n]{1,40}\)\s{0,3})?by\s{1,3}(?P<by>[^\n\"“;:()–—|]{2,80}?)"
    r"|[-–—(]\s{0,3}(?P<name>[^\n\"“()–—|]{2,80}?))"
    r"\s{0,3}(?=[\n\"“;:()–—|]|\s-\s|$)"
)
_PLACEHOLDER = re.compile(
    r"(?:(?:your|the|insert|example|sample|another|some|any|recommended) )?(?:movie|film|title|book|item|product"
    r"|song|show|series|game|artist|album|recommendation|option|candidate|name)s?(?: (?:title|name)"
    r"| of (?:the )?(?:movie|film|book|item))?(?: ?#?(?:\d{1,3}|[a-z]|one|two|three|four|five))?|#?\d{1,3}|n/?a"
    r"|none|null|unknown|untitled|tbd|tba|string|placeholder|\.{3}",
    re.IGNORECASE,
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
    candidates: CandidateLines | None = None,
) -> list[Grounded]:
    """The mentions of an answer, each with its match; see `read_answer`."""
    return read_answer(
        answer, grounder, style=style, side=side, context=context, echo=echo, cut=cut, candidates=candidates
    ).grounded


class ReadAnswer(NamedTuple):
    """An answer with its items; `skips` and `problem` are those of `zsrec.answers.parser.Parsed`."""

    grounded: list[Grounded]
    skips: tuple[Skip, ...]
    problem: str | None


def read_answer(
    answer: str,
    grounder: Grounder,
    *,
    style: str = "titles",
    side: Side | None = None,
    context: Context | None = None,
    echo: Iterable[str] = (),
    cut: bool = False,
    thinks: bool = False,
    candidates: CandidateLines | None = None,
) -> ReadAnswer:
    """The mentions of an answer, each with its match, best first: in the answer's order unless it states ranks.

    Of a mention's readings the longest that is a whole catalog title is taken (one that several items have
    counts); a part of a mention only if most of its sibling parts are titles too, so that "Tango and Cash" does
    not become "Cash". Otherwise the mention as the parser cut it is taken if it matches, else its best scored
    reading, and where nothing matches it stays unresolved. A reading that swallows later mentions removes them.

    `context` settles ties between items of one title. `cut` says that the model was stopped by its token limit: a
    mention that reaches the end may then be half a title, and is never matched unless a year completes it. An
    answer line equal to one of `candidates` is that candidate. The rest is as in `zsrec.answers.parser.parse`.
    """
    parsed = parse_answer(answer, style, side, echo, cut=cut, thinks=thinks, candidates=candidates)
    mentions = [mention for mention in parsed.mentions if mention.start not in parsed.items]
    lookup = _Lookup(answer, grounder, context)
    lookup.add(mention.query for mention in mentions if mention.query is not None)
    lookup.add_spans(map(_longest, mentions))
    unsure = (mention for mention in mentions if not lookup.is_title(_longest(mention)))
    lookup.add_spans(span for mention in unsure for span in (_span(mention), *mention.readings))
    found: list[Grounded] = []
    taken: list[_Span] = []
    for mention in parsed.mentions:
        if (item := parsed.items.get(mention.start)) is not None:
            found.append(Grounded(mention=mention, match=Match(item_id=item, score=1.0, method="exact")))
            continue
        if any(start <= mention.start < end for start, end in taken):
            continue
        for span, match in _choose(mention, lookup):
            if span[1] > mention.end:
                taken.append(span)
            if cut and span[1] >= len(answer.rstrip()) and not answer.rstrip().endswith((")", "]")):
                match = Match(item_id=None, score=match.score, reason="below_threshold", alternatives=_ids(match))
            found.append(Grounded(mention=_recut(answer, mention, span), match=match))
    return ReadAnswer(found, parsed.skips, parsed.problem)


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
        return f"{text} by {name}" if (name and found["by"]) or self._grounder.index.is_creator(name) else text

    def are_slashed(self, parts: Sequence[_Span]) -> bool:
        """Whether two parts are the halves of "A / B": one title in two languages, or two titles."""
        return len(parts) == 2 and self._answer[parts[0][1] : parts[1][0]].strip() in {"/", "|"}

    def _text(self, span: _Span) -> str:
        return plain(self._answer[span[0] : span[1]])


def _capitalised(text: str) -> str:
    """The words of a name at the start of a text: "Lewis Carroll have all …" gives "Lewis Carroll"."""
    kept: list[str] = []
    for word in text.split():
        if word[0].islower() and word.strip(".,") not in SMALL_WORDS | {"ft", "feat", "featuring"}:
            break
        kept.append(word)
        if word[-1] in ".!?" and len(word) > _LONGEST_SHORT_FORM:
            break
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
    if _PLACEHOLDER.fullmatch(plain(mention.text).strip("()[]{}<> ")) and not lookup.is_title(own):
        return [(own, Match(item_id=None, score=0.0, reason="not_in_catalog"))]
    queried = lookup.query(mention)
    if queried is not None and _named(queried):
        return [(own, queried)]
    spans = sorted({own, *mention.readings}, key=_length, reverse=True)
    if lookup.is_title(spans[0]):
        return [(spans[0], lookup.match(spans[0]))]
    parts = _parts(mention.readings)
    late = [
        span for span in spans if span[0] > own[0] and span not in parts
    ]  # maybe the title in another language
    for span in spans:
        if span not in parts and span not in late and lookup.is_title(span):
            return [(span, lookup.match(span))]
    if len(parts) > 1 and sum(map(lookup.is_title, parts)) * 2 > len(parts):
        return [(span, lookup.match(span)) for span in parts]
    if len(parts) > 1 and lookup.are_slashed(parts) and (titles := list(filter(lookup.is_title, parts))):
        return [(titles[0], lookup.match(titles[0]))]
    inside = [span for span in spans if span not in parts and span not in late and span[1] <= own[1]]
    for exact in (True, False):
        found = [
            span for span in inside if lookup.match(span).item_id and (not exact or _named(lookup.match(span)))
        ]
        if found:
            best = own if own in found else max(found, key=lambda span: lookup.match(span).score)
            return [(best, lookup.match(best))]
    best = next(filter(lookup.is_title, late), own)
    return [(best, lookup.match(best))]


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
    """One event with the item that it is about; an ambiguous title has `meanings`, the ids that it may mean."""

    event: Event
    item: Item | None
    why: Abstention | None = None
    meanings: tuple[str, ...] = ()


def resolve_history(history: History, catalog: Catalog, grounder: Grounder) -> tuple[Known, ...]:
    """Finds the item of every event: by id, else by title through the grounder."""
    return tuple(_resolve(event, catalog, grounder) for event in history.events)


def known_ids(known: Iterable[Known]) -> frozenset[str]:
    """The items that the user knows; of an ambiguous title all that it may mean."""
    return frozenset(item for one in known for item in ((one.item.id,) if one.item is not None else one.meanings))


def _resolve(event: Event, catalog: Catalog, grounder: Grounder) -> Known:
    if event.by != "title" and event.item in catalog:
        return Known(event, catalog[event.item])
    if event.by == "id":
        return Known(event, None, "not_in_catalog")
    match = grounder.ground(event.item)
    if match.item_id is None:
        return Known(event, None, match.reason, match.alternatives if match.reason == "ambiguous" else ())
    return Known(event, catalog[match.item_id])
