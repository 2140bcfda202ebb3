"""How little has to be known: `python benchmarks/cold_start.py --data DIR --vectors minilm.npy --model DIR`.

Leave-one-out by time on ml-latest-small, the whole catalog ranked; HR@10 by what is known of a user:

- the newest 1, 2, 3, 5 or 10 events before the target, or the newest 3 that they liked (a rating of 4 and more);
- the answers to 10 questions (`zsrec.retrieval.onboarding`): an item of the history is answered by its rating, any
  other gives nothing;
- words only: the user's own tags, written before the target's time and not on the target. Only users who have
  such tags can be measured; the other points are repeated for them, alone and together with the words. Retrievers
  that embed words need the model that made the vectors (`--model`); lexical needs none.

The user's whole history is left out of the ranking at every point ("task"), so that points differ in what is known
and in nothing else. "known only" leaves out just what is known: then a target competes with items that the user
had before, as it would for a user who is really new.

"First events" is another protocol: of users drawn by hash, unknown to the statistics, the first 1, 2, 3 or
5 events are shown; a fifth of the users per draw. The target is the very next event ("next"), or the sixth at
every point ("sixth"), so that points differ in what is known and in nothing else. Intervals resample users with
all their draws; "times itemknn" is the ratio of the means.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from movielens_halves import load_vectors
from numpy.typing import NDArray

from zsrec.core.embedding import Embedder, SentenceEmbedder
from zsrec.data import movielens
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Codes, Ids, Interactions
from zsrec.data.tables import read_rows
from zsrec.evaluation import Split, cold_users, leave_one_out
from zsrec.evaluation.metrics import NOWHERE, Place, hit_rate, place
from zsrec.evaluation.statistics import bootstrap
from zsrec.retrieval import (
    Cooccurrence,
    Fused,
    ItemKNN,
    Lexical,
    Popularity,
    Profile,
    Retriever,
    Semantic,
    profile,
    questions,
)

K = 10
EVENTS = (1, 2, 3, 5, 10)
FIRST = (1, 2, 3, 5)
TARGETS = {"next": None, "sixth": 5}
LIKED = 3
ASKED = 10
MOST_TAGS = 40
FEW_HITS = 10


class Tag(NamedTuple):
    """A user's own word for an item."""

    item: str
    text: str
    time: float


class Case(NamedTuple):
    """One user with a target.

    Attributes:
        history: Codes of what came before it, oldest first.
        words: Their tags of that time; empty where there are none.
        ratings: Their events by item.
    """

    user: str
    target: int
    history: Codes
    words: str
    ratings: Mapping[str, Event]


Known = Callable[[Case], Profile]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the format of MovieLens")
    parser.add_argument("--vectors", type=Path, help="an .npy file of item vectors, one row an item in file order")
    parser.add_argument("--model", type=Path, help="the sentence-transformers model that made them; for the words")
    parser.add_argument("--tie-orders", type=int, default=5, help="orders of events at one time to average over")
    parser.add_argument("--draws", type=int, default=20, help="draws of users for the first events")
    parser.add_argument("--first-only", action="store_true", help="only the first events")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    more = {"draws": arguments.draws, "first_only": arguments.first_only}
    found = measure(arguments.data, arguments.vectors, arguments.model, arguments.tie_orders, **more)
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def measure(
    folder: Path,
    vectors_path: Path | None,
    model: Path | None,
    orders: int,
    *,
    draws: int = 20,
    first_only: bool = False,
) -> dict[str, object]:
    """All points."""
    found = movielens.load(folder)
    items = Ids(found.catalog.ids)
    histories = {user: _within(history, items) for user, history in found.histories.items()}
    known = Interactions.from_histories(histories, catalog=items)
    vectors = load_vectors(vectors_path, len(items))
    embedder = None if model is None or vectors is None else Remembered(SentenceEmbedder(str(model)))
    tags = read_tags(folder / "tags.csv") if (folder / "tags.csv").exists() else {}
    lexical = Lexical(found.catalog)
    if first_only:
        return {"HR@10, first events": _first_events(known, lexical, vectors, embedder, draws)}
    points: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    answered: list[float] = []
    for seed in range(orders):
        split = leave_one_out(known, seed=seed)
        cases = list(_cases(split, histories, tags))
        retrievers = _retrievers(split, lexical, vectors, embedder)
        asked = [one.id for one in questions(found.catalog, ASKED, interactions=split.training).items]
        answered.append(float(np.mean([sum(one in _before(case, items) for one in asked) for case in cases])))
        for name, known_of in _points(items, asked, words=bool(tags)).items():
            profiles = [known_of(case) if case.words or "words" not in name else None for case in cases]
            for retriever in retrievers:
                if name == "nothing" and retriever.name != "pop":
                    continue  # there is no evidence for any item
                if name == "words" and not getattr(retriever, "reads_words", False):
                    continue
                for task, hits in _hits(retriever, cases, profiles).items():
                    points.setdefault(name, {}).setdefault(f"{retriever.name}, {task}", []).append(hits)
    tagged = np.array([bool(case.words) for case in cases])  # at every tie order, up to a tag in the same second
    return {
        "protocol": __doc__,
        "users": len(cases),
        "users with tags": int(tagged.sum()),
        "tie orders": orders,
        "questions": {"asked": ASKED, "answered on average": round(float(np.mean(answered)), 2)},
        "HR@10": _table(points, np.ones(len(tagged), dtype=bool), words=False),
        "HR@10, users with tags": _table(points, tagged, words=True) if tagged.any() else {},
        "draws": draws,
        "HR@10, first events": _first_events(known, lexical, vectors, embedder, draws),
    }


