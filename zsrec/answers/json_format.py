"""Answers in JSON: which fields name the recommendations, in which order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from zsrec.answers.inline_format import inline_pieces
from zsrec.answers.json_reader import Box, Scalar, boxes, unescaped
from zsrec.answers.list_format import bulleted_pieces, numbered_pieces
from zsrec.answers.text_spans import Piece, Span, has_word, lines, trim
from zsrec.answers.wording import SMALL, is_title

_NOUNS = frozenset(
    "name names movie movies film films item items book books product products song songs show shows series game"
    " games track tracks album albums entry entries list candidates".split()
)
_PICKS = frozenset(
    "recommendation recommendations recommended recommend recs suggestion suggestions suggested pick"
    " picks picked choice choices chosen selected selection selections prediction predictions predicted"
    " next answer answers final candidate ranking ranked result results output".split()
)
_EXTRA = frozenset(
    "alternative alternatives alternate runner honorable honourable other more also backup bonus".split()
)
_RANKS = frozenset("rank ranking position place order number no index priority".split())
_REASONS = frozenset(
    "reason reasons reasoning explanation explanations why description descriptions rationale"
    " justification summary comment comments note notes synopsis plot overview relevance tagline because"
    " explain fit".split()
)
_AVOIDED = frozenset(
    "avoid avoided skip skipped not dont exclude excluded reject rejected discarded disliked dislikes"
    " omitted filtered removed worst".split()
)
_KNOWN = frozenset(
    "history from watched seen liked loved previous previously input source sources seed seeds based basis"
    " reference anchor query request trigger known".split()
)
_ASIDE = frozenset(
    "genre genres cast actor actors actress star stars starring director directors directed author"
    " authors writer writers tag tags keyword keywords user userid username language languages country"
    " countries rating ratings score scores confidence id ids theme themes mood moods thinking thought"
    " thoughts analysis preference preferences profile count total type category categories status"
    " error format studio producer producers composer character characters publisher runtime"
    " length platform streaming similarity original".split()
)
_YEARS = frozenset("year years release released date".split())
_TITLES = frozenset(("title", "titles"))
_VOCABULARY = _NOUNS | _PICKS | _EXTRA | _RANKS | _REASONS | _AVOIDED | _KNOWN | _ASIDE | _YEARS | _TITLES | SMALL
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_NUMBERED = re.compile(r"^\D{0,24}?(\d{1,3})$")
_FIELD = re.compile(r"[a-z]+(?:[_A-Z-][A-Za-z_-]*)?$")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+")
_RANK = re.compile(r"\W{0,4}(\d{1,5})(?:\.0{1,3}|st|nd|rd|th)?\W{0,4}$")
_YEAR_DIGITS = re.compile(r"(?:18|19|20)\d\d")


def json_pieces(text: str, span: Span, side: str | None = None) -> list[Piece]:
    """The titles in the JSON of a span, in order; empty where there is none.

    `side` says which element of a pair (an inner list of two strings) holds the title.
    """
    text = unescaped(text, span)
    return [piece for box, _ in boxes(text, *span) for piece in _titles(text, box, side)]


def _titles(text: str, box: Box, side: str | None) -> list[Piece]:
    if box.is_object:
        return _object_titles(text, box, side)
    values = [value for _, value in box.entries]
    if side is not None and len(values) == 2 and all(isinstance(value, Scalar) for value in values):
        values = values[:1] if side == "left" else values[1:]
    pieces: list[Piece] = []
    for value in values:
        if isinstance(value, Box):
            pieces += _titles(text, value, side)
        elif value.string:
            pieces += _listed(text, value) or [_piece(text, value)]
    return pieces


def _piece(text: str, value: Scalar) -> Piece:
    return Piece(*trim(text, value.start, value.end))


def _listed(text: str, value: Scalar, *, plural: bool = False) -> list[Piece]:
    """The items of a list that is written inside one string; empty where the string is one title."""
    inside = text[value.start : value.end].replace("\\n", " \n").replace('\\"', ' "')
    span = (0, len(inside))
    readers: tuple[Callable[[str, Span], list[Piece]], ...] = (numbered_pieces, bulleted_pieces)
    if plural:
        readers = (*readers, inline_pieces, _filled_lines)
    for reader in readers:
        found = reader(inside, span)
        if len(found) > 1:
            move = value.start
            return [
                piece._replace(
                    start=piece.start + move,
                    end=piece.end + move,
                    joins=tuple((start + move, end + move) for start, end in piece.joins),
                )
                for piece in found
            ]
    return []


def _filled_lines(text: str, span: Span) -> list[Piece]:
    return [Piece(*line) for line in lines(text, *span) if has_word(text, *line)]


class _Field(NamedTuple):
    """One entry of an object: what its key says it is, how plainly it names a pick, and the value."""

    kind: str
    strength: int
    key: Scalar | None
    value: Scalar | Box


def _object_titles(text: str, box: Box, side: str | None) -> list[Piece]:
    """The picks of one object: those of the fields that name a recommendation most plainly."""
    fields = [_field(text, key, value) for key, value in box.entries]
    skipped = [
        piece._replace(skip=field.kind)
        for field in fields
        if field.kind in ("avoid", "known")
        for piece in _within(text, field.value, side)
    ]
    picks = [field for field in fields if field.kind == "pick"]
    lists = [field for field in picks if isinstance(field.value, Box)]
    named = [field for field in picks if isinstance(field.value, Scalar)]
    strongest = max((field.strength for field in lists), default=0)
    found = [
        piece
        for field in lists
        if field.strength >= min(2, strongest)
        for piece in _within(text, field.value, side)
    ]
    if found:  # {"title": "For You", "movies": [...]}, {"movie": "Alien", "recommendations": [...]}
        named = [field for field in named if field.strength in (2, 4) and is_title(_words_of(text, field.value))]
    said = {field.kind: _words_of(text, field.value) for field in reversed(fields)}
    year = _YEAR_DIGITS.search(said.get("year", ""))
    rank = int(number[1]) if (number := _RANK.match(said.get("rank", ""))) else None
    for key, value in _chosen(text, named):
        one = _piece(text, value)._replace(reason=said.get("reason"), year=year[0] if year else None)
        several = _listed(text, value, plural=_is_plural(text, key))
        found += several or [one._replace(rank=_ordinal(text, key) or rank)]
    if rank is not None and len(found) == 1:
        found = [found[0]._replace(rank=rank)]
    rest = [field for field in fields if field.kind in (("other", "extra") if not found else ("extra",))]
    found += [piece for field in rest for piece in _nested(text, field, side)]
    if not found:  # {"content": "1. Heat …"}: a list in a text
        texts = [field.value for field in rest if isinstance(field.value, Scalar) and field.value.string]
        found = [piece for value in texts for piece in _listed(text, value, plural=True)]
    if not found:
        found = [_odd_title(text, field.key, field.value) for field in rest if field.key and field.key.string]
    if any(_is_denial(text, field) for field in fields):
        found = [piece._replace(skip="avoid") for piece in found]
    return found + skipped


def _within(text: str, value: Scalar | Box, side: str | None) -> list[Piece]:
    if isinstance(value, Box):
        return _titles(text, value, side)
    return [_piece(text, value)] if value.string else []


def _nested(text: str, field: _Field, side: str | None) -> list[Piece]:
    if field.key is None or isinstance(field.value, Box):
        return _within(text, field.value, side)
    return [_piece(text, field.value)] if field.kind == "extra" and field.value.string else []


def _words_of(text: str, value: Scalar | Box) -> str:
    return text[value.start : value.end] if isinstance(value, Scalar) else ""


def _chosen(text: str, named: list[_Field]) -> list[tuple[Scalar | None, Scalar]]:
    """The keys and values that name the pick; several only where they are numbered or of one kind."""
    values = [(field, field.value) for field in named if isinstance(field.value, Scalar)]
    values = [(field, value) for field, value in values if value.string or field.strength in (1, 3)]
    if not all(_ordinal(text, field.key) is not None for field, _ in values):
        values.sort(key=lambda one: -one[0].strength)  # stable
        if values[0][0].strength == 2 and not is_title(_words_of(text, values[0][1])):
            values.sort(key=lambda one: one[0].strength == 2)  # {"movie": "Heat", "recommendation": "See it now."}
        values = [one for one in values if _same_kind(text, one[0], values[0][0])]
    return [(field.key, value) for field, value in values]


def _same_kind(text: str, one: _Field, other: _Field) -> bool:
    if one is other or one.strength != other.strength:
        return one is other
    shared = set(_key_words(text, one.key)) & set(_key_words(text, other.key))
    return bool(shared & (_PICKS if one.strength in (2, 4) else _NOUNS | _TITLES)) and one.strength != 3


def _is_plural(text: str, key: Scalar | None) -> bool:
    last = "".join(_key_words(text, key)[-1:])
    return last in {"answer", "output", "list", "ranking"} or (last.endswith("s") and last != "series")


def _is_denial(text: str, field: _Field) -> bool:
    """Whether a field takes the whole object back: "seen": true, "recommended": "no"."""
    value = _words_of(text, field.value).lower()
    return (
        value in ("true", "yes")
        if field.kind in ("avoid", "known")
        else (field.strength in (2, 4) and value in ("false", "no"))
    )


def _ordinal(text: str, key: Scalar | None) -> int | None:
    """The place that a key such as "2", "movie_2" or "second" gives."""
    name = "" if key is None else text[key.start : key.end].strip().lower()
    if name in _ORDINALS:
        return _ORDINALS.index(name) + 1
    number = _NUMBERED.match(name)
    return int(number[1]) if number else None


def _field(text: str, key: Scalar | None, value: Scalar | Box) -> _Field:
    words = _key_words(text, key)
    known = set(words)
    kind, strength = "other", 0
    if key is None or (not known and _ordinal(text, key) is None):
        return _Field(kind, strength, key, value)
    if known & _AVOIDED:
        kind = "avoid"
    elif known & _KNOWN:
        kind = "known"
    elif known & _REASONS:
        kind = "reason"
    elif words[-1:] and words[-1] in _YEARS:
        kind = "year"
    elif words[-1:] and words[-1] in _RANKS and _RANK.match(_words_of(text, value)):
        kind = "rank"
    elif known & _ASIDE and (not known & _PICKS or words[-1] in _ASIDE):
        kind = "aside"
    elif known & _EXTRA:
        kind = "extra"
    else:
        nouns, picks = bool(known & (_NOUNS | _TITLES)), bool(known & _PICKS)
        strength = 4 if nouns and picks else 3 if known & _TITLES else 2 if picks else 1 if nouns else 0
        if strength or _ordinal(text, key) is not None:
            kind, strength = "pick", strength or 1
    return _Field(kind, strength, key, value)


def _key_words(text: str, key: Scalar | None) -> list[str]:
    """The words of a key, in lower case; none where the key looks like a title ("The Last Picture Show")."""
    raw = "" if key is None else text[key.start : key.end]
    words = [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", raw))]
    foreign = " " in raw.strip() and any(c.isupper() for c in raw) and not _VOCABULARY.issuperset(words)
    return [] if foreign else words


def _odd_title(text: str, key: Scalar, value: Scalar | Box) -> Piece:
    # {"next": "Heat"}: an unknown field of a program. {"Heat": "A cop …", "Ronin": 0.9}: the keys are the titles.
    if isinstance(value, Scalar) and value.string and _FIELD.match(text, key.start, key.end):
        return _piece(text, value)
    reason = text[value.start : value.end] if isinstance(value, Scalar) and value.string else None
    return _piece(text, key)._replace(reason=reason)
