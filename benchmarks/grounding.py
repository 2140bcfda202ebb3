"""Grounding measured: `speed` beside rapidfuzz's WRatio, `fit`, which makes the shipped calibration again,
`mixtures`, titles of two films in one mention, and `semantic`, what matching by meaning adds and costs.

    python benchmarks/grounding.py speed --sizes 9742 100000 1000000 [--more]
    python benchmarks/grounding.py fit [--write]
    python benchmarks/grounding.py mixtures
    python benchmarks/grounding.py semantic [--model FOLDER]    (needs the extra `embed`)

All need the development data (ZSREC_TEST_DATA, default ../shared/data beside the repository). Larger catalogs
are made by recombining the words of real titles with a fixed seed, and `--more` gives each item a made creator and
two aliases; each size runs in a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from zsrec.answers.calibration_fit import Labelled, f1, fit_calibration, reliability
from zsrec.answers.grounder import Grounder
from zsrec.answers.grounding import read_answer
from zsrec.answers.scoring import NAMES, Calibration
from zsrec.answers.semantic_match import SemanticStage
from zsrec.answers.title_index import TitleIndex
from zsrec.core.embedding import default_embedder
from zsrec.core.types import Match
from zsrec.data.catalog import Catalog
from zsrec.data.titles import article_first, has_han, key, parse_title, words

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ZSREC_TEST_DATA", ROOT.parent / "shared" / "data"))
RESIDUAL = ROOT / "tests" / "answers" / "data" / "residual_sample.jsonl"
PRIOR = Path(__file__).with_name("grounding_prior.json")
TRANSLATED = RESIDUAL.with_name("translated_titles.jsonl")
SHIPPED = ROOT / "zsrec" / "answers" / "calibration.json"
SEED = 7
FOLDS = 5
LONG_WORD = re.compile(r"[^\W\d_]{4,}")
PEER_MENTIONS, PEER_TITLES = 200, 20_000_000  # WRatio compares with each title: fewer mentions of a large catalog
REAL = 1.0
RESAMPLES = 1_000
REAL_RIGHT, REAL_WRONG = 4.0, 2.0  # real mentions count more than made distortions

STRENGTH = {
    "alternative": 5.0, "cut_note": 20.0, "cut_parenthesis": 5.0, "cut_year": 5.0, "edge": 3.0, "edge_words": 3.0,
    "edge_information": 3.0, "head_article": 2.0, "head_number": 5.0, "loose": 2.0,
    "loose_one_word": 5.0, "edit_compound": 5.0, "respaced": 5.0, "suffix": 5.0, "year_far": 6.0,
    "year_near": 3.0, "tail_information": 4.0, "tail_other": 2.0, "creator_part": 5.0, "label_same": 5.0,
    "cut_half": 3.0, "bias": 2.0, "cut_prefix": 1.0, "cut_prefix_information": 1.0,
}  # fmt: skip
"""How firmly the prior holds features that the development data show rarely or one-sidedly."""

DOMAINS = {
    "books": ("books", "books", 1.0),
    "artists": ("artists", "music", 1.0),
    "songs": ("songs", "music", 0.5),
    "songs_artist": ("songs", "music", 0.5),
    "games": ("games", "games", 1.0),
    "products": ("products", "products", 1.0),
    "zh_movies": ("zh_movies", "movies", 0.33),
    "zh_plain": ("zh_movies", "movies", 0.33),
    "zh_aka": ("zh_movies", "movies", 0.33),
}
"""The other catalogs: the domain of their mentions, what their items are, and the weight of a mention."""

MADE = 80
"""How many near names are made of the titles of a catalog, to be refused; they are fitted on and not judged."""
MADE_WEIGHT = 0.25

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


def others(titles: Sequence[str], more: bool) -> tuple[list[str], list[str]]:
    """A creator for each title, and two aliases; nothing without `more`."""
    if not more:
        return [], []
    rng = random.Random(SEED)
    words = [word for title in titles[:20_000] for word in title.rsplit(" (", 1)[0].split()]

    def made(count: int) -> str:
        return " ".join(rng.choice(words) for _ in range(count))

    return [made(2) for _ in titles], [f"{made(4)}|{made(3)}" for _ in titles]


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}": round(1000 * ordered[int(len(ordered) * q / 100)], 3) for q in (50, 95)}


def measure(size: int, more: bool) -> Row:
    """One size: build, save, open and ground, in this process."""
    titles = enlarged(movies().titles, size)
    creators, aliases = others(titles, more)
    mentions = [row["mention"] for name in ("hard_positives", "negatives_deletion") for row in read(name)]
    random.Random(SEED).shuffle(mentions)
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), time.process_time()
        TitleIndex.build(titles, creators, aliases).save(folder)
        built, built_cpu = time.perf_counter() - started, time.process_time() - cpu
        on_disk = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.perf_counter()
        index = TitleIndex.open(folder)
        index.check(titles, creators, aliases)
        opened = time.perf_counter() - started
        ids = [str(i) for i in range(size)]
        columns: Row = {"creator": "by", "aliases": "aka", "attributes": {"by": creators, "aka": aliases}}
        catalog = Catalog(ids, titles, domain="movies", **(columns if more else {}))
        grounder = Grounder(catalog, index=index)
        ours = [_timed(lambda m: grounder.ground(m), mention) for mention in mentions]
        peer = [
            _timed(lambda m: process.extractOne(m, titles, scorer=fuzz.WRatio), m)
            for m in mentions[: min(PEER_MENTIONS, PEER_TITLES // size)]
        ]
    return {
        "titles": size,
        "more": more,
        "build_s": round(built, 1),
        "build_cpu_s": round(built_cpu, 1),
        "peak_mib": round(peak),
        "disk_mib": round(on_disk),
        "open_s": round(opened, 2),
        "zsrec_ms": percentiles(ours),
        "wratio_ms": percentiles(peer),
    }


def _timed(call: Any, mention: str) -> float:  # noqa: ANN401  (either of two callables)
    started = time.perf_counter()
    call(mention)
    return time.perf_counter() - started


def speed(sizes: Sequence[int], more: bool) -> None:
    for size in sizes:
        command = [sys.executable, str(Path(__file__).resolve()), "one", str(size), *(["--more"] if more else [])]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)  # noqa: S603


# -- fit ----------------------------------------------------------------------------------------------


@dataclass
class Part:
    """Labelled mentions of one catalog."""

    domain: str
    grounder: Grounder
    rows: list[tuple[Row, Labelled]]


def film_parts() -> list[Part]:
    """MovieLens, whole and without each fold's deleted items."""
    catalog = movies()
    parts: dict[int | None, Part] = {None: Part("films", Grounder(catalog), [])}
    for fold in range(FOLDS):
        gone = json.loads((DATA / "grounding-dev" / f"deleted_fold{fold}.json").read_text(encoding="utf-8"))
        parts[fold] = Part("films", Grounder(catalog.without(gone)), [])
    for name in ("positives", "hard_positives", "negatives_deletion", "ambiguous"):
        for row in read(name):
            if row["set"] == "ambiguous" and ("noyear" in row["kind"] or row["kind"] == "real_year_tie"):
                continue
            wanted = None if row["set"] == "negative" else row["item_id"]
            parts[row.get("fold")].rows.append((row, Labelled(row["mention"], wanted)))
    parts[None].rows.extend(near_names(parts[None].grounder))
    for row in read_lines(RESIDUAL):
        weight = REAL_RIGHT if row["item_id"] else REAL_WRONG
        parts[None].rows.append((row, Labelled(row["mention"], row["item_id"], weight)))
    return list(parts.values())


