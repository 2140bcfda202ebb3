"""The citations of a sentence: titles of the history, the recommended item itself, or neither.

The parser of answers looks for recommendations and leaves out what follows "because you liked". Here just that
is wanted, so spans are found in another way and then grounded like all mentions: titles of the history and of the
recommended item, as people write them; text in quotes, in emphasis, or before a year in parentheses; runs of two
or more capitalised words. A false title is better than a missed one: "not_in_catalog" may be a person's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from zsrec.answers.grounder import Context, Grounder
from zsrec.core.types import Frozen, Grounded, Item, Mention
from zsrec.data.titles import article_first, parse_title, split_year

Status = Literal["history", "itself", "not_in_history", "not_in_catalog"]
_Span = tuple[int, int]

_MOST = 4000  # characters of an answer that are read
_END = re.compile(
    r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bMrs)(?<!\bVol)(?<!\b[A-Z])[.!?]{1,3}[\"”')\]*]{0,2}(?=\s)"
    r"(?!\s\((?:18|19|20)\d\d\))|[。！？]|\n"
)
_QUOTED = re.compile(
    r"\"([^\"\n]{2,120})\"|“([^”\n]{2,120})”|«([^»\n]{2,120})»|《([^》\n]{2,120})》|「([^」\n]{2,120})」"
    r"|\*{1,2}([^*\s][^*\n]{0,120}?)\*{1,2}"
)
_YEAR = re.compile(r"\s\((?:18|19|20)\d\d\)")
_JOINT = re.compile(r"\s(?:and|or|&)\s")
_WORD = re.compile(r"[^\W_][\w'’.\-]{0,40}(?<![.'’\-])")
_SMALL = frozenset("a an and at by for from in of on or the to vs with & de la le les der die das".split())
_OPENERS = frozenset(
    "a an and as based because both from given having i if in it like since so such the they this these those user"
    " watching we while with you your".split()
)


class Citation(Frozen):
    """A title in a sentence.

    Attributes:
        grounded: Its place in the sentence, and the catalog's item behind it.
        status: "history" for an item that the user knows, "itself" for the recommended one, "not_in_history" for
            another of the catalog, "not_in_catalog" for what is none of it (or could be several).
    """

    grounded: Grounded
    status: Status


def first_sentence(answer: str) -> str:
    """The first sentence of an answer, or its first line where no sentence ends; empty for an empty answer.

    The mark of a title ends nothing: "Hot Shots! Part Deux" in quotes, Airplane! (1980).
    """
    text = answer.strip()[:_MOST]
    quoted = [found.span() for found in _QUOTED.finditer(text)]
    for end in _END.finditer(text):
        inside = any(start < end.start() and end.end() < stop for start, stop in quoted)
        goes_on = end.group()[0] in "!?" and text[end.end() :].lstrip()[:1].islower()
        if not inside and not goes_on:
            return text[: end.end()].strip()
    return text


def citations(sentence: str, item: Item, history: Sequence[Item], grounder: Grounder) -> tuple[Citation, ...]:
    """The titles that a sentence cites, in its order.

    Args:
        sentence: Any text.
        item: The recommended item.
        history: The items that the prompt showed as the user's.
        grounder: Of their catalog.
    """
    text = sentence[:_MOST]
    context = Context(candidates=(item.id,), history=tuple(one.id for one in history))
    own = frozenset(context.history)
    found: list[Citation] = []
    left = text  # with line breaks in the place of what was found, which no title spans
    ways: tuple[tuple[Callable[[str], Iterator[_Span]], bool], ...] = (
        (lambda rest: _named(rest, [*history, item]), True),
        (_marked, True),
        (_runs, False),
    )
    for spans, pointed in ways:
        for span in spans(left):
            if "\n" in left[slice(*span)]:
                continue
            parts = _ground(text, span, grounder, context)
            if not pointed and " " not in text[slice(*span)]:
                parts = [part for part in parts if part.match.item_id is not None]
            for part in parts:
                start, end = part.mention.start, part.mention.end
                left = left[:start] + "\n" * (end - start) + left[end:]
                found.append(Citation(grounded=part, status=_status(part.match.item_id, item.id, own)))
    return tuple(sorted(found, key=lambda one: one.grounded.mention.start))


def _status(found: str | None, item: str, own: frozenset[str]) -> Status:
    if found is None:
        return "not_in_catalog"
    if found in own:
        return "history"
    return "itself" if found == item else "not_in_history"


def _ground(text: str, span: _Span, grounder: Grounder, context: Context) -> list[Grounded]:
    """A span as one title, or as the titles that stand in it with "and" between."""
    whole = _grounded(text, span, grounder, context)
    joints = [match.span() for match in _JOINT.finditer(text[: span[1]]) if match.start() > span[0]]
    if not joints:
        return [whole]
    starts, ends = [span[0], *(end for _, end in joints)], [*(start for start, _ in joints), span[1]]
    parts = [_grounded(text, part, grounder, context) for part in zip(starts, ends, strict=True)]
    named = [part for part in parts if part.match.item_id is not None]
    # "Casino and The Godfather" may match as the second alone; "Tango and Cash" is another item than its parts.
    one_of_them = whole.match.item_id in {part.match.item_id for part in named}
    return named if named and (whole.match.item_id is None or one_of_them) else [whole]


def _grounded(text: str, span: _Span, grounder: Grounder, context: Context) -> Grounded:
    mention = Mention(text=text[span[0] : span[1]], start=span[0], end=span[1])
    return Grounded(mention=mention, match=grounder.ground(mention.text, context))


def _named(text: str, items: Sequence[Item]) -> Iterator[_Span]:
    """Where the items' own names stand, the longest first; a year behind them belongs to them."""
    names = {name for item in items for name in _names(item.title)}
    for name in sorted(names, key=lambda one: (-len(one), one)):
        # One word may be any word ("Up", "Her"): its case must fit, and it opens no sentence unmarked.
        single = " " not in name
        flags = re.NOFLAG if single else re.IGNORECASE
        for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, flags):
            year = _YEAR.match(text, match.end())
            quoted = text[max(0, match.start() - 1) : match.start()] in ('"', "“", "*", "'", "‘", "«")
            if single and match.start() == 0 and year is None and not quoted:
                continue
            yield match.start(), year.end() if year else match.end()


