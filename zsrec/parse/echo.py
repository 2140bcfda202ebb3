"""Passages of the prompt that a model repeats before it answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from zsrec.parse.spans import Span, lines

_LIST_MARK = re.compile(r"\s*(?:[-*•]|[#(\[]?\d{1,3}[.):\]])\s")
_SHORTEST_LINE = 12
_LONGEST_TITLE = 200


def is_passage(part: str) -> bool:
    """Whether a text of the prompt is a passage, and not a title."""
    return "\n" in part.strip() or len(part) > _LONGEST_TITLE


def echoed(text: str, passages: Iterable[str]) -> Iterator[Span]:
    """Where a text repeats passages of the prompt line by line.

    A repeat begins at a line of prose and goes on as long as the lines are the prompt's next ones. A list alone is
    no repeat, since a model may well answer with the candidates in the order in which it was given them.

    Args:
        text: The answer.
        passages: Texts of the prompt.

    Yields:
        Spans that do not overlap, in order.
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
