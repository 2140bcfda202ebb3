"""`zsrec ground-fit`: the grounding's weights fitted to labels of another catalog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from zsrec.catalog import Catalog
from zsrec.cli.lines import is_id, json_object, kind, opened
from zsrec.errors import BadRowError, ConfigError
from zsrec.ground import Grounder
from zsrec.ground.calibration import Calibration
from zsrec.ground.fit import Labelled, cross_fitted, f1, fit_calibration, reliability
from zsrec.types import Match

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


def register(app: typer.Typer) -> None:
    """Adds the command `ground-fit` to the application."""
    app.command("ground-fit")(ground_fit)


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
