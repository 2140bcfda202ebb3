"""What asking an LLM came to: what goes wrong, tokens and money a user, lift, position bias, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zsrec.core.types import Frozen
from zsrec.evaluation.metrics import Values, hit_rate, mrr, ndcg
from zsrec.evaluation.predictions import FUSED_WITH, Predicted, Use
from zsrec.evaluation.runner import MethodRun
from zsrec.evaluation.statistics import Comparison, Estimate, Pair, comparisons, estimates, shares

RETRIEVAL = "its candidates in the order of retrieval"
_BINS = 10


class Prices(NamedTuple):
    """Money for a million tokens, in whatever currency; None where there is no price."""

    tokens_in: float | None = None
    tokens_out: float | None = None

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """What tokens cost; None where there is no price."""
        if self.tokens_in is None and self.tokens_out is None:
            return None
        return (tokens_in * (self.tokens_in or 0.0) + tokens_out * (self.tokens_out or 0.0)) / 1e6


class Bin(Frozen):
    """Predictions whose stated probability lies in one tenth of [0, 1].

    Attributes:
        stated: The mean stated probability.
        true: The share that was the target.
        number: How many there are.
    """

    stated: float
    true: float
    number: int


class LLMReport(Frozen):
    """What asking an LLM came to.

    Attributes:
        how: Template, its hash, model, candidates.
        rates: Shares by what they count (`RATES`), each a mean over users with its interval. Shares of named items
            leave out users for whom nothing was named.
        requests: Requests a user.
        prompt_tokens: Tokens in, a user.
        completion_tokens: Tokens out, a user.
        cost: Money a user; None where no price was given.
        total_tokens: Tokens in and out of all users. A reply shared by two users counts twice.
        lift: The method against its candidates in the order of retrieval, by metric; empty without candidates.
        reachable: The share of users whose target is among the candidates: no order of them can find more.
        first_places: How often the item at each place of the prompt's candidates was ranked first, of all users
            with a ranking; empty without candidates.
        calibration: Where scores are probabilities over the candidates, whether they are true; otherwise empty.
    """

    how: dict[str, str | int | None]
    rates: dict[str, Estimate]
    requests: Estimate
    prompt_tokens: Estimate
    completion_tokens: Estimate
    cost: Estimate | None = None
    total_tokens: tuple[int, int]
    lift: tuple[Comparison, ...] = ()
    reachable: Estimate | None = None
    first_places: tuple[float, ...] = ()
    calibration: tuple[Bin, ...] = ()


_OF_NAMED: dict[str, Callable[[Use], int]] = {
    "not in the catalog": lambda use: use.not_in_catalog,
    "unmatched": lambda use: use.unmatched,
    "known to the user": lambda use: use.seen,
    "named twice": lambda use: use.repeated,
    "no candidate": lambda use: use.foreign,
}
_OF_USERS: dict[str, Callable[[Use], bool]] = {
    "wrong format": lambda use: use.wrong_format,
    "cut off": lambda use: use.cut,
    "no answer": lambda use: use.error is not None,
}
RATES = {
    "not in the catalog": "share of named items that the catalog does not have",
    "unmatched": "share of named items without a catalog item, for whatever reason",
    "known to the user": "share of named items that stand in the user's history",
    "named twice": "share of named items that were named before",
    "no candidate": "share of named items outside the candidates",
    "wrong format": "share of answers in which nothing could be read as an item",
    "cut off": "share of answers that were cut at max_tokens",
    "no answer": "share of users without an answer",
}


def llm_report(one: MethodRun, ks: Sequence[int], *, seed: int, prices: Prices) -> LLMReport:
    """Summarises what asking an LLM came to.

    Args:
        one: A method whose predictions have their `uses`.
        ks: Cut-offs of HR and NDCG.
        seed: Of resamples and tests.
        prices: Of tokens.
    """
    uses = one.predicted.uses
    with_candidates = any(use.candidates for use in uses)
    naming = [use for use in uses if use.named]
    answered = [use for use in uses if use.error is None]
    columns = {
        name: _column([of(use) / use.named for use in naming])
        for name, of in _OF_NAMED.items()
        if with_candidates or name != "no candidate"
    }
    columns |= {name: _column([of(use) for use in answered]) for name, of in _OF_USERS.items()}
    columns["no answer"] = _column([use.error is not None for use in uses])
    columns["reachable"] = _column(_reachable(one.predicted) if with_candidates else [])
    rates = dict(zip(columns, shares(list(columns.values()), seed=seed), strict=True))
    reachable = rates.pop("reachable")
    tokens_in, tokens_out = [use.prompt_tokens for use in uses], [use.completion_tokens for use in uses]
    money = [prices.cost(*pair) for pair in zip(tokens_in, tokens_out, strict=True)]
    priced = _column([cost for cost in money if cost is not None])
    requests, prompt, completion, cost = estimates(
        [_column([use.requests for use in uses]), _column(tokens_in), _column(tokens_out), priced], seed=seed
    )
    assert requests is not None and prompt is not None and completion is not None  # noqa: S101, PT018  (there are users)
    return LLMReport(
        how=one.predicted.header.llm,
        rates={name: rate for name, rate in rates.items() if rate is not None},
        requests=requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=cost,
        total_tokens=(sum(tokens_in), sum(tokens_out)),
        lift=lift(one, ks, seed=seed),
        reachable=reachable,
        first_places=_first_places(one.predicted) if with_candidates else (),
        calibration=_calibration(one.predicted) if with_candidates else (),
    )


def _column(values: Sequence[float]) -> Values:
    return np.array(values, dtype=np.float64)


def _reachable(predicted: Predicted) -> list[bool]:
    return [target in use.candidates for target, use in zip(predicted.targets, predicted.uses, strict=True)]


def lift(one: MethodRun, ks: Sequence[int], *, seed: int) -> tuple[Comparison, ...]:
    """A method against its candidates in the order of retrieval, by metric; empty without candidates.

    Both lists are as long as the method's longest, so that a longer one does not win by its length.

    Args:
        one: A method whose predictions have their `uses`.
        ks: Cut-offs of HR and NDCG.
        seed: Of resamples and tests.
    """
    if not any(use.candidates for use in one.predicted.uses):
        return ()
    longest = max(ks)
    above = np.array(
        [
            use.candidates.index(target) if target in use.candidates[:longest] else -1
            for target, use in zip(one.predicted.targets, one.predicted.uses, strict=True)
        ],
        dtype=np.int64,
    )
    tied = np.zeros_like(above)
    retrieval = {f"HR@{k}": hit_rate(above, tied, k) for k in ks}
    retrieval |= {f"NDCG@{k}": ndcg(above, tied, k) for k in ks}
    retrieval |= {"MRR": mrr(above, tied)}
    return comparisons(
        [Pair(key, one.name, RETRIEVAL, one.metrics[key] - values) for key, values in retrieval.items()], seed=seed
    )


def _first_places(predicted: Predicted) -> tuple[float, ...]:
    longest = max(len(use.candidates) for use in predicted.uses)
    counts = np.zeros(longest)
    for row, use in zip(predicted.lists, predicted.uses, strict=True):
        if len(row) and row[0] >= 0:
            place = use.candidates.index(predicted.names[row[0]])
            counts[use.shown.index(place) if use.shown else place] += 1
    total = counts.sum()
    return tuple((counts / total).tolist()) if total else ()


def _calibration(predicted: Predicted) -> tuple[Bin, ...]:
    """Probabilities against outcomes; only where scores are probabilities, neither 1/place nor fused places."""
    scores = predicted.scores
    if (
        FUSED_WITH in predicted.header.llm
        or not scores.size
        or scores.min() < 0
        or scores.sum(axis=1).max() > 1 + 1e-6
    ):
        return ()
    given = scores[predicted.lists >= 0]
    if not given.all() or np.allclose(1 / given, np.round(1 / given), rtol=0, atol=1e-9):
        return ()
    stated, true = [], []
    for row, list_, target in zip(scores, predicted.lists, predicted.targets, strict=True):
        for code, score in zip(list_.tolist(), row.tolist(), strict=True):
            if code >= 0:
                stated.append(score)
                true.append(predicted.names[code] == target)
    tenths = np.minimum((np.array(stated) * _BINS).astype(int), _BINS - 1)
    of, right = np.array(stated), np.array(true, dtype=np.float64)
    return tuple(
        Bin(stated=float(of[inside].mean()), true=float(right[inside].mean()), number=int(inside.sum()))
        for tenth in range(_BINS)
        if (inside := tenths == tenth).any()
    )
