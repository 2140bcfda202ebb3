"""Constrained choice: the answer is held to the candidates' labels, one pick after the other."""

from __future__ import annotations

from zsrec.errors import CapabilityError
from zsrec.llm.chat import ChatRequest
from zsrec.rank.question import Judged, Question
from zsrec.steps import Plan, ask, binds_choices
from zsrec.types import Exchange

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
