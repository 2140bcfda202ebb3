"""zsrec in LensKit's pipelines and RecTools' cross-validation: `python benchmarks/adapters.py LIBRARY DATA`.

LIBRARY, lenskit or rectools, splits, asks and measures by itself, its own models beside zsrec's; DATA is a folder
in the format of MovieLens. Run it in the library's environment (`make extras`). With `--base-url` and `--model`, a
recommender that asks it takes part instead of the library's models, on `--users` users.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

from zsrec import Catalog, Recommender
from zsrec.core.settings import Settings

K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["lenskit", "rectools"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--base-url")
    parser.add_argument("--model")
    parser.add_argument("--users", type=int, default=20, help="for the model: so many users")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the libraries', of themselves
    recommender = None
    if options.model is not None:
        catalog = Catalog.from_csv(options.data / "movies.csv", id="movieId", title="title", domain="movies")
        settings = Settings.load(base_url=options.base_url, model=options.model)
        recommender = Recommender(catalog, template="rank/label", settings=settings)
    measure = lenskit if options.library == "lenskit" else rectools
    found = measure(options.data, recommender, options.users)
    text = json.dumps(found, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


def ratings(folder: Path) -> Any:  # noqa: ANN401
    import pandas as pd

    names = {"userId": "user_id", "movieId": "item_id"}
    return pd.read_csv(folder / "ratings.csv").rename(columns=names)[["user_id", "item_id", "timestamp"]]


def lenskit(folder: Path, recommender: Recommender | None, users: int) -> dict[str, Any]:
    """Five folds of users, the last event of each the target."""
    from lenskit.basic import PopScorer
    from lenskit.batch import recommend
    from lenskit.data import ItemListCollection, UserIDKey, from_interactions_df
    from lenskit.knn import ItemKNNScorer
    from lenskit.metrics import NDCG, Hit, RunAnalysis
    from lenskit.pipeline import topn_pipeline
    from lenskit.splitting import LastN, crossfold_users

    from zsrec.recommender.lenskit_scorer import ZsrecScorer

    data = from_interactions_df(ratings(folder))
    scorers: dict[str, Any] = {
        "pop": PopScorer(),
        "itemknn": ItemKNNScorer(feedback="implicit"),
        "zsrec": ZsrecScorer(),
    }
    if recommender is not None:
        scorers = {"zsrec": ZsrecScorer(), "zsrec with a model": ZsrecScorer(recommender=recommender)}
    found: dict[str, Any] = {}
    for split in crossfold_users(data, 5, LastN(1), rng=0):
        for name, scorer in scorers.items():
            pipeline = topn_pipeline(scorer, n=K)
            started = time.perf_counter()
            pipeline.train(split.train)
            fitted = time.perf_counter()
            asked = split.test
            if recommender is not None:
                asked = ItemListCollection.from_dict(
                    {key.user_id: one for key, one in list(asked)[:users]}, UserIDKey
                )
            lists = recommend(pipeline, asked, n=K, n_jobs=1)
            done = time.perf_counter()
            analysis = RunAnalysis()
            analysis.add_metric(Hit(K))
            analysis.add_metric(NDCG(K))
            means = analysis.measure(lists, asked).list_metrics().mean()
            one = found.setdefault(name, {"users": 0, "fit_s": 0.0, "recommend_s": 0.0})
            for metric, value in means.items():
                one[metric] = one.get(metric, 0.0) + float(value) * len(asked)
            one["users"] += len(asked)
            one["fit_s"] += fitted - started
            one["recommend_s"] += done - fitted
        if recommender is not None:
            break
    for one in found.values():
        for metric in set(one) - {"users", "fit_s", "recommend_s"}:
            one[metric] = one[metric] / one["users"]
    return found


def rectools(folder: Path, recommender: Recommender | None, users: int) -> dict[str, Any]:
    """The last event of each user is the target."""
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.metrics import NDCG, HitRate, calc_metrics
    from rectools.model_selection import LastNSplitter, cross_validate
    from rectools.models import EASEModel, PopularModel

    from zsrec.recommender.rectools_model import ZsrecModel

    rows = ratings(folder)
    rows["datetime"], rows["weight"] = pd.to_datetime(rows.pop("timestamp"), unit="s"), 1.0
    data, splitter = Dataset.construct(rows), LastNSplitter(1, n_splits=1)
    metrics = {"HR@10": HitRate(K), "NDCG@10": NDCG(K)}
    if recommender is None:
        ease = EASEModel(regularization=100.0, recommend_use_gpu_ranking=False)
        models = {"pop": PopularModel(), "ease": ease, "zsrec": ZsrecModel()}
        found = cross_validate(data, splitter, metrics, models, k=K, filter_viewed=True)
        return {one.pop("model"): one for one in found["metrics"]}
    [(train, test, _)] = splitter.split(data.interactions)
    part = data.filter_interactions(train, keep_external_ids=True)
    targets = rows.loc[test]
    targets = targets[targets["user_id"].isin(targets["user_id"].unique()[:users])]
    compared = {}
    for name, model in {"zsrec": ZsrecModel(), "zsrec with a model": ZsrecModel(recommender=recommender)}.items():
        started = time.perf_counter()
        lists = model.fit(part).recommend(targets["user_id"].unique(), part, k=K, filter_viewed=True)
        took = time.perf_counter() - started
        compared[name] = calc_metrics(metrics, reco=lists, interactions=targets) | {"seconds": took}
    return compared


if __name__ == "__main__":
    main()
