"""Candidates as the prompt shows them: an answer line equal to one, or its number, is that candidate.

A template may print more than titles ("Frankenstein by Mary Shelley [gothic] 6.99 EUR"); a model that copies the
line names the candidate with certainty, whatever the grounder would make of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zsrec.answers.list_format import permuted, read_lines
from zsrec.answers.mention_spans import unlabelled
from zsrec.answers.text_spans import Piece, Span, has_word, same, trim
from zsrec.answers.wording import is_talk

_LABEL = re.compile(
    r"[ \t]{0,8}[-*•]?[ \t]{0,4}[*_]{0,2}[\[(#]?([A-Za-z]|[A-Z]{2}|\d{1,3})(?:[\].):]|[ \t]{1,4}[-–—|])"
)
_TOKEN = re.compile(r"[^\W_]+")
_ORDERED = re.compile(r"\s{0,8}\(?\d{1,3}[.):]\s{1,8}[\[(#]?([^\W_]{1,3})[\])]?[.,;]?\s{0,8}$")
_WORDS = frozenset(
    "candidate candidates ranking ranked rank order item items number numbers answer index indices and then movie"
    " film book option options result my the is are recommendations best top first second third i would choose"
    " pick select prefer recommend label labels".split()
)
_LONGEST = 4000


class CandidateLines(NamedTuple):
    """The candidates' lines of a prompt.

    Attributes:
        ids: The item by its line without bullet, number and label, as `text_spans.same` gives it.
        numbers: The item by the number or letter in front of its line, where the template gives them.
    """

    ids: Mapping[str, str]
    numbers: Mapping[str, str]


def candidate_lines(prompt: Iterable[str], names: Iterable[tuple[str, str]]) -> CandidateLines:
    """The candidates' lines in the messages of a prompt.

    Args:
        prompt: The messages' texts.
        names: What the prompt may call each candidate, as (item id, title); an item may have several names.
    """
    by_title: dict[str, str | None] = {}
    for item_id, title in names:
        name = same(title)  # where two candidates have it, no line is certain
        by_title[name] = item_id if by_title.get(name, item_id) == item_id else None
    longest = max((len(name.split()) for name in by_title), default=0)
    found: dict[str, str | None] = {}
    labels: dict[str, str] = {}
    for text in prompt:
        for line in read_lines(text, (0, len(text))):
            begin = unlabelled(text, line.start, line.end)
            spelled = same(text[begin : line.end])
            named = _titled(spelled, by_title, longest)
            if named is None:
                continue
            found[spelled] = named if found.get(spelled, named) == named else None
            label = _LABEL.match(text, text.rfind("\n", 0, line.start) + 1, line.end)
            if label is not None and label.end() <= begin + 1:
                labels[label[1].casefold()] = named
    ids = {spelled: item_id for spelled, item_id in found.items() if item_id is not None}
    numbered = len(set(labels.values())) == len(labels) == len(set(ids.values())) > 0
    return CandidateLines(ids, labels if numbered else {})


def _titled(spelled: str, by_title: Mapping[str, str | None], longest: int) -> str | None:
    """The candidate whose title a line begins with; of several the longest title."""
    words = spelled.split()[:longest]
    for count in range(len(words), 0, -1):
        if (item_id := by_title.get(" ".join(words[:count]))) is not None:
            return item_id
    return None


def candidate_pieces(text: str, span: Span, candidates: CandidateLines) -> list[Piece]:
    """The candidates that a turn names by their lines or numbers; empty where most lines are something else."""
    return _lines(text, span, candidates) or _numbers(text, span, candidates)


def _lines(text: str, span: Span, candidates: CandidateLines) -> list[Piece]:
    pieces, certain, strange = [], 0, 0
    for line in read_lines(text, span):
        begin = unlabelled(text, line.start, line.end)
        item_id = candidates.ids.get(same(text[begin : line.end])) if line.end - begin < 2000 else None
        rank = line.number if line.kind == "number" and not candidates.numbers else None
        if item_id is not None:
            pieces.append(Piece(*trim(text, begin, line.end), rank=rank, item=item_id))
            certain += 1
        elif line.kind != "text" or not is_talk(text[line.start : line.end]):
            pieces.append(Piece(line.start, line.end, rank=rank))
            strange += has_word(text, line.start, line.end)
    return permuted(pieces) if certain and certain >= strange else []


def _numbers(text: str, span: Span, candidates: CandidateLines) -> list[Piece]:
    """The candidates of a turn that is nothing but their numbers: "[2] > [1]"."""
    if not candidates.numbers or span[1] - span[0] > _LONGEST:
        return []
    tokens: list[re.Match[str]] = []
    for line in re.finditer(r"[^\n]+", text[slice(*span)]):
        start, end = span[0] + line.start(), span[0] + line.end()
        ordered = _ORDERED.match(text, start, end)
        begin = ordered.start(1) if ordered else start
        tokens += _TOKEN.finditer(text, begin, end)
    named = [token for token in tokens if token[0].casefold() in candidates.numbers]
    others = [token for token in tokens if token not in named]
    if not named or not all(one[0].lower() in _WORDS or one[0].isdigit() for one in others):
        return []
    return [Piece(*token.span(), item=candidates.numbers[token[0].casefold()]) for token in named]
