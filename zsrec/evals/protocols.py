"""The protocols that a benchmark knows by name."""

from __future__ import annotations

from datetime import datetime

from zsrec.candidates import Interactions
from zsrec.errors import ConfigError
from zsrec.evals.by_time import cold_items, time_split
from zsrec.evals.cold import cold_users
from zsrec.evals.problem import Problem
from zsrec.evals.sampled import llm_rank, nir
from zsrec.evals.split import leave_one_out

PROTOCOLS = ("leave-one-out", "cold-users", "time-split", "cold-items", "sampled-llmrank", "sampled-nir")
AT_A_MOMENT = ("time-split", "cold-items")
FOR_LLMS = ("leave-one-out", "cold-users")


def problems(
    protocol: str,
    interactions: Interactions,
    *,
    seed: int = 0,
    tie_orders: int = 1,
    strict_time: bool = False,
    events: int | None = None,
    at: datetime | None = None,
) -> list[Problem]:
    """Applies a protocol, once for each order of tied events.

    Args:
        protocol: One of `PROTOCOLS`.
        interactions: All interactions.
        seed: Of the first order of ties, and of what a protocol draws.
        tie_orders: How many orders of ties, at least 1.
        strict_time: See `leave_one_out`; only there.
        events: How many events a cold user shows; only there, and needed there.
        at: The moment of a time split, UTC where it has no zone; by default 80% of the events lie before it.

    Raises:
        ConfigError: The protocol is unknown, or an option does not go with it.
        DataError: The data have no such targets.
    """
    check(protocol, tie_orders=tie_orders, strict_time=strict_time, events=events, at=at)
    seeds = range(seed, seed + tie_orders)
    if protocol == "cold-users":
        return [cold_users(interactions, events or 0, seed=seed)]
    if protocol == "time-split":
        return [time_split(interactions, at=at, seed=one) for one in seeds]
    if protocol == "cold-items":
        return [cold_items(interactions, at=at, seed=one) for one in seeds]
    splits = [leave_one_out(interactions, seed=one, strict_time=strict_time) for one in seeds]
    if protocol == "sampled-llmrank":
        return [llm_rank(split, seed=one) for split, one in zip(splits, seeds, strict=True)]
    if protocol == "sampled-nir":
        return [nir(split, seed=one) for split, one in zip(splits, seeds, strict=True)]
    return list(splits)


def check(
    protocol: str,
    *,
    tie_orders: int = 1,
    strict_time: bool = False,
    events: int | None = None,
    at: datetime | None = None,
    asks_llm: bool = False,
) -> None:
    """Makes sure that a protocol and the options go together, before any data are read.

    Raises:
        ConfigError: They do not.
    """
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
