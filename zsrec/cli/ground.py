"""`zsrec ground`: mentions and whole answers from a file, matched with a catalog, and its fitting."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import typer

from zsrec.answers.calibration_fit import Labelled, cross_fitted, f1, fit_calibration, reliability
from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.grounding import item_ids, read_answer
from zsrec.answers.scoring import Calibration
from zsrec.answers.semantic_match import NameVectors, SemanticStage
from zsrec.answers.title_index import TitleIndex
from zsrec.cli.console import bytes_out, echo, json_text, print_line
from zsrec.cli.options import RequiredCatalog, expand_groups, option
from zsrec.core.embedding import default_embedder
from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.core.json_input import read_json
from zsrec.core.types import Grounded, Match
from zsrec.data.catalog import Catalog
from zsrec.data.titles import display_title, has_han, simplified_letters

Source = Annotated[str, option("JSON lines to read; - is standard input.", "--input")]
OLD_NAMES = {"--in": "--input"}


@expand_groups
def ground(
    catalog: RequiredCatalog,
    source: Source,
    target: Annotated[str, option("Where to write the JSON lines; - is standard output.", "--out")],
    without: Annotated[Path | None, option("A JSON list of ids to leave out of the catalog.")] = None,
    semantic: Annotated[bool, option("Also match by meaning (needs the extra 'embed').", "--semantic")] = False,
    embed_model: Annotated[str | None, option("With --semantic: a sentence-transformers model.")] = None,
    index: Annotated[Path | None, option("A folder for the catalog's index and vectors.")] = None,
    calibration: Annotated[Path | None, option("Weights fitted to this catalog by `zsrec ground-fit`.")] = None,
) -> None:
    """Find the catalog items behind mentions, or behind the titles in whole answers.

    A line {"id", "mention"} gives {"id", "item_id", "score", "method", "reason", "alternatives"}. A line {"id",
    "text"} gives {"id", "items", "mentions"}. Both may have "candidates" and "history" (lists of ids), a text also
    "side" ("left" or "right", for pairs) and "finish_reason". A bad line is reported and skipped; the exit code is
    then 1.
    """
    items = catalog.open()
    if without is not None:
        gone = _ids(without)
        if lacking := sum(one not in items for one in gone):
            print_line(f"{without}: {lacking:,} of {len(gone):,} ids are not in the catalog", "yellow", error=True)
        items = items.without(gone)
    if embed_model is not None and not semantic:
        raise ConfigError("--embed-model needs --semantic", hint="add --semantic to match by meaning")
    grounder = Grounder(
        items,
        index=None if index is None else _index(items, index),
        calibration=None if calibration is None else Calibration.open(calibration),
        semantic=_stage(items, embed_model, index) if semantic else None,
    )
    if not simplified_letters() and any(map(has_han, items.titles)):
        print_line("Chinese titles: traditional and simplified letters differ without the extra 'zh'", error=True)
    bad, odd, read = 0, dict[str, list[int]](), set[str]()
    with _opened(source, "rb") as lines, _opened(target, "wb") as results:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = _row(line, source, number)
                result = _grounded(row, grounder, source, number)
                for what in _odd(row, items, read):
                    odd.setdefault(what, []).append(number)
            except BadRowError as error:
                print_line(str(error), error=True)
                bad += 1
            else:
                results.write(json_text(result).encode() + b"\n")
    for what, numbers in odd.items():
        more = f" ({len(numbers):,} such lines)" if len(numbers) > 1 else ""
        print_line(f"{source}:{numbers[0]}: {what}{more}", "yellow", error=True)
    if not read and not bad:
        print_line(f"{source}: no lines", "yellow", error=True)
    if bad:
        print_line(f"{source}: {bad} bad line{'s' if bad > 1 else ''} skipped", error=True)
        raise typer.Exit(1)


def _index(items: Catalog, folder: Path) -> TitleIndex:
    if not (folder / "index.json").exists():
        TitleIndex.build(items.titles, items.creators, items.other_names).save(folder)
    return TitleIndex.open(folder)


def _stage(items: Catalog, model: str | None, folder: Path | None) -> SemanticStage:
    embedder = default_embedder(model)
    if folder is None:
        return SemanticStage(embedder, items.titles)
    if not (folder / "vectors.json").exists():
        SemanticStage(embedder, items.titles).vectors.save(folder)
    return SemanticStage(embedder, items.titles, NameVectors.open(folder))


def _ids(path: Path) -> list[str]:
    """The ids in a file with a JSON list of texts or whole numbers; `DataError` for anything else."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as JSON: {error}", path=path) from error
    if not isinstance(found, list):
        raise DataError(
            f"expected a JSON list of ids, found {_kind(found)}", path=path, hint='for example ["318", "356"]'
        )
    for place, one in enumerate(found):
        if not _is_id(one):
            raise DataError(f"entry {place}: expected an id, found {_kind(one)}", path=path)
    return [str(one) for one in found]


