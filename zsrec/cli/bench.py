"""`zsrec bench`: benchmarks of retrievers, prompts and models."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from pydantic import ValidationError

from zsrec.cli import options
from zsrec.cli.bench_conversations import conversations
from zsrec.cli.bench_lists import external_lists, own_tables, split_command
from zsrec.cli.bench_options import RunOptions
from zsrec.cli.console import TerminalWatch, err, print_line
from zsrec.cli.data import fetched
from zsrec.cli.offline import check_asks, read_replies, show_requests
from zsrec.cli.options import (
    CatalogOptions,
    RequiredCatalog,
    accepting,
    comma_separated,
    cut_offs,
    examples,
    expand_groups,
    named_by,
    option,
    two_columns,
)
from zsrec.cli.tables import show, show_comparison
from zsrec.core.embedding import default_embedder
from zsrec.core.errors import ConfigError
from zsrec.core.files import sha256
from zsrec.core.settings import Keep, Settings
from zsrec.core.types import Frozen
from zsrec.data.download import SETS, named
from zsrec.data.readers import read_targets
from zsrec.evaluation.benchmark import Task, add_requests, in_folder, in_memory, rebuild
from zsrec.evaluation.comparison import RunComparison, compare
from zsrec.evaluation.datasets import Data, from_movielens
from zsrec.evaluation.llm_methods import NAMED, PRIOR, LLMMethod
from zsrec.evaluation.protocols import check, problems
from zsrec.evaluation.report import Prices, Report
from zsrec.evaluation.report_export import export
from zsrec.evaluation.retention import days_old, scrub
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.splits import Split, held_out
from zsrec.llm.offline import RecordedReplies, RequestFolder
from zsrec.prompts import Template, load_template
from zsrec.retrieval.base import Method
from zsrec.retrieval.by_name import ALL, CONFIGS, Configs, methods
from zsrec.retrieval.semantic import Vectors, item_vectors
from zsrec.retrieval.trained import NAMES as TRAINED

AnyConfig = TypeVar("AnyConfig", bound=Frozen)

app = typer.Typer(help="Benchmarks: full catalog, no leakage, intervals, paired tests.", no_args_is_help=True)
OLD_NAMES = {"--candidates": "--retriever", "--items": "--catalog", "--item-columns": "--id --title"}
app.command(cls=accepting(OLD_NAMES))(conversations)
app.command("split", cls=accepting(OLD_NAMES))(split_command)


@app.command(
    name="run",
    cls=accepting(OLD_NAMES),
    epilog=examples(
        "zsrec bench run --interactions sales.csv --catalog books.csv --domain books --methods pop,itemknn",
        "zsrec bench run --interactions sales.csv --catalog books.csv --methods pop,label --users 99 --out RUN",
    ),
)
@expand_groups
def bench_run(
    interactions: Annotated[Path, option("A table of user, item and timestamp.")],
    catalog: RequiredCatalog,
    run: RunOptions,
    columns: options.EventColumns = "user,item,timestamp",
    targets: Annotated[Path | None, option("A table of user and item: your own held-out items.")] = None,
    target_columns: Annotated[str | None, option("The targets' columns; by default as --columns.")] = None,
) -> None:
    """Rank the whole catalog for every user and look up the rank of a held-out item.

    Ratings are not used. Rows whose item is not in the catalog are skipped and counted; more than 5% is an error.
    """
    other = run.strict_time or run.tie_orders > 1 or run.protocol != "leave-one-out"
    if targets is not None and (other or run.events is not None or run.at):
        raise ConfigError(
            "--targets goes with neither --strict-time nor --tie-orders nor another protocol",
            hint="leave them out",
        )
    _check(run)
    data = own_tables(interactions, catalog, columns)
    if targets is None:
        problems_ = _problems(data, run)
    else:
        user, item = two_columns(target_columns or columns, "--target-columns")
        with named_by("--target-columns", targets):
            chosen = read_targets(targets, data.interactions.items, user=user, item=item, **catalog.text)
        problems_ = [held_out(data.interactions, chosen, seed=run.seed)]
        data.files[f"targets {targets.name}"] = sha256(targets)
    show(carry_out(data, problems_, run, table_arguments(catalog, columns)))


@app.command(
    cls=accepting(OLD_NAMES),
    epilog=examples(
        "zsrec bench movielens latest-small --methods pop,itemknn",
        "zsrec bench movielens latest-small --methods itemknn,generate --users 200 --probe 50 --out RUN",
    ),
)
@expand_groups
def movielens(
    run: RunOptions,
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SETS)}, or a folder or zip.")] = "latest-small",
    target: options.SetsFolder = None,
) -> None:
    """Run the benchmark on a MovieLens set.

    It is `zsrec bench run` with the set's files and columns. The set's own licence applies: research use, cite
    Harper & Konstan (2015); the report's notes have both.
    """
    _check(run)
    data = movielens_data(name, target)
    show(carry_out(data, _problems(data, run), run))


@app.command(name="report")
def bench_report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
    export_to: Annotated[
        Path | None,
        option("Also write each table as CSV and LaTeX, each figure as SVG and PNG, here.", "--export"),
    ] = None,
) -> None:
    """Rebuild metrics.json, report.md and report.html from a run's folder, without a server."""
    prices = None if price_in is None and price_out is None else Prices(price_in, price_out)
    folder = RunFolder(run)
    found = rebuild(folder, prices)
    show(found)
    for note in folder.notes:
        print_line(note, "yellow")
    print_line(f"{run / 'report.html'}")
    if export_to is not None:
        files = export(found, export_to)
        print_line(f"{len(files)} files in {export_to}")


