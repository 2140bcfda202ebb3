"""What a method may be asked: one target in the catalog, several targets, or one target among a few candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zsrec.candidates.retriever import Scores
from zsrec.errors import ConfigError
from zsrec.evals.many import ManySplit, target_metrics
from zsrec.evals.metrics import Counts, Place, Values, hit_rate, mrr, ndcg, place
from zsrec.evals.sampled import Pools
from zsrec.evals.split import Split

Problem = Split | ManySplit | Pools
"""A protocol applied to data. `Pools` are the two sampled protocols."""

SAMPLED = "sampled "
"""What the names of metrics over a few candidates begin with, so that no table can hide it."""

WHOLE_CATALOG = (
    " The whole catalog is ranked, without the history; equal scores count as the mean over their orders."
)
SEVERAL_TARGETS = (
    " Recall is the share of a user's targets found, precision the share of the list that is a target; HR and MRR "
    "ask for the first target found."
)


class Standing(NamedTuple):
    """How one user's targets stand in a ranking.

    Attributes:
        target: The code of the target; of several, the first in time.
        place: Where it stands.
        values: The metrics by name where the place of one target in the catalog does not tell them; else empty.
        ranked: The scores of what was ranked, -inf for all else; shape (number of items,).
    """

    target: int
    place: Place
    values: Mapping[str, float]
    ranked: Scores


def split_of(problem: Problem) -> Split | ManySplit:
    """The users, histories and statistics of a problem."""
    return problem.split if isinstance(problem, Pools) else problem


def asked_of_llm(problem: Problem) -> Split:
    """The problem, where it is one that methods asking an LLM can be run on.

    Raises:
        ConfigError: It has several targets a user, or sampled candidates.
    """
    if isinstance(problem, Split):
        return problem
    raise ConfigError(
        "methods that ask an LLM, and the memorisation probe, run on one target a user in the whole catalog",
        hint="take the protocol leave-one-out or cold-users, or leave the LLM methods and --probe out",
    )


def sentence(problem: Problem) -> str:
    """What is done, in whole sentences; a sampled protocol says so first."""
    if isinstance(problem, Pools):
        return f"{problem.protocol} {problem.split.protocol}"
    return problem.protocol + WHOLE_CATALOG + (SEVERAL_TARGETS if isinstance(problem, ManySplit) else "")


def notes(problem: Problem) -> tuple[str, ...]:
    """What was counted on the way."""
    return (*problem.split.notes, *problem.notes) if isinstance(problem, Pools) else problem.notes


def standing(problem: Problem, case: int, scores: Scores, ks: Sequence[int]) -> Standing:
    """Looks where the targets of a user stand.

    Args:
        problem: The problem.
        case: The user's place in it.
        scores: A method's scores of the whole catalog.
        ks: Cut-offs, at least 1 each.

    Raises:
        ConfigError: A score is no number.
    """
    split = split_of(problem)
    history = split.history(case)
    if isinstance(problem, Pools):
        stands = problem.place(case, scores)
        pool = problem.of(case)
        ranked = np.full(len(scores), -np.inf)
        ranked[pool] = scores[pool]
        return Standing(int(problem.split.targets[case]), stands, _sampled(stands, ks), ranked)
    ranked = scores.copy()
    ranked[history] = -np.inf
    if isinstance(problem, ManySplit):
        targets = problem.targets_of(case)
        values = target_metrics(scores, targets, history, ks)
        first = int(targets[0])
        return Standing(first, place(scores, first, history), values, ranked)
    target = int(problem.targets[case])
    return Standing(target, place(scores, target, history), {}, ranked)


def one_target_metrics(above: Counts, tied: Counts, ks: Sequence[int]) -> dict[str, Values]:
    """HR, NDCG and MRR of n places (`zsrec.evals.metrics.Place`), by name; shape (n,) each."""
    values = {f"HR@{k}": hit_rate(above, tied, k) for k in ks}
    values |= {f"NDCG@{k}": ndcg(above, tied, k) for k in ks}
    return values | {"MRR": mrr(above, tied)}


def main_metric(names: Sequence[str]) -> str:
    """The metric that plots and verdicts are about: the first NDCG."""
    return next(name for name in names if name.removeprefix(SAMPLED).startswith("NDCG@"))


def _sampled(stands: Place, ks: Sequence[int]) -> dict[str, float]:
    found = one_target_metrics(np.array([stands.above]), np.array([stands.tied]), ks)
    return {SAMPLED + name: float(value[0]) for name, value in found.items()}
