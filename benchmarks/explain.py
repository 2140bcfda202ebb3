"""Whether explanations cite anything, and whether what they cite mattered.

    python benchmarks/explain.py --data DIR --users 100 --base-url URL --model NAME --json out.json

Users of the test half, drawn by hash, with the newest 10 events of the first half of theirs; the first film of
item-kNN's list is explained to each. Every cited item, and one that was not cited, is taken out of the history and
the item scored again: by item-kNN (its place) and by the label ranker among item-kNN's 20 (its probability).
Intervals over items taken away are Wilson's (1927), as if each were drawn by itself: few users have more than one.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from movielens_halves import Halves, User, load

from zsrec import Recommender
from zsrec.data.history import History
from zsrec.data.interactions import Ids
from zsrec.recommender import Explanations, Faithfulness, faithfulness, ranker_score, retriever_score
from zsrec.retrieval import ItemKNN, top

NEWEST = 10
POOL = 20
SEED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the format of MovieLens")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument(
        "--template", default="explain/default", help="explain/cited holds the answer to a citation"
    )
    parser.add_argument("--base-url")
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    halves = load(arguments.data, None)
    retriever = ItemKNN(halves.known)
    started = time.perf_counter()
    with Recommender(halves.catalog, base_url=arguments.base_url, model=arguments.model) as recommender:
        ranker = recommender.with_template("rank/label")

        def one(user: User) -> tuple[Explanations, Faithfulness]:
            history = History(events=user.past.events[-NEWEST:])
            pool = top(retriever, history, POOL).ids
            sentences = recommender.explain([halves.catalog[pool[0]]], history, template=arguments.template)
            return sentences, faithfulness([sentences], ranker_score(ranker, pool))

        with ThreadPoolExecutor(recommender.settings.concurrency) as several:
            done = list(several.map(one, drawn(halves, arguments.users)))
        served = recommender.server()
    explained = [sentences for sentences, _ in done]
    found = {
        "protocol": __doc__,
        "model": served.model,
        "users": len(explained),
        "seconds": round(time.perf_counter() - started, 1),
        "template": str(explained[0].template),
        "citations": _citations(explained),
        "by item-kNN's place": _rates([faithfulness(explained, retriever_score(retriever))]),
        "by the label ranker's probability": _rates([by_ranker for _, by_ranker in done]),
        "sentences": [one.text for sentences in explained[:10] for one in sentences],
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def drawn(halves: Halves, count: int) -> list[User]:
    """Test users of enough events, by hash of their ids."""
    fit = [user for user in halves.of(test=True) if len(user.past.events) >= NEWEST]
    ids = Ids(user.id for user in fit)
    order = ids.hashes(range(len(ids)), SEED).argsort(kind="stable").tolist()
    return [fit[place] for place in order[:count]]


def _citations(explained: list[Explanations]) -> dict[str, object]:
    """How many sentences cite, and what the citations turned out to be."""
    sentences = [one for of_user in explained for one in of_user if one.error is None]
    kinds = [citation.status for one in sentences for citation in one.citations]
    return {
        "sentences": len(sentences),
        "cite the history": sum(bool(one.cited) for one in sentences),
        **{kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def _rates(found: list[Faithfulness]) -> dict[str, object]:
    """The share of falls over all that was taken away, cited and not."""
    checks = [check for one in found for check in one.checks]
    rates: dict[str, object] = {}
    for name, cited in (("cited", True), ("not cited", False)):
        fell = [check.fell for check in checks if check.cited is cited]
        if fell:
            low, high = wilson(sum(fell), len(fell))
            rates[name] = {"n": len(fell), "rate": sum(fell) / len(fell), "low": low, "high": high}
    return rates


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share (1927), which also holds at 0 and at n."""
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return middle - reach, middle + reach


if __name__ == "__main__":
    main()
