"""Grounding measured: `speed` beside rapidfuzz's WRatio, `fit`, which makes the shipped calibration again,
`mixtures`, titles of two films in one mention, and `semantic`, what matching by meaning adds and costs.

    python benchmarks/grounding.py speed --sizes 9742 100000 1000000
    python benchmarks/grounding.py fit [--write]
    python benchmarks/grounding.py mixtures
    python benchmarks/grounding.py semantic [--model FOLDER]    (needs the extra `embed`)

All need the development data (ZSREC_TEST_DATA, default ../shared/data beside the repository). Larger catalogs
are made by recombining the words of real titles with a fixed seed; each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from zsrec.answers.calibration_fit import Labelled, f1, fit_calibration, reliability
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import ground_answer
from zsrec.answers.scoring import NAMES, Calibration
from zsrec.answers.semantic_match import SemanticStage
from zsrec.answers.title_index import TitleIndex
from zsrec.core.embedding import default_embedder
from zsrec.core.types import Match
from zsrec.data.catalog import Catalog
from zsrec.data.titles import article_first, parse_title

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ZSREC_TEST_DATA", ROOT.parent / "shared" / "data"))
RESIDUAL = ROOT / "tests" / "answers" / "data" / "residual_sample.jsonl"
PRIOR = Path(__file__).with_name("grounding_prior.json")
TRANSLATED = RESIDUAL.with_name("translated_titles.jsonl")
SHIPPED = ROOT / "zsrec" / "answers" / "calibration.json"
SEED = 7
FOLDS = 5
PEER_MENTIONS = 200
REAL_RIGHT, REAL_WRONG = 6.0, 3.0  # real mentions count more than made distortions

STRENGTH = {
    "alternative": 5.0, "cut_note": 20.0, "cut_parenthesis": 5.0, "cut_year": 5.0, "edge": 3.0, "edge_words": 3.0,
    "edge_information": 3.0, "head_article": 2.0, "head_number": 5.0, "loose": 2.0,
    "loose_one_word": 5.0, "respaced": 5.0, "suffix": 5.0, "year_far": 6.0,
    "year_near": 3.0,
}  # fmt: skip
"""How firmly the prior holds features that the development data show rarely or one-sidedly."""

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return read_lines(DATA / "grounding-dev" / f"{name}.jsonl")


def read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def movies() -> Catalog:
    return Catalog.from_file(DATA / "ml-latest-small" / "movies.csv", id="movieId", title="title", domain="movies")


# -- speed --------------------------------------------------------------------------------------------


def enlarged(titles: Sequence[str], size: int) -> list[str]:
    """The titles and, after them, new ones of as many of their words, up to `size`."""
    rng = random.Random(SEED)
    bare = [title.rsplit(" (", 1)[0].split() for title in titles]
    words = [word for name in bare for word in name]
    made = list(titles[:size])
    while len(made) < size:
        name = " ".join(rng.choice(words) for _ in range(len(rng.choice(bare))))
        made.append(f"{name} ({rng.randint(1930, 2018)})")
    return made


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}": round(1000 * ordered[int(len(ordered) * q / 100)], 3) for q in (50, 95)}


def measure(size: int) -> Row:
    """One size: build, save, open and ground, in this process."""
    titles = enlarged(movies().titles, size)
    mentions = [row["mention"] for name in ("hard_positives", "negatives_deletion") for row in read(name)]
    random.Random(SEED).shuffle(mentions)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        TitleIndex.build(titles).save(folder)
        built = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.perf_counter()
        index = TitleIndex.open(folder)
        index.check(titles)
        opened = time.perf_counter() - started
        grounder = Grounder(Catalog([str(i) for i in range(size)], titles, domain="movies"), index=index)
        ours = [_timed(lambda m: grounder.ground(m), mention) for mention in mentions]
        peer = [
            _timed(lambda m: process.extractOne(m, titles, scorer=fuzz.WRatio), m)
            for m in mentions[:PEER_MENTIONS]
        ]
    return {
        "titles": size,
        "build_s": round(built, 1),
        "peak_mib": round(peak),
        "open_s": round(opened, 2),
        "zsrec_ms": percentiles(ours),
        "wratio_ms": percentiles(peer),
    }


def _timed(call: Any, mention: str) -> float:  # noqa: ANN401  (either of two callables)
    started = time.perf_counter()
    call(mention)
    return time.perf_counter() - started


def speed(sizes: Sequence[int]) -> None:
    for size in sizes:
        command = [sys.executable, str(Path(__file__).resolve()), "one", str(size)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)  # noqa: S603


# -- fit ----------------------------------------------------------------------------------------------


def grounders(catalog: Catalog) -> dict[int | None, Grounder]:
    """The grounder of the whole catalog, and one without each fold's deleted items."""
    found: dict[int | None, Grounder] = {None: Grounder(catalog)}
    for fold in range(FOLDS):
        gone = json.loads((DATA / "grounding-dev" / f"deleted_fold{fold}.json").read_text(encoding="utf-8"))
        found[fold] = Grounder(catalog.without(gone))
    return found


