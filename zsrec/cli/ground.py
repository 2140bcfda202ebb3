"""`zsrec ground`: mentions and whole answers from a file, matched with a catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from zsrec.answers.calibration_fit import Labelled, cross_fitted, f1, fit_calibration, reliability
from zsrec.answers.grounder import Context, Grounder
from zsrec.answers.grounding import ground_answer, item_ids
from zsrec.answers.scoring import Calibration
from zsrec.answers.semantic_match import NameVectors, SemanticStage
from zsrec.answers.title_index import TitleIndex
from zsrec.cli.console import is_id, json_object, kind, opened
from zsrec.core.embedding import default_embedder
from zsrec.core.errors import BadRowError, ConfigError, DataError
from zsrec.core.types import Grounded, Match
from zsrec.data.catalog import Catalog
from zsrec.data.titles import display_title


def ground(
    catalog: Annotated[Path, typer.Option(help="The catalog: .csv, .tsv, .jsonl or .parquet.")],
    source: Annotated[
        str, typer.Option("--in", help="JSON lines with id and mention, or id and text; - is stdin.")
    ],
    target: Annotated[str, typer.Option("--out", help="Where the results go, as JSON lines; - is stdout.")],
    id_column: Annotated[str, typer.Option("--id", help="The catalog's column of ids.")] = "id",
    title_column: Annotated[str, typer.Option("--title", help="The catalog's column of titles.")] = "title",
    without: Annotated[Path | None, typer.Option(help="A JSON list of ids to leave out of the catalog.")] = None,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="Also match by meaning (needs the extra 'embed').")
    ] = False,
    embed_model: Annotated[
        str | None, typer.Option(help="With --semantic: the name or folder of a sentence-transformers model.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(help="A folder for the catalog's index (and vectors): made where it is absent, else opened."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Weights of this catalog, as `zsrec ground-fit` writes them.")
    ] = None,
) -> None:
    """Finds the catalog items behind mentions, or behind the titles in whole answers.

    A line {"id", "mention"} gives {"id", "item_id", "score", "method", "reason", "alternatives"}. A line {"id",
    "text"} gives {"id", "items", "mentions"}. Both may carry "candidates" and "history" (lists of ids), a text
    also "side" ("left" or "right", for pairs) and "finish_reason". A bad line is reported and passed over; the
    exit code is then 1.
    """
    items = Catalog.from_file(catalog, id=id_column, title=title_column)
    if without is not None:
        items = items.without(_ids(without))
    if embed_model is not None and not semantic:
        raise ConfigError("--embed-model without --semantic", hint="add --semantic to match by meaning")
    grounder = Grounder(
        items,
        index=None if index is None else _index(items, index),
        calibration=None if calibration is None else Calibration.open(calibration),
        semantic=_stage(items, embed_model, index) if semantic else None,
    )
    bad = 0
    with opened(source, "rb") as lines, opened(target, "wb") as results:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                result = _grounded(_row(line, source, number), grounder, source, number)
            except BadRowError as error:
                typer.echo(str(error), err=True)
                bad += 1
            else:
                results.write(_encoded(result) + b"\n")
    if bad:
        typer.echo(f"{source}: {bad} bad line{'s' if bad > 1 else ''} passed over", err=True)
        raise typer.Exit(1)


def _index(items: Catalog, folder: Path) -> TitleIndex:
    if not (folder / "index.json").exists():
        TitleIndex.build(items.titles).save(folder)
    return TitleIndex.open(folder)


def _stage(items: Catalog, model: str | None, folder: Path | None) -> SemanticStage:
    embedder = default_embedder(model)
    if folder is None:
        return SemanticStage(embedder, items.titles)
    if not (folder / "vectors.json").exists():
        SemanticStage(embedder, items.titles).vectors.save(folder)
    return SemanticStage(embedder, items.titles, NameVectors.open(folder))


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command()(ground)
    app.command("ground-fit")(ground_fit)


def _ids(path: Path) -> list[str]:
    """The ids in a JSON list of texts or whole numbers.

    Raises:
        DataError: The file cannot be read, or holds anything else.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as JSON: {error}", path=path) from error
    if not isinstance(found, list):
        raise DataError(
            f"expected a JSON list of ids, found {kind(found)}", path=path, hint='for example ["318", "356"]'
        )
    for place, one in enumerate(found):
        if not is_id(one):
            raise DataError(f"entry {place}: expected an id, found {kind(one)}", path=path)
    return [str(one) for one in found]


def _row(line: bytes, source: str, number: int) -> Mapping[str, Any]:
    row = json_object(line, source, number)
    if not is_id(row.get("id")):
        raise BadRowError("expected an 'id' that is a text or a whole number", path=source, line=number)
    for name in ("mention", "text", "side", "finish_reason"):
        if not isinstance(row.get(name), str | None):
            raise BadRowError(f"{name!r}: expected a text, found {kind(row[name])}", path=source, line=number)
    if (row.get("mention") is None) == (row.get("text") is None):
        raise BadRowError("expected either a 'mention' or a 'text'", path=source, line=number)
    for name in ("candidates", "history"):
        ids = row.get(name) or []
        if not isinstance(ids, list) or not all(map(is_id, ids)):
            raise BadRowError(f"{name!r}: expected a list of ids", path=source, line=number)
    return row