def _row(line: bytes, source: str, number: int) -> Mapping[str, Any]:
    row = _json_object(line, source, number)
    if not _is_id(row.get("id")):
        raise BadRowError("expected an 'id' that is a text or a whole number", path=source, line=number)
    for name in ("mention", "text", "side", "finish_reason"):
        if not isinstance(row.get(name), str | None):
            raise BadRowError(f"{name!r}: expected a text, found {_kind(row[name])}", path=source, line=number)
    if (row.get("mention") is None) == (row.get("text") is None):
        raise BadRowError("expected either a 'mention' or a 'text'", path=source, line=number)
    for name in ("candidates", "history"):
        ids = row.get(name) or []
        if not isinstance(ids, list) or not all(map(_is_id, ids)):
            raise BadRowError(f"{name!r}: expected a list of ids", path=source, line=number)
    return row


def _odd(row: Mapping[str, Any], items: Catalog, read: set[str]) -> Iterator[str]:
    """What is strange about a line and no error; without its words, which may be a user's. `read` gets its id."""
    if str(row["id"]) in read:
        yield "an earlier line has this id"
    read.add(str(row["id"]))
    for name in ("candidates", "history"):
        if any(str(one) not in items for one in row.get(name) or ()):
            yield f"the catalog lacks ids of its {name}; they are ignored"


def _grounded(row: Mapping[str, Any], grounder: Grounder, source: str, number: int) -> dict[str, Any]:
    candidates, history = (tuple(map(str, row.get(name) or ())) for name in ("candidates", "history"))
    context = Context(candidates=candidates, history=history)
    if row.get("mention") is not None:
        return {"id": row["id"], **_as_json(grounder.ground(row["mention"], context))}
    known = [display_title(grounder.catalog[i].title) for i in history if i in grounder.catalog]
    try:
        found = read_answer(
            row["text"],
            grounder,
            side=row.get("side"),
            context=context,
            echo=known,
            cut=row.get("finish_reason") == "length",
        ).grounded
    except ConfigError as error:
        raise BadRowError(error.message, path=source, line=number, hint=error.hint) from error
    return {"id": row["id"], "items": list(item_ids(found)), "mentions": [_mention(one) for one in found]}


def _mention(one: Grounded) -> dict[str, Any]:
    mention = one.mention
    return {"text": mention.text, "start": mention.start, "end": mention.end, **_as_json(one.match)}


def _as_json(match: Match) -> dict[str, Any]:
    return {
        "item_id": match.item_id,
        "score": round(match.score, 6),
        "method": match.method,
        "reason": match.reason,
        "alternatives": list(match.alternatives),
    }


_FEW = 100
"""Fewer labels than this get a warning."""


