"""From a template's `ranker:` to the function that does it."""

from __future__ import annotations

from collections.abc import Iterator

from zsrec.core.errors import CapabilityError
from zsrec.core.types import Exchange
from zsrec.llm.protocol import ChatRequest, Plan, ask, binds_choices
from zsrec.prompts.front_matter import Ranker, Ranking
from zsrec.ranking.base import Judged, Order, Question
from zsrec.ranking.label import rank_by_label

_MOST_TOKENS = 8  # a number and the end of the answer; a constrained answer ends by itself


def rank_by_choice(question: Question) -> Plan[Judged]:
    """Picks k candidates, the best first, each from those that are left.

    One at a time and not one JSON array: no pattern can forbid a repeated element without spelling out every
    order, while a choice of what is left cannot repeat. All picks share one prompt, so that the server computes it
    once and each pick costs two or three tokens. It needs no log-probabilities, and labels may be longer than a
    token.

    Raises:
        CapabilityError: The server does not hold answers to `structured_outputs`, whatever it accepts.
        LLMError: The server failed.
    """
    bound = yield from binds_choices()
    if not bound:
        raise CapabilityError(
            "the server does not hold its answers to given choices (structured_outputs)",
            hint="use a template with 'ranker: label' or 'ranker: generate', or serve with vLLM 0.12 or later",
        )
    texts = [str(number) for number in range(1, question.size + 1)]
    messages = question.render(range(question.size), texts)
    sampling = question.sampling.model_copy(update={"max_tokens": _MOST_TOKENS})
    left = dict(zip(texts, range(question.size), strict=True))
    picked: list[int] = []
    exchanges: list[Exchange] = []
    while left and len(picked) < question.k:
        (exchange,) = yield from ask(ChatRequest(messages=messages, sampling=sampling, choices=tuple(left)))
        exchanges.append(exchange)
        answer = exchange.answer.strip()
        if answer not in left:
            raise CapabilityError(
                f"the server answered {answer[:40]!r}, which is none of the choices that it was held to",
                hint="use a template with 'ranker: label' or 'ranker: generate'",
                request_id=exchange.request_id,
            )
        picked.append(left.pop(answer))
    return Judged(order=tuple(picked), exchanges=tuple(exchanges))


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


def judge(question: Question, ranker: Ranker, ranking: Ranking) -> Plan[Judged]:
    """Has the model rank the candidates.

    Args:
        question: What to ask.
        ranker: How.
        ranking: The ranker's options.

    Raises:
        CapabilityError: The server lacks what the ranker needs; the hint says what to use instead.
        AnswerError: The answer cannot be used.
        LLMError: The server failed.
    """
    everything = range(question.size)
    match ranker:
        case "label":
            judged = yield from rank_by_label(question, everything, ranking)
        case "window":
            judged = yield from rank_by_windows(question, ranking)
        case "pairwise":
            judged = yield from rank_by_windows(question, ranking.model_copy(update=PAIRS))
        case "choose":
            judged = yield from rank_by_choice(question)
        case "generate":
            request = ChatRequest(messages=question.render(everything), sampling=question.sampling)
            (exchange,) = yield from ask(request)
            judged = Judged(order=tuple(question.named(exchange, everything)), exchanges=(exchange,))
    return judged