def domain_parts() -> Iterator[Part]:
    """The catalogs of other domains, whole and without the deleted items."""
    root = DATA / "domains-dev"
    for name, (domain, medium, weight) in DOMAINS.items():
        with (root / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            columns = set(next(csv.reader(file)))
        catalog = Catalog.from_file(
            root / f"{name}.csv",
            id="item",
            title="title",
            domain=medium,
            creator="creator" if "creator" in columns else None,
            aliases="aliases" if "aliases" in columns else None,
        )
        gone = json.loads((root / f"{domain}.deleted.json").read_text(encoding="utf-8"))
        rows = read_lines(root / f"{domain}.mentions.jsonl")
        for fold, items in ((None, catalog), ("del", catalog.without(map(str, gone)))):
            labels = [
                (row, Labelled(row["mention"], row["item_id"], weight if row["synthetic"] else REAL * weight))
                for row in rows
                if row["fold"] == fold and row["label"] in "PN"
            ]
            grounder = Grounder(items)
            if fold is None and name != "songs_artist":
                labels += near_names(grounder)
            yield Part(domain, grounder, labels)


def near_names(grounder: Grounder) -> list[tuple[Row, Labelled]]:
    """Names that no item has: titles with one word changed, to one of like spelling and to any other one.

    Of half of the items (by the checksum of their id), so that the other half stays for checks.
    """
    rng, catalog = random.Random(SEED), grounder.catalog
    columns = zip(catalog.titles, catalog.creators or [""] * len(catalog), strict=True)
    spelled = dict(
        zip(catalog.ids, (grounder.index.conventions.anatomy(*row).core for row in columns), strict=True)
    )
    keys = {key(words(name)) for parsed in spelled.values() for name in (parsed.main, *parsed.alternatives)}
    lexicon = sorted({word.lower() for parsed in spelled.values() for word in LONG_WORD.findall(parsed.main)})
    found: list[tuple[Row, Labelled]] = []
    halves = [item for item in spelled if zlib.crc32(item.encode()) % 2 == 0]
    for item in rng.sample(halves, len(halves)):
        name = spelled[item].main
        places = list(LONG_WORD.finditer(name))
        if not places or has_han(name):
            continue
        place = rng.choice(places)
        limit = 1 if len(place[0]) < 6 else 2
        near = process.extract(place[0].lower(), lexicon, scorer=OSA.distance, score_cutoff=limit, limit=6)
        for others in ([other for other, *_ in near], lexicon):
            other = rng.choice(others) if others else place[0]
            changed = name[: place.start()] + other.capitalize() + name[place.end() :]
            if key(words(changed)) not in keys and other.rstrip("s") != place[0].lower().rstrip("s"):
                found.append(({"made": True}, Labelled(changed, None, MADE_WEIGHT)))
        if len(found) >= 2 * MADE:
            break
    return found


def fitted(parts: Iterable[Part]) -> Calibration:
    prior = json.loads(PRIOR.read_text(encoding="utf-8"))
    start = Calibration({name: float(prior[name]) for name in NAMES})
    sets = [(part.grounder, [label for _, label in part.rows]) for part in parts]
    return fit_calibration(sets, prior=start, strength=STRENGTH)


def fold_of(row: Row, label: Labelled) -> int:
    """The cross-fitting fold; all mentions of one item fall into the same."""
    return zlib.crc32(str(label.item_id or row.get("deleted_item") or label.mention).encode()) % FOLDS


def fit(write: bool) -> None:
    """Fits on all domains together; judges films by folds of items, and each other domain by a fit without it."""
    films, others = film_parts(), list(domain_parts())
    if write:
        fitted([*(subset(part, None, held=False) for part in films), *others]).save(SHIPPED)
        print(f"wrote {SHIPPED}")
    judged: dict[str, list[tuple[Row, Labelled, Match]]] = defaultdict(list)
    for number in range(FOLDS):
        weights = fitted([*(subset(part, number, held=False) for part in films), *others])
        judge([subset(part, number, held=True) for part in films], weights, judged)
    for domain in dict.fromkeys(part.domain for part in others):
        weights = fitted([*films, *(part for part in others if part.domain != domain)])
        judge([part for part in others if part.domain == domain], weights, judged)
    print("| domain | matches | F1 | mean score | share right | ECE (95 % interval) |")
    pooled: list[tuple[float, bool]] = []
    for domain, found in judged.items():
        scored = [(match.score, match.item_id == label.item_id) for _, label, match in found if match.item_id]
        pooled += scored
        report(domain, scored, f1((label, match) for _, label, match in found))
    report("all", pooled, f1((label, match) for found in judged.values() for _, label, match in found))
    for row_ in reliability(pooled)[0]:
        print(f"{row_.low:.1f}-{row_.high:.1f} {row_.matches:5d} {row_.mean_score:.3f} {row_.share_right:.3f}")
    rates: dict[str, list[bool]] = defaultdict(list)
    for row, label, match in judged["films"]:
        for name in groups(row):
            rates[name].append(match.item_id == label.item_id)
    for name, right in rates.items():
        print(f"{name}: {sum(right) / len(right):.4f} right ({len(right) - sum(right)} of {len(right)} wrong)")
    for half in ("tune", "check"):
        pairs = [(label, match) for row, label, match in judged["films"] if row.get("half") == half]
        print(f"real mentions, half '{half}': F1 {f1(pairs):.3f} ({len(pairs)} mentions)")


def subset(part: Part, fold: int | None, *, held: bool) -> Part:
    """The rows of a cross-fitting fold, or those of the other folds that may be fitted on."""
    rows = [
        (row, label)
        for row, label in part.rows
        if (fold_of(row, label) == fold if held else fold_of(row, label) != fold and row.get("half") != "check")
    ]
    return Part(part.domain, part.grounder, rows)


def judge(
    parts: Iterable[Part], weights: Calibration, judged: dict[str, list[tuple[Row, Labelled, Match]]]
) -> None:
    for part in parts:
        grounder = Grounder(part.grounder.catalog, index=part.grounder.index, calibration=weights)
        for row, label in part.rows:
            if row.get("made"):
                continue
            judged[part.domain].append((row, label, grounder.ground(label.mention)))


def report(domain: str, scored: Sequence[tuple[float, bool]], score: float) -> None:
    """One row of the table per domain; the interval is a bootstrap over matches (Efron 1979)."""
    rng = random.Random(SEED)
    errors = sorted(reliability(rng.choices(scored, k=len(scored)))[1] for _ in range(RESAMPLES))
    low, high = errors[int(0.025 * RESAMPLES)], errors[int(0.975 * RESAMPLES)]
    mean, share = sum(s for s, _ in scored) / len(scored), sum(r for _, r in scored) / len(scored)
    interval = f"{reliability(scored)[1]:.3f} ({low:.3f}–{high:.3f})"
    print(f"| {domain} | {len(scored)} | {score:.3f} | {mean:.3f} | {share:.3f} | {interval} |")


def groups(row: Row) -> list[str]:
    """The rates that a row counts in: those of the issue's table."""
    if "half" in row:
        return []
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
        seconds = [_timed(lambda text, by=whole: read_answer(text, by).grounded, text) for text in answers]
        print(f"{name}, a whole answer: {percentiles(seconds)} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    many, one = commands.add_parser("speed"), commands.add_parser("one")
    many.add_argument("--sizes", type=int, nargs="+", default=[9_742, 100_000, 1_000_000])
    one.add_argument("size", type=int)
    for command in (many, one):
        command.add_argument("--more", action="store_true")
    commands.add_parser("fit").add_argument("--write", action="store_true")
    commands.add_parser("mixtures")
    commands.add_parser("semantic").add_argument("--model")
    chosen = parser.parse_args()
    if chosen.command == "speed":
        speed(chosen.sizes, chosen.more)
    elif chosen.command == "one":
        print(json.dumps(measure(chosen.size, chosen.more)))
    elif chosen.command == "mixtures":
        mixtures()
    elif chosen.command == "semantic":
        semantic(chosen.model)
    else:
        fit(chosen.write)


if __name__ == "__main__":
    main()
