"""From a template's `ranker:` to the function that does it."""

from __future__ import annotations

from zsrec.llm.chat import ChatRequest
from zsrec.prompts.ranking import Ranker, Ranking
from zsrec.rank.choose import rank_by_choice
from zsrec.rank.label import rank_by_label
from zsrec.rank.question import Judged, Question
from zsrec.rank.window import PAIRS, rank_by_windows
from zsrec.steps import Plan, ask


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