def labelled_rows() -> Iterator[tuple[Row, Labelled]]:
    """All rows whose right answer is one item or nothing, with their weights."""
    for name in ("positives", "hard_positives", "negatives_deletion", "ambiguous"):
        for row in read(name):
            if row["set"] == "ambiguous" and ("noyear" in row["kind"] or row["kind"] == "real_year_tie"):
                continue
            yield row, Labelled(row["mention"], None if row["set"] == "negative" else row["item_id"])
    for row in read_lines(RESIDUAL):
        weight = REAL_RIGHT if row["item_id"] else REAL_WRONG
        yield row, Labelled(row["mention"], row["item_id"], weight)


def fitted(known: dict[int | None, Grounder], rows: Sequence[tuple[Row, Labelled]]) -> Calibration:
    sets: dict[int | None, list[Labelled]] = defaultdict(list)
    for row, label in rows:
        if row.get("half") != "check":
            sets[row.get("fold")].append(label)
    prior = json.loads(PRIOR.read_text(encoding="utf-8"))
    start = Calibration({name: float(prior[name]) for name in NAMES})
    return fit_calibration(
        [(known[fold], labels) for fold, labels in sets.items()], prior=start, strength=STRENGTH
    )


def part(row: Row, label: Labelled) -> int:
    """The cross-fitting part; all mentions of one item fall into the same."""
    return zlib.crc32(str(label.item_id or row.get("deleted_item") or label.mention).encode()) % FOLDS


def fit(write: bool) -> None:
    known = grounders(movies())
    rows = list(labelled_rows())
    if write:
        fitted(known, rows).save(SHIPPED)
        print(f"wrote {SHIPPED}")
    scored: list[tuple[float, bool]] = []
    rates: dict[str, list[bool]] = defaultdict(list)
    real: dict[str, list[tuple[Labelled, Match]]] = defaultdict(list)
    for number in range(FOLDS):
        calibration = fitted(known, [(row, label) for row, label in rows if part(row, label) != number])
        for fold, grounder in known.items():
            known[fold] = Grounder(grounder.catalog, index=grounder.index, calibration=calibration)
        for row, label in rows:
            if part(row, label) != number:
                continue
            match = known[row.get("fold")].ground(label.mention)
            if "half" in row:
                real[row["half"]].append((label, match))
                continue
            for name in groups(row):
                rates[name].append(match.item_id == label.item_id)
            if match.item_id is not None:
                scored.append((match.score, match.item_id == label.item_id))
    table, error = reliability(scored)
    print(f"cross-fitted matches: {len(scored)}, expected calibration error {error:.4f}")
    for row_ in table:
        print(f"{row_.low:.1f}-{row_.high:.1f} {row_.matches:5d} {row_.mean_score:.3f} {row_.share_right:.3f}")
    for name, right in rates.items():
        print(f"{name}: {sum(right) / len(right):.4f} right ({len(right) - sum(right)} of {len(right)} wrong)")
    for half, pairs in sorted(real.items()):
        print(f"real mentions, half '{half}': F1 {f1(pairs):.3f} ({len(pairs)} mentions)")