def _retrievers(
    split: Split, lexical: Lexical, vectors: NDArray[np.float32] | None, embedder: Embedder | None
) -> list[Retriever]:
    known = split.training
    retrievers: list[Retriever] = [Popularity(known), ItemKNN(known), Cooccurrence(known), lexical]
    retrievers.append(Named(Fused(known, lexical=lexical), "fused (words)"))
    if vectors is not None:
        retrievers.append(Semantic(known.items, vectors, embedder=embedder))
        retrievers.append(Fused(known, vectors, embedder=embedder))
    return retrievers


class Named:
    """A retriever under another name."""

    def __init__(self, retriever: Retriever, name: str) -> None:
        self.name, self._retriever = name, retriever

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._retriever, name)


def _first_events(
    known: Interactions,
    lexical: Lexical,
    vectors: NDArray[np.float32] | None,
    embedder: Embedder | None,
    draws: int,
) -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = {}
    for (name, after), n in product(TARGETS.items(), FIRST):
        hits: dict[str, NDArray[np.float64]] = {}
        cases = np.zeros(len(known.users))
        for seed in range(draws):
            split = cold_users(known, n, target_after=after, seed=seed)
            cases[split.users] += 1.0
            for retriever in _retrievers(split, lexical, vectors, embedder):
                ends = [
                    place(retriever.scores(Profile.of(split.history(case))), int(target), split.history(case))
                    for case, target in enumerate(split.targets)
                ]
                above, tied = (np.array([getattr(one, field) for one in ends]) for field in ("above", "tied"))
                by_user = hits.setdefault(retriever.name, np.zeros(len(known.users)))
                by_user[split.users] += hit_rate(above, tied, K)
        asked = cases > 0
        row: dict[str, object] = {"cases": int(cases.sum()), "users": int(asked.sum())}
        base = hits["itemknn"][asked]
        for method, values in ((method, column[asked]) for method, column in hits.items()):
            ends_ = bootstrap(np.stack([values, values - base], axis=1), sizes=cases[asked], seed=0)
            row[method] = {
                "mean": _rounded(values.sum() / cases.sum()),
                "interval": [_rounded(x) for x in ends_[:, 0]],
                "against itemknn": _rounded((values - base).sum() / cases.sum()),
                "interval against itemknn": [_rounded(x) for x in ends_[:, 1]],
                **_times(values, base),
            }
        table.setdefault(name, {})[f"{n} events"] = row
    return table


def _times(values: NDArray[np.float64], base: NDArray[np.float64]) -> dict[str, Any]:
    """The ratio of the means with its interval, where item-kNN hits often enough for one."""
    if base.sum() < FEW_HITS:
        return {}
    ends = bootstrap(values[:, None], sizes=base, seed=0)
    return {
        "times itemknn": _rounded(values.sum() / base.sum()),
        "interval times itemknn": [_rounded(x) for x in ends[:, 0]],
    }


def _rounded(value: float) -> float:
    return round(float(value), 4)


class Remembered:
    """An embedder that encodes each text once.

    Args:
        embedder: What encodes.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`."""
        for text in texts:
            if text not in self._known:
                self._known[text] = self._embedder.encode([text])[0]
        return np.stack([self._known[text] for text in texts])


def read_tags(path: Path) -> dict[str, list[Tag]]:
    """Every user's tags."""
    tags: dict[str, list[Tag]] = {}
    for _, row in read_rows(path, columns=("userId", "movieId", "tag", "timestamp"), encoding="utf-8"):
        tags.setdefault(str(row["userId"]), []).append(
            Tag(str(row["movieId"]), str(row["tag"]), float(row["timestamp"]))
        )
    return tags


