"""The parser: from an answer's free text to mentions, the stretches that name items.

    parse("Sure! 1. Heat (1995) - a duel 2. Ronin")  ->  Mention("Heat (1995)", reason="a duel"), Mention("Ronin")

An answer is cleaned (`clean`), cut to the model's own first turn (`turns`), and read by the first reader that
finds titles in it: JSON, a table, a numbered list, a bulleted one, headed or labelled lines, a comma list,
bare lines, sentences. None of them knows the catalog; where only the catalog can tell how far a title goes, the
mention carries `readings`, and `zsrec.answers.grounding` chooses. No text makes the parser fail, and its time
grows linearly with the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from zsrec.answers.candidate_lines import CandidateLines, candidate_pieces
from zsrec.answers.cleaning import cleaned, is_passage
from zsrec.answers.inline_format import inline_pieces
from zsrec.answers.json_format import json_pieces
from zsrec.answers.json_reader import without_objects
from zsrec.answers.list_format import bare_pieces, bulleted_pieces, headed_pieces, labelled_pieces, numbered_pieces
from zsrec.answers.mention_spans import common_separator, mention_in
from zsrec.answers.prose_format import prose_pieces
from zsrec.answers.quoted_format import quoted_pieces
from zsrec.answers.sections import turns, unwanted
from zsrec.answers.table_format import table_pieces
from zsrec.answers.text_spans import YEAR, Piece, Skip, Span, blank, plain, same
from zsrec.core.errors import ConfigError
from zsrec.core.types import ANSWER_STYLES, Mention

__all__ = ["MOST_MENTIONS", "PARSERS", "Parsed", "Side", "parse", "parse_answer", "plain"]

Side = Literal["left", "right"]

MOST_MENTIONS = 500
"""The limit of mentions per answer; a model that names more is looping."""

_Reader = Callable[[str, Span, Side | None], list[Piece]]


def _sideless(reader: Callable[[str, Span], list[Piece]]) -> _Reader:
    return lambda text, span, _side: reader(text, span)


_NUMBERED, _PROSE = _sideless(numbered_pieces), _sideless(prose_pieces)
_MARKED = (headed_pieces, labelled_pieces)
_OTHERS: tuple[_Reader, ...] = (
    table_pieces, _sideless(bulleted_pieces), quoted_pieces, *map(_sideless, _MARKED), inline_pieces,
    _sideless(bare_pieces), _PROSE
)  # fmt: skip

PARSERS: Mapping[str, tuple[_Reader, ...]] = MappingProxyType(
    {
        "titles": (json_pieces, _NUMBERED, *_OTHERS),
        "numbered": (_NUMBERED, json_pieces, *_OTHERS),
        "json": (json_pieces, _NUMBERED, *_OTHERS),
    }
)
"""The readers by answer style (a template's `answer:`), in the order in which they are tried.

A style says what the prompt asked for, so what to look for first; models do not always obey, so every style falls
back to all other formats.
"""


class Parsed(NamedTuple):
    """What an answer says.

    Attributes:
        mentions: What it recommends, best first: in the answer's order, unless it states ranks.
        skips: The stretches with words that are no recommendation, each with the reason, in order.
        problem: Why there is no mention, in plain words ("a refusal", "only thoughts"); None where there is one.
        items: The items of mentions that are a candidate's line or number, by the mention's start.
    """

    mentions: list[Mention]
    skips: tuple[Skip, ...] = ()
    problem: str | None = None
    items: Mapping[int, str] = MappingProxyType({})


def parse(answer: str, style: str = "titles", side: Side | None = None, echo: Iterable[str] = ()) -> list[Mention]:
    """The items that an answer names, best first; a repeated title counts once.

    Args:
        answer: The model's raw text.
        style: What the prompt asked for, one of `ANSWER_STYLES`.
        side: For answers in "watched - candidate" pairs, which half is the recommendation; None where a line
            names one item.
        echo: Texts of the prompt that a model may repeat before it answers: the titles of the history (mentions
            of them in sentences are left out), or whole passages.

    Returns:
        Mentions whose spans are exact: `answer[m.start:m.end] == m.text`.

    Raises:
        ConfigError: `style` or `side` is not a known name.
    """
    return parse_answer(answer, style, side, echo).mentions


def parse_answer(
    answer: str,
    style: str = "titles",
    side: Side | None = None,
    echo: Iterable[str] = (),
    *,
    cut: bool = False,
    thinks: bool = False,
    candidates: CandidateLines | None = None,
) -> Parsed:
    """Like `parse`, with what was left out and why.

    `cut` says that the model was stopped by its token limit: a thought that never ends then has no answer,
    and of a model that `thinks` everything but a list is one. An answer line equal to one of `candidates` is that
    candidate.
    """
    if style not in ANSWER_STYLES:
        raise ConfigError(f"unknown answer style {style!r}", hint=f"one of {', '.join(ANSWER_STYLES)}")
    if side not in {None, "left", "right"}:
        raise ConfigError(f"unknown side {side!r}", hint="'left', 'right' or None")
    echo = tuple(echo)
    readers = PARSERS[style]
    if candidates is not None:
        readers = (lambda text, span, _side: candidate_pieces(text, span, candidates), *readers)
    text, skips = cleaned(answer, echo, cut=cut, thinks=thinks, keep=candidates.ids if candidates else ())
    parsed = _read(answer, text, readers, side, echo)
    if not parsed.mentions and any(skip.why == "echo of the prompt" for skip in skips):
        # Everything was in the prompt: then that is the answer.
        text, skips = cleaned(answer, cut=cut, thinks=thinks)
        parsed = _read(answer, text, readers, side, echo)
    found = (*skips, *parsed.skips)
    problem = None if parsed.mentions else _problem(answer, found)
    return parsed._replace(skips=tuple(sorted(found, key=lambda skip: skip[:2])), problem=problem)


def _read(
    answer: str, text: str, readers: tuple[_Reader, ...], side: Side | None, echo: tuple[str, ...]
) -> Parsed:
    found = turns(text)
    skips: list[Skip] = []
    for turn in found:
        span = (turn.start, turn.end)
        skips += unwanted(text, span)
        rest = blank(text, (skip[:2] for skip in skips)) if skips else text
        for reader in readers:
            if reader is json_pieces and "[" not in rest and "{" not in rest:
                continue
            pieces = reader(rest, span, side)
            if reader is _PROSE:
                pieces = _known_skipped(rest, pieces, echo)
            skips += [Skip(piece.start, piece.end, piece.skip) for piece in pieces if piece.skip]
            pieces = _ranked([piece for piece in pieces if not piece.skip])
            mentions = _mentions(answer, rest, pieces, side)
            if mentions:
                items = {piece.start: piece.item for piece in pieces if piece.item}
                others = [Skip(one.start, one.end, "another part") for one in found if one is not turn]
                return Parsed(mentions, (*skips, *others, *_left_over(rest, span, mentions, skips)), None, items)
            if reader is json_pieces:
                rest = without_objects(rest, span)
    return Parsed([], (*skips, *(Skip(one.start, one.end, "no title") for one in found)))


def _known_skipped(text: str, pieces: list[Piece], echo: tuple[str, ...]) -> list[Piece]:
    """The pieces, those that name a title of the prompt skipped."""
    known = {same(YEAR.sub("", part)) for part in echo if not is_passage(part)}
    return [
        piece._replace(skip="known")
        if not piece.skip and same(YEAR.sub("", text[piece.start : piece.end])) in known
        else piece
        for piece in pieces
    ]


def _ranked(pieces: list[Piece]) -> list[Piece]:
    """The pieces by the ranks that the answer states, where it ranks each of them differently."""
    ranks = [piece.rank for piece in pieces if piece.rank is not None]
    if len(ranks) < len(pieces) or len(set(ranks)) < len(ranks):
        return pieces
    return sorted(pieces, key=lambda piece: piece.rank or 0)


def _left_over(text: str, span: Span, mentions: Sequence[Mention], skips: Sequence[Skip]) -> Iterator[Skip]:
    """The stretches with words of a turn that are in no mention, reason or other skip."""
    taken = [(one.start, max((one.end, *(end for _, end in one.readings)))) for one in mentions]
    taken += [(skip.start, skip.end) for skip in skips]
    place = span[0]
    for start, end in (*sorted(taken), (span[1], span[1])):
        if start > place and (words := _LETTERS.search(text, place, start)):
            ends = (end for end in range(start, words.end(), -1) if text[end - 1].isalpha())
            yield Skip(words.start(), next(ends, words.end()), "no title")
        place = max(place, end)


def _mentions(answer: str, text: str, pieces: list[Piece], side: Side | None) -> list[Mention]:
    pieces = pieces[: 2 * MOST_MENTIONS]
    separator = common_separator(text, pieces[:50]) if side is None else None
    found: dict[str, Mention] = {}
    for piece in pieces:
        mention = (
            Mention(text=text[piece.start : piece.end], start=piece.start, end=piece.end)
            if piece.item
            else mention_in(text, piece, side=side, separator=separator)
        )
        if mention is not None:
            raw = answer[mention.start : mention.end]
            mention = mention if mention.text == raw else mention.model_copy(update={"text": raw})
            found.setdefault(same(mention.query or mention.text), mention)
    return list(found.values())[:MOST_MENTIONS]


_LETTERS = re.compile(r"[^\W\d_]{2}|[\u3040-\ud7ff]")
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|unfortunately|as an ai|(?:i|we) (?:can(?:no|')t|cannot|am (?:not able|unable)|won'?t"
    r"|do not have|don'?t have)|not able to|unable to|no (?:suitable|matching) \w+)\b"
    r"|抱歉|对不起|无法|申し訳|できません|no puedo|lo siento|désolé|je ne peux|leider|tut mir leid",
    re.IGNORECASE,
)


def _problem(answer: str, skips: Sequence[Skip]) -> str:
    """What kind of answer it is that names nothing."""
    whys = {skip.why for skip in skips} - {"no title"}
    plain_text = blank(answer[:20_000], (skip[:2] for skip in skips if skip.why != "no title")).strip()
    if not re.search(r"\w", answer[:20_000]):
        return "an empty answer"
    if not re.search(r"\w", plain_text):
        if "unfinished thought" in whys:
            return "only thoughts, cut before the answer"
        return "only thoughts" if "thought" in whys else f"only what is left out ({', '.join(sorted(whys))})"
    if _REFUSAL.search(plain_text[:1000]):
        return "a refusal"
    if left_out := sorted(whys & {"avoid", "known"}):
        return f"only what is left out ({', '.join(left_out)})"
    return "a question" if plain_text.rstrip("*_ \n").endswith(("?", "？")) else "no list"
