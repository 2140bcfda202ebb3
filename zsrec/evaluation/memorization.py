"""How much of the data set the served model can recite.

A model that has read a data set is judged on what it remembers. Two probes, after Di Palma et al. 2025, "Do LLMs
Memorize Recommendation Datasets?" (arXiv:2505.10212), sections on item and interaction memorisation: the title
behind an id, after a few lines of the same file; and the next title of a user, after the titles before it. No
target takes part: ids and titles come from items that occur in the statistics, and the next title is the last one
of the history that every method is given.

The second probe is an upper bound: a good guess counts like a memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import BadReplyError
from zsrec.core.types import Frozen, Message
from zsrec.data.catalog import Catalog
from zsrec.data.titles import display_title, fold, split_year
from zsrec.evaluation.splits import Split
from zsrec.evaluation.statistics import Estimate, shares
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.prompts import Template, load_template

EXAMPLES = 8
PREFIX = 20
_FOLDER = Path(__file__).parent
KINDS: Mapping[str, str] = {"title": "the title behind an id", "next": "the next title of a user"}


class Question(Frozen):
    """One question to the model and what it said."""

    kind: str
    asked: str  # the id, or how many titles of the user were shown
    expected: str
    answer: str  # its first line
    right: bool  # case, accents, the place of the article and a missing year aside


class ProbeReport(Frozen):
    """What the model could recite."""

    model: str  # the served model
    right: dict[str, Estimate]  # the share of right answers by kind
    questions: dict[str, int]  # how many were asked by kind
    examples: tuple[Question, ...] = ()  # A few of them, the right ones first


class _Ask(NamedTuple):
    kind: str
    asked: str
    expected: str
    messages: tuple[Message, ...]
    template: Template


async def probe(
    llm: LLM,
    catalog: Catalog,
    split: Split,
    numbers: NDArray[np.int64],
    *,
    questions: int,
    concurrency: int,
    seed: int = 0,
    on_done: Callable[[], None] | None = None,
) -> tuple[Question, ...]:
    """Asks the model to recite."""
    asks = [*_titles(catalog, split, questions, seed), *_nexts(catalog, split, numbers, questions)]
    gate = asyncio.Semaphore(concurrency)

    async def one(ask: _Ask) -> Question:
        async with gate:
            try:
                reply = await llm.chat(ChatRequest(messages=ask.messages, sampling=ask.template.sampling))
                line = _first_line(reply.answer, ask.asked)
            except BadReplyError:
                line = ""
            if on_done is not None:
                on_done()
            return Question(
                kind=ask.kind, asked=ask.asked, expected=ask.expected, answer=line,
                right=_same(line, ask.expected),
            )  # fmt: skip

    done = await asyncio.gather(*map(one, asks), return_exceptions=True)  # what is under way is paid for
    found = []
    for question in done:
        if isinstance(question, BaseException):
            raise question
        found.append(question)
    return tuple(found)


def probe_report(model: str, questions: Sequence[Question], *, seed: int, examples: int = 6) -> ProbeReport:
    """Summarises the answers."""
    asked = {kind: found for kind in KINDS if (found := [one for one in questions if one.kind == kind])}
    columns = {kind: np.array([one.right for one in found], dtype=np.float64) for kind, found in asked.items()}
    shown = [sorted(found, key=lambda one: not one.right)[: examples // 2] for found in asked.values()]
    return ProbeReport(
        model=model,
        right=shares(columns, seed=seed),
        questions={kind: len(found) for kind, found in asked.items()},
        examples=tuple(chain.from_iterable(shown)),
    )


def _titles(catalog: Catalog, split: Split, most: int, seed: int) -> list[_Ask]:
    template = load_template(_FOLDER / "probe_title.j2")
    items = split.training.items
    present = np.unique(split.training.columns.item)
    drawn = present[np.argsort(items.hashes(present.tolist(), seed), kind="stable")].tolist()
    shown = [catalog[items[code]] for code in drawn[:EXAMPLES]]
    asks = []
    for code in drawn[EXAMPLES : EXAMPLES + most]:
        item = catalog[items[code]]
        messages = template.render(history=shown, about=item.id, domain=catalog.domain)
        asks.append(_Ask("title", item.id, item.title, messages, template))
    return asks


def _nexts(catalog: Catalog, split: Split, numbers: NDArray[np.int64], most: int) -> list[_Ask]:
    template = load_template(_FOLDER / "probe_next.j2")
    items = split.training.items
    asks = []
    histories = (split.history(number).tolist() for number in numbers.tolist())
    for codes in islice((codes for codes in histories if len(codes) >= 2), most):
        *prefix, last = [catalog[items[code]] for code in codes[-PREFIX - 1 :]]
        messages = template.render(history=prefix, domain=catalog.domain)
        asks.append(_Ask("next", f"{len(prefix)} titles", last.title, messages, template))
    return asks


def _first_line(answer: str, asked: str) -> str:
    """The first line with something in it, without the id before it."""
    line = next((line.strip() for line in answer.splitlines() if line.strip()), "")
    before, found, after = line.partition("::")
    return (after if found and before.strip() == asked else line).strip()[:200]


def _same(answer: str, expected: str) -> bool:
    title = display_title(expected)
    return bool(answer) and _folded(answer) in {_folded(title), _folded(expected), _folded(split_year(title)[0])}


def _folded(text: str) -> str:
    return fold(display_title(text.strip(" \"'*`")))
