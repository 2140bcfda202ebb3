"""The parser: from an answer's free text to mentions, the stretches that name items.

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
from zsrec.answers.list_format import bare_pieces, bulleted_pieces, headed_pieces, labelled_pieces, numbered_pieces
from zsrec.answers.mention_spans import common_separator, mention_in
from zsrec.answers.prose_format import prose_pieces
from zsrec.answers.table_format import table_pieces
from zsrec.answers.text_spans import YEAR, Piece, Span, plain, same
from zsrec.core.errors import ConfigError
from zsrec.core.types import ANSWER_STYLES, Mention

__all__ = ["MOST_MENTIONS", "PARSERS", "Side", "parse", "plain"]

Side = Literal["left", "right"]

MOST_MENTIONS = 500
"""The limit of mentions per answer; a model that names more is looping."""

_Reader = Callable[[str, Span, Side | None], list[Piece]]


def _sideless(reader: Callable[[str, Span], list[Piece]]) -> _Reader:
    return lambda text, span, _side: reader(text, span)


_NUMBERED, _PROSE = _sideless(numbered_pieces), _sideless(prose_pieces)
_UNNUMBERED = (bulleted_pieces, headed_pieces, labelled_pieces, inline_pieces, bare_pieces)
_OTHERS: tuple[_Reader, ...] = (table_pieces, *map(_sideless, _UNNUMBERED), _PROSE)

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


def parse(answer: str, style: str = "titles", side: Side | None = None, echo: Iterable[str] = ()) -> list[Mention]:
    """The items that an answer names, in its order; a repeated title counts once."""
    if style not in ANSWER_STYLES:
        raise ConfigError(f"unknown answer style {style!r}", hint=f"one of {', '.join(ANSWER_STYLES)}")
    if side not in {None, "left", "right"}:
        raise ConfigError(f"unknown side {side!r}", hint="'left', 'right' or None")
    echo = tuple(echo)
    known = frozenset(_without_year(part) for part in echo if not is_passage(part))
    mentions = _read(answer, clean(answer, echo), PARSERS[style], side, known)
    if not mentions and any(map(is_passage, echo)):  # everything was in the prompt: then that is the answer
        mentions = _read(answer, clean(answer), PARSERS[style], side, known)
    return mentions


def _without_year(title: str) -> str:
    return same(YEAR.sub("", title))


def _read(
    answer: str, text: str, readers: tuple[_Reader, ...], side: Side | None, known: frozenset[str]
) -> list[Mention]:
    for turn in sorted(turns(text), key=lambda turn: turn.user):  # stable: the model's own turns first
        rest, span = text, (turn.start, turn.end)
        for reader in readers:
            pieces = reader(rest, span, side)
            if reader is _PROSE and known:
                pieces = [piece for piece in pieces if _without_year(rest[piece.start : piece.end]) not in known]
            mentions = _mentions(answer, rest, pieces, side)
            if mentions:
                return mentions
            if reader is json_pieces:
                rest = without_objects(rest, span)
    return []


def _mentions(answer: str, text: str, pieces: list[Piece], side: Side | None) -> list[Mention]:
    pieces = pieces[: 2 * MOST_MENTIONS]
    separator = common_separator(text, pieces[:50]) if side is None else None
    found: dict[str, Mention] = {}
    for piece in pieces:
        mention = mention_in(text, piece, side=side, separator=separator)
        if mention is not None:
            mention = mention.model_copy(update={"text": answer[mention.start : mention.end]})
            found.setdefault(same(mention.query or mention.text), mention)
    return list(found.values())[:MOST_MENTIONS]
