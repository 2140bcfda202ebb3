"""implicit's item-kNN and ALS beside ours in one split: `python benchmarks/implicit_models.py INTERACTIONS.csv`.

Needs `pip install implicit scipy` in an environment of its own. The models have defaults (K = 100, 64 factors, 15
iterations), read the whole history and rank what the user does not know. Seconds are the processor's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zsrec.data.interactions import Codes
from zsrec.data.readers import Columns, read_interactions
from zsrec.evaluation import Split, leave_one_out
from zsrec.evaluation.metrics import hit_rate, ndcg, place
from zsrec.retrieval import Cooccurrence, ItemKNN, Profile
from zsrec.retrieval.base import Method, Scores

Score = Callable[[int, Codes], Scores]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interactions", type=Path)
    parser.add_argument("--columns", default="userId,movieId,timestamp")
    options = parser.parse_args()
    user, item, moment = options.columns.split(",")
    columns = Columns(user=user, item=item, time=moment, rating=None)
    split = leave_one_out(read_interactions(options.interactions, columns=columns).interactions)
    _implicit(split)
    ours: dict[str, Method] = {"itemknn": ItemKNN, "cooccurrence": Cooccurrence}
    for name, method in ours.items():
        started = time.process_time()
        retriever = method(split.training)
        took = time.process_time() - started
        _measure(split, name, lambda _, history, one=retriever: one.scores(Profile.of(history)), took)  # type: ignore[misc]


def _implicit(split: Split) -> None:
    from implicit.als import AlternatingLeastSquares  # type: ignore[import-not-found]
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender  # type: ignore[import-not-found]
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    contacts = split.training.columns
    shape = (len(split.training.users), len(split.training.items))
    matrix = csr_matrix((np.ones(len(contacts.user), np.float32), (contacts.user, contacts.item)), shape=shape)
    models: dict[str, Any] = {
        "implicit cosine": CosineRecommender(K=100, num_threads=1),
        "implicit BM25": BM25Recommender(K=100, num_threads=1),
        "implicit ALS": AlternatingLeastSquares(factors=64, num_threads=1, random_state=0),
    }
    for name, model in models.items():
        started = time.process_time()
        model.fit(matrix, show_progress=False)

        def score(case: int, _: Codes, model: Any = model) -> Scores:  # noqa: ANN401
            user = int(split.users[case])
            if not hasattr(model, "similarity"):
                return np.asarray(model.item_factors @ model.user_factors[user], dtype=np.float64)
            found = np.asarray((matrix[user] @ model.similarity).todense(), dtype=np.float64).ravel()
            return np.where(found > 0, found, -np.inf)

        _measure(split, name, score, time.process_time() - started)


def _measure(split: Split, name: str, score: Score, fit: float) -> None:
    places, spent = [], 0.0
    for case in range(len(split)):
        history = split.history(case)
        started = time.process_time()
        scores = score(case, history)
        spent += time.process_time() - started
        places.append(place(scores, int(split.targets[case]), history))
    above, tied = (np.array([getattr(one, field) for one in places]) for field in ("above", "tied"))
    print(
        f"{name:16} HR@10 {hit_rate(above, tied, 10).mean():.4f}  NDCG@10 {ndcg(above, tied, 10).mean():.4f}  "
        f"fit {fit:.1f} s  {spent / len(split) * 1e3:.1f} ms per user"
    )


if __name__ == "__main__":
    main()
