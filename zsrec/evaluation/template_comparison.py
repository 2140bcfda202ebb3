"""Templates against each other on the same users: what each finds, gets wrong and costs, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.evaluation.comparison import lifts
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.report import rates_of, used
from zsrec.evaluation.run_folder import TIMES, RunFolder
from zsrec.evaluation.runner import MethodRun, measured
from zsrec.evaluation.statistics import LEVEL, Comparison, Estimate, Pair, clopper_pearson, comparisons, shares

POWER = 0.8
TESTS = (
    "Paired over users: 95% percentile bootstrap, 2,000 resamples; two-sided randomisation test, 10,000 draws. "
    "Holm's correction over the pairs for NDCG, and over all pairs and all other measures for those. What shows "
    "four times in five: 80% power at the strictest of the corrected levels, from the spread of these users' "
    "differences. "
    "Seconds are a user's requests one after the other, each with its wait for the others in flight; templates "
    "are asked one after the other, so a server that was busier for one of them shows there."
)


_COSTS = ("tokens", "seconds")
_PARTS = ("tokens in", "tokens out", "requests")  # said by "tokens"

Columns = Mapping[str, Mapping[str, Values]]


class Kind(NamedTuple):
    """Which way a measure is better, its largest value (None without one), and whether it reads as percent."""

    better: Literal["more", "less"]
    bound: float | None = None
    percent: bool = False


class Paired(Frozen):
    """Two templates in one measure, on the users for whom both have it."""

    comparison: Comparison  # their difference with interval and p-values
    better: Literal["more", "less"]  # whether more or less of the measure is better
    percent: bool  # whether the measure is a share
    differing: int  # the users whose two values differ
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
            if found.metric in (*_COSTS, *_PARTS) and self.differing:  # what was spent is known, not estimated
                return (
                    f"{found.metric}: {difference}; measured on these {found.users:,} users, not shown for others"
                )
            return f"{found.metric}: no difference that {found.users:,} users could show: {difference} ({why})"
        return f"{found.metric}: {winner} has {self.better}: {difference}, {found.users:,} users"

    def _plain(self, value: float) -> str:
        return written(value, percent=self.percent)

    def _signed(self, value: float) -> str:
        return f"{'-' if value < 0 else '+'}{self._plain(abs(value))}".replace("-", "−")


class Comparing(Frozen):
    """Several templates on the same users."""

    protocol: str  # what was done, in whole sentences
    model: str  # the served model
    data: str  # the name of the data
    users: int  # how many users each template was asked for
    pools: dict[str, str]  # where each template's candidates are from
    reachable: dict[str, float]  # for templates with candidates, the share of users whose target is among them
    means: dict[str, dict[str, Estimate]]
    pairs: tuple[Paired, ...]  # every pair in every measure
    verdicts: tuple[str, ...]  # what to make of each pair, in plain words
    lift: tuple[Comparison, ...] = ()
    tests: str = TESTS  # how intervals and p-values were made


def compare_templates(folder: RunFolder, *, against: str | None = None) -> Comparing:
    """Compares the templates of a run, from its folder alone."""
    config = folder.config()
    runs = [measured(folder.predictions(name), config["ks"], short=True) for name in config["llm_methods"]]
    names = [one.name for one in runs]
    if len(names) < 2:
        raise ConfigError("there are no two templates to compare", hint="name at least two")
    if against is not None and against not in names:
        raise ConfigError(f"{against!r} is not among the templates", hint=f"one of {', '.join(names)}")
    k, seed = max(config["ks"]), config["seed"]
    times = folder.read_if_there(TIMES)
    kinds = _kinds(k)
    columns = {one.name: _columns(one, k, times.get(one.name, {}).get("users")) for one in runs}
    main = f"NDCG@{k}"
    pairs = [pair for pair in combinations(names, 2) if against is None or against in pair]
    paired = [*_paired({main: kinds.pop(main)}, columns, pairs, seed), *_paired(kinds, columns, pairs, seed)]
    return Comparing(
        protocol=config["split"]["protocol"],
        model=config["server"]["model"],
        data=config["data"],
        users=len(runs[0].users),
        pools={one.name: str(one.predicted.header.llm.get("candidates", "")) for one in runs},
        reachable={
            one.name: float((places >= 0).mean())
            for one in runs
            if (places := one.predicted.candidate_places) is not None
        },
        means=_means({main: Kind("more", 1.0), **kinds}, columns, seed),
        pairs=tuple(paired),
        verdicts=tuple(verdict(a, b, paired, columns) for a, b in pairs),
        lift=tuple(chain.from_iterable(lifts(runs, config["ks"], seed=seed).values())),
    )


def _kinds(k: int) -> dict[str, Kind]:
    more = {f"NDCG@{k}": Kind("more", 1.0), f"HR@{k}": Kind("more", 1.0), "usable items": Kind("more", float(k))}
    shared = ("not in the catalog", "unmatched", "wrong format", "no answer")
    costs = ("requests", "tokens in", "tokens out", "tokens", "seconds")
    return more | dict.fromkeys(shared, Kind("less", 1.0, percent=True)) | dict.fromkeys(costs, Kind("less"))


def _columns(one: MethodRun, k: int, seconds: Sequence[float | None] | None) -> dict[str, Values]:
    """A value per user by measure; NaN where a user has none."""
    uses = one.predicted.uses
    found = {key: one.metrics[key] for key in (f"NDCG@{k}", f"HR@{k}")} | rates_of(uses)
    found["usable items"] = (one.predicted.lists[:, :k] >= 0).sum(axis=1).astype(np.float64)
    for name, spent in (
        ("requests", "requests"),
        ("tokens in", "prompt_tokens"),
        ("tokens out", "completion_tokens"),
    ):
        found[name] = np.where(found["no answer"], np.nan, used(uses, spent))
    found["tokens"] = found["tokens in"] + found["tokens out"]
    if seconds is not None:
        found["seconds"] = np.array(seconds, dtype=np.float64)  # None becomes NaN
    return found


def _means(kinds: Mapping[str, Kind], columns: Columns, seed: int) -> dict[str, dict[str, Estimate]]:
    there = [(key, name) for key in kinds for name in columns if key in columns[name]]
    cells = {(key, name): column[~np.isnan(column)] for key, name in there for column in [columns[name][key]]}
    free = {(key, name) for key, name in there if kinds[key].bound != 1.0}
    table: dict[str, dict[str, Estimate]] = {}
    for (key, name), mean in shares(cells, seed=seed, free=free).items():
        table.setdefault(key, {})[name] = mean
    return table


def _paired(
    kinds: Mapping[str, Kind], columns: Columns, pairs: Sequence[tuple[str, str]], seed: int
) -> Iterator[Paired]:
    """The pairs in some measures, which are corrected together."""
    todo: list[Pair] = []
    for key, kind in kinds.items():
        for a, b in pairs:
            if key in columns[a] and key in columns[b]:
                differences = columns[a][key] - columns[b][key]
                differences = differences[~np.isnan(differences)]
                # What has no bound and differs for nobody, such as one request per user, needs no test.
                if len(differences) and (kind.bound or differences.any()):
                    todo.append(Pair(key, a, b, differences))
    for pair, one in zip(todo, comparisons(todo, seed=seed, together=True), strict=True):
        kind, n = kinds[pair.metric], len(pair.differences)
        unseen = clopper_pearson(n) * (kind.bound or 0.0)  # the share of users who may differ though none of n did
        alike = not np.any(pair.differences)
        spread = float(pair.differences.std(ddof=1)) if n > 1 else float("inf")
        yield Paired(
            comparison=one.model_copy(update={"low": -unseen, "high": unseen} if alike else {}),
            better=kind.better,
            percent=kind.percent,
            differing=int(np.count_nonzero(pair.differences)),
            least=1 + math.ceil(math.log2(len(todo) / LEVEL)),
            detectable=unseen if alike else detectable(spread, n, tests=len(todo)),
        )


def detectable(spread: float, users: int, *, tests: int = 1, power: float = POWER) -> float:
    """About the smallest mean difference that a paired test of so many users shows.

    (z(1 - α / 2m) + z(power)) · s / √n: the normal approximation of a paired test's power at Bonferroni's level,
    which is the strictest that Holm's correction asks for.
    """
    normal = NormalDist()
    return float((normal.inv_cdf(1 - LEVEL / (2 * tests)) + normal.inv_cdf(power)) * spread / math.sqrt(users))


def written(value: float, *, percent: bool = False) -> str:
    """A number as people read it: shares in percent, others with three digits that tell something."""
    if percent:
        return f"{value:.1%}"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def verdict(a: str, b: str, paired: Sequence[Paired], columns: Columns) -> str:
    """What to make of two templates: first what they find, then what goes wrong, then what they cost."""
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
    """How much more the dearer one took; seconds, which depend on the server's load, only if that is shown."""
    for one in mine:
        key = one.comparison.metric
        if key in _COSTS and (one.winner or (key == "tokens" and one.comparison.difference)):
            both = ~np.isnan(columns[a][key] + columns[b][key])
            of = {name: float(columns[name][key][both].mean()) for name in (a, b)}
            dearer, other = (a, b) if of[a] > of[b] else (b, a)
            shown = "" if one.winner else " (of these users; not shown for others)"
            yield f"{dearer} takes {written(of[dearer])} {key} per user, {other} {written(of[other])}{shown}."


def _people(number: int) -> str:
    return "only one user differs" if number == 1 else f"only {number} users differ"