def _names(title: str) -> Iterator[str]:
    parsed = parse_title(title)
    for name in (article_first(split_year(title)[0]), parsed.main, *parsed.alternatives):
        if len(name) > 1:
            yield name


def _marked(text: str) -> Iterator[_Span]:
    """What stands in quotes or emphasis."""
    for match in _QUOTED.finditer(text):
        group = match.lastindex or 0
        yield match.span(group)


def _runs(text: str) -> Iterator[_Span]:
    """Runs of capitalised words, with small ones between; a year in parentheses behind them belongs to them."""
    run: list[_Span] = []
    for match in (*_WORD.finditer(text), None):
        joined = match is not None and bool(run) and re.fullmatch(r"[ ]|: | - ", text[run[-1][1] : match.start()])
        word = match[0] if match is not None else ""
        big = word[:1].isupper() or word[:1].isdigit()
        opener = match is not None and word.lower() in _OPENERS and not run
        if match is not None and joined and (big or word in _SMALL):
            run.append(match.span())
            continue
        yield from _ended(text, run)
        run = [match.span()] if match is not None and big and not opener else []


def _ended(text: str, run: list[_Span]) -> Iterator[_Span]:
    while run and text[slice(*run[-1])] in _SMALL:
        run.pop()
    if not run:
        return
    year = _YEAR.match(text, run[-1][1])
    if len(run) > 1 or year is not None:
        yield run[0][0], year.end() if year else run[-1][1]