def _within(history: History, items: Ids) -> History:
    return history.model_copy(update={"events": tuple(one for one in history.events if one.item in items)})


def _cases(split: Split, histories: Mapping[str, History], tags: Mapping[str, list[Tag]]) -> Iterable[Case]:
    for case in range(len(split)):
        user = split.training.users[int(split.users[case])]
        target = int(split.targets[case])
        time = float(split.times[case]) if split.times is not None else np.inf
        own = [
            tag
            for tag in sorted(tags.get(user, ()), key=lambda tag: tag.time)
            if tag.time < time and tag.item != split.training.items[target]
        ]
        words = ", ".join(list(dict.fromkeys(tag.text.lower() for tag in own))[-MOST_TAGS:])
        ratings = {event.item: event for event in histories[user].events}
        yield Case(user, target, split.history(case), words, ratings)


def _before(case: Case, items: Ids) -> set[str]:
    return {items[code] for code in case.history.tolist()}


def _points(items: Ids, asked: Sequence[str], *, words: bool) -> dict[str, Known]:
    """What is known at each point."""

    def newest(n: int, *, words: bool = False) -> Known:
        return lambda case: Profile.of(case.history[-n:])._replace(words=case.words if words else "")

    def liked(case: Case) -> Profile:
        codes = [code for code in case.history.tolist() if _feedback(case, items[code]) is Feedback.LIKED]
        return Profile.of(np.array(codes[-LIKED:], dtype=np.int32))

    def answers(case: Case) -> Profile:
        before = _before(case, items)
        events = [Event(item=one, by="id", feedback=_feedback(case, one)) for one in asked if one in before]
        return profile(History(events=tuple(events)), items)

    def nothing(case: Case) -> Profile:  # noqa: ARG001  (that is the point)
        return Profile.of(np.zeros(0, dtype=np.int32))

    points: dict[str, Known] = {"nothing": nothing}
    points |= {f"{n} events": newest(n) for n in EVENTS}
    points |= {"3 liked": liked, "10 questions": answers}
    if words:
        points["words"] = lambda case: nothing(case)._replace(words=case.words)
        points |= {f"words and {n} events": newest(n, words=True) for n in EVENTS}
    return points


def _feedback(case: Case, item: str) -> Feedback:
    return case.ratings[item].feedback


def _hits(
    retriever: Retriever, cases: Sequence[Case], profiles: Sequence[Profile | None]
) -> dict[str, NDArray[np.float64]]:
    """HR@10 of each user by task; NaN where there is no profile."""
    places: dict[str, list[Place]] = {"task": [], "known only": []}
    for case, of in zip(cases, profiles, strict=True):
        scores = None if of is None else retriever.scores(of)
        places["task"].append(NOWHERE if scores is None else place(scores, case.target, case.history))
        places["known only"].append(
            NOWHERE if scores is None or of is None else place(scores, case.target, of.codes)
        )
    none = np.array([of is None for of in profiles])
    found = {}
    for task, ends in places.items():
        above, tied = (np.array([getattr(one, name) for one in ends]) for name in ("above", "tied"))
        found[task] = np.where(none, np.nan, hit_rate(above, tied, K))
    return found


def _table(
    points: Mapping[str, Mapping[str, list[NDArray[np.float64]]]], users: NDArray[np.bool_], *, words: bool
) -> dict[str, object]:
    """Means with 95% intervals over users, and against popularity and item-kNN in pairs."""
    table: dict[str, object] = {}
    for name, methods in points.items():
        if "words" in name and not words:
            continue
        columns = {method: np.mean(values, axis=0)[users] for method, values in methods.items()}
        row: dict[str, dict[str, object]] = {}
        for method, values in columns.items():
            task = method.partition(", ")[2]
            row[method] = {"mean": _rounded(values.mean())}
            ends = bootstrap(values[:, None], seed=0)
            row[method]["interval"] = [_rounded(x) for x in ends[:, 0]]
            for other in ("pop", "itemknn"):
                base = columns.get(f"{other}, {task}")
                if base is None:
                    continue
                ends = bootstrap((values - base)[:, None], seed=0)
                row[method][f"against {other}"] = _rounded((values - base).mean())
                row[method][f"interval against {other}"] = [_rounded(x) for x in ends[:, 0]]
            if base is not None:
                row[method] |= _times(values, base)
        table[name] = row
    return table


if __name__ == "__main__":
    main()
