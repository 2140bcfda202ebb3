"""The rankers, by the name that a template's `ranker:` gives them; "label" has a module of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zsrec.core.errors import CapabilityError
from zsrec.core.types import Exchange
from zsrec.llm.protocol import LLM, ChatRequest
from zsrec.prompts.front_matter import Ranker, Ranking
from zsrec.ranking.base import Order, RankingResult, RankingTask
from zsrec.ranking.label import rank_by_label

_CHOICE_TOKENS = 8  # a number and the end of the answer; a constrained answer ends by itself
PAIRWISE = {"window": 2, "stride": 1}  # one pass of a bubble sort from the bottom


async def rank(task: RankingTask, ranker: Ranker, options: Ranking, llm: LLM) -> RankingResult:
    """Ranks the candidates with the model."""
    everything = range(task.size)
    match ranker:
        case "label":
            result = await rank_by_label(task, everything, options, llm)
        case "window":
            result = await rank_by_windows(task, options, llm)
        case "pairwise":
            result = await rank_by_windows(task, options.model_copy(update=PAIRWISE), llm)
        case "choose":
            result = await rank_by_choice(task, llm)
        case "generate":
            result = await _rank_by_text(task, everything, llm)
    use = result.use.model_copy(update={"ranker": ranker, "calibrate": options.calibrate})
    return replace(result, use=use)


async def rank_by_choice(task: RankingTask, llm: LLM) -> RankingResult:
    """Picks k candidates, best first, each from those that are left.

    One at a time and not one JSON array: no pattern can forbid a repeated element without spelling out every
    order. All picks share one prompt, so the server computes it once and each pick costs two or three tokens. It
    needs no log-probabilities, and labels may be longer than a token.
    """
    if not await llm.binds_choices():
        raise CapabilityError(
            "the server does not restrict its answers to given choices (structured_outputs)",
            hint="use a template with 'ranker: label' or 'ranker: generate', or serve with vLLM 0.12 or later",
        )
    texts = [str(number) for number in range(1, task.size + 1)]
    messages = task.render(range(task.size), texts)
    sampling = task.sampling.model_copy(update={"max_tokens": _CHOICE_TOKENS})
    left = dict(zip(texts, range(task.size), strict=True))
    picked: list[int] = []
    exchanges: list[Exchange] = []
    while left and len(picked) < task.k:
        exchange = await llm.chat(ChatRequest(messages=messages, sampling=sampling, choices=tuple(left)))
        exchanges.append(exchange)
        answer = exchange.answer.strip()
        if answer not in left:
            raise CapabilityError(
                f"the server answered {answer[:40]!r}, which is none of the given choices",
                hint="use a template with 'ranker: label' or 'ranker: generate'",
                request_id=exchange.request_id,
            )
        picked.append(left.pop(answer))
    return RankingResult(tuple(picked), tuple(exchanges))


async def rank_by_windows(task: RankingTask, options: Ranking, llm: LLM) -> RankingResult:
    """Ranks all candidates through overlapping windows, so that a good one can rise from the bottom to the top.

    One pass sorts the first `window - stride` places well; the rest stays near the order given. The windows of
    one user wait for each other. Within a window ranked by text, candidates that the answer leaves out keep their
    order behind those that it names.
    """
    order = list(range(task.size))
    result = RankingResult((), ())
    exchanges: list[Exchange] = []
    masses: list[float] = []
    notes: dict[str, None] = {}
    for start, end in windows(task.size, options.window, options.stride):
        members = order[start:end]
        if options.within == "label":
            result = await rank_by_label(task, members, options, llm)
        else:
            result = await _rank_by_text(task, members, llm)
            if rest := [one for one in members if one not in result.order]:
                left_out = "some windows' answers left candidates out; these kept their order"
                result = replace(result, order=(*result.order, *rest), notes=(left_out,))
        order[start:end] = result.order
        exchanges += result.exchanges
        masses += [] if result.use.label_mass is None else [result.use.label_mass]
        notes |= dict.fromkeys(result.notes)
    use = result.use.model_copy(update={"label_mass": sum(masses) / len(masses) if masses else None})
    return RankingResult(tuple(order), tuple(exchanges), use, notes=tuple(notes))


async def _rank_by_text(task: RankingTask, members: Order, llm: LLM) -> RankingResult:
    exchange = await llm.chat(ChatRequest(messages=task.render(members), sampling=task.sampling))
    return RankingResult(tuple(task.named(exchange, members)), (exchange,))


def windows(n: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """First and last place (exclusive) of each window over n candidates, from the bottom; the last begins at 0."""
    end = n
    while True:
        start = max(0, end - size)
        yield start, end
        if start == 0:
            return
        end -= stride
