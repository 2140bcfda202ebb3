"""The two published protocols that rank a few candidates only: for comparison with papers, and named "sampled".

A metric over twenty candidates is another quantity than the same metric over the catalog, and does not keep the
order of methods (Krichene and Rendle 2020, "On Sampled Metrics for Item Recommendation", KDD). Nothing else in
zsrec uses these. In LLMRank's protocol the target stands among the candidates by construction, so it reaches
whatever ranks them: that is the protocol.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsrec.candidates import Interactions
from zsrec.candidates.ids import Codes
from zsrec.candidates.retriever import Scores, best_codes
from zsrec.errors import ConfigError
from zsrec.evals.metrics import NOWHERE, Place, place
from zsrec.evals.split import Split

LLM_RANK = (
    "SAMPLED, not the whole catalog: the target and {n} random items that the user does not know, in random "
    "order, as LLMRank (Hou et al. 2024)."
)
NIR = (
    "SAMPLED, not the whole catalog: the {size} items that weigh most among the {neighbours} users with the most "
    "items in common, as NIR (Wang and Lim 2023)."
)
NIR_MISSES = (
    "{absent:,} of {users:,} users have a target that is not among their candidates; here they earn 0. NIR's "
    "published figures leave such users out."
)
NIR_LEFT_OUT = (
    "{absent:,} of {users:,} users were left out because their target is not among their candidates, as in NIR's "
    "published figures: the target chose the users, so this is no estimate for users in general."
)


@dataclass(frozen=True, eq=False)
class Pools:
    """The candidates of each user.

    Attributes:
        split: The split with these users.
        items: Codes of the candidates by user, in an order that says nothing, -1 for none; shape (n, m).
        protocol: What was done, beginning with "SAMPLED".
        notes: What was counted on the way.
    """

    split: Split
    items: NDArray[np.int32]
    protocol: str
    notes: tuple[str, ...] = ()

    def of(self, case: int) -> Codes:
        """The candidates of one user."""
        row: Codes = self.items[case]
        return row[row >= 0]

    @property
    def has_target(self) -> NDArray[np.bool_]:
        """Whose target is among the candidates; shape (n,)."""
        found: NDArray[np.bool_] = (self.items == self.split.targets[:, None]).any(axis=1)
        return found

    def place(self, case: int, scores: Scores) -> Place:
        """Where a user's target stands among the candidates, by scores of the whole catalog.

        Raises:
            ConfigError: A score is no number.
        """
        pool = self.of(case)
        at = np.flatnonzero(pool == self.split.targets[case])
        return place(scores[pool], int(at[0]), _NONE) if len(at) else NOWHERE


_NONE = np.zeros(0, dtype=np.int32)


def llm_rank(split: Split, *, negatives: int = 19, seed: int = 0) -> Pools:
    """The target among random items, drawn from the whole catalog without the user's history.

    Source: Hou et al. 2024, "Large Language Models are Zero-Shot Rankers for Recommender Systems", ECIR.

    Args:
        split: The users, histories and targets.
        negatives: How many random items stand beside each target, at least 1.
        seed: Of the draw. A user's draw does not depend on the other users.

    Raises:
        ConfigError: `negatives` is below 1, or a user does not have so many unknown items.
    """
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
    return Pools(split, np.array(rows, dtype=np.int32), LLM_RANK.format(n=negatives))


def nir(split: Split, *, neighbours: int = 12, size: int = 19, seed: int = 0) -> Pools:
    """Candidates by user filtering: what the users with the most items in common had contact with.

    An item weighs the sum of its users' shares of the common items. As in the authors' code the user is one of the
    `neighbours`, and ties, which there follow the file, are broken by hash. No target takes part in this; whose
    target happens to be in is said in `notes`, and `only_found` leaves the others out.

    Source: Wang and Lim 2023, "Zero-Shot Next-Item Recommendation using Large Pretrained Language Models",
    arXiv:2304.03153, and the published three_stage_0_NIR.py (12 users, 19 candidates).

    Args:
        split: The users, histories and targets.
        neighbours: How many users, the user among them, at least 2.
        size: How many candidates at most, at least 1.
        seed: Of ties and of the candidates' order.

    Raises:
        ConfigError: `neighbours` or `size` is out of range.
    """
    if neighbours < 2 or size < 1:
        raise ConfigError(f"neighbours is {neighbours}, size {size}", hint="at least 2 and 1; NIR has 12 and 19")
    items = np.full((len(split), size), -1, dtype=np.int32)
    for case in range(len(split)):
        found = _filtered(split.training, split.history(case), neighbours, size, seed)
        order = np.argsort(split.training.items.hashes(found.tolist(), seed + 1))  # not by weight: it would tell
        items[case, : len(found)] = found[order]
    pools = Pools(split, items, NIR.format(size=size, neighbours=neighbours))
    absent = int(np.sum(~pools.has_target))
    return Pools(split, items, pools.protocol, (NIR_MISSES.format(absent=absent, users=len(split)),))


def only_found(pools: Pools) -> Pools:
    """Only the users whose target is among the candidates, as in NIR's figures; `notes` says how many are not.

    Raises:
        ConfigError: No target is among the candidates.
    """
    kept = np.flatnonzero(pools.has_target)
    if not len(kept):
        raise ConfigError("no target is among the candidates", hint="more candidates, or all users")
    note = NIR_LEFT_OUT.format(absent=len(pools.items) - len(kept), users=len(pools.items))
    return Pools(pools.split.only(kept), pools.items[kept], pools.protocol, (note,))


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


def sampled_places(pools: Pools, scores: Iterable[Scores]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the targets stand among the candidates, for `zsrec.evals.metrics`.

    Args:
        pools: The candidates.
        scores: One row of scores of the whole catalog a user, users as in the split.

    Returns:
        How many candidates score higher (-1 for a target that is no candidate), and how many others the same;
        shape (n,) each.
    """
    places = [pools.place(case, row) for case, row in enumerate(scores)]
    return (
        np.array([one.above for one in places], dtype=np.int64),
        np.array([one.tied for one in places], dtype=np.int64),
    )
