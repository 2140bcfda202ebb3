"""What is not part of an answer: thoughts, markup, echoes of the prompt.

Nothing is cut out. Each stretch is overwritten with as many blanks, so that every offset into the cleaned
text is an offset into the raw answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from zsrec.parse.echo import echoed, is_passage
from zsrec.parse.spans import Span, blank

LONGEST = 200_000
"""Characters of an answer that are read; real answers are a hundred times shorter."""

_THOUGHT = re.compile(
    r"<(/?)(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis)>|◁(/?)think▷",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w{1,20})(?:\s*<\|message\|>)?")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]{0,40}$", re.MULTILINE)
_TAG = re.compile(
    r"</?(b|i|em|strong|u|p|ul|ol|li|br|a|span|div|h[1-6]|code|title)\b([^<>\n]{0,200})>", re.IGNORECASE
)
_LINK = re.compile(r"(?<!\])\[([^\[\]\n]{1,200})\](\([^()\s]{1,300}\))")
_BREAKING = frozenset({"p", "ul", "ol", "br", "div", "h1", "h2", "h3", "h4", "h5", "h6"})
_BREAKS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), "\n")


def clean(answer: str, echo: Iterable[str] = ()) -> str:
    """The answer with everything that is not answer blanked; as long as what was read of it.

    Args:
        answer: The model's raw text.
        echo: Texts of the prompt; passages that the answer repeats line by line are blanked, titles are not.
    """
    text = answer[:LONGEST].translate(_BREAKS)
    text = blank(text, echoed(text, filter(is_passage, echo)))
    text = blank(text, _thoughts(text))
    text = blank(text, _channels(text))
    text = blank(text, (match.span() for match in _FENCE.finditer(text)))
    if "<" in text:
        text = _TAG.sub(_untag, text)
    if "](" in text:
        text = _LINK.sub(lambda match: f" {match[1]} {' ' * len(match[2])}", text)
    return text


def _thoughts(text: str) -> Iterator[Span]:
    """Thoughts in tags; a lone closing tag ends one that the chat template opened, an unclosed one runs on."""
    opened: int | None = None
    begin = 0  # where text that may still turn out to be a thought starts
    for tag in _THOUGHT.finditer(text):
        if not (tag[1] or tag[2]):
            opened = tag.start() if opened is None else opened
        elif opened is not None or begin == 0:
            yield (begin if opened is None else opened), tag.end()
            opened, begin = None, tag.end()
    if opened is not None:
        yield opened, len(text)


def _channels(text: str) -> Iterator[Span]:
    """Everything between a channel mark that is not the final one and the next mark (the harmony format)."""
    marks = list(_CHANNEL.finditer(text))
    for mark, following in zip_longest(marks, marks[1:]):
        if mark[1].lower() == "final":
            yield mark.span()
        else:
            yield mark.start(), following.start() if following else len(text)


def _untag(match: re.Match[str]) -> str:
    name, length = match[1].lower(), len(match[0])
    if name == "li" and not match[0].startswith("</"):
        return "\n- ".ljust(length)
    return ("\n" if name in _BREAKING else " ") * length
