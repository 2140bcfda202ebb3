"""Several runs against each other: their methods in pairs, on the users that both were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zsrec.errors import ConfigError
from zsrec.evals.estimates import Comparison, Estimate, shares
from zsrec.evals.folder import RunFolder
from zsrec.evals.report import TESTS, compared
from zsrec.evals.run import MethodRun, measured
from zsrec.types import Frozen

_MUST_AGREE = ("arguments.files", "arguments.protocol", "split.protocol", "split.items", "split.users", "ks")


class RunComparison(Frozen):
    """Methods of several runs.

    Attributes:
        methods: Their means by name ("RUN:method") and metric, each on its own users.
        users: How many users each was asked for.
        comparisons: The pairs, corrected over all of one metric.
        same: Methods that were left out because another run has the very same predictions.
        tests: How the p-values were made.
    """

    methods: dict[str, dict[str, Estimate]]
    users: dict[str, int]
    comparisons: tuple[Comparison, ...]
    same: tuple[str, ...] = ()
    tests: str = TESTS


def compare(
    folders: Sequence[RunFolder], *, only: Sequence[str] = (), against: str | None = None, seed: int = 0
) -> RunComparison:
    """Compares the methods of runs on the same data, in pairs.

    Args:
        folders: One or more runs' folders.
        only: Names of methods ("generate" or "RUN:generate"); all by default. Fewer pairs need less correction.
        against: Compare all others with this one only.
        seed: Of resamples and random signs.

    Raises:
        ConfigError: The runs differ in data, protocol or cut-offs (the message says in which), or a name is
            unknown.
        DataError: A folder holds no finished run.
    """
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
    cells = [(one, key) for one in methods for key in keys]
    means = shares([one.metrics[key] for one, key in cells], seed=seed)
    table: dict[str, dict[str, Estimate]] = {}
    for (one, key), mean in zip(cells, means, strict=True):
        if mean is not None:
            table.setdefault(one.name, {})[key] = mean
    return RunComparison(
        methods=table,
        users={one.name: len(one.users) for one in methods},
        comparisons=compared(methods, seed=seed, against=None if chosen is None else chosen[0]),
        same=tuple(same),
    )


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
    names = [folder.path.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder.path) for folder in folders]
    found: list[MethodRun] = []
    same: list[str] = []
    targets: dict[tuple[str, int], str] = {}
    for run, folder in zip(names, folders, strict=True):
        config = folder.config()
        for name in config["methods"]:
            one = measured(folder.predictions(name), config["ks"])
            one = replace(one, name=f"{run}:{name}" if len(folders) > 1 else name)
            _agree(one, targets)
            twin = next((other for other in found if _equal(one, other)), None)
            if twin is None:
                found.append(one)
            else:
                same.append(f"{one.name} made the same predictions as {twin.name}")
    return found, same


def _agree(one: MethodRun, targets: dict[tuple[str, int], str]) -> None:
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
