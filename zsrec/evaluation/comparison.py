"""Several runs against each other: their methods in pairs, on the users that both were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.report import TESTS, compared
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.runner import MethodRun, measured
from zsrec.evaluation.statistics import LEVEL, Comparison, Estimate, shares

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


_COSTS = ("tokens", "seconds")
_PARTS = ("tokens in", "tokens out", "requests")  # said by "tokens"

Columns = Mapping[str, Mapping[str, Values]]


class Kind(NamedTuple):
    """What a measure is.

    Attributes:
        better: Whether more or less of it is better.
        bound: The largest value; None where there is none.
        percent: Whether it is a share that people read in percent.
    """

    better: Literal["more", "less"]
    bound: float | None = None
    percent: bool = False


class Paired(Frozen):
    """Two templates in one measure, on the users for whom both have it.

    Attributes:
        comparison: Their difference with interval and p-values.
        better: Whether more or less of the measure is better.
        percent: Whether the measure is a share.
        differing: The users whose two values differ.
        least: How many have to differ before random signs can call anything a difference: n of one sign come up
            once in 2^(n - 1), times the number of tests that are corrected together.
        detectable: About the smallest difference that so many users show four times in five (80% power); where no
            two users differ, the largest that they do not rule out.
    """

    comparison: Comparison
    better: Literal["more", "less"]
    percent: bool
    differing: int
    least: int
    detectable: float

    @property
    def winner(self) -> str | None:
        """The template that is shown to be better; None where nothing is shown."""
        found = self.comparison
        if found.p_holm >= LEVEL or not found.difference:
            return None
        return found.a if (found.difference > 0) == (self.better == "more") else found.b

    @property
    def verdict(self) -> str:
        """What the comparison says, in plain words."""
        found, winner = self.comparison, self.winner
        difference = (
            f"{found.a} − {found.b} = {self._signed(found.difference)} "
            f"[{self._signed(found.low)}, {self._signed(found.high)}], corrected p = {found.p_holm:.3f}"
        )
        if winner is None:
            size = self._plain(self.detectable)
            if not self.differing:
                why = f"all users are alike, and one of up to {size} may be unseen"
            elif self.differing < self.least:
                why = f"{_people(self.differing)}, and a test of so many needs {self.least}"
            else:
                why = f"one of about {size} shows four times in five"
            return f"{found.metric}: no difference that {found.users:,} users could show: {difference} ({why})"
        return f"{found.metric}: {winner} has {self.better}: {difference}, {found.users:,} users"

    def _plain(self, value: float) -> str:
        return written(value, percent=self.percent)

    def _signed(self, value: float) -> str:
        return f"{'-' if value < 0 else '+'}{self._plain(abs(value))}".replace("-", "−")


def written(value: float, *, percent: bool = False) -> str:
    """A number as people read it: shares in percent, others with three digits that tell something."""
    if percent:
        return f"{value:.1%}"
    size = abs(value)
    return (
        f"{value:,.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3f}"
    )


def verdict(a: str, b: str, paired: Sequence[Paired], columns: Columns) -> str:
    """What to make of two templates: first what they find, then what goes wrong, then what they cost.

    Args:
        a: One template.
        b: The other.
        paired: All pairs in all measures, the main measure first.
        columns: A value a user by template and measure; NaN where a user has none.
    """
    mine = [one for one in paired if (one.comparison.a, one.comparison.b) == (a, b)]
    main, others = mine[0], [one for one in mine[1:] if one.comparison.metric not in (*_COSTS, *_PARTS)]
    said = [main.verdict, *(one.verdict for one in others if one.winner)]
    if not any(columns[name][main.comparison.metric].any() for name in (a, b)):
        said.append("Neither found any user's held-out item, so hits cannot tell them apart")
    winners = {one.winner for one in (main, *others) if one.winner}
    costs = list(_costs(a, b, mine, columns))
    if main.winner:
        end = f"Take {main.winner}."
    elif len(winners) == 1:
        end = f"By what these users show, take {winners.pop()}."
    elif winners:
        end = "Each is better in something: decide by what matters to you."
    else:
        end = "Nothing here says that either is better: take the cheaper one, or ask more users."
    return " ".join((*(f"{one}." for one in said), *costs, end))


def _costs(a: str, b: str, mine: Sequence[Paired], columns: Columns) -> Iterator[str]:
    """How much more the dearer one takes, of what is shown to differ."""
    for one in mine:
        if one.comparison.metric in _COSTS and one.winner:
            key = one.comparison.metric
            both = ~np.isnan(columns[a][key] + columns[b][key])
            of = {name: float(columns[name][key][both].mean()) for name in (a, b)}
            dearer = a if one.winner == b else b
            yield f"{dearer} takes {written(of[dearer])} {key} a user, {one.winner} {written(of[one.winner])}."


def _people(number: int) -> str:
    return "only one user differs" if number == 1 else f"only {number} users differ"
