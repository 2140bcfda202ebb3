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
from zsrec.data.titles import names_title

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
    lookup = _Lookup(answer, grounder, context)
    mentions = [mention for mention in parsed.mentions if mention.start not in parsed.items]
    longest = [max(_spans(mention), key=_length) for mention in mentions]
    lookup.ground(mention.query for mention in mentions if mention.query is not None)
    lookup.look_up(longest)
    unsure = (mention for mention, span in zip(mentions, longest, strict=True) if not lookup[span].is_title)
    lookup.look_up(span for mention in unsure for span in _spans(mention))
    half_from = len(answer.rstrip()) if cut and not answer.rstrip().endswith((")", "]")) else len(answer) + 1
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
            if span[1] >= half_from:
                match = Match(item_id=None, score=match.score, reason="below_threshold", alternatives=_ids(match))
            found.append(Grounded(mention=_recut(answer, mention, span), match=match))
    return ReadAnswer(found, parsed.skips, parsed.problem)


class _Looked(NamedTuple):
    """A span of the answer with its match."""

    span: _Span
    text: str
    match: Match
    is_title: bool  # whether it is a catalog title and nothing more (several items may have it)

    @property
    def is_placeholder(self) -> bool:
        """Whether it only stands for a title, as "Movie 1" does."""
        return not self.is_title and _PLACEHOLDER.fullmatch(self.text.strip("()[]{}<> ")) is not None

    @property
    def found(self) -> tuple[_Span, Match]:
        """The span and its match."""
        return self.span, self.match


class _Lookup:
    """The matches of texts and spans of one answer, grounded in batches and once each."""

    def __init__(self, answer: str, grounder: Grounder, context: Context | None) -> None:
        self._answer, self._grounder, self._context = answer, grounder, context
        self._matches: dict[str, Match] = {}
        self._looked: dict[_Span, _Looked] = {}

    def ground(self, texts: Iterable[str]) -> None:
        """Ground the texts that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._matches]
        if new:
            self._matches.update(zip(new, self._grounder.ground_many(new, self._context), strict=True))

    def look_up(self, spans: Iterable[_Span]) -> None:
        """Ground the spans that are new; one that a creator stands behind is asked for with the creator."""
        new = [span for span in dict.fromkeys(spans) if span not in self._looked]
        texts = asked = [plain(self._answer[start:end]) for start, end in new]
        if self._grounder.catalog.creator is not None:
            asked = [self._with_creator(text, end) for text, (_, end) in zip(texts, new, strict=True)]
        self.ground(asked)
        for span, text, query in zip(new, texts, asked, strict=True):
            match = self._matches[query]
            ids = _ids(match)[:_MOST_COMPARED] if _is_named(match) else ()
            is_title = any(names_title(text, self._grounder.catalog.title(item)) for item in ids)
            self._looked[span] = _Looked(span, text, match, is_title)

    def __getitem__(self, span: _Span) -> _Looked:
        if span not in self._looked:
            self.look_up([span])
        return self._looked[span]

    def query(self, mention: Mention) -> Match | None:
        """The match of the title and year that a mention puts together."""
        return None if mention.query is None else self._matches[mention.query]

    def _with_creator(self, text: str, end: int) -> str:
        found = _CREATOR.match(self._answer, end)
        if found is None:
            return text
        name = _capitalised(plain(found["by"] or found["name"]))
        return f"{text} by {name}" if (name and found["by"]) or self._grounder.index.is_creator(name) else text

    def are_slashed(self, parts: Sequence[_Looked]) -> bool:
        """Whether two parts are the halves of "A / B": one title in two languages, or two titles."""
        return len(parts) == 2 and self._answer[parts[0].span[1] : parts[1].span[0]].strip() in {"/", "|"}


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


def _spans(mention: Mention) -> tuple[_Span, ...]:
    """A mention as the parser cut it, then its other readings."""
    return (mention.start, mention.end), *mention.readings


def _length(span: _Span) -> int:
    return span[1] - span[0]


def _is_named(match: Match) -> bool:
    """Whether the catalog has the title as written: one item, or several of that name."""
    return match.method == "exact" or match.reason == "ambiguous"


def _choose(mention: Mention, lookup: _Lookup) -> list[tuple[_Span, Match]]:
    """The spans of a mention that are titles, with their matches; see `read_answer`."""
    own = (mention.start, mention.end)
    spans = sorted(dict.fromkeys(_spans(mention)), key=_length, reverse=True)
    longest, query = lookup[spans[0]], lookup.query(mention)
    if not longest.is_title and lookup[own].is_placeholder:
        return [(own, Match(item_id=None, score=0.0, reason="not_in_catalog"))]
    if query is not None and _is_named(query):
        return [(own, query)]
    if longest.is_title:
        return [longest.found]
    looked = [lookup[span] for span in spans]
    parts = [lookup[span] for span in _parts(mention.readings)]
    apart = [one.span for one in parts]
    # One that begins later may be the title in another language.
    late = [one for one in looked if one.span[0] > own[0] and one.span not in apart]
    whole = [one for one in looked if one.span[0] <= own[0] and one.span not in apart]
    if title := next((one for one in whole if one.is_title), None):
        return [title.found]
    titles = [one for one in parts if one.is_title]
    if len(parts) > 1 and len(titles) * 2 > len(parts):
        return [one.found for one in parts]
    if titles and lookup.are_slashed(parts):
        return [titles[0].found]
    inside = [one for one in whole if one.span[1] <= own[1] and one.match.item_id]
    if best := [one for one in inside if _is_named(one.match)] or inside:
        chosen = next((one for one in best if one.span == own), None)
        return [(chosen or max(best, key=lambda one: one.match.score)).found]
    return [next((one for one in late if one.is_title), lookup[own]).found]


def _parts(readings: Sequence[_Span]) -> list[_Span]:
    """The readings that are apart from another one: pieces of an enumeration."""
    return [a for a in readings if any(a[1] <= b[0] or b[1] <= a[0] for b in readings)]


def _ids(match: Match) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*((match.item_id,) if match.item_id else ()), *match.alternatives)))


def _recut(answer: str, mention: Mention, span: _Span) -> Mention:
    """The mention as the chosen reading cuts it; what the cut sets free becomes its reason."""
    if span == (mention.start, mention.end):
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
    """One event with the item that it is about; an ambiguous title has `meanings`, the ids that it may mean.

    It is `guessed` where the title only resembles the item's.
    """

    event: Event
    item: Item | None
    why: Abstention | None = None
    meanings: tuple[str, ...] = ()
    guessed: bool = False


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
    return Known(event, catalog[match.item_id], guessed=match.method in ("fuzzy", "semantic"))
