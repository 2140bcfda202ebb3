"""Answers to mentions: which items does a model's free text name, and where?

    parse("Sure! 1. Heat (1995) - a duel 2. Ronin")  ->  Mention("Heat (1995)", reason="a duel"), Mention("Ronin")

An answer is cleaned (`clean`), cut to the model's own first turn (`turns`), and read by the first reader that
finds titles in it: JSON, a table, a numbered list, a bulleted one, headed or labelled lines, a comma list,
bare lines, sentences. None of them knows the catalog; where only the catalog can tell how far a title goes, the
mention carries `readings`, and `zsrec.answers.grounding` chooses. No text makes the parser fail, and its time
grows linearly with the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from zsrec.answers.cleaning import clean, is_passage, turns
from zsrec.answers.inline_format import inline_pieces
from zsrec.answers.json_format import json_pieces, without_objects
from zsrec.answers.list_format import (
    bare_pieces,
    bulleted_pieces,
    headed_pieces,
    labelled_pieces,
    numbered_pieces,
    table_pieces,
)
from zsrec.answers.mention_spans import habit_of, read
from zsrec.answers.prose_format import prose_pieces
from zsrec.answers.text_spans import YEAR, Piece, Span, plain, same
from zsrec.core.errors import ConfigError
from zsrec.core.types import ANSWER_STYLES, Mention

__all__ = ["MOST_MENTIONS", "PARSERS", "Side", "parse", "plain"]

Side = Literal["left", "right"]

MOST_MENTIONS = 500
"""Mentions taken from one answer; a model that names more is looping."""

_Reader = Callable[[str, Span, Side | None], list[Piece]]


def _sideless(reader: Callable[[str, Span], list[Piece]]) -> _Reader:
    return lambda text, span, _side: reader(text, span)


_NUMBERED = _sideless(numbered_pieces)
_PROSE = _sideless(prose_pieces)
_LINES: tuple[_Reader, ...] = (
    table_pieces,
    _sideless(bulleted_pieces),
    _sideless(headed_pieces),
    _sideless(labelled_pieces),
    _sideless(inline_pieces),
    _sideless(bare_pieces),
    _PROSE,
)

PARSERS: Mapping[str, tuple[_Reader, ...]] = MappingProxyType(
    {
        "titles": (json_pieces, _NUMBERED, *_LINES),
        "numbered": (_NUMBERED, json_pieces, *_LINES),
        "json": (json_pieces, _NUMBERED, *_LINES),
    }
)
"""The names that a template may give as `answer:`, with the readers in the order in which they are asked.

A name says what the prompt asked for, so what to look for first; models do not always obey, so that every name
ends with all the others.
"""


def parse(answer: str, style: str = "titles", side: Side | None = None, echo: Iterable[str] = ()) -> list[Mention]:
    """The items that an answer names, in its order; a repeated title counts once.

    Args:
        answer: The model's raw text.
        style: What the prompt asked for, one of `ANSWER_STYLES`.
        side: For answers in "watched - candidate" pairs, which half is the recommendation; None where a line
            names one item.
        echo: Texts that the prompt contained and that a model may repeat before it answers: the titles of the
            history (mentions of them in sentences are left out), or whole passages.

    Returns:
        Mentions whose spans are exact: `answer[m.start:m.end] == m.text`.

    Raises:
        ConfigError: `style` or `side` is not a known name.
    """
    if style not in ANSWER_STYLES:
        raise ConfigError(f"unknown answer style {style!r}", hint=f"one of {', '.join(ANSWER_STYLES)}")
    if side not in {None, "left", "right"}:
        raise ConfigError(f"unknown side {side!r}", hint="'left', 'right' or None")
    echo = tuple(echo)
    known = frozenset(_unyeared(part) for part in echo if not is_passage(part))
    mentions = _read(answer, clean(answer, echo), PARSERS[style], side, known)
    if not mentions and any(map(is_passage, echo)):  # all of it stood in the prompt: then that is the answer
        mentions = _read(answer, clean(answer), PARSERS[style], side, known)
    return mentions


def _read(
    answer: str, text: str, readers: tuple[_Reader, ...], side: Side | None, known: frozenset[str]
) -> list[Mention]:
    found = list(turns(text))
    for turn in sorted(found, key=lambda turn: turn.user):  # stable: the model's own turns first
        mentions = _read_turn(answer, text, (turn.start, turn.end), readers, side, known)
        if mentions:
            return mentions
    return []


def _unyeared(title: str) -> str:
    return same(YEAR.sub("", title))


def _read_turn(
    answer: str, text: str, span: Span, readers: tuple[_Reader, ...], side: Side | None, known: frozenset[str]
) -> list[Mention]:
    for reader in readers:
        pieces = reader(text, span, side)
        if reader is _PROSE and known:
            pieces = [piece for piece in pieces if _unyeared(text[piece.start : piece.end]) not in known]
        mentions = _mentions(answer, text, pieces, side)
        if mentions:
            return mentions
        if reader is json_pieces:
            text = without_objects(text, span)
    return []


def _mentions(answer: str, text: str, pieces: list[Piece], side: Side | None) -> list[Mention]:
    pieces = pieces[: 2 * MOST_MENTIONS]
    habit = habit_of(text, pieces[:50]) if side is None else None
    found: dict[str, Mention] = {}
    for piece in pieces:
        mention = read(text, piece, side=side, habit=habit)
        if mention is None:
            continue
        mention = mention.model_copy(update={"text": answer[mention.start : mention.end]})
        found.setdefault(same(mention.query or mention.text), mention)
        if len(found) == MOST_MENTIONS:
            break
    return list(found.values())