def groups(row: Row) -> list[str]:
    """The rates that a row counts in: those of the issue's table."""
    if row["set"] != "negative":
        return [row["set"], row["kind"]] if row.get("kind") in ("typo1", "typo2") else [row["set"]]
    return ["deleted", "traps"] if row.get("trap") else ["deleted"]


# -- mixtures -----------------------------------------------------------------------------------------


def mixtures(number: int = 1000) -> None:
    """How often a mention made of two random titles is matched; with the second one's year it should be."""
    catalog = movies()
    grounder, rng = Grounder(catalog), random.Random(SEED)
    matched: dict[str, int] = defaultdict(int)
    for _ in range(number):
        first, second = (parse_title(title) for title in rng.sample(catalog.titles, 2))
        mixed, year = f"{article_first(first.main)}: {article_first(second.main)}", second.year or 2000
        for what, mention in (
            ("no year", mixed),
            ("a year one off", f"{mixed} ({year + 1})"),
            ("the second one's year", f"{mixed} ({year})"),
        ):
            matched[what] += grounder.ground(mention).item_id is not None
    print(", ".join(f"{what}: {found} of {number} matched" for what, found in matched.items()))


# -- semantic -----------------------------------------------------------------------------------------


def semantic(model: str | None) -> None:
    """The same rows without and with the semantic stage, and what it costs an answer."""
    catalog = movies()
    started = time.perf_counter()
    stage = SemanticStage(default_embedder(model), catalog.titles)
    stage.vectors  # noqa: B018  (made now, so that the time is theirs)
    print(f"vectors of the names of {len(catalog):,} titles: {time.perf_counter() - started:.0f} s")
    for name, found in (("without", None), ("with", stage)):
        whole = Grounder(catalog, semantic=found)
        sets = {
            "translated and paraphrased titles": read_lines(TRANSLATED),
            "real residual mentions": read_lines(RESIDUAL),
            "distorted titles, and films after 2018": [
                row
                for name_ in ("hard_positives", "negatives_deletion")
                for row in read(name_)
                if row.get("fold") is None
            ],
        }
        for what, rows in sets.items():
            labels = [Labelled(r["mention"], None if r.get("set") == "negative" else r["item_id"]) for r in rows]
            judged = [(label, whole.ground(label.mention)) for label in labels]
            right = sum(label.item_id is not None and match.item_id == label.item_id for label, match in judged)
            wrong = sum(match.item_id is not None and match.item_id != label.item_id for label, match in judged)
            print(f"{name}, {what}: {right} right, {wrong} wrong of {len(judged)}, F1 {f1(judged):.3f}")
        answers = [row["text"] for row in read("answers")[:200]]
        seconds = [_timed(lambda text, by=whole: ground_answer(text, by), text) for text in answers]
        print(f"{name}, a whole answer: {percentiles(seconds)} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed").add_argument("--sizes", type=int, nargs="+", default=[9_742, 100_000, 1_000_000])
    commands.add_parser("one").add_argument("size", type=int)
    commands.add_parser("fit").add_argument("--write", action="store_true")
    commands.add_parser("mixtures")
    commands.add_parser("semantic").add_argument("--model")
    chosen = parser.parse_args()
    if chosen.command == "speed":
        speed(chosen.sizes)
    elif chosen.command == "one":
        print(json.dumps(measure(chosen.size)))
    elif chosen.command == "mixtures":
        mixtures()
    elif chosen.command == "semantic":
        semantic(chosen.model)
    else:
        fit(chosen.write)


if __name__ == "__main__":
    main()