def _grounded(row: Mapping[str, Any], grounder: Grounder, source: str, number: int) -> dict[str, Any]:
    candidates, history = (tuple(map(str, row.get(name) or ())) for name in ("candidates", "history"))
    context = Context(candidates=candidates, history=history)
    if row.get("mention") is not None:
        return {"id": row["id"], **_told(grounder.ground(row["mention"], context))}
    known = [display_title(grounder.catalog[i].title) for i in history if i in grounder.catalog]
    try:
        found = ground_answer(
            row["text"],
            grounder,
            side=row.get("side"),
            context=context,
            echo=known,
            cut=row.get("finish_reason") == "length",
        )
    except ConfigError as error:
        raise BadRowError(error.message, path=source, line=number, hint=error.hint) from error
    return {"id": row["id"], "items": list(item_ids(found)), "mentions": [_mention(one) for one in found]}


def _mention(one: Grounded) -> dict[str, Any]:
    mention = one.mention
    return {"text": mention.text, "start": mention.start, "end": mention.end, **_told(one.match)}


def _told(match: Match) -> dict[str, Any]:
    return {
        "item_id": match.item_id,
        "score": round(match.score, 6),
        "method": match.method,
        "reason": match.reason,
        "alternatives": list(match.alternatives),
    }


def _encoded(result: dict[str, Any]) -> bytes:
    try:
        return json.dumps(result, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON allows and UTF-8 does not
        return json.dumps(result).encode()


_FEW = 100


def ground_fit(
    catalog: Annotated[Path, typer.Option(help="The catalog: .csv, .tsv, .jsonl or .parquet.")],
    source: Annotated[
        str,
        typer.Option("--in", help="JSON lines with mention and item_id (null: not in the catalog); - is stdin."),
    ],
    target: Annotated[Path, typer.Option("--out", help="Where the weights go, as JSON.")],
    id_column: Annotated[str, typer.Option("--id", help="The catalog's column of ids.")] = "id",
    title_column: Annotated[str, typer.Option("--title", help="The catalog's column of titles.")] = "title",
    strength: Annotated[
        float, typer.Option(help="How firmly the shipped weights hold: a Gaussian prior's precision.", min=1e-6)
    ] = 0.7,
    threshold: Annotated[
        float | None, typer.Option(help="The least probability of a match; the shipped one by default.")
    ] = None,
) -> None:
    """Fits the grounding to labelled mentions of a catalog, and says how far its probabilities hold.

    The table is cross-fitted: each fifth of the items is judged by weights that have not seen it. Use the weights
    with `zsrec ground --calibration`. A few hundred labels are enough; take real answers, and label what the
    catalog lacks as well.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold is {threshold}, expected between 0 and 1", hint="for example 0.45")
    items = Catalog.from_file(catalog, id=id_column, title=title_column)
    labelled = _labels(source, items)
    prior = Calibration.default()
    if threshold is not None:
        prior = replace(prior, threshold=threshold)
    grounder = Grounder(items, calibration=prior)
    before = [(label, grounder.ground(label.mention)) for label in labelled]
    after = cross_fitted(grounder, labelled, prior=prior, strength=strength)
    fit_calibration([(grounder, labelled)], prior=prior, strength=strength).save(target)
    absent = sum(label.item_id is None for label in labelled)
    typer.echo(f"{len(labelled)} labels, {absent} of them not in the catalog")
    if len(labelled) < _FEW or not absent:
        typer.echo("few labels, or none that the catalog lacks: take the figures below with care")
    typer.echo(f"F1 with abstention: {f1(before):.3f} with the shipped weights, {f1(after):.3f} cross-fitted")
    _table(after)
    typer.echo(f"weights fitted on all labels: {target}")


def _table(judged: list[tuple[Labelled, Match]]) -> None:
    scored = [
        (match.score, match.item_id == label.item_id) for label, match in judged if match.item_id is not None
    ]
    table, error = reliability(scored)
    typer.echo(f"{len(scored)} matches, expected calibration error {error:.3f}")
    typer.echo("score     matches  mean score  share right")
    for row in table:
        typer.echo(f"{row.low:.1f}-{row.high:.1f} {row.matches:9d} {row.mean_score:11.3f} {row.share_right:12.3f}")


def _labels(source: str, items: Catalog) -> list[Labelled]:
    """The labels of a file; the first wrong line ends the reading, since a fit on half of them misleads.

    Raises:
        BadRowError: A line is no label, or names an item that the catalog lacks.
        ConfigError: There is none.
    """
    found: list[Labelled] = []
    with opened(source, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = json_object(line, source, number)
            mention, item_id, weight = row.get("mention"), row.get("item_id"), row.get("weight", 1.0)
            if not isinstance(mention, str) or not mention.strip():
                raise BadRowError(f"'mention': expected a text, found {kind(mention)}", path=source, line=number)
            if "item_id" not in row or not (item_id is None or is_id(item_id)):
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