@app.command(name="scrub")
def bench_scrub(
    runs: Annotated[list[Path], typer.Argument(help="Folders of complete runs.")],
    keep: Annotated[Keep, option("'answers' keeps the model's answers, 'none' nothing.")] = "none",
    older_than: Annotated[float | None, option("Only runs with no request for so many days.", min=0)] = None,
    unfinished: Annotated[bool, option("Also incomplete runs; they would ask again.", "--unfinished")] = False,
) -> None:
    """Remove users' histories and ids from the folders of runs; reports can still be rebuilt.

    Users get pseudonyms with the key in ZSREC_HASH_KEY; without it, with a random key that is not stored, and
    then runs can no longer be compared user by user. docs/security.md says what stays.
    """
    key = Settings.load().hash_key
    for run in runs:
        folder = RunFolder(run)
        if older_than is not None and days_old(folder) < older_than:
            print_line(f"{run}: younger than {older_than:g} days, not changed")
            continue
        found = scrub(
            folder, keep, hash_key=None if key is None else key.get_secret_value(), unfinished=unfinished
        )
        print_line(f"{run}: keeps {found}")


@app.command(name="compare")
def bench_compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on the same data.")],
    methods_: options.OnlyMethods = "",
    against: options.Against = None,
    seed: options.Seed = 0,
    json_path: options.ReportFile = None,
) -> None:
    """Compare methods, models or templates of several runs user by user.

    Tests are paired and corrected for the number of pairs.
    """
    folders = [RunFolder(run) for run in runs]
    found = compare(folders, only=comma_separated(methods_), against=against, seed=seed)
    if json_path is not None:
        _write(found, json_path)
    show_comparison(found)


def table_arguments(catalog: CatalogOptions, columns: str) -> dict[str, Any]:
    """The options of one's own tables that a run's results depend on; those that older runs lack only if given."""
    newer = {"creator": catalog.creator, "aliases": catalog.aliases, "delimiter": catalog.delimiter}
    newer["encoding"] = None if catalog.encoding == "utf-8" else catalog.encoding
    names = f"{catalog.sources().id_column},{catalog.title_column}"
    return {"columns": columns, "item_columns": names, "domain": catalog.domain or "items"} | {
        name: value for name, value in newer.items() if value is not None
    }


def movielens_data(name: str, target: Path | None = None) -> Data:
    """A MovieLens set by the path of its folder or zip, or by its name; then it is downloaded if need be."""
    return from_movielens(Path(name) if Path(name).exists() else fetched(named(name), target))


