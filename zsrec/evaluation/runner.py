"""Runs of methods over a split."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.evaluation.metrics import Values, one_target_metrics
from zsrec.evaluation.predictions import Header, Predicted, Prediction
from zsrec.evaluation.protocols import sentence, standing
from zsrec.evaluation.splits import Split
from zsrec.retrieval.base import Method, Mode, Profile, best_codes


@dataclass(frozen=True, eq=False)
class MethodRun:
    """What one method did.

    Attributes:
        metrics: One value per user by metric ("HR@10", "NDCG@10", "MRR", or "MRR@10" beside an LLM; with several
            targets a user also "Recall@10" and "Precision@10"; of sampled candidates "sampled HR@10" and so on);
            shape (n,) each.
    """

    name: str  # the name it was run under
    mode: Mode  # see `zsrec.retrieval.base.Retriever.mode`
    notes: tuple[str, ...]  # what the method says of itself
    users: Sequence[str]  # ids of the users it was asked for; n
    metrics: Mapping[str, Values]
    # wall-clock time of each prediction; shape (n · orders of ties,), or (0,) where it is not known
    seconds: NDArray[np.float64]
    predicted: Predicted  # the predictions


@dataclass(frozen=True, eq=False)
class Run:
    """All methods on one split, or on several that differ in their tie orders only."""

    protocol: str  # what was done, in whole sentences
    notes: tuple[str, ...]  # what was counted on the way
    users: int  # how many users have a target
    items: int  # how many items the catalog has
    methods: tuple[MethodRun, ...]  # in the order in which they were asked


def run(
    problems: Sequence[Split],
    methods: Mapping[str, Method],
    *,
    ks: Sequence[int] = (10,),
    on_user: Callable[[], None] | None = None,
) -> Run:
    """Asks every method for every user and ranks the whole catalog, without the user's history.

    Args:
        problems: One; or several draws of the order of ties, whose metrics are averaged by user.
        methods: By the name in the report.
        ks: Cut-offs of HR and NDCG, at least 1 each.
        on_user: Called after each user of each method.

    Raises:
        ConfigError: The problems have different users, there is none, or no method or cut-off; or a method gave a
            score that is no number.
    """
    check(problems, methods, ks)
    done = []
    for name, method in methods.items():
        seconds: list[float] = []
        header, predictions = retrieve(name, method, problems, ks=ks, seconds=seconds, on_user=on_user)
        done.append(measured(Predicted.of(header, predictions), ks, seconds))
    return Run(
        protocol=protocol(problems),
        notes=problems[0].notes,
        users=len(problems[0]),
        items=len(problems[0].training.items),
        methods=tuple(done),
    )


def check(problems: Sequence[Split], methods: Mapping[str, object], ks: Sequence[int]) -> None:
    """Makes sure that there is something to run; see `run`."""
    users = [one.users for one in problems]
    if not users or any(not np.array_equal(one, users[0]) for one in users):
        raise ConfigError("the splits differ in their users", hint="make them of one data set, one seed each")
    if not methods or not ks or min(ks) < 1:
        raise ConfigError("nothing to measure", hint="name at least one method and cut-offs of at least 1")


def protocol(problems: Sequence[Split]) -> str:
    """The protocol in whole sentences."""
    several = len(problems) > 1
    orders = f" Metrics are means over {len(problems)} orders of events at one time." if several else ""
    return sentence(problems[0]) + orders


def retrieve(
    name: str,
    method: Method,
    problems: Sequence[Split],
    *,
    ks: Sequence[int],
    seconds: list[float],
    on_user: Callable[[], None] | None = None,
) -> tuple[Header, Iterator[Prediction]]:
    """The predictions of a method that scores the whole catalog, computed lazily; each adds to `seconds`."""
    first = method(problems[0].training)

    def predictions() -> Iterator[Prediction]:
        for order, split in enumerate(problems):
            items, users = split.training.items, split.training.users
            retriever = method(split.training) if order else first
            for case in range(len(split)):
                if split.strict_time:
                    retriever = method(split.known_at(case))
                history, user = split.history(case), users[int(split.users[case])]
                started = time.perf_counter()
                scores = retriever.scores(Profile.of(history)._replace(user=user))
                seconds.append(time.perf_counter() - started)
                stands = standing(split, case, scores, ks)
                best = best_codes(stands.ranked, max(ks), items)
                yield Prediction(
                    user=user,
                    target=items[stands.target],
                    order=order,
                    history=len(history),
                    above=stands.place.above,
                    tied=stands.place.tied,
                    items=tuple(items[code] for code in best.tolist()),
                    scores=tuple(scores[best].tolist()),
                    values=stands.values,
                )
                if on_user is not None:
                    on_user()

    return Header(method=name, mode=first.mode, notes=first.notes), predictions()


def measured(
    predicted: Predicted, ks: Sequence[int], seconds: Sequence[float] = (), *, short: bool = False
) -> MethodRun:
    """The metrics of predictions, averaged over the orders of ties; `short` as in `one_target_metrics`."""
    values = predicted.values or one_target_metrics(predicted.above, predicted.tied, ks, short=short)
    orders = int(predicted.orders.max(initial=0)) + 1
    return MethodRun(
        name=predicted.header.method,
        mode=predicted.header.mode,
        notes=predicted.header.notes,
        users=predicted.users[: len(predicted.users) // orders],
        metrics={key: value.reshape(orders, -1).mean(axis=0) for key, value in values.items()},
        seconds=np.array(seconds, dtype=np.float64),
        predicted=predicted,
    )
