"""Templates against each other on the same users: what each finds, gets wrong and costs, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import NormalDist

import numpy as np

from zsrec.core.errors import ConfigError
from zsrec.core.types import Frozen
from zsrec.evaluation.comparison import Kind, Paired, verdict
from zsrec.evaluation.metrics import Values
from zsrec.evaluation.predictions import Use
from zsrec.evaluation.report_llm import lift
from zsrec.evaluation.run_folder import TIMES, RunFolder
from zsrec.evaluation.runner import MethodRun, measured
from zsrec.evaluation.statistics import LEVEL, Comparison, Estimate, Pair, comparisons, holm, shares

POWER = 0.8
TESTS = (
    "Paired over users: 95% percentile bootstrap, 2,000 resamples; two-sided randomisation test, 10,000 draws. "
    "Holm's correction over the pairs for NDCG, and over all pairs and all other measures for those. What shows "
    "four times in five: 80% power at the strictest of the corrected levels, from the spread of these users' "
    "differences. "
    "Seconds are a user's requests one after the other, each with its wait for the others in flight; templates "
    "are asked one after the other, so a server that was busier for one of them shows there."
)


class Comparing(Frozen):
    """Several templates on the same users.

    Attributes:
        protocol: What was done, in whole sentences.
        model: The served model.
        data: The name of the data.
        users: How many users each template was asked for.
        pools: Where each template's candidates are from.
        reachable: For templates with candidates, the share of users whose target is among them.
        means: By measure and template, each on the users who have it. "usable items" are those left in a list
            when what the catalog lacks, the user knows or was named before is gone; "not in the catalog" and
            "unmatched" are shares of what an answer names.
        pairs: Every pair in every measure.
        verdicts: What to make of each pair, in plain words.
        lift: Each template with candidates against these in the order of retrieval, by metric, as in the run's
            report. A template that loses here costs more than it gives, whatever it wins against another.
        tests: How intervals and p-values were made.
    """

    protocol: str
    model: str
    data: str
    users: int
    pools: dict[str, str]
    reachable: dict[str, float]
    means: dict[str, dict[str, Estimate]]
    pairs: tuple[Paired, ...]
    verdicts: tuple[str, ...]
    lift: tuple[Comparison, ...] = ()
    tests: str = TESTS


def compare_templates(folder: RunFolder, *, against: str | None = None) -> Comparing:
    """Compares the templates of a run, from its folder alone.

    Args:
        folder: A finished run whose methods ask an LLM.
        against: Compare all others with this template only; fewer pairs need less correction.

    Raises:
        ConfigError: There are no two templates, or `against` is none of them.
        DataError: A file is missing or wrong.
    """
    config = folder.config()
    runs = [measured(folder.predictions(name), config["ks"]) for name in config["llm_methods"]]
    names = [one.name for one in runs]
    if len(names) < 2:
        raise ConfigError("there are no two templates to compare", hint="name at least two")
    if against is not None and against not in names:
        raise ConfigError(f"{against!r} is not among the templates", hint=f"one of {', '.join(names)}")
    k, seed, times = max(config["ks"]), config["seed"], folder.read_json(TIMES)
    kinds = _kinds(k)
    columns = {one.name: _columns(one, k, times.get(one.name, {}).get("users")) for one in runs}
    main = f"NDCG@{k}"
    pairs = [pair for pair in combinations(names, 2) if against is None or against in pair]
    paired = [
        *_paired({main: kinds.pop(main)}, columns, pairs, seed),
        *_paired(kinds, columns, pairs, seed),
    ]
    return Comparing(
        protocol=config["split"]["protocol"],
        model=config["server"]["model"],
        data=config["data"],
        users=len(runs[0].users),
        pools={one.name: str(one.predicted.header.llm.get("candidates", "")) for one in runs},
        reachable={one.name: share for one in runs if (share := _reachable(one)) is not None},
        means=_means({main: Kind("more", 1.0), **kinds}, columns, seed),
        pairs=tuple(paired),
        verdicts=tuple(verdict(a, b, paired, columns) for a, b in pairs),
        lift=tuple(pair for one in runs for pair in lift(one, config["ks"], seed=seed)),
    )


def _kinds(k: int) -> dict[str, Kind]:
    return {
        f"NDCG@{k}": Kind("more", 1.0),
        f"HR@{k}": Kind("more", 1.0),
        "usable items": Kind("more", float(k)),
        "not in the catalog": Kind("less", 1.0, percent=True),
        "unmatched": Kind("less", 1.0, percent=True),
        "wrong format": Kind("less", 1.0, percent=True),
        "no answer": Kind("less", 1.0, percent=True),
        "requests": Kind("less"),
        "tokens in": Kind("less"),
        "tokens out": Kind("less"),
        "tokens": Kind("less"),
        "seconds": Kind("less"),
    }


def _columns(one: MethodRun, k: int, seconds: Sequence[float | None] | None) -> dict[str, Values]:
    """A value a user by measure; NaN where a user has none."""
    uses = one.predicted.uses
    found = {key: np.asarray(one.metrics[key], dtype=np.float64) for key in (f"NDCG@{k}", f"HR@{k}")}
    found["usable items"] = (one.predicted.lists[:, :k] >= 0).sum(axis=1).astype(np.float64)

    def shared(of: Sequence[int]) -> Values:
        return np.array([part / use.named if use.named else np.nan for part, use in zip(of, uses, strict=True)])

    def answered(of: Sequence[float]) -> Values:
        return np.array([value if use.error is None else np.nan for value, use in zip(of, uses, strict=True)])

    found["not in the catalog"] = shared([use.not_in_catalog for use in uses])
    found["unmatched"] = shared([use.unmatched for use in uses])
    found["wrong format"] = answered([float(use.wrong_format) for use in uses])
    found["no answer"] = np.array([float(use.error is not None) for use in uses])
    found["requests"] = answered([float(use.requests) for use in uses])
    found["tokens in"] = answered([float(use.prompt_tokens) for use in uses])
    found["tokens out"] = answered([float(use.completion_tokens) for use in uses])
    found["tokens"] = found["tokens in"] + found["tokens out"]
    if seconds is not None:
        found["seconds"] = np.array([np.nan if value is None else value for value in seconds], dtype=np.float64)
    return found


def _means(
    kinds: dict[str, Kind], columns: dict[str, dict[str, Values]], seed: int
) -> dict[str, dict[str, Estimate]]:
    bounded = [(key, name) for key in kinds for name in columns if kinds[key].bound == 1.0]
    free = [(key, name) for key in kinds for name in columns if kinds[key].bound != 1.0 and key in columns[name]]
    whole = [column[~np.isnan(column)] for key, name in (*bounded, *free) for column in [columns[name][key]]]
    means = shares(whole[: len(bounded)], seed=seed, others=whole[len(bounded) :])
    found = dict(zip((*bounded, *free), means, strict=True))
    table: dict[str, dict[str, Estimate]] = {}
    for key in kinds:
        for name in columns:
            if (mean := found.get((key, name))) is not None:
                table.setdefault(key, {})[name] = mean
    return table


def _paired(
    kinds: dict[str, Kind], columns: dict[str, dict[str, Values]], pairs: Sequence[tuple[str, str]], seed: int
) -> Iterator[Paired]:
    """The pairs in some measures, which are corrected together."""
    todo: list[Pair] = []
    for key in kinds:
        for a, b in pairs:
            if key in columns[a] and key in columns[b]:
                differences = columns[a][key] - columns[b][key]
                todo.append(Pair(key, a, b, differences[~np.isnan(differences)]))
    # What has no bound and differs for nobody, such as one request a user, needs no test.
    todo = [
        pair for pair in todo if len(pair.differences) and (kinds[pair.metric].bound or pair.differences.any())
    ]
    found = comparisons(todo, seed=seed)
    corrected = holm([one.p for one in found])
    for pair, one, p_holm in zip(todo, found, corrected, strict=True):
        kind, n = kinds[pair.metric], len(pair.differences)
        # Clopper and Pearson, as in `shares`: the largest share of users who may differ though none of n did.
        unseen = (1.0 - 0.025 ** (1.0 / n)) * (kind.bound or 0.0)
        alike = not np.any(pair.differences)
        spread = float(pair.differences.std(ddof=1)) if n > 1 else float("inf")
        yield Paired(
            comparison=one.model_copy(
                update={"p_holm": p_holm} | ({"low": -unseen, "high": unseen} if alike else {})
            ),
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

    Source: Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, chapter 2.

    Args:
        spread: Standard deviation of the users' differences.
        users: How many users, at least 1.
        tests: How many tests are corrected together.
        power: The probability that a difference of this size is found, in (0, 1).
    """
    normal = NormalDist()
    return float((normal.inv_cdf(1 - LEVEL / (2 * tests)) + normal.inv_cdf(power)) * spread / math.sqrt(users))


def _reachable(one: MethodRun) -> float | None:
    uses: Sequence[Use] = one.predicted.uses
    if not any(use.candidates for use in uses):
        return None
    inside = [target in use.candidates for target, use in zip(one.predicted.targets, uses, strict=True)]
    return sum(inside) / len(inside)
