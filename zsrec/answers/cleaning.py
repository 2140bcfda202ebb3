"""Cleaning: what is not part of an answer (thoughts, markup, echoes of the prompt) is blanked.

Nothing is cut out. Each stretch is overwritten with as many blanks, so that every offset into the cleaned
text is an offset into the raw answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from zsrec.answers.text_spans import Span, blank, lines

LONGEST = 200_000
"""Characters of an answer that are read; real answers are a hundred times shorter."""
_LONGEST_TURN = 20_000  # ten times the longest answers that name items
_MOST_TURNS = 30
_LONGEST_TITLE = 200
_SHORTEST_LINE = 12
_LIST_MARK = re.compile(r"\s*(?:[-*•]|[#(\[]?\d{1,3}[.):\]])\s")
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
    """The answer with everything that is not answer blanked; as long as what was read of it."""
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


def is_passage(part: str) -> bool:
    """Whether a text of the prompt is a passage, and not a title."""
    return "\n" in part.strip() or len(part) > _LONGEST_TITLE


def echoed(text: str, passages: Iterable[str]) -> Iterator[Span]:
    """Yield the spans of a text that repeat passages of the prompt line by line, in order.

    A repeat begins at a line of prose and goes on as long as the lines are the prompt's next ones. A list alone is
    no repeat, since a model may answer with the candidates in the order in which it got them.
    """
    prompt = [line for passage in passages for line in (raw.strip() for raw in passage.splitlines()) if line]
    places: dict[str, int] = {}
    for place, line in enumerate(prompt):
        places.setdefault(line, place)
    answer = [span for span in lines(text, 0, len(text)) if text[span[0] : span[1]].strip()]
    at = 0
    while at < len(answer):
        start, end = answer[at]
        line = text[start:end].strip()
        place = places.get(line, -1)
        at += 1
        if place < 0 or len(line) < _SHORTEST_LINE or _LIST_MARK.match(line):
            continue
        while at < len(answer) and place + 1 < len(prompt):
            following = answer[at]
            if text[following[0] : following[1]].strip() != prompt[place + 1]:
                break
            end, at, place = following[1], at + 1, place + 1
        yield start, end


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


_USER = "human|user|you|me|customer|client|question|instruction|input|prompt|seeker"
_USER += "|用户|使用者|人类|问题|ユーザー|質問"
_MODEL = "assistant|ai|bot|chatbot|system|model|recommender|response|output|answer|chatgpt|gpt"
_MODEL += "|助手|系统|助理|回答|答案|アシスタント"
_ROLE = f"(?:{_USER}|{_MODEL})"
_MARK = re.compile(
    rf"""
    \[\|(?:{_ROLE})?\|?\]?                      # [|Human|], and broken ones: [|AI|, [|
    | \[(?:human|user|assistant|ai)\]
    | <\|?(?:im_start|start_header_id|start_of_turn|start)\|?>[ \t]{{0,4}}(?:{_ROLE})?(?:<\|end_header_id\|>)?
    | <\|[a-z][a-z_]{{0,24}}\|>                   # <|im_end|>, <|endoftext|>, <|user|>
    | <end_of_turn> | </?s> | \[/?INST\] | <</?SYS>>
    # User:, ### Human:, **Assistant:**
    | ^[ \t]{{0,8}}(?:\#{{1,4}}[ \t]{{0,4}}|\*\*[ \t]{{0,4}}|>[ \t]{{0,4}})?
      (?:{_ROLE})(?:[ \t]\d{{1,2}})?[ \t]{{0,4}}(?:\*\*)?[ \t]{{0,4}}[:：](?:\*\*)?
    | ^[ \t]{{0,8}}\#{{2,4}}[ \t]{{0,4}}(?:{_ROLE}|end)?[ \t]{{0,4}}$
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_WORD = re.compile(r"[^\W_]")
_IS_USER = re.compile(rf"(?<![a-z])(?:{_USER})(?![a-z])|\[INST\]", re.IGNORECASE)


class Turn(NamedTuple):
    """One speaker's stretch of the text."""

    start: int
    end: int
    user: bool


def turns(text: str) -> Iterator[Turn]:
    """The first turns of a text that have words, in order; the first is the model's unless marked otherwise."""
    start, user, found = 0, False, 0
    for mark in _MARK.finditer(text):
        if (turn := _turn(text, start, mark.start(), user)) is not None:
            yield turn
            found += 1
            if found == _MOST_TURNS:
                return
        start, user = mark.end(), _IS_USER.search(mark[0]) is not None
    if (turn := _turn(text, start, len(text), user)) is not None:
        yield turn


def _turn(text: str, start: int, end: int, user: bool) -> Turn | None:
    word = _WORD.search(text, start, end)
    if word is None:
        return None
    start = max(start, text.rfind("\n", start, word.start()) + 1)
    return Turn(start, min(end, start + _LONGEST_TURN), user)
