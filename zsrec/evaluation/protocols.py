"""Protocols by name, and the places of targets in a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Codes, Interactions
from zsrec.evaluation.metrics import NOWHERE, Place, one_target_metrics, place, target_metrics, without
from zsrec.evaluation.splits import Split, cold_items, cold_users, leave_one_out, time_split
from zsrec.retrieval.base import Scores, best_codes

PROTOCOLS = ("leave-one-out", "cold-users", "time-split", "cold-items", "sampled-llmrank", "sampled-nir")
AT_A_MOMENT = ("time-split", "cold-items")
FOR_LLMS = ("leave-one-out", "cold-users")

SAMPLED = "sampled "
"""What the names of metrics over a few candidates begin with, so that no table can hide it."""

LLM_RANK = (
    "SAMPLED, not the whole catalog: the target and {n} random items that the user does not know, in random "
    "order, as LLMRank (Hou et al. 2024). "
)
NIR = (
    "SAMPLED, not the whole catalog: the {size} items that weigh most among the {neighbours} users with the most "
    "items in common, as NIR (Wang and Lim 2023). "
)
NIR_MISSES = (
    "{absent:,} of {users:,} users have a target that is not among their candidates; here they earn 0. NIR's "
    "published figures leave such users out."
)
NIR_LEFT_OUT = (
    "{absent:,} of {users:,} users were left out because their target is not among their candidates, as in NIR's "
    "published figures: the target chose the users, so this is no estimate for users in general."
)
WHOLE_CATALOG = (
    " The whole catalog is ranked, without the history; equal scores count as the mean over their orders."
)
SEVERAL_TARGETS = (
    " Recall is the share of a user's targets found, precision the share of the list that is a target; HR and MRR "
    "ask for the first target found."
)
_NONE = np.zeros(0, dtype=np.int32)


def problems(
    protocol: str,
    interactions: Interactions,
    *,
    seed: int = 0,
    tie_orders: int = 1,
    strict_time: bool = False,
    events: int | None = None,
    at: datetime | None = None,
) -> list[Split]:
    """Applies a protocol, once for each order of tied events."""
    check(protocol, tie_orders=tie_orders, strict_time=strict_time, events=events, at=at)
    seeds = range(seed, seed + tie_orders)
    if protocol == "cold-users":
        return [cold_users(interactions, events or 0, seed=seed)]
    if protocol in AT_A_MOMENT:
        split_at = time_split if protocol == "time-split" else cold_items
        return [split_at(interactions, at=at, seed=one) for one in seeds]
    splits = [leave_one_out(interactions, seed=one, strict_time=strict_time) for one in seeds]
    if protocol == "leave-one-out":
        return splits
    sampled = llm_rank if protocol == "sampled-llmrank" else nir
    return [sampled(split, seed=one) for split, one in zip(splits, seeds, strict=True)]


def check(
    protocol: str,
    *,
    tie_orders: int = 1,
    strict_time: bool = False,
    events: int | None = None,
    at: datetime | None = None,
    asks_llm: bool = False,
) -> None:
    """Makes sure that a protocol and the options go together, before any data are read."""
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}", hint=f"known: {', '.join(PROTOCOLS)}")
    if strict_time and protocol != "leave-one-out":
        raise ConfigError(f"--strict-time does not go with {protocol}", hint="it is an option of leave-one-out")
    if tie_orders > 1 and protocol == "cold-users":
        raise ConfigError("--tie-orders does not go with cold-users", hint="its seed draws the users, too")
    if (events is not None) != (protocol == "cold-users"):
        raise ConfigError(
            f"--events is {events}, the protocol {protocol}",
            hint="cold-users needs --events N, the events that a user shows; no other protocol takes it",
        )
    if at is not None and protocol not in AT_A_MOMENT:
        raise ConfigError(
            f"--at does not go with {protocol}", hint=f"it is an option of {' and '.join(AT_A_MOMENT)}"
        )
    if asks_llm and protocol not in FOR_LLMS:
        raise ConfigError(
            f"methods that ask an LLM, and --probe, do not run on {protocol}",
            hint=f"take {' or '.join(FOR_LLMS)}, or leave them out",
        )


def check_for_llm(split: Split) -> None:
    """Makes sure that methods which ask an LLM can be run on a split."""
    if split.target_starts is not None or split.candidates is not None:
        raise ConfigError(
            "methods that ask an LLM, and the memorisation probe, run on one target per user in the whole catalog",
            hint="take the protocol leave-one-out or cold-users, or leave the LLM methods and --probe out",
        )


def sentence(split: Split) -> str:
    """What is done, in whole sentences; a sampled protocol says so first."""
    if split.candidates is not None:
        return split.protocol
    return split.protocol + WHOLE_CATALOG + ("" if split.target_starts is None else SEVERAL_TARGETS)


def main_metric(names: Sequence[str]) -> str:
    """The metric that plots and verdicts are about: the first NDCG."""
    return next(name for name in names if name.removeprefix(SAMPLED).startswith("NDCG@"))


class Standing(NamedTuple):
    """The places of one user's targets in a ranking."""

    target: int  # of several, the first in time
    place: Place
    values: Mapping[str, float]  # metrics that the place does not determine; else empty
    ranked: Scores  # -inf for what was not ranked


