"""What came back, prepared for the page: the answer's pieces, the ranked list, and a summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from zsrec.core.types import Grounded, Match, Recommendation, Recommendations
from zsrec.data.catalog import Catalog
from zsrec.data.titles import display_title

Kind = Literal["plain", "matched", "left out", "unmatched"]

_WHY = {
    "not_in_catalog": "not in the catalog",
    "ambiguous": "could be several items",
    "below_threshold": "no match is certain enough",
    "seen": "already in the history",
    "duplicate": "named earlier",
    "not_a_candidate": "not one of the candidates",
    "beyond_k": "the list was full",
}
_MOST_ALTERNATIVES = 3


@dataclass(frozen=True)
class Piece:
    """A part of an answer's text; all pieces together are the answer."""

    text: str
    kind: Kind = "plain"  # "matched" became a recommendation, "left out" did not, "unmatched" has no item
    note: str = ""  # what it was matched to and how, or why not


@dataclass(frozen=True)
class Row:
    """One place of the ranked list."""

    rank: int  # from 1
    item_id: str
    title: str
    how: str  # the match's method and confidence, the score's parts, or what filled the place
    reason: str = ""  # what the model wrote about the item
    probability: float | None = None  # of the item's label, for rankers that read labels


def pieces(result: Recommendations, exchange: int, catalog: Catalog) -> list[Piece]:
    """The pieces of one of a result's answers; `exchange` is its index in the trace."""
    trace = result.trace
    answer = trace.exchanges[exchange].answer
    left_out = {_place(one.grounded): one.why for one in trace.dropped}
    found: list[Piece] = []
    end = 0
    mentions = sorted((one for one in trace.grounded if one.exchange == exchange), key=lambda g: g.mention.start)
    for grounded in mentions:
        mention = grounded.mention
        if mention.start < end or mention.end <= mention.start:
            continue  # it overlaps the mention before, which is shown
        if mention.start > end:
            found.append(Piece(answer[end : mention.start]))
        text = answer[mention.start : mention.end]
        found.append(_answer_piece(text, grounded.match, left_out.get(_place(grounded)), catalog))
        end = mention.end
    if end < len(answer):
        found.append(Piece(answer[end:]))
    return found


def rows(result: Recommendations) -> list[Row]:
    """The ranked list."""
    return [
        Row(
            rank=one.rank,
            item_id=one.item.id,
            title=display_title(one.item.title),
            how=_how(one),
            reason=one.reason or "",
            probability=one.parts.probability if one.parts is not None else None,
        )
        for one in result
    ]


def label_bars(logprobs: Mapping[str, float], most: int = 8) -> list[tuple[str, float]]:
    """The most likely labels of an answer with their probabilities among all tokens, then the rest in one."""
    ranked = sorted(((label, math.exp(value)) for label, value in logprobs.items()), key=lambda one: -one[1])
    rest = sum(probability for _, probability in ranked[most:])
    return [*ranked[:most], *([(f"{len(ranked) - most} others", rest)] if len(ranked) > most else [])]


def summary(result: Recommendations) -> str:
    """The round in one line: places, mentions, tokens, seconds."""
    trace = result.trace
    named = len(trace.grounded)
    parts = [f"{len(result)} recommended"]
    if named:
        parts.append(f"{named} named, {len(trace.unresolved)} of them without an item")
    tokens = [exchange.usage for exchange in trace.exchanges]
    if any(one.prompt_tokens is not None for one in tokens):
        prompt = sum(one.prompt_tokens or 0 for one in tokens)
        answer = sum(one.completion_tokens or 0 for one in tokens)
        parts.append(f"{prompt:,} + {answer:,} tokens")
    parts.append(f"{sum(one.seconds or 0.0 for one in trace.exchanges):.1f} s")
    return " · ".join((*parts, trace.mode))


def remarks(result: Recommendations, catalog: Catalog) -> Iterator[str]:
    """What else a reader should know: items named in words, unknown titles, cut answers, short lists."""
    if result.trace.conversation is not None and (named := result.trace.conversation.mentions):
        found = {
            one.match.item_id: "by you" if one.role == "assistant" else one.feedback
            for one in named
            if one.match.item_id is not None
        }
        titles = ", ".join(f"{_title(item, catalog)} ({what})" for item, what in found.items())
        yield f"named in the conversation, so not recommended: {titles}"
    unknown = result.trace.history.unresolved
    if unknown:
        first = ", ".join(repr(name) for name, _ in unknown[:_MOST_ALTERNATIVES])
        more = f" and {len(unknown) - _MOST_ALTERNATIVES:,} more" if len(unknown) > _MOST_ALTERNATIVES else ""
        yield f"not in the catalog, from the history: {first}{more}"
    yield from result.trace.notes


def _answer_piece(text: str, match: Match, why: str | None, catalog: Catalog) -> Piece:
    if match.item_id is None:
        note = _WHY[match.reason or "not_in_catalog"]
        if match.reason == "ambiguous" and match.alternatives:
            note += ": " + "; ".join(_title(one, catalog) for one in match.alternatives[:_MOST_ALTERNATIVES])
        return Piece(text, "unmatched", note)
    note = f"{_title(match.item_id, catalog)} · {match.method} {match.score:.0%}"
    return Piece(text, "matched", note) if why is None else Piece(text, "left out", f"{note} · {_WHY[why]}")


def _how(one: Recommendation) -> str:
    if one.source != "llm":
        return f"from {one.source}"
    if one.provenance is not None:
        return f"{one.provenance.match.method} {one.provenance.match.score:.0%}"
    if one.parts is None:
        return "ranked by the model"
    parts = [f"model {one.parts.llm:.2f}"]
    if one.parts.prior is not None:
        parts.append(f"retriever {one.parts.prior:.2f}")
    return ", ".join(parts)


def _title(item_id: str, catalog: Catalog) -> str:
    return display_title(catalog[item_id].title) if item_id in catalog else item_id


def _place(grounded: Grounded) -> tuple[int, int, int]:
    return grounded.exchange, grounded.mention.start, grounded.mention.end