def carry_out(
    data: Data, problems: Sequence[Split], run: RunOptions, more: Mapping[str, Any] | None = None
) -> Report:
    """Run a benchmark, in a folder if one was named or an LLM takes part."""
    own = None if run.vectors is None else read_vectors(run.vectors, len(data.catalog))
    files = dict(data.files)
    if run.vectors is not None:
        files[f"vectors {run.vectors.name}"] = sha256(run.vectors)

    def texts() -> Vectors:
        if own is not None:
            return own
        with err.status("embedding the items"):
            return item_vectors(data.catalog, default_embedder(), attributes=run.text_columns.split(","))

    task = _task(data, problems, run, texts)
    with TerminalWatch(task.prices) as watch:
        if run.requests_only is not None:
            settings = Settings.load(base_url=run.base_url, model=run.model)
            requests = RequestFolder(run.requests_only, settings)
            asyncio.run(add_requests(task, requests, watch, settings))
            show_requests(requests)
            raise typer.Exit
        if run.out is None and not _asks_llm(run):
            found = in_memory(task, watch)
        else:
            arguments = run_arguments(run, more) | {"files": files}
            settings = Settings.load(base_url=run.base_url, model=run.model, keep=run.keep)
            folder = RunFolder(run_folder(run, arguments))
            until = "" if settings.keep == "all" else " until the run is complete"
            watch.say(f"the run's folder is {folder.path}; it holds users' histories{until}")
            found = in_folder(task, folder, arguments, watch, settings=settings)
    if run.json is not None:
        _write(found, run.json)
    return found


