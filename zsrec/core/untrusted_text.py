"""Untrusted text made harmless: one line, no invisible characters, no control tokens, safe for a terminal.

A title, a tag or a user's own words may hold line breaks, invisible characters or a chat format's control
tokens, by accident or on purpose; put into a prompt as they are, they forge list entries, hide text from a
reader or open a new role. Every variable of a template passes through `inline` (`Template.render` and
`ItemView` see to it), so that no author of a template can forget it. What comes out

- is one line: every control, line or paragraph separator and run of spaces is one space;
- holds no bidirectional controls, zero-width or other invisible characters (Default_Ignorable_Code_Point). The
  joiners U+200C and U+200D stay only between letters of scripts that spell with them (Arabic to Myanmar, Khmer,
  Mongolian) and between the symbols of one emoji, Mongolian's variation selectors directly after its letters;
- holds no control token: `<|im_end|>` becomes `< |im_end| >`, `</s>` becomes `< /s >`, `[INST]` becomes `[
  INST ]`, in full-width and other forms too. The rule goes by shape, not by a list of models, so it covers tokens
  of future models;
- is at most so many characters long and ends with "…" where it was cut.

Ordinary titles pass unchanged ("WALL·E", "<3", "[REC]", "Léon", any script, emoji). Braces pass too: data is
never read as a template, so `{{` means nothing. This cannot take the *meaning* out of a sentence: a title that
says "ignore the list above" still says it, in one line, among the titles.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

from zsrec.core.code_points import IGNORABLE, folded

TITLE_LIMIT = 300
"""Characters visible of a string inside an item, and by the `inline` filter by default."""

TEXT_LIMIT = 2000
"""Characters visible of a text variable such as `about`."""

TURN_LIMIT = 20_000
"""Characters visible of a turn of a conversation; a recommender allows fewer (`Settings.max_turn_characters`)."""

ELLIPSIS = "…"
JOINERS = "\u200c\u200d"
_VARIATIONS = "\ufe0e\ufe0f"
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # spaces, and yet letters or symbols to Unicode
_MONGOLIAN_SELECTORS = frozenset("\u180b\u180c\u180d\u180e\u180f")

# Shapes of control tokens, for texts in which `folded` has put ASCII characters in place of their other forms.
_HALF_TOKEN = re.compile(
    r"(?<=<)(?=[|<])"  # <|im_end|>, <<SYS>>
    r"|(?<=\[)(?=\|)"  # [|Human|]
    r"|(?<=\|)(?=[>\]])"
)
_TAG = re.compile(r"<([/!]?\w[\w:.▁-]{0,60}/?)>")  # </s>, <start_of_turn>, <think>
_BRACKETED = re.compile(r"\[([^\s\[\]]{1,40})\]")
_TILDE = re.compile(r"[\[\]](\w{0,8}~!?\w{0,8})(?=[\[\]])")  # ]~b], ]~!b[, [e~[
_BRACKET_WORD = re.compile(
    r"/?(?i:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|THINK|ARGS|CALL_ID|IMG\w*|AUDIO|BEGIN_AUDIO"
    r"|PREFIX|SUFFIX|MIDDLE|[GS]?MASK|CLS|SEP|UNK|PAD|BOS|EOS)"
    r"|/?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"  # [UNUSED_TOKEN_12], [MODEL_SETTINGS]
)
_WHOLE_TOKEN = re.compile(r"<[|<][^\s<>]{0,60}>{0,2}|\[\||\|[>\]]")
_SPECIAL_TAG = re.compile(
    r"/?(s|bos|eos|pad|unk|mask|sep|cls|start_of_turn|end_of_turn|begin_of_text|end_of_text)", re.IGNORECASE
)
_ROLE = re.compile(r"(USER|ASSISTANT|SYSTEM)(?=:)")  # Vicuna's turns are parted by nothing else
_NOT_PLAIN = re.compile(r"[^ -~]|  |[<>\[\]|]|^ | $|(?:USER|ASSISTANT|SYSTEM):")


def inline(text: object, limit: int = TITLE_LIMIT) -> str:
    """Return a text as one harmless line of at most `limit` characters, as the module says.

    A second application changes nothing. Anything but text becomes text first.

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"inline({limit}) keeps nothing: the limit is at least 1")
    # Cut before the work as well, so that a book pasted as a title costs nothing.
    raw = str(text)[: 4 * limit + 1000]
    if not _NOT_PLAIN.search(raw):
        return _cut(raw, limit)
    return _cut(_break_tokens(" ".join(_visible(raw).split())), limit)


