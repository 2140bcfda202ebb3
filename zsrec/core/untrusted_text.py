"""Untrusted text made harmless: one line, no invisible characters, no control tokens, safe for a terminal.

A title, a tag or a user's own words may hold line breaks, invisible characters or a chat format's control
tokens, by accident or on purpose; put into a prompt as they are, they forge list entries, hide text from a
reader or open a new role. Every variable of a template passes through `inline` (`Template.render` and
`ItemView` see to it), so that no author of a template can forget it. What comes out

- is one line: every control, line or paragraph separator and run of spaces is one space;
- holds no bidirectional controls, zero-width or other invisible characters. The joiners U+200C and U+200D stay
  only between letters of scripts that spell with them (Arabic to Myanmar, Khmer, Mongolian) and between the
  symbols of one emoji;
- holds no control token: `<|im_end|>` becomes `< |im_end| >`, `</s>` becomes `< /s >`, `[INST]` becomes `[
  INST ]`. The rule goes by shape, not by a list of models, so it covers tokens of future models;
- is at most so many characters long and ends with "…" where it was cut.

Ordinary titles pass unchanged ("WALL·E", "<3", "[REC]", "Léon", any script, emoji). Braces pass too: data is
never read as a template, so `{{` means nothing. This cannot take the *meaning* out of a sentence: a title that
says "ignore the list above" still says it, in one line, among the titles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Set
from typing import NamedTuple

TITLE_LIMIT = 300
"""Characters visible of a string inside an item, and by the `inline` filter by default."""

TEXT_LIMIT = 2000
"""Characters visible of a text variable such as `about`."""

TURN_LIMIT = 20_000
"""Characters visible of a turn of a conversation; a recommender allows fewer (`Settings.max_turn_characters`)."""

ELLIPSIS = "…"
JOINERS = "\u200c\u200d"
_VARIATIONS = "\ufe0e\ufe0f"
# Invisible, and yet letters, marks or symbols to Unicode: Hangul fillers, blank Braille, grapheme joiner.
_INKLESS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0")

# Brackets and bars together with the forms that NFKC, which some tokenizers apply, folds to them.
_LT, _GT, _BAR = "<\uff1c\ufe64", ">\uff1e\ufe65", "|\uff5c"
_OPEN, _CLOSE = "\\[\uff3b", "\\]\uff3d"
_HALF_TOKEN = re.compile(
    f"(?<=[{_LT}])(?=[{_BAR}{_LT}])"  # <|im_end|>, <<SYS>>
    f"|(?<=[{_OPEN}])(?=[{_BAR}])"  # [|Human|]
    f"|(?<=[{_BAR}])(?=[{_GT}{_CLOSE}])"
)
_TAG = re.compile(f"([{_LT}])([/!]?\\w[\\w:.▁-]{{0,60}}/?)([{_GT}])")  # </s>, <start_of_turn>, <think>
_BRACKETED = re.compile(f"([{_OPEN}])([^\\s{_OPEN}{_CLOSE}]{{1,40}})([{_CLOSE}])")
_BRACKET_WORD = re.compile(
    r"/?(INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|THINK|ARGS|CALL_ID|IMG\w*|AUDIO|BEGIN_AUDIO"
    r"|PREFIX|SUFFIX|MIDDLE|[GS]?MASK|CLS|SEP|UNK|PAD|BOS|EOS)",
    re.IGNORECASE,
)
_WHOLE_TOKEN = re.compile(
    f"[{_LT}][{_BAR}{_LT}][^\\s{_LT}{_GT}]{{0,60}}[{_GT}]{{0,2}}|[{_OPEN}][{_BAR}]|[{_BAR}][{_GT}{_CLOSE}]"
)
_SPECIAL_TAG = re.compile(
    r"/?(s|bos|eos|pad|unk|mask|sep|cls|start_of_turn|end_of_turn|begin_of_text|end_of_text)", re.IGNORECASE
)
_ROLE = re.compile(r"(USER|ASSISTANT|SYSTEM)(?=[:：])")  # Vicuna's turns are parted by nothing else
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
    return "".join(char if char.isprintable() else replacement for char in text)


class ControlToken(NamedTuple):
    """A part of a text in the shape of a control token; `strict` where it cannot be anything else."""

    text: str
    start: int
    strict: bool


def control_tokens(text: str) -> Iterator[ControlToken]:
    """Yield what `inline` would break in a text, kind by kind."""
    for found in _WHOLE_TOKEN.finditer(text):
        yield ControlToken(found[0], found.start(), strict=True)
    for found in _TAG.finditer(text):
        yield ControlToken(found[0], found.start(), strict=_SPECIAL_TAG.fullmatch(found[2]) is not None)
    for found in _BRACKETED.finditer(text):
        if _is_special(found[2]):
            yield ControlToken(found[0], found.start(), strict=True)
    for found in _ROLE.finditer(text):
        yield ControlToken(text[found.start() : found.end() + 1], found.start(), strict=False)


def break_tokens(text: str, keep: Set[str]) -> str:
    """Break every control token in a rendered role that is not in `keep`, the template's own ones.

    Data holds none when a template receives it, but a template that takes it apart and puts it together again
    (`reverse`, `replace(" ", "")`, a "<" before it and a ">" behind) can make one.
    """
    own = sorted((token.start, token.text) for token in control_tokens(text) if token.text in keep)
    pieces, end = [], 0
    for start, token in own:
        if start >= end:
            pieces += [_break_tokens(text[end:start]), token]
            end = start + len(token)
    return "".join([*pieces, _break_tokens(text[end:])])


def _visible(text: str) -> str:
    """Drop what cannot be seen, turn separators into spaces, replace lone surrogates."""
    visible: list[str] = []
    for place, char in enumerate(text):
        category = unicodedata.category(char)
        if category in {"Cc", "Zl", "Zp", "Zs"} or char in _INKLESS:
            visible.append(" ")
        elif category == "Cs":  # cannot be encoded for sending
            visible.append("\ufffd")
        elif char in JOINERS:
            if visible and _joins(visible[-1], text[place + 1 : place + 2]):
                visible.append(char)
        elif category == "Cf" or "\U000e0000" <= char <= "\U000e0fff" or "\ufe00" <= char <= "\ufe0d":
            continue
        elif char in _VARIATIONS and (not visible or visible[-1] in _VARIATIONS):
            continue  # a run of them can carry a hidden message
        else:
            visible.append(char)
    return "".join(visible)


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between two characters is spelling, not hiding."""
    if not after:
        return False
    if all("\u0600" <= char <= "\u109f" or "\u1780" <= char <= "\u18af" for char in (before, after)):
        return unicodedata.category(before)[0] in "LM" and unicodedata.category(after)[0] in "LM"
    symbols = unicodedata.category(before) in {"So", "Sk"} or before in _VARIATIONS
    return symbols and unicodedata.category(after) == "So"


def _break_tokens(line: str) -> str:
    line = _HALF_TOKEN.sub(" ", line)
    line = _TAG.sub(r"\1 \2 \3", line)
    line = _BRACKETED.sub(_break_bracketed, line)
    return _ROLE.sub(r"\1 ", line)


def _break_bracketed(found: re.Match[str]) -> str:
    opening, word, closing = found.groups()
    return f"{opening} {word} {closing}" if _is_special(word) else found[0]


def _is_special(word: str) -> bool:
    return _BRACKET_WORD.fullmatch(unicodedata.normalize("NFKC", word)) is not None


def _cut(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    return line[: limit - 1].rstrip(" " + JOINERS) + ELLIPSIS