def run_folder(run: RunOptions, arguments: Mapping[str, Any]) -> Path:
    """The run's folder: the one named, or one named after a hash of everything that was asked for."""
    if run.out is not None:
        return run.out
    names, ks = comma_separated(run.methods), cut_offs(run.k)
    asked = [names, run.template or [], run.retriever, run.pool, run.shuffle, run.newest]
    text = json.dumps([arguments, *asked, ks, run.users, run.probe, run.seed], sort_keys=True, default=str)
    return Path(f"zsrec-bench-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def run_arguments(run: RunOptions, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options that the results depend on and that `zsrec.evaluation.benchmark` does not know itself."""
    at = None if run.at is None else run.at.isoformat()
    names = "protocol events strict_time tie_orders window_days text_columns model"
    names += "".join(f" {name}" for name in CONFIGS)
    found = {name: getattr(run, name) for name in names.split()} | {"at": at} | dict(more or {})
    given = {"replies": run.replies or (), "lists": run.lists or ()}
    files = {
        kind: [(name, sha256(Path(file))) for name, _, file in (one.partition("=") for one in named)]
        for kind, named in given.items()
    }
    return found | {kind: named for kind, named in files.items() if named}


def read_vectors(path: Path, items: int) -> Vectors:
    """The item vectors in a file, scaled to length 1; shape (items, d)."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no readable .npy file: {error}", hint="write it with numpy.save") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or len(found) != items or found.dtype.kind != "f":
        shape = getattr(found, "shape", "several arrays")
        raise ConfigError(
            f"{path}: expected floats of shape ({items}, d), found {shape}", hint="one row per item, in file order"
        )
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _configs(run: RunOptions) -> Configs:
    given: dict[str, Any] = {
        name: parameters(kind, text, f"--{name}")
        for name, kind in CONFIGS.items()
        if (text := getattr(run, name)) is not None
    }
    return Configs(window_days=run.window_days, **given)


def parameters(kind: type[AnyConfig], text: str, option: str) -> AnyConfig:
    """A method's parameters in a text such as `epochs=20,factors=64`.

    Raises:
        ConfigError: One is unknown or does not fit.
    """
    given = [part.partition("=") for part in comma_separated(text)]
    try:
        return kind.model_validate({name.strip(): value.strip() for name, _, value in given})
    except ValidationError as error:
        known = ", ".join(kind.model_fields)
        raise ConfigError(f"{option} is {text!r}", hint=f"write NAME=VALUE,… of {known}") from error


def _asks_llm(run: RunOptions) -> bool:
    return bool(run.template) or run.probe > 0 or any(name in NAMED for name in comma_separated(run.methods))


def _check(run: RunOptions) -> None:
    check_asks(run.replies, run.requests_only, ", ".join(NAMED), asks=_asks_llm(run))
    check(run.protocol, **_splitting(run), asks_llm=_asks_llm(run))
    if run.strict_time and any(name in TRAINED for name in comma_separated(run.methods)):
        raise ConfigError(
            f"--strict-time does not go with {' and '.join(TRAINED)}: they would be trained for each user",
            hint="leave one of them out",
        )


def _problems(data: Data, run: RunOptions) -> list[Split]:
    return problems(run.protocol, data.interactions, seed=run.seed, **_splitting(run))


def _splitting(run: RunOptions) -> dict[str, Any]:
    return {name: getattr(run, name) for name in ("tie_orders", "strict_time", "events", "at")}


def _task(data: Data, problems: Sequence[Split], run: RunOptions, texts: Callable[[], Vectors]) -> Task:
    names = comma_separated(run.methods)
    without_llm = [name for name in names if name not in NAMED]
    if unknown := [name for name in without_llm if name not in ALL]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(options.ALL_METHODS)}")
    templates = [(name, load_template(NAMED[name])) for name in names if name in NAMED]
    templates += _named_templates(run)
    if len(dict(templates)) < len(templates):
        raise ConfigError("two LLM methods have one name", hint="name each template once, and one of each name")
    made: Mapping[str, Method] = {}
    skipped: dict[str, str] = {}
    lists = external_lists(run.lists, data.interactions.items)
    if without_llm or not (templates or lists):
        made, skipped = methods(without_llm, texts, data.catalog, _configs(run))
    if taken := [name for name in lists if name in made or name in dict(templates)]:
        raise ConfigError(f"--lists {taken[0]}=… has the name of a method", hint="write another name")
    made = {**made, **lists}
    sources: list[RecordedReplies | None] = [*read_replies(run.replies)] or [None]
    source: Method | None = None
    if any(template.task == "rank" for _, template in templates):
        source = methods([run.retriever], texts, data.catalog, _configs(run))[0][run.retriever]
    return Task(
        data=data.name,
        catalog=data.catalog,
        problems=problems,
        methods=made,
        llm_methods=[
            method if replies is None else replace(method, name=f"{method.name}[{replies.name}]", replies=replies)
            for replies in sources
            for method in (_llm_method(name, one, source, run) for name, one in templates)
        ],
        ks=cut_offs(run.k),
        users=run.users,
        questions=run.probe,
        seed=run.seed,
        skipped=skipped,
        notes=data.notes,
        prices=Prices(run.price_in, run.price_out),
    )


def _named_templates(run: RunOptions) -> list[tuple[str, Template]]:
    """The templates of `--template` by name; if two have one name, by folder and file name."""
    loaded = [(given, load_template(given, run.prompts)) for given in run.template or []]
    counts = Counter(template.ref.name for _, template in loaded)
    return [
        (template.ref.name if counts[template.ref.name] == 1 else "/".join(Path(given).parts[-2:]), template)
        for given, template in loaded
    ]


def _llm_method(name: str, template: Template, source: Method | None, run: RunOptions) -> LLMMethod:
    if template.task not in ("generate", "rank"):
        raise ConfigError(
            f"the template {template.ref} is of the task {template.task!r}",
            hint="a benchmark needs a template of the task generate or rank",
        )
    ranks = template.task == "rank"
    return LLMMethod(
        name=name,
        template=template,
        source=run.retriever if ranks else None,
        retriever=source if ranks else None,
        pool=run.pool,
        shuffled=run.shuffle and ranks,
        newest=run.newest,
        prior=name in NAMED and name.endswith(PRIOR),
    )


def _write(found: Report | RunComparison, path: Path) -> None:
    try:
        path.write_text(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint="check --json") from error
