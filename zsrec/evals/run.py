"""One run: every method asked for its users, its ranking compared with the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions, Mode, Profile, Retriever
from zsrec.candidates.retriever import best_codes
from zsrec.errors import ConfigError
from zsrec.evals.metrics import Values, hit_rate, mrr, ndcg, place
from zsrec.evals.predictions import Header, Predicted, Prediction
from zsrec.evals.split import Split

Method = Callable[[Interactions], Retriever]
"""Makes a retriever from the interactions that it may use; it is told nothing of targets."""

Timed = tuple[Prediction, float]
"""A prediction and the seconds that it took."""

WHOLE_CATALOG = (
    " The whole catalog is ranked, without the history; equal scores count as the mean over their orders."
)


@dataclass(frozen=True, eq=False)
class MethodRun:
    """What one method did.

    Attributes:
        name: The name it was run under.
        mode: See `zsrec.candidates.Retriever.mode`.
        notes: What the method says of itself.
        users: Ids of the users it was asked for; n.
        metrics: One value a user by metric ("HR@10", "NDCG@10", "MRR"); shape (n,) each.
        seconds: Wall-clock time of each prediction; shape (n · orders of ties,), or (0,) where it is not known.
        predicted: The predictions.
    """

    name: str
    mode: Mode
    notes: tuple[str, ...]
    users: Sequence[str]
    metrics: Mapping[str, Values]
    seconds: NDArray[np.float64]
    predicted: Predicted


@dataclass(frozen=True, eq=False)
class Run:
    """All methods on one split, or on several that differ in their tie orders only.

    Attributes:
        protocol: What was done, in whole sentences.
        notes: What was counted on the way.
        users: How many users have a target.
        items: How many items the catalog has.
        methods: In the order in which they were asked.
    """

    protocol: str
    notes: tuple[str, ...]
    users: int
    items: int
    methods: tuple[MethodRun, ...]


def run(
    splits: Sequence[Split],
    methods: Mapping[str, Method],
    *,
    ks: Sequence[int] = (10,),
    on_user: Callable[[], None] | None = None,
) -> Run:
    """Asks every method for every user and ranks the whole catalog, without the user's history.

    Args:
        splits: One split; or several draws of the order of ties, whose metrics are averaged by user.
        methods: By the name in the report.
        ks: Cut-offs of HR and NDCG, at least 1 each.
        on_user: Called after each user of each method.

    Raises:
        ConfigError: The splits have different users, there is none, or no method or cut-off; or a method gave a
            score that is no number.
    """
    check(splits, methods, ks)
    done = []
    for name, method in methods.items():
        header, timed = retrieve(name, method, splits, keep=max(ks), on_user=on_user)
        seconds: list[float] = []
        done.append(measured(Predicted.of(header, timing(timed, seconds)), ks, seconds))
    return Run(
        protocol=protocol(splits),
        notes=splits[0].notes,
        users=len(splits[0]),
        items=len(splits[0].training.items),
        methods=tuple(done),
    )


def check(splits: Sequence[Split], methods: Mapping[str, object], ks: Sequence[int]) -> None:
    """Makes sure that there is something to run; see `run`."""
    if not splits or any(not np.array_equal(split.users, splits[0].users) for split in splits):
        raise ConfigError("the splits differ in their users", hint="make them of one data set, one seed each")
    if not methods or not ks or min(ks) < 1:
        raise ConfigError("nothing to measure", hint="name at least one method and cut-offs of at least 1")


def protocol(splits: Sequence[Split]) -> str:
    """What is done, in whole sentences."""
    orders = f" Metrics are means over {len(splits)} orders of events at one time." if len(splits) > 1 else ""
    return splits[0].protocol + WHOLE_CATALOG + orders


def retrieve(
    name: str,
    method: Method,
    splits: Sequence[Split],
    *,
    keep: int,
    on_user: Callable[[], None] | None = None,
) -> tuple[Header, Iterator[Timed]]:
    """The predictions of a method that scores the whole catalog, made while they are read.

    Args:
        name: The name in the report.
        method: Makes the retriever.
        splits: One, or one an order of ties.
        keep: How many of the best items a prediction holds.
        on_user: Called after each.
    """
    retriever = method(splits[0].training)
    header = Header(method=name, mode=retriever.mode, notes=retriever.notes)
    return header, _retrieved(method, retriever, splits, keep, on_user)


def _retrieved(
    method: Method, retriever: Retriever, splits: Sequence[Split], keep: int, on_user: Callable[[], None] | None
) -> Iterator[Timed]:
    for order, split in enumerate(splits):
        items, users = split.training.items, split.training.users
        if order:
            retriever = method(split.training)
        for case in range(len(split)):
            if split.strict_time:
                retriever = method(known_at(split, case))
            history = split.history(case)
            started = time.perf_counter()
            scores = retriever.scores(Profile.of(history))
            seconds = time.perf_counter() - started
            target = int(split.targets[case])
            stands = place(scores, target, history)
            ranked = scores.copy()
            ranked[history] = -np.inf
            best = best_codes(ranked, keep, items)
            yield (
                Prediction(
                    user=users[int(split.users[case])],
                    target=items[target],
                    order=order,
                    history=len(history),
                    above=stands.above,
                    tied=stands.tied,
                    items=tuple(items[code] for code in best.tolist()),
                    scores=tuple(scores[best].tolist()),
                ),
                seconds,
            )
            if on_user is not None:
                on_user()


def known_at(split: Split, case: int) -> Interactions:
    """The interactions that a case's prediction may use."""
    if split.strict_time and split.times is not None:
        return split.training.before(float(split.times[case]))
    return split.training


def timing(timed: Iterator[Timed], seconds: list[float]) -> Iterator[Prediction]:
    """The predictions alone; their seconds are put into the list on the way."""
    for prediction, took in timed:
        seconds.append(took)
        yield prediction


def measured(predicted: Predicted, ks: Sequence[int], seconds: Sequence[float] = ()) -> MethodRun:
    """The metrics of predictions, averaged over the orders of ties.

    Args:
        predicted: The predictions; every order has the same users in the same order.
        ks: Cut-offs of HR and NDCG.
        seconds: One a prediction, where they are known.
    """
    above, tied = predicted.above, predicted.tied
    values = {f"HR@{k}": hit_rate(above, tied, k) for k in ks}
    values |= {f"NDCG@{k}": ndcg(above, tied, k) for k in ks}
    values |= {"MRR": mrr(above, tied)}
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
