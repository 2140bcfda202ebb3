"""`zsrec bench`: how good the candidates are, measured so that it can be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from zsrec.candidates import Ids, Reading, item_vectors, read_interactions
from zsrec.candidates.semantic import Vectors
from zsrec.catalog import Catalog
from zsrec.cli.console import err, out, plain
from zsrec.embed import default_embedder
from zsrec.errors import ConfigError
from zsrec.evals import Report, Split, held_out, leave_one_out, read_targets, report, run
from zsrec.evals.methods import NAMES, methods
from zsrec.interactions import Columns

PROTOCOLS = ("leave-one-out",)
LATER = ("generate", "label", "window")

app = typer.Typer(help="Benchmarks: full catalog, no leakage, intervals, paired tests.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Benchmarks."""  # a callback keeps `run` a command of its own while it is the only one


@app.command(name="run")
def bench_run(
    interactions: Annotated[Path, typer.Option(help="A table of user, item and timestamp.")],
    items: Annotated[Path, typer.Option(help="A table of items with id and title: the catalog.")],
    names: Annotated[str, typer.Option("--methods", help=f"Some of {', '.join(NAMES)}.")] = ",".join(NAMES),
    protocol: Annotated[str, typer.Option(help=f"One of: {', '.join(PROTOCOLS)}.")] = "leave-one-out",
    targets: Annotated[
        Path | None, typer.Option(help="A table of user, item: your own held-out item per user.")
    ] = None,
    k: Annotated[str, typer.Option("-k", "--k", help="Cut-offs, with commas between.")] = "10",
    columns: Annotated[str, typer.Option(help="The interactions' columns.")] = "user,item,timestamp",
    item_columns: Annotated[str, typer.Option(help="The items' columns of id and title.")] = "item,title",
    target_columns: Annotated[
        str | None, typer.Option(help="The targets' columns; those of the interactions by default.")
    ] = None,
    text_columns: Annotated[str, typer.Option(help="Item columns that are embedded after the title.")] = "genres",
    vectors: Annotated[
        Path | None, typer.Option(help="Item vectors of your own: an .npy file, one row an item, in file order.")
    ] = None,
    window_days: Annotated[float | None, typer.Option(help="pop counts only this many last days.")] = None,
    strict_time: Annotated[
        bool, typer.Option("--strict-time", help="Use only what happened before each target. Slow.")
    ] = False,
    tie_orders: Annotated[int, typer.Option(help="Average over so many orders of tied events.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of tie orders, intervals and tests.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the whole report here.")] = None,
) -> None:
    """Ranks the whole catalog for every user and looks where a held-out item stands.

    Ratings are not used. Rows whose item is not in the catalog are counted and passed over, up to 5%.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}", hint=f"known: {', '.join(PROTOCOLS)}")
    if targets is not None and (strict_time or tie_orders > 1):
        raise ConfigError("--targets goes with neither --strict-time nor --tie-orders", hint="leave them out")
    if json_path is not None and not json_path.parent.is_dir():
        raise ConfigError(f"{json_path} cannot be written: there is no such folder", hint="check --json")
    wanted, cut_offs = _names(names), _cut_offs(k)
    id_column, title = _columns(item_columns, "--item-columns", 2)[:2]
    user, item, *rest = _columns(columns, "--columns", 2)
    catalog = Catalog.from_file(items, id=id_column, title=title)
    reading = read_interactions(
        interactions,
        columns=Columns(user=user, item=item, time=rest[0] if rest else None, rating=None),
        catalog=Ids(catalog.ids),
    )
    splits = _splits(
        reading, targets, target_columns or f"{user},{item}", seed, tie_orders, strict_time=strict_time
    )

    own = None if vectors is None else _read_vectors(vectors, len(catalog))  # a broken file stops the run

    def texts() -> Vectors:
        if own is not None:
            return own
        with err.status("embedding the items"):
            return item_vectors(catalog, default_embedder(), attributes=text_columns.split(","))

    made, skipped = methods(wanted, texts, window_days=window_days)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=err, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("users × methods", total=len(splits[0]) * len(splits) * len(made))
        result = run(splits, made, ks=cut_offs, on_user=lambda: bar.advance(task))
    found = report(result, seed=seed, skipped=skipped, notes=_counted(reading))
    if json_path is not None:
        _write(found, json_path)
    _show(found)


def register(main: typer.Typer) -> None:
    """Adds the commands to the application."""
    main.add_typer(app, name="bench")


def _write(found: Report, path: Path) -> None:
    try:
        path.write_text(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint="check --json") from error


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if later := [name for name in names if name in LATER]:
        raise ConfigError(
            f"the method {later[0]!r} asks an LLM; this version measures candidates only",
            hint=f"known: {', '.join(NAMES)}",
        )
    return names


def _cut_offs(text: str) -> list[int]:
    try:
        found = [int(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise ConfigError(f"--k is {text!r}", hint="write whole numbers of at least 1, for example 10 or 5,10")
    return list(dict.fromkeys(found))


def _columns(text: str, option: str, least: int) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) < least or not all(names[:least]):
        raise ConfigError(f"{option} is {text!r}", hint=f"write at least {least} names with commas between")
    return [name for name in names if name]


def _splits(
    reading: Reading, targets: Path | None, target_columns: str, seed: int, orders: int, *, strict_time: bool
) -> list[Split]:
    known = reading.interactions
    if targets is None:
        return [leave_one_out(known, seed=seed + order, strict_time=strict_time) for order in range(orders)]
    user, item = _columns(target_columns, "--target-columns", 2)[:2]
    return [held_out(known, read_targets(targets, known.items, user=user, item=item), seed=seed)]


def _read_vectors(path: Path, items: int) -> Vectors:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no readable .npy file: {error}", hint="write it with numpy.save") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or len(found) != items or found.dtype.kind != "f":
        shape = getattr(found, "shape", "several arrays")
        raise ConfigError(f"{path}: expected floats of shape ({items}, d), found {shape}", hint="one row an item")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _counted(reading: Reading) -> tuple[str, ...]:
    notes = [f"{len(reading.interactions):,} interactions read from {reading.rows:,} rows"]
    if reading.first_unknown is not None:
        line, item = reading.first_unknown
        notes.append(
            f"{reading.unknown:,} rows name items that the catalog lacks (line {line}: {item!r}); left out"
        )
    if reading.repeated:
        notes.append(f"{reading.repeated:,} rows repeat a user and an item; the first contact counts")
    return tuple(notes)


def _show(found: Report) -> None:
    table = Table(box=None, pad_edge=False)
    keys = list(found.methods[0].metrics)
    for name in ("method", "mode", *keys, "ms/user p50", "p95"):
        table.add_column(name, justify="left" if name in ("method", "mode") else "right", no_wrap=True)
    for one in found.methods:
        cells = [f"{e.mean:.4f}\n{e.low:.3f}–{e.high:.3f}" for e in (one.metrics[key] for key in keys)]
        times = (f"{seconds * 1e3:.2f}" for seconds in (one.seconds.p50, one.seconds.p95))
        table.add_row(one.method, one.mode, *cells, *times)
    out.print(table)
    lines = [f"{one.method}: {note}" for one in found.methods for note in one.notes]
    lines += [f"{name}: left out: {why}" for name, why in found.skipped.items()]
    for line in lines:
        out.print(Text(line, style="yellow"), soft_wrap=True)
    for pair in found.comparisons:
        if pair.metric.startswith("NDCG"):
            interval = f"[{pair.low:+.4f}, {pair.high:+.4f}]"
            tests = f"p = {pair.p:.4f}, corrected {pair.p_holm:.4f}"
            line = f"{pair.metric} {pair.a} − {pair.b}: {pair.difference:+.4f} {interval}, {tests}"
            out.print(Text(line), soft_wrap=True)
    for line in (f"{found.users:,} users, {found.items:,} items. {found.protocol}", *found.notes):
        out.print(plain(line), style="dim", soft_wrap=True)