def printable(text: str, replacement: str = "\ufffd") -> str:
    """Replace control, bidirectional and invisible characters, which no terminal or page may be sent."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_shown(text, place) else replacement for place, char in enumerate(text))


def _is_shown(text: str, place: int) -> bool:
    """Whether a character may be printed: it is seen, or it is spelling or part of an emoji."""
    char, before, after = text[place], text[max(0, place - 1) : place], text[place + 1 : place + 2]
    if char in JOINERS:
        return bool(before) and _joins(before, after)
    if char in _MONGOLIAN_SELECTORS:
        return _is_mongolian(before)
    return char.isprintable() and (char not in IGNORABLE or char in _VARIATIONS)


class ControlToken(NamedTuple):
    """A part of a text in the shape of a control token; `strict` where it cannot be anything else."""

    text: str
    start: int
    strict: bool


def control_tokens(text: str) -> Iterator[ControlToken]:
    """Yield what `inline` would break in a text, kind by kind."""
    shape = folded(text)
    for found in _WHOLE_TOKEN.finditer(shape):
        yield _token(text, found.span(), strict=True)
    for found in _TAG.finditer(shape):
        yield _token(text, found.span(), strict=_SPECIAL_TAG.fullmatch(found[1]) is not None)
    for found in _BRACKETED.finditer(shape):
        if _BRACKET_WORD.fullmatch(found[1]):
            yield _token(text, found.span(), strict=True)
    for found in _TILDE.finditer(shape):
        yield _token(text, (found.start(), found.end() + 1), strict=True)
    for found in _ROLE.finditer(shape):
        yield _token(text, (found.start(), found.end() + 1), strict=False)


def _token(text: str, span: tuple[int, int], *, strict: bool) -> ControlToken:
    return ControlToken(text[slice(*span)], span[0], strict)


def break_tokens(text: str, keep: Set[str], further: Iterable[str] = ()) -> str:
    """Break every control token in a rendered role that is not in `keep`, the template's own ones.

    Data holds none when a template receives it, but a template that takes it apart and puts it together again
    (`reverse`, `replace(" ", "")`, a "<" before it and a ">" behind) can make one.

    Args:
        text: The role.
        keep: The tokens that stay.
        further: Tokens of the model that is served, without regard to their shape (`zsrec.llm.control_tokens`).
    """
    own = sorted((token.start, token.text) for token in control_tokens(text) if token.text in keep)
    pieces, end = [], 0
    for start, token in own:
        if start >= end:
            pieces += [_break_further(_break_tokens(text[end:start]), further), token]
            end = start + len(token)
    return "".join([*pieces, _break_further(_break_tokens(text[end:]), further)])


def _visible(text: str) -> str:
    """Drop what cannot be seen, turn separators into spaces, replace lone surrogates."""
    visible: list[str] = []
    for place, char in enumerate(text):
        category = unicodedata.category(char)
        if category in {"Cc", "Zl", "Zp", "Zs"} or char in _BLANK:
            visible.append(" ")
        elif category == "Cs":  # cannot be encoded for sending
            visible.append("\ufffd")
        elif char in JOINERS:
            if visible and _joins(visible[-1], text[place + 1 : place + 2]):
                visible.append(char)
        elif char in _MONGOLIAN_SELECTORS:
            if visible and _is_mongolian(visible[-1]):
                visible.append(char)
        elif char in _VARIATIONS:
            if visible and visible[-1] not in _VARIATIONS:  # a run of them can carry a hidden message
                visible.append(char)
        elif category != "Cf" and char not in IGNORABLE:
            visible.append(char)
    return "".join(visible)


def _is_mongolian(before: str) -> bool:
    """Whether a variation selector is spelling after this character."""
    return "\u1820" <= before <= "\u18aa"


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between two characters is spelling, not hiding."""
    if not after:
        return False
    if all("\u0600" <= char <= "\u109f" or "\u1780" <= char <= "\u18af" for char in (before, after)):
        return unicodedata.category(before)[0] in "LM" and unicodedata.category(after)[0] in "LM"
    symbols = unicodedata.category(before) in {"So", "Sk"} or before in _VARIATIONS
    return symbols and unicodedata.category(after) == "So"


def _break_tokens(line: str) -> str:
    """Put a space where a control token begins and where it ends."""
    shape = folded(line)
    places = {found.start() for found in _HALF_TOKEN.finditer(shape)}
    places.update(place for found in _TAG.finditer(shape) for place in found.span(1))
    places.update(
        place
        for found in _BRACKETED.finditer(shape)
        if _BRACKET_WORD.fullmatch(found[1])
        for place in found.span(1)
    )
    places.update(place for found in _TILDE.finditer(shape) for place in found.span(1))
    places.update(found.end() for found in _ROLE.finditer(shape))
    if not places:
        return line
    cuts = [0, *sorted(places), len(line)]
    return " ".join([line[start:end] for start, end in itertools.pairwise(cuts)])


def _break_further(text: str, tokens: Iterable[str]) -> str:
    for token in tokens:
        while len(token) > 1 and token in text:  # "####" has "###" twice
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _cut(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    return line[: limit - 1].rstrip(" " + JOINERS) + ELLIPSIS
