"""Cleaning: what is not part of an answer (thoughts, markup, echoes of the prompt) is blanked.

Nothing is cut out. Each stretch is overwritten with as many blanks, so that every offset into the cleaned
text is an offset into the raw answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from zsrec.answers.sections import has_answer_mark
from zsrec.answers.text_spans import Skip, blank, lines, same

LONGEST = 200_000
"""Characters of an answer that are read; real answers are a hundred times shorter."""
_LONGEST_TITLE = 200
_SHORTEST_LINE = 12
_LIST_MARK = re.compile(r"\s*(?:[-*•]|[#(\[]?\d{1,3}[.):\]])\s")
_MIND = r"(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|(?:inner_)?monologue)"
# <think>, <seed:think>, <longcat_think>, <|START_THINKING|>, <|begin_of_thought|>, [THINK], ◁think▷, the marks of
# Gemma and MedGemma; `closing` tells the ends apart.
_THOUGHT = re.compile(
    rf"<\|?/?(?:[a-z]{{1,12}}[:_])?{_MIND}\|?>|<\|(?:(?:begin|end)(?:_of)?|start)_{_MIND}\|>"
    rf"|<\|{_MIND}_(?:start|begin|end)\|>|\[/?(?:think|thinking|thought)\]|◁/?think▷"
    r"|<\|im_start\|>(?:think|thought|answer)\b|<\|channel>\s{0,4}thought\b|<channel\|>|<unused94>(?:thought\b)?|<unused95>",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"/|<\|im_start\|>answer|<\|end|_end\||<channel\||unused95", re.IGNORECASE)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w{1,20})(?:\s*<\|message\|>)?")
# The harmony format where the server took the special tokens out: "analysisThe user … assistantfinal1. Heat".
_BARE_CHANNEL = re.compile(r"\s*(?:assistant)?analysis(?=[A-Z\"'“]|\s)")
_BARE_FINAL = re.compile(r"assistant\s?final(?![a-z])|assistantfinal")
_MUSING = re.compile(
    r"\s{0,20}(?:okay|ok|alright|all right|hmm+|so|well|right|first|let me|let's|we (?:need|have|are|must|should)"
    r"|i (?:need|should|have|must|will|want) to|the user|user)\b|\s{0,20}(?:好的，用户|首先，|嗯|用户)",
    re.IGNORECASE,
)
_MUSED = re.compile(
    r"\b(?:(?:the )?user (?:\w+ )?(?:likes?|wants?|has|is|asks?|asked|watched|seems?|gave|provided|enjoys?)"
    r"|the user'?s|(?:i|we) (?:need|have) to|let me (?:think|see|start|look|check|recall|consider)"
    r"|let's (?:think|see|start|look|recall)|i (?:should|must)|i'll (?:need|start|think)|wait|hmm+)\b|用户",
    re.IGNORECASE,
)
_PRESENTS = re.compile(
    r"\bhere(?:'s| is| are)\b|\b(?:i|we)(?:'d| would| can)? (?:recommend|suggest)\b"
    r"|\b(?:recommendations?|suggestions?|picks|list):",
    re.IGNORECASE,
)
_LISTS = re.compile(
    r"\s*(?:[-*•|\[{<#\"]|\(?\d{1,3}[.):]|(?:sure|here|certainly|of course|based on)\b)", re.IGNORECASE
)
_FENCE = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*(?:(?:json\d?|jsonl?|text|txt|plain\w*|markdown|md|python|py|ya?ml|xml|html|csv|tsv"
    r"|javascript|js|list|output|answer)?[ \t]*$|(?=\S))|(?:```|~~~)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")
_TAG = re.compile(
    r"</?(b|i|em|strong|u|p|ul|ol|li|br|a|span|div|h[1-6]|code|title|movies?|films?|items?|books?|name"
    r"|recommendations|list)\b([^<>\n]{0,200})>",
    re.IGNORECASE,
)
_FIELD_TAG = re.compile(
    r"<(year|rank|genres?|director|reason|rating|score|description|id|explanation|why)>[^<>]{0,500}</\1>",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?<!\])\[([^\[\]\n]{1,200})\](\([^()\s]{1,300}\))")
_INLINE = frozenset({"b", "i", "em", "strong", "u", "a", "span", "code", "title"})
_BREAKS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), "\n")


class Cleaned(NamedTuple):
    """The answer's text with what is not answer blanked, and what that was; as long as what was read of it."""

    text: str
    skips: tuple[Skip, ...]


def clean(answer: str, echo: Iterable[str] = ()) -> str:
    """The answer with everything that is not answer blanked; see `cleaned`."""
    return cleaned(answer, echo).text


