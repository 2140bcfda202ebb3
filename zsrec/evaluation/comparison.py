"""Methods in pairs on the users of both: of one run, of several runs, and against their own candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.evaluation.metrics import one_target_metrics
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.runner import MethodRun, measured
from zsrec.evaluation.statistics import Comparison, Estimate, Pair, comparisons, shares

TESTS = (
    "two-sided paired randomisation test over users, 10,000 draws; Holm's correction over the pairs of one metric"
)
RETRIEVAL = "its candidates in the order of retrieval"
_MUST_AGREE = ("arguments.files", "arguments.protocol", "split.protocol", "split.items", "split.users", "ks")

Places = slice | list[int]


class RunComparison(Frozen):
    """Methods of several runs."""

    methods: dict[str, dict[str, Estimate]]  # their means by name ("RUN:method") and metric, each on its own users
    users: dict[str, int]  # how many users each was asked for
    comparisons: tuple[Comparison, ...]  # the pairs, corrected over all of one metric
    same: tuple[str, ...] = ()  # methods that were left out because another run has the very same predictions
    tests: str = TESTS  # how the p-values were made


def compare(
    folders: Sequence[RunFolder], *, only: Sequence[str] = (), against: str | None = None, seed: int = 0
) -> RunComparison:
    """Compares the methods of runs on the same data, in pairs."""
    _check(folders)
    methods, same = _methods(folders)
    names = [one.name for one in methods]
    if only or against:
        wanted = {found for name in (*only, *([against] if against else [])) for found in _named(name, names)}
        methods = [one for one in methods if one.name in wanted or not only]
    if len(methods) < 2:
        raise ConfigError("there are no two methods to compare", hint=f"known: {', '.join(names)}")
    chosen = None if against is None else _named(against, names)
    if chosen is not None and len(chosen) > 1:
        raise ConfigError(f"{against!r} could be any of {', '.join(chosen)}", hint="name one as RUN:method")
    keys = list(methods[0].metrics)
    means = shares({(one.name, key): one.metrics[key] for one in methods for key in keys}, seed=seed)
    return RunComparison(
        methods={one.name: {key: means[one.name, key] for key in keys} for one in methods},
        users={one.name: len(one.users) for one in methods},
        comparisons=compared(methods, seed=seed, against=None if chosen is None else chosen[0]),
        same=tuple(same),
    )


def compared(methods: Sequence[MethodRun], *, seed: int, against: str | None = None) -> tuple[Comparison, ...]:
    """Compares methods with the same metrics in pairs; with `against`, all others with this one only."""
    pairs = [pair for pair in combinations(methods, 2) if against is None or against in {one.name for one in pair}]
    both = {(a.name, b.name): common_places([a.users, b.users]) for a, b in pairs}
    return comparisons(
        [
            Pair(key, a.name, b.name, a.metrics[key][in_a] - b.metrics[key][in_b])
            for key in (methods[0].metrics if methods else ())
            for a, b in pairs
            for in_a, in_b in [both[a.name, b.name]]
        ],
        seed=seed,
    )


def lifts(methods: Sequence[MethodRun], ks: Sequence[int], *, seed: int) -> dict[str, tuple[Comparison, ...]]:
    """Methods against their candidates in the order of retrieval; those without candidates are left out.

    Both lists are cut to the largest of `ks`, so that a longer one does not win by its length.
    """
    pairs: list[Pair] = []
    for one in methods:
        if (places := one.predicted.candidate_places) is not None:
            above = np.where(places < max(ks), places, -1)
            retrieval = one_target_metrics(above, np.zeros_like(above), ks, short="MRR" not in one.metrics)
            pairs += [Pair(key, one.name, RETRIEVAL, one.metrics[key] - of) for key, of in retrieval.items()]
    found = comparisons(pairs, seed=seed)
    return {one.name: own for one in methods if (own := tuple(pair for pair in found if pair.a == one.name))}


def common_places(users: Sequence[Sequence[str]]) -> list[Places]:
    """The places, in each method's users, of the users that all methods have, in the order of the first."""
    first = list(users[0])
    if all(list(one) == first for one in users):
        return [slice(None) for _ in users]
    places = [{user: place for place, user in enumerate(one)} for one in users]
    common = [user for user in first if all(user in one for one in places)]
    return [[one[user] for user in common] for one in places]


def _check(folders: Sequence[RunFolder]) -> None:
    if not folders:
        raise ConfigError("no run to compare", hint="name one or more folders")
    first, *others = folders
    for other in others:
        for field in _MUST_AGREE:
            here, there = _field(first, field), _field(other, field)
            if here != there:
                raise ConfigError(
                    f"{first.path} and {other.path} differ in {field}: {here!r} and {there!r}",
                    hint="only runs of one data set and protocol can be compared user by user",
                )


def _field(folder: RunFolder, field: str) -> object:
    found: object = folder.config()
    for name in field.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _methods(folders: Sequence[RunFolder]) -> tuple[list[MethodRun], list[str]]:
    """All methods under names of their own, and the sentences on those that another run has too."""
    names = [folder.path.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder.path) for folder in folders]
    found: list[MethodRun] = []
    same: list[str] = []
    targets: dict[tuple[str, int], str] = {}
    configs = [folder.config() for folder in folders]
    short = any(config.get("llm_methods") for config in configs)
    for run, folder, config in zip(names, folders, configs, strict=True):
        for name in config["methods"]:
            one = measured(folder.predictions(name), config["ks"], short=short)
            one = replace(one, name=f"{run}:{name}" if len(folders) > 1 else name)
            _check_targets(one, targets)
            twin = next((other for other in found if _equal(one, other)), None)
            if twin is None:
                found.append(one)
            else:
                same.append(f"{one.name} made the same predictions as {twin.name}")
    return found, same


def _check_targets(one: MethodRun, targets: dict[tuple[str, int], str]) -> None:
    """Whatever the configurations say, a user has one target."""
    predicted = one.predicted
    for user, order, target in zip(predicted.users, predicted.orders.tolist(), predicted.targets, strict=True):
        if targets.setdefault((user, order), target) != target:
            raise ConfigError(
                f"{one.name} has another target for the user {user!r} than the methods before it",
                hint="only runs with one seed can be compared user by user",
            )


def _equal(one: MethodRun, other: MethodRun) -> bool:
    a, b = one.predicted, other.predicted
    return (
        a.header == b.header
        and a.users == b.users
        and a.names == b.names
        and np.array_equal(a.lists, b.lists)
        and np.array_equal(a.above, b.above)
    )


def _named(name: str, names: Sequence[str]) -> list[str]:
    found = [one for one in names if name in (one, one.split(":", 1)[-1])]
    if not found:
        raise ConfigError(f"no method {name!r}", hint=f"known: {', '.join(names)}")
    return found
