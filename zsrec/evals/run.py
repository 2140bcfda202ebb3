"""One run: every method asked for every user of a split, its ranking compared with the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions, Mode, Profile, Retriever
from zsrec.errors import ConfigError
from zsrec.evals.metrics import Place, Values, hit_rate, mrr, ndcg, place
from zsrec.evals.split import Split

Method = Callable[[Interactions], Retriever]
"""Makes a retriever from the interactions that it may use; it is told nothing of targets."""


@dataclass(frozen=True, eq=False)
class MethodRun:
    """What one method did.

    Attributes:
        name: The name it was run under.
        mode: See `zsrec.candidates.Retriever.mode`.
        notes: What the retriever says of itself.
        metrics: One value a user by metric ("HR@10", "NDCG@10", "MRR"), users as in the split; shape (n,) each.
        seconds: Wall-clock time of scoring the whole catalog for each user; shape (n,).
    """

    name: str
    mode: Mode
    notes: tuple[str, ...]
    metrics: Mapping[str, Values]
    seconds: NDArray[np.float64]


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
    if not splits or any(not np.array_equal(split.users, splits[0].users) for split in splits):
        raise ConfigError("the splits differ in their users", hint="make them of one data set, one seed each")
    if not methods or not ks or min(ks) < 1:
        raise ConfigError("nothing to measure", hint="name at least one method and cut-offs of at least 1")
    first = splits[0]
    orders = f" Metrics are means over {len(splits)} orders of events at one time." if len(splits) > 1 else ""
    return Run(
        protocol=first.protocol + " The whole catalog is ranked, without the history; equal scores count as the "
        "mean over their orders." + orders,
        notes=first.notes,
        users=len(first),
        items=len(first.training.items),
        methods=tuple(_method_run(name, method, splits, ks, on_user) for name, method in methods.items()),
    )


def _method_run(
    name: str, method: Method, splits: Sequence[Split], ks: Sequence[int], on_user: Callable[[], None] | None
) -> MethodRun:
    measured: list[Mapping[str, Values]] = []
    seconds: list[float] = []
    for split in splits:
        retriever = method(split.training)
        places: list[Place] = []
        for case in range(len(split)):
            if split.strict_time and split.times is not None:
                retriever = method(split.training.before(float(split.times[case])))
            history = split.history(case)
            started = time.perf_counter()
            scores = retriever.scores(Profile.of(history))
            seconds.append(time.perf_counter() - started)
            places.append(place(scores, int(split.targets[case]), history))
            if on_user is not None:
                on_user()
        measured.append(_metrics(places, ks))
    return MethodRun(
        name=name,
        mode=retriever.mode,
        notes=retriever.notes,
        metrics={key: np.mean([one[key] for one in measured], axis=0) for key in measured[0]},
        seconds=np.array(seconds),
    )


def _metrics(places: Sequence[Place], ks: Sequence[int]) -> dict[str, Values]:
    above = np.array([one.above for one in places], dtype=np.int64)
    tied = np.array([one.tied for one in places], dtype=np.int64)
    values = {f"HR@{k}": hit_rate(above, tied, k) for k in ks}
    values |= {f"NDCG@{k}": ndcg(above, tied, k) for k in ks}
    return values | {"MRR": mrr(above, tied)}