def standing(split: Split, case: int, scores: Scores, ks: Sequence[int]) -> Standing:
    """Finds the places of a user's targets."""
    history, targets, pool = split.history(case), split.targets_of(case), split.candidates_of(case)
    target = int(targets[0])
    if pool is not None:
        among = np.flatnonzero(pool == target)
        stands = place(scores[pool], int(among[0]), _NONE) if len(among) else NOWHERE
        ranked = np.full(len(scores), -np.inf)
        ranked[pool] = scores[pool]
        found = one_target_metrics(np.array([stands.above]), np.array([stands.tied]), ks)
        return Standing(target, stands, {SAMPLED + key: float(one[0]) for key, one in found.items()}, ranked)
    values = {} if split.target_starts is None else target_metrics(scores, targets, history, ks)
    return Standing(target, place(scores, target, history), values, without(scores, history))


def llm_rank(split: Split, *, negatives: int = 19, seed: int = 0) -> Split:
    """The target among random items, drawn from the whole catalog without the user's history."""
    items = split.training.items
    if negatives < 1:
        raise ConfigError(f"negatives is {negatives}", hint="at least 1; LLMRank has 19")
    keys = split.training.users.hashes(split.users.tolist(), seed)
    rows = []
    for case, key in enumerate(keys.tolist()):
        target = int(split.targets[case])
        others = np.setdiff1d(np.arange(len(items)), np.append(split.history(case), target))
        if len(others) < negatives:
            raise ConfigError(
                f"a user does not know {len(others):,} items, fewer than {negatives}", hint="fewer negatives"
            )
        rng = np.random.default_rng(key)
        rows.append(rng.permutation(np.append(rng.choice(others, negatives, replace=False), target)))
    return replace(
        split, candidates=np.array(rows, dtype=np.int32), protocol=LLM_RANK.format(n=negatives) + split.protocol
    )


def nir(split: Split, *, neighbours: int = 12, size: int = 19, seed: int = 0) -> Split:
    """Candidates by user filtering: what the users with the most items in common had contact with.

    An item weighs the sum of its users' shares of the common items. As in the authors' code the user is one of the
    `neighbours`, and ties, which there follow the file, are broken by hash. No target takes part in this; `notes`
    counts the users whose target is not among the candidates.
    """
    if neighbours < 2 or size < 1:
        raise ConfigError(f"neighbours is {neighbours}, size {size}", hint="at least 2 and 1; NIR has 12 and 19")
    items: NDArray[np.int32] = np.full((len(split), size), -1, dtype=np.int32)
    for case in range(len(split)):
        found = _filtered(split.training, split.history(case), neighbours, size, seed)
        ties = split.training.items.hashes(found.tolist(), seed + 1)  # the order must not tell weights
        items[case, : len(found)] = found[np.argsort(ties)]
    absent = int(np.sum(~(items == split.targets[:, None]).any(axis=1)))
    return replace(
        split,
        candidates=items,
        protocol=NIR.format(size=size, neighbours=neighbours) + split.protocol,
        notes=(*split.notes, NIR_MISSES.format(absent=absent, users=len(split))),
    )


def only_found(split: Split) -> Split:
    """Only the users whose target is among the candidates, as in NIR's figures; `notes` counts the others."""
    candidates = np.zeros((len(split), 0), np.int32) if split.candidates is None else split.candidates
    kept = np.flatnonzero((candidates == split.targets[:, None]).any(axis=1))
    if not len(kept):
        raise ConfigError("no target is among the candidates", hint="more candidates, or all users")
    note = NIR_LEFT_OUT.format(absent=len(split) - len(kept), users=len(split))
    return replace(split.only(kept), notes=(*split.notes[:-1], note))


def _filtered(known: Interactions, history: Codes, neighbours: int, size: int, seed: int) -> Codes:
    """The candidates of one history, best first."""
    common = np.zeros(len(known.users))
    for item in history.tolist():
        common[known.users_of(item)] += 1.0
    common[common == 0] = -np.inf
    near = best_codes(common, neighbours, known.users, seed).astype(np.int32)
    weights = np.zeros(len(known.items))
    for user in near.tolist():
        weights[known.items_of(user)] += common[user]
    weights[history] = 0.0
    weights[weights == 0] = -np.inf
    return best_codes(weights, size, known.items, seed).astype(np.int32)
