"""Whether feedback does what it should: `python benchmarks/feedback.py --data DIR --vectors minilm.npy`.

Rounds are simulated with what users of the test half did later. A user is known by the first half of their events.
In a round they are shown one item that they liked later (a rating of 4 and more) and one that they disliked (2 and
less), and say so. Looked at before and after:

- where the disliked item and its 10 nearest neighbours stand among all items that the user does not know (0 is the
  top, 1 the bottom; neighbours that the user likes later are left out: those shall not fall);
- NDCG@10 of everything else that the user liked later; both shown items are out of both rankings, so that only
  what the feedback teaches counts.

Up to three rounds a user; intervals are over users. `--tune` looks for the weight of a dislike on the tuning half.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from movielens_halves import Halves, User, load, ndcg_of_many
from numpy.typing import NDArray

from zsrec.data.history import Feedback, History
from zsrec.evaluation.statistics import bootstrap
from zsrec.retrieval import Fused, ItemKNN, Profile, Retriever, Semantic, profile
from zsrec.retrieval.base import WEIGHTS

ROUNDS = 3
NEAREST = 10
K = 10
GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 0.75, 1.0)
MEASURES = ("disliked item", "its neighbours by users", "its neighbours by text", "NDCG@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the format of MovieLens")
    parser.add_argument("--vectors", type=Path, help="an .npy file of item vectors, one row an item in file order")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--tune", action="store_true", help="measure weights of a dislike on the tuning half")
    arguments = parser.parse_args()
    halves = load(arguments.data, arguments.vectors)
    found = tune(halves) if arguments.tune else simulate(halves)
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def retrievers(halves: Halves) -> list[Retriever]:
    """All that can be made of the data."""
    if halves.vectors is None:
        return [ItemKNN(halves.known)]
    return [ItemKNN(halves.known), Semantic(halves.items, halves.vectors), Fused(halves.known, halves.vectors)]


def simulate(halves: Halves) -> dict[str, object]:
    """Rounds of the test half."""
    neighbours = _neighbours(halves)
    rounds = {user.id: _rounds(user) for user in halves.of(test=True)}
    players = [user for user in halves.of(test=True) if rounds[user.id]]
    report: dict[str, object] = {
        "protocol": __doc__,
        "weight of a dislike": WEIGHTS[Feedback.DISLIKED],
        "users": len(players),
        "rounds": sum(len(one) for one in rounds.values()),
        "retrievers": {},
    }
    sides: dict[str, object] = {}
    for retriever in retrievers(halves):
        by_arm: dict[str, list[NDArray[np.float64]]] = {}
        for user in players:
            measured = [_round(retriever, halves, user, *one, neighbours) for one in rounds[user.id]]
            for arm in measured[0]:
                by_arm.setdefault(arm, []).append(_mean([one[arm] for one in measured]))
        before = np.array(by_arm.pop("before"))
        sides[retriever.name] = {"before": _means(before)} | {
            arm: _means(np.array(values)) | {"change": _changes(np.array(values) - before)}
            for arm, values in by_arm.items()
        }
    report["retrievers"] = sides
    return report


def _rounds(user: User) -> list[tuple[str, str]]:
    """Pairs of a liked and a disliked item of the future, in its order; the last like stays to be found."""
    likes, dislikes = user.later(Feedback.LIKED), user.later(Feedback.DISLIKED)
    return list(zip(likes[:-1], dislikes, strict=False))[:ROUNDS] if user.past.events else []


def _round(
    retriever: Retriever, halves: Halves, user: User, liked: str, disliked: str, neighbours: Mapping[str, object]
) -> dict[str, NDArray[np.float64]]:
    """The measures before, and after each kind of feedback."""
    items = halves.items
    after: dict[str, History] = {
        "before": user.past,
        "dislike": user.past.dislike(disliked),
        "like": user.past.like(liked),
        "like and dislike": user.past.like(liked).dislike(disliked),
        "dislike read as any contact": user.past.with_events([disliked]),
    }
    known = items.codes(event.item for event in user.past.events)
    later = items.codes(one for one in user.later(Feedback.LIKED) if one != liked)
    own = items.codes([disliked])
    near = [np.setdiff1d(_near(lists, int(own[0]), known), later) for lists in neighbours.values()]
    shown = np.concatenate([known, items.codes([liked, disliked])])
    measures = {}
    for arm, history in after.items():
        scores = retriever.scores(profile(history, items))
        scores[known] = -np.inf
        depth = _depth(scores, np.setdiff1d(np.arange(len(items)), known))
        places = [depth[own].mean(), *(np.nan if not len(one) else depth[one].mean() for one in near)]
        scores[shown] = -np.inf
        measures[arm] = np.array([*places, ndcg_of_many(scores, later, K)])
    return measures


def _depth(scores: NDArray[np.float64], ranked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each item stands among the ranked ones: 0 the top, 1 the bottom; equal scores share the middle."""
    _, inverse, counts = np.unique(-scores[ranked], return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2
    depth = np.full(len(scores), np.nan)
    depth[ranked] = middles[inverse] / max(len(ranked) - 1, 1)
    return depth


def _neighbours(halves: Halves) -> dict[str, object]:
    """How near each item is to a given one, by users and by text."""
    knn = ItemKNN(halves.known)
    lists: dict[str, object] = {"users": lambda code: knn.similarities(Profile.of(np.array([code], np.int32)))}
    vectors = halves.vectors
    lists["text"] = (lambda code: vectors @ vectors[code]) if vectors is not None else None
    return lists


def _near(nearness: object, code: int, known: NDArray[np.int32]) -> NDArray[np.int64]:
    if not callable(nearness):
        return np.zeros(0, dtype=np.int64)
    values = np.array(nearness(code), dtype=np.float64)
    values[known] = -np.inf
    values[code] = -np.inf
    best = np.argsort(-values, kind="stable")[:NEAREST]
    return best[values[best] > 0]


def _mean(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of each column over the rows that have a value there; NaN where none has."""
    table = np.array(rows)
    counts = np.sum(~np.isnan(table), axis=0)
    return np.where(counts > 0, np.nansum(table, axis=0) / np.maximum(counts, 1), np.nan)


def _means(values: NDArray[np.float64]) -> dict[str, object]:
    return {name: round(float(np.nanmean(values[:, place])), 4) for place, name in enumerate(MEASURES)}


def _changes(differences: NDArray[np.float64]) -> dict[str, object]:
    """Mean changes with 95% intervals over users."""
    found: dict[str, object] = {}
    for place, name in enumerate(MEASURES):
        column = differences[:, [place]]
        column = column[~np.isnan(column[:, 0])]
        low, high = bootstrap(column, seed=0)[:, 0]
        found[name] = {
            "mean": round(float(column.mean()), 5),
            "low": round(float(low), 5),
            "high": round(float(high), 5),
            "users": len(column),
        }
    return found


def tune(halves: Halves) -> dict[str, object]:
    """NDCG@10 of the tuning half's later likes, known by the first half with all its ratings as feedback."""
    users = [user for user in halves.of(test=False) if user.later(Feedback.LIKED) and user.past.events]
    report: dict[str, object] = {"users": len(users)}
    for retriever in retrievers(halves):
        columns = []
        for weight in GRID:
            weights = {**WEIGHTS, Feedback.DISLIKED: -weight}
            values = []
            for user in users:
                of = profile(user.past, halves.items, weights=weights)
                scores = retriever.scores(of)
                scores[of.codes] = -np.inf
                values.append(ndcg_of_many(scores, halves.items.codes(user.later(Feedback.LIKED)), K))
            columns.append(values)
        table = np.array(columns).T
        gain = (table - table[:, [0]]).mean(axis=0)
        low, high = bootstrap(table - table[:, [0]], seed=0)
        report[retriever.name] = {
            f"{weight:g}": {
                "NDCG@10": round(float(table[:, place].mean()), 4),
                "against 0": [round(float(x), 4) for x in (gain[place], low[place], high[place])],
            }
            for place, weight in enumerate(GRID)
        }
    return report


if __name__ == "__main__":
    main()
