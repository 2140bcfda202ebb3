"""Run-on answers: where the model stops answering and goes on to invent a dialogue.

Base models and small chat models write the next turns of the conversation themselves ("[|Human|] Thank you!",
"User: …", "### Instruction:"). Only one turn is the answer: the first of the model's own that names something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_USER = (
    "human|user|you|me|customer|client|question|instruction|input|prompt|seeker"
    "|用户|使用者|人类|问题|ユーザー|質問"
)
_MODEL = (
    "assistant|ai|bot|chatbot|system|model|recommender|response|output|answer|chatgpt|gpt"
    "|助手|系统|助理|回答|答案|アシスタント"
)
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


LONGEST_TURN = 20_000
"""Characters of a turn that are read: ten times the longest answers that name items."""
MOST_TURNS = 30


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
            if found == MOST_TURNS:
                return
        start, user = mark.end(), _IS_USER.search(mark[0]) is not None
    if (turn := _turn(text, start, len(text), user)) is not None:
        yield turn


def _turn(text: str, start: int, end: int, user: bool) -> Turn | None:
    word = _WORD.search(text, start, end)
    if word is None:
        return None
    start = max(start, text.rfind("\n", start, word.start()) + 1)
    return Turn(start, min(end, start + LONGEST_TURN), user)