@expand_groups
def ground_fit(
    catalog: RequiredCatalog,
    source: Source,
    target: Annotated[Path, option("The JSON file for the weights.", "--out")],
    strength: Annotated[float, option("How much the shipped weights count (prior precision).", min=1e-6)] = 0.7,
    threshold: Annotated[float | None, option("The least probability of a match.")] = None,
) -> None:
    """Fit grounding to labelled mentions of a catalog, and report how well it is calibrated.

    A line is {"mention", "item_id"}, where item_id is null for what is not in the catalog. The table is
    cross-fitted: each fifth of the items is judged by weights that have not seen it. Use the weights with `zsrec
    ground --calibration`. A few hundred labels of real answers are enough; label what the catalog lacks as well.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold is {threshold}, expected between 0 and 1", hint="for example 0.45")
    items = catalog.open()
    labelled = _labels(source, items)
    prior = Calibration.default()
    if threshold is not None:
        prior = replace(prior, threshold=threshold)
    grounder = Grounder(items, calibration=prior)
    before = [(label, grounder.ground(label.mention)) for label in labelled]
    after = cross_fitted(grounder, labelled, prior=prior, strength=strength)
    fit_calibration([(grounder, labelled)], prior=prior, strength=strength).save(target)
    absent = sum(label.item_id is None for label in labelled)
    echo(f"{len(labelled)} labels, {absent} of them not in the catalog")
    if len(labelled) < _FEW or not absent:
        echo("few labels, or none of something not in the catalog: the figures below are uncertain")
    echo(f"F1 with abstention: {f1(before):.3f} with the shipped weights, {f1(after):.3f} cross-fitted")
    _table(after)
    echo(f"weights fitted on all labels: {target}")


def _table(judged: list[tuple[Labelled, Match]]) -> None:
    scored = [
        (match.score, match.item_id == label.item_id) for label, match in judged if match.item_id is not None
    ]
    table, error = reliability(scored)
    echo(f"{len(scored)} matches, expected calibration error {error:.3f}")
    echo("score     matches  mean score  share right")
    for row in table:
        echo(f"{row.low:.1f}-{row.high:.1f} {row.matches:9d} {row.mean_score:11.3f} {row.share_right:12.3f}")


def _labels(source: str, items: Catalog) -> list[Labelled]:
    """The labels in a file. One wrong line is an error: weights fitted to half of the labels would mislead."""
    found: list[Labelled] = []
    with _opened(source, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = _json_object(line, source, number)
            mention, item_id, weight = row.get("mention"), row.get("item_id"), row.get("weight", 1.0)
            if not isinstance(mention, str) or not mention.strip():
                raise BadRowError(f"'mention': expected a text, found {_kind(mention)}", path=source, line=number)
            if "item_id" not in row or not (item_id is None or _is_id(item_id)):
                raise BadRowError("'item_id': expected an id, or null for none", path=source, line=number)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e6:
                raise BadRowError("'weight': expected a number above 0", path=source, line=number)
            if item_id is not None and str(item_id) not in items:
                raise BadRowError(f"the item {item_id!r} is not in the catalog", path=source, line=number)
            found.append(Labelled(mention, None if item_id is None else str(item_id), float(weight)))
    if not found:
        raise ConfigError(
            f"{source}: no labels", hint='lines such as {"mention": "Dune part 1", "item_id": "b17"}'
        )
    return found


@contextmanager
def _opened(name: str, mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    """A file by its path, or standard input or output by "-"."""
    if name == "-":
        stream = sys.stdin.buffer if mode == "rb" else bytes_out()
        yield stream
        stream.flush()
        return
    try:
        file = Path(name).open(mode)  # noqa: SIM115  (closed below; only opening fails with our error)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be opened: {error.strerror}", hint="check --input and --out") from error
    with file:
        yield file


def _json_object(line: bytes, source: str, number: int) -> Mapping[str, Any]:
    """The JSON object in one line; `BadRowError` for anything else."""
    try:
        row = read_json(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"not a line of JSON: {error}", path=source, line=number) from error
    if not isinstance(row, dict):
        raise BadRowError(f"expected an object, found {_kind(row)}", path=source, line=number)
    return row


def _is_id(value: object) -> bool:
    """Whether a JSON value can be an id: a text or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def _kind(value: object) -> str:
    """The kind of a JSON value, for a message."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a number"
