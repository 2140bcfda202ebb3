"""Other libraries' models on a split of ours: `python benchmarks/trained.py SPLIT MODEL… --out LISTS`.

    zsrec bench split --interactions ratings.csv --items movies.csv … --out SPLIT
    .venv-rectools/bin/python benchmarks/trained.py SPLIT rectools-ease rectools-sasrec:epochs=50 --out LISTS
    .venv-lenskit/bin/python benchmarks/trained.py SPLIT lenskit-itemknn implicit-als:factors=64 --out LISTS
    zsrec bench run --interactions ratings.csv --items movies.csv … --lists ease=LISTS/rectools-ease….csv

It reads training.csv, ranks what each user of histories.csv does not know, and writes a list of 100 per user; the
benchmark then evaluates all lists on the same targets, which this script never reads. `make extras` makes the two
environments. A model is NAME or NAME:PARAMETER=VALUE,…; other parameters have the library's defaults. Seconds are
wall clock and processor time of the process; everything runs on one thread unless `--threads` says otherwise.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

K = 100
SASREC = {"factors": 64, "heads": 2, "session": 50, "batch": 128, "lr": 0.001, "epochs": 20, "every": 0}


class Split(NamedTuple):
    """What a model may read: the rows of training.csv, and the users that are asked for."""

    training: Any  # a data frame of user, item, timestamp, place
    users: list[str]


class Fitted(NamedTuple):
    """A model that was fitted: its name with its parameters, and what gives the users' lists, best first."""

    name: str
    recommend: Callable[[], Any]  # a data frame of user, item


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("split", type=Path, help="a folder that `zsrec bench split` wrote")
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help=f"NAME:PARAMETER=VALUE,… of {', '.join(MODELS)}"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder for lists and models.json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # before numpy is loaded
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    warnings.simplefilter("ignore")  # the libraries', of themselves
    split = read(options.split)
    options.out.mkdir(parents=True, exist_ok=True)
    for model in options.models:
        name, _, given = model.partition(":")
        parameters = dict(part.split("=") for part in given.split(",") if part)
        for found in measured(MODELS[name](split, options.threads, **parameters), split):
            lists, figures = found
            lists.to_csv(options.out / f"{figures['name']}.csv", index=False)
            path = options.out / "models.json"
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            path.write_text(json.dumps(known | {figures.pop("name"): figures}, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Split:
    import pandas as pd

    training = pd.read_csv(folder / "training.csv", dtype={"user": str, "item": str})
    histories = pd.read_csv(folder / "histories.csv", dtype=str)
    return Split(training, histories["user"].unique().tolist())


def measured(models: Iterator[Fitted], split: Split) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each model's lists and what they took; a generator's model is fitted when it is asked for the next one."""
    fit = [0.0, 0.0]
    while True:
        started = clock()
        model = next(models, None)
        fit = [before + now - then for before, now, then in zip(fit, clock(), started, strict=True)]
        if model is None:
            return
        started = clock()
        lists = model.recommend()
        took = [now - then for now, then in zip(clock(), started, strict=True)]
        figures = {
            "name": model.name,
            "fit_s": round(fit[0], 2),
            "fit_cpu_s": round(fit[1], 2),
            "ms_per_user": round(took[0] / len(split.users) * 1e3, 3),
            "cpu_ms_per_user": round(took[1] / len(split.users) * 1e3, 3),
            "version": version(model.name.partition("-")[0]),
        }
        print(json.dumps(figures), flush=True)
        yield lists.astype(str), figures


def clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def named(name: str, parameters: dict[str, Any]) -> str:
    return "-".join([name, *(f"{key}-{value}" for key, value in parameters.items())])


def rectools_data(split: Split) -> Any:  # noqa: ANN401
    """Places stand for times, so that tied events have the split's order."""
    import pandas as pd
    from rectools.dataset import Dataset

    rows = split.training
    times = pd.to_datetime(rows["place"], unit="s")
    return Dataset.construct(
        pd.DataFrame({"user_id": rows["user"], "item_id": rows["item"], "weight": 1.0, "datetime": times})
    )


def rectools_lists(model: Any, dataset: Any, users: list[str]) -> Any:  # noqa: ANN401
    found = model.recommend(users=users, dataset=dataset, k=K, filter_viewed=True)
    return found.sort_values(["user_id", "rank"])[["user_id", "item_id"]].set_axis(["user", "item"], axis=1)


def rectools_ease(split: Split, threads: int, **given: str) -> Iterator[Fitted]:
    from rectools.models import EASEModel

    dataset = rectools_data(split)
    model = EASEModel(
        **{key: float(value) for key, value in given.items()},
        recommend_n_threads=threads, recommend_use_gpu_ranking=False,
    )  # fmt: skip
    model.fit(dataset)
    yield Fitted(named("rectools-ease", given), lambda: rectools_lists(model, dataset, split.users))


def rectools_sasrec(split: Split, threads: int, **given: str) -> Iterator[Fitted]:
    """With every=N, lists after every N epochs of one training."""
    import torch
    from rectools.models import SASRecModel

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    one: dict[str, Any] = SASREC | {key: type(SASREC.get(key, ""))(value) for key, value in given.items()}
    more = {key: int(one[key]) if one[key].isdigit() else one[key] for key in one.keys() - SASREC.keys()}
    dataset, step = rectools_data(split), int(one["every"]) or int(one["epochs"])
    model = SASRecModel(
        n_factors=one["factors"], n_heads=one["heads"], session_max_len=one["session"], batch_size=one["batch"],
        lr=one["lr"], epochs=step, deterministic=True, **more,
    )  # fmt: skip
    for done in range(step, int(one["epochs"]) + 1, step):
        model.fit_partial(dataset, min_epochs=step, max_epochs=step)
        yield Fitted(
            named("rectools-sasrec", {**given, "epochs": done}),
            lambda: rectools_lists(model, dataset, split.users),
        )


def lenskit(name: str) -> Callable[..., Iterator[Fitted]]:
    def fitted(split: Split, threads: int, **given: str) -> Iterator[Fitted]:
        from lenskit.als import ImplicitMFScorer
        from lenskit.batch import recommend
        from lenskit.data import from_interactions_df
        from lenskit.knn import EASEScorer, ItemKNNScorer
        from lenskit.pipeline import topn_pipeline

        kinds = {"itemknn": ItemKNNScorer, "als": ImplicitMFScorer, "ease": EASEScorer}
        settings: dict[str, Any] = {
            key: float(value) if "." in value else int(value) for key, value in given.items()
        }
        if name == "itemknn":
            settings["feedback"] = "implicit"
        rows = split.training.rename(columns={"user": "user_id", "item": "item_id"})
        dataset = from_interactions_df(rows[["user_id", "item_id", "timestamp"]])
        pipeline = topn_pipeline(kinds[name](**settings), n=K)
        pipeline.train(dataset)

        def lists() -> Any:  # noqa: ANN401
            found = recommend(pipeline, split.users, n=K, n_jobs=threads).to_df()
            return found.sort_values(["user_id", "rank"])[["user_id", "item_id"]].set_axis(
                ["user", "item"], axis=1
            )

        yield Fitted(named(f"lenskit-{name}", given), lists)

    return fitted


def implicit(name: str) -> Callable[..., Iterator[Fitted]]:
    def fitted(split: Split, threads: int, **given: str) -> Iterator[Fitted]:
        import pandas as pd
        from implicit.als import AlternatingLeastSquares
        from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
        from scipy.sparse import csr_matrix

        kinds: dict[str, Any] = {
            "cosine": CosineRecommender,
            "bm25": BM25Recommender,
            "als": AlternatingLeastSquares,
        }
        settings: dict[str, Any] = {
            key: float(value) if "." in value else int(value) for key, value in given.items()
        }
        if name == "als":
            settings |= {"random_state": 0}
        user, users = pd.factorize(split.training["user"])
        item, items = pd.factorize(split.training["item"])
        matrix = csr_matrix(([1.0] * len(user), (user, item)), dtype="float32")
        model = kinds[name](num_threads=threads, **settings)
        model.fit(matrix, show_progress=False)
        asked = pd.Index(users).get_indexer(split.users)

        def lists() -> Any:  # noqa: ANN401
            found, scores = model.recommend(asked, matrix[asked], N=K, filter_already_liked_items=True)
            real = (found >= 0) & (scores > -1e30)  # fewer than N are filled up with the lowest float
            real &= scores > 0 if name != "als" else True
            owners = pd.Series(split.users).repeat(real.sum(axis=1))
            return pd.DataFrame({"user": owners.to_numpy(), "item": items[found[real]]})

        yield Fitted(named(f"implicit-{name}", given), lists)

    return fitted


MODELS: dict[str, Callable[..., Iterator[Fitted]]] = {
    "rectools-ease": rectools_ease,
    "rectools-sasrec": rectools_sasrec,
    **{f"lenskit-{name}": lenskit(name) for name in ("itemknn", "als", "ease")},
    **{f"implicit-{name}": implicit(name) for name in ("cosine", "bm25", "als")},
}

if __name__ == "__main__":
    main()
