"""Sliding windows: a few candidates at a time, from the bottom of the list to its top.

Source: RankGPT (Sun et al. 2023, "Is ChatGPT Good at Search?", EMNLP, section on sliding windows); windows of 4
with stride 2, and pairs with stride 1, are those of STAR (Lee et al. 2024, arXiv:2410.16458).
"""

from __future__ import annotations

from collections.abc import Iterator

from zsrec.llm.chat import ChatRequest
from zsrec.prompts.ranking import Ranking
from zsrec.rank.label import rank_by_label
from zsrec.rank.question import Judged, Order, Question
from zsrec.steps import Plan, ask
from zsrec.types import Exchange

PAIRS = {"window": 2, "stride": 1}
"""What "pairwise" means: one pass of a bubble sort from the bottom."""


def spans(n: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """First and last place (exclusive) of each window over n candidates, from the bottom; the last begins at 0."""
    end = n
    while True:
        start = max(0, end - size)
        yield start, end
        if start == 0:
            return
        end -= stride


def rank_by_windows(question: Question, ranking: Ranking) -> Plan[Judged]:
    """Ranks all candidates through windows that overlap, so that a good one can rise from the bottom to the top.

    One pass sorts the first `window - stride` places well; the rest stays near the order given. The windows of
    one user wait for each other. Within a window ranked by text, candidates that the answer leaves out keep their
    order behind those that it names.

    Args:
        question: What to ask; the candidates' own order is where the windows start.
        ranking: The options.

    Raises:
        CapabilityError: Windows are ranked by label and the server reports no log-probabilities.
        AnswerError: As for `rank_by_label`.
        LLMError: The server failed.
    """
    order = list(range(question.size))
    last: Judged | None = None
    exchanges: list[Exchange] = []
    masses: list[float] = []
    notes: dict[str, None] = {}
    for start, end in spans(question.size, ranking.window, ranking.stride):
        members = order[start:end]
        if ranking.within == "label":
            last = yield from rank_by_label(question, members, ranking)
        else:
            last = yield from _by_text(question, members)
        order[start:end] = last.order
        exchanges += last.exchanges
        masses += [] if last.label_mass is None else [last.label_mass]
        notes |= dict.fromkeys(last.notes)
    assert last is not None  # noqa: S101  (there is a window for every number of candidates)
    return Judged(
        order=tuple(order),
        exchanges=tuple(exchanges),
        permutations=last.permutations,
        stability=last.stability,
        label_mass=sum(masses) / len(masses) if masses else None,
        labels_by=last.labels_by,
        notes=tuple(notes),
    )


def _by_text(question: Question, members: Order) -> Plan[Judged]:
    request = ChatRequest(messages=question.render(members), sampling=question.sampling)
    (exchange,) = yield from ask(request)
    named = question.named(exchange, members)
    rest = [one for one in members if one not in named]
    notes = ("some windows' answers left candidates out; these kept their order",) if rest else ()
    return Judged(order=(*named, *rest), exchanges=(exchange,), notes=notes)
