"""Trained baselines beside item-kNN and popularity, leave-one-out on a MovieLens set, all users, whole catalog.

    python benchmarks/trained.py validate ml-latest-small    # no test event takes part
    python benchmarks/trained.py test ml-latest-small --json out.json

Needs the extra `trained` in a Python below 3.13 with numpy 1 (docs/evaluation.md), or in Python 3.13.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

from zsrec.data import movielens
from zsrec.evaluation import leave_one_out, report, run
from zsrec.retrieval import ItemKNN, Popularity
from zsrec.retrieval.base import Method
from zsrec.retrieval.trained import EaseConfig, SasRecConfig, trained

# Chosen on the last event of the training part of the split (`validate`), before any test event was looked at.
SASREC = SasRecConfig(factors=64, heads=2, session=50, batch=16, lr=0.003, epochs=20)
EASE = EaseConfig(regularization=100.0)
GRID_EASE = (10.0, 30.0, 100.0, 200.0, 500.0, 1000.0)
GRID_SASREC = (10, 20, 30)


def methods(*, validate: bool) -> Mapping[str, Method]:
    made: dict[str, Method] = {"pop": Popularity, "itemknn": ItemKNN}
    if not validate:
        return made | {"ease": trained("ease", ease=EASE), "sasrec": trained("sasrec", sasrec=SASREC)}
    made |= {f"ease {value:g}": trained("ease", ease=EaseConfig(regularization=value)) for value in GRID_EASE}
    return made | {
        f"sasrec {epochs}": trained("sasrec", sasrec=SASREC.model_copy(update={"epochs": epochs}))
        for epochs in GRID_SASREC
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["validate", "test"])
    parser.add_argument("source", type=Path, help="a folder or zip of a MovieLens set")
    parser.add_argument("--only", default="", help="methods whose names begin so")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # lightning's and torch's, of themselves
    split = leave_one_out(movielens.load_ratings(options.source).result.interactions)
    if options.part == "validate":
        split = leave_one_out(split.training)
    chosen = {
        name: one
        for name, one in methods(validate=options.part == "validate").items()
        if name.startswith(tuple(options.only.split(",")))
    }
    found = report(run([split], chosen))
    for row in found.methods:
        cells = (f"{key} {one.mean:.4f} [{one.low:.4f}, {one.high:.4f}]" for key, one in row.metrics.items())
        took = "" if row.seconds is None else f"  {row.seconds.p50 * 1e3:.1f} ms"
        print(f"{row.method:12} {row.mode:14} {'  '.join(cells)}{took}")
    for pair in found.comparisons:
        if pair.metric == "NDCG@10":
            interval = f"[{pair.low:+.4f}, {pair.high:+.4f}]"
            print(f"{pair.metric} {pair.a} - {pair.b}: {pair.difference:+.4f} {interval}, Holm {pair.p_holm:.4f}")
    if options.json is not None:
        options.json.write_text(json.dumps(found.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