def cleaned(
    answer: str, echo: Iterable[str] = (), *, cut: bool = False, thinks: bool = False, keep: Collection[str] = ()
) -> Cleaned:
    """Blank thoughts, echoes of the prompt's passages, code fences, tags and link targets.

    `cut` says that the answer was stopped by its token limit: a thought that never closes then has no answer,
    and of a model that `thinks` (its chat template opens the thought) everything but a list is one. `keep` are
    lines that are never an echo (those of the candidates), as `same` gives them.
    """
    text = answer[:LONGEST].translate(_BREAKS)
    skips = [Skip(LONGEST, len(answer), "too long")] if len(answer) > LONGEST else []
    for find in (
        partial(_echoes, echo=echo, keep=keep),
        partial(_thoughts, cut=cut, thinks=thinks),
        _channels,
        _struck,
    ):
        if found := list(find(text)):
            text = blank(text, (skip[:2] for skip in found))
            skips += found
    if "```" in text or "~~~" in text:
        text = blank(text, (match.span() for match in _FENCE.finditer(text)))
    if "<" in text:
        text = _TAG.sub(_untag, _FIELD_TAG.sub(lambda match: "\n" * len(match[0]), text))
    if "](" in text:
        text = _LINK.sub(lambda match: f" {match[1]} {' ' * len(match[2])}", text)
    return Cleaned(text, tuple(skips))


def is_passage(part: str) -> bool:
    """Whether a text of the prompt is a passage, and not a title."""
    return "\n" in part.strip() or len(part) > _LONGEST_TITLE


def _echoes(text: str, echo: Iterable[str], keep: Collection[str]) -> Iterator[Skip]:
    """Where a text repeats passages of the prompt line by line.

    A repeat begins at a line of prose and goes on as long as the lines are the prompt's next ones. A list alone is
    no repeat, since a model may answer with the candidates in the order in which it got them.
    """
    passages = filter(is_passage, echo)
    prompt = [line for passage in passages for line in (raw.strip() for raw in passage.splitlines()) if line]
    if not prompt:
        return
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
        if place < 0 or len(line) < _SHORTEST_LINE or _LIST_MARK.match(line) or same(line) in keep:
            continue
        while at < len(answer) and place + 1 < len(prompt):
            following = answer[at]
            if text[following[0] : following[1]].strip() != prompt[place + 1]:
                break
            end, at, place = following[1], at + 1, place + 1
        yield Skip(start, end, "echo of the prompt")


def _thoughts(text: str, *, cut: bool, thinks: bool) -> Iterator[Skip]:
    """Thoughts in marks; a lone closing mark ends one that the chat template opened, an unclosed one runs on."""
    opened: int | None = None
    begin = 0  # where text that may still turn out to be a thought starts
    found = False
    for mark in _THOUGHT.finditer(text):
        found = True
        if not _CLOSING.search(mark[0]):
            opened = mark.start() if opened is None else opened
        elif opened is not None or begin == 0:
            yield Skip(begin if opened is None else opened, mark.end(), "thought")
            opened, begin = None, mark.end()
    if opened is not None:
        yield Skip(opened, len(text), "unfinished thought")
    elif not found and (bare := _BARE_CHANNEL.match(text)):
        finals = list(_BARE_FINAL.finditer(text, bare.end()))
        if finals:
            yield Skip(0, finals[-1].end(), "thought")
        elif not text[bare.end() : bare.end() + 1].isspace():
            yield Skip(0, len(text), "unfinished thought")
    elif cut and not found and not has_answer_mark(text) and _is_musing(text, thinks=thinks):
        yield Skip(0, len(text), "unfinished thought")


def _is_musing(text: str, *, thinks: bool) -> bool:
    """Whether a cut answer without any mark thinks aloud: then the chat template opened the thought."""
    head = text[:600]
    if thinks and not _LISTS.match(text):
        return True
    return bool(_MUSING.match(head) and _MUSED.search(head) and not _PRESENTS.search(head))


def _channels(text: str) -> Iterator[Skip]:
    """Everything between a channel mark that is not the final one and the next mark (the harmony format)."""
    marks = list(_CHANNEL.finditer(text))
    for mark, following in zip_longest(marks, marks[1:]):
        if mark[1].lower() == "final":
            yield Skip(mark.start(), mark.end(), "mark")
        else:
            why = "thought" if following else "unfinished thought"
            yield Skip(mark.start(), following.start() if following else len(text), why)


def _struck(text: str) -> Iterator[Skip]:
    return (Skip(match.start(), match.end(), "struck out") for match in _STRUCK.finditer(text))


def _untag(match: re.Match[str]) -> str:
    name, length = match[1].lower(), len(match[0])
    if name == "li" and not match[0].startswith("</"):
        return "\n- ".ljust(length)
    return (" " if name in _INLINE else "\n") * length
