"""`zsrec bench`: how good candidates, prompts and models are, measured so that it can be believed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from zsrec.cli import options
from zsrec.cli.console import TerminalWatch, err, out, plain
from zsrec.cli.console import out as console
from zsrec.cli.data import fetched
from zsrec.cli.options import Wanted, columns, cut_offs, names
from zsrec.core.embedding import default_embedder
from zsrec.core.errors import ConfigError
from zsrec.core.files import sha256
from zsrec.core.settings import Keep, Settings
from zsrec.data.download import SETS, named
from zsrec.data.readers import Columns, read_targets
from zsrec.evaluation.benchmark import Task, in_folder, in_memory, rebuild
from zsrec.evaluation.comparison import RunComparison, compare
from zsrec.evaluation.datasets import Data, from_movielens, from_tables
from zsrec.evaluation.llm_methods import NAMED, PRIOR, LLMMethod
from zsrec.evaluation.protocols import problems
from zsrec.evaluation.report import LLMReport, MethodReport, Prices, Report
from zsrec.evaluation.report_markdown import measure
from zsrec.evaluation.retention import days_old, scrub
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.splits import Split, held_out
from zsrec.prompts import Template, load_template
from zsrec.retrieval.base import Method
from zsrec.retrieval.registry import ALL, NAMES, methods
from zsrec.retrieval.semantic import Vectors, item_vectors
from zsrec.retrieval.trained import EaseConfig, SasRecConfig


def show(found: Report) -> None:
    """Shows the table of metrics, what an LLM cost and did wrong, and the comparisons in NDCG."""
    keys = found.metrics
    table = Table(box=None, pad_edge=False)
    for name in ("method\nmode", "users", *keys, "ms p50\np95"):
        table.add_column(name, justify="left" if name.startswith("method") else "right", no_wrap=True)
    for one in found.methods:
        cells = [f"{e.mean:.4f}\n{e.low:.3f}–{e.high:.3f}" for e in (one.metrics[key] for key in keys)]
        named = Text("\n").join([plain(one.method), Text(one.mode, style="dim")])
        table.add_row(named, f"{one.users:,}", *cells, _times(one))
    out.print(table)
    _show_lists(found)
    for one in found.methods:
        if one.llm is not None:
            for line in (*_asked(one.llm), f"the model recites: {found.recites}"):
                out.print(plain(f"{one.method}: {line}"), soft_wrap=True)
    lines = [f"{one.method}: {note}" for one in found.methods for note in one.notes]
    lines += [f"{name}: left out: {why}" for name, why in found.skipped.items()]
    for line in lines:
        out.print(plain(line), style="yellow", soft_wrap=True)
    for pair in found.comparisons:
        if "NDCG@" in pair.metric:
            interval = f"[{pair.low:+.4f}, {pair.high:+.4f}]"
            tests = f"p = {pair.p:.4f}, corrected {pair.p_holm:.4f}"
            text = f"{pair.metric} {pair.a} − {pair.b}: {pair.difference:+.4f} {interval}, {tests}"
            out.print(Text(text), soft_wrap=True)
    for line in (f"{found.users:,} users, {found.items:,} items. {found.protocol}", *found.notes):
        out.print(plain(line), style="dim", soft_wrap=True)


def _show_lists(found: Report) -> None:
    names = found.list_measures
    if not names:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("lists", *names):
        table.add_column(name, justify="left" if name == "lists" else "right", no_wrap=True)
    for one in found.methods:
        if one.lists is not None:
            found_here = one.lists.measures
            cells = [measure(name, found_here[name]) if name in found_here else "" for name in names]
            table.add_row(plain(one.method), *(cell.replace(" [", "\n[") for cell in cells))
    out.print(table)


def show_comparison(found: RunComparison) -> None:
    """Shows what several runs say against each other: means, and a verdict for every pair and metric."""
    keys = list(next(iter(found.methods.values())))
    table = Table(box=None, pad_edge=False)
    for name in ("method", "users", *keys):
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=name != "method")
    for name, metrics in found.methods.items():
        cells = [f"{e.mean:.4f}\n{e.low:.3f}–{e.high:.3f}" for e in metrics.values()]
        table.add_row(plain(name), f"{found.users[name]:,}", *cells)
    out.print(table)
    for pair in found.comparisons:
        out.print(plain(pair.verdict), soft_wrap=True)
    for line in (*found.same, found.tests):
        out.print(plain(line), style="dim", soft_wrap=True)


def _times(one: MethodReport) -> str:
    return "" if one.seconds is None else f"{one.seconds.p50 * 1e3:.2f}\n{one.seconds.p95 * 1e3:.2f}"


def _asked(llm: LLMReport) -> Iterator[str]:
    cost = "" if llm.cost is None else f", cost {llm.cost.mean:.6f}"
    yield f"{llm.prompt_tokens.mean:,.0f} + {llm.completion_tokens.mean:,.0f} tokens a user{cost}"
    yield ", ".join(f"{name} {rate.mean:.1%}" for name, rate in llm.rates.items())
    for pair in llm.lift:
        if pair.metric.startswith("NDCG"):
            yield pair.verdict


app = typer.Typer(help="Benchmarks: full catalog, no leakage, intervals, paired tests.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Benchmarks."""  # a callback keeps `run` a command of its own while it is the only one


@app.command(name="run")
def bench_run(
    interactions: Annotated[Path, typer.Option(help="A table of user, item and timestamp.")],
    items: Annotated[Path, typer.Option(help="A table of items with id and title: the catalog.")],
    method_names: options.Names = ",".join(NAMES),
    protocol: options.Protocol = "leave-one-out",
    events: options.Events = None,
    at: options.At = None,
    targets: Annotated[
        Path | None, typer.Option(help="A table of user, item: your own held-out item per user.")
    ] = None,
    k: options.CutOffs = "10",
    columns_: Annotated[str, typer.Option("--columns", help="The interactions' columns.")] = "user,item,timestamp",
    item_columns: Annotated[str, typer.Option(help="The items' columns of id and title.")] = "item,title",
    target_columns: Annotated[
        str | None, typer.Option(help="The targets' columns; those of the interactions by default.")
    ] = None,
    domain: Annotated[str, typer.Option(help="What the items are, in the plural, for prompts.")] = "items",
    text_columns: options.TextColumns = "genres",
    vectors: options.OwnVectors = None,
    window_days: options.WindowDays = None,
    ease: options.Ease = None,
    sasrec: options.SasRec = None,
    strict_time: options.StrictTime = False,
    tie_orders: options.TieOrders = 1,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    users: options.Users = None,
    template: options.Templates = None,
    candidates: options.Source = "itemknn",
    pool: options.Pool = 20,
    shuffle: options.Shuffled = False,
    newest: options.Newest = 50,
    probe: options.Probe = 0,
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    keep: options.Kept = None,
    json_path: options.Json = None,
) -> None:
    """Ranks the whole catalog for every user and looks where a held-out item stands.

    Ratings are not used. Rows whose item is not in the catalog are counted and passed over, up to 5%.
    """
    if targets is not None and (
        strict_time or tie_orders > 1 or protocol != "leave-one-out" or events is not None or at
    ):
        hint = "leave them out"
        raise ConfigError(
            "--targets goes with neither --strict-time nor --tie-orders nor another protocol", hint=hint
        )
    if json_path is not None and not json_path.parent.is_dir():
        raise ConfigError(f"{json_path} cannot be written: there is no such folder", hint="check --json")
    more = {"columns": columns_, "item_columns": item_columns, "domain": domain}
    wanted = Wanted(
        names=names(method_names), ks=cut_offs(k), out=out, json=json_path, seed=seed, strict_time=strict_time,
        tie_orders=tie_orders, window_days=window_days, text_columns=text_columns, vectors=vectors,
        templates=template or [], source=candidates, pool=pool, shuffled=shuffle, newest=newest, users=users,
        questions=probe, prices=Prices(price_in, price_out), base_url=base_url, model=model, more=more,
        protocol=protocol if targets is None else None, events=events, at=at, ease=ease, sasrec=sasrec,
        keep=keep,
    )  # fmt: skip
    data = own_tables(interactions, items, columns_, item_columns, domain)
    if targets is None:
        asked = _problems(data, protocol, wanted)
    else:
        which = columns(target_columns or columns_, "--target-columns", 2)[:2]
        known = data.interactions
        chosen = read_targets(targets, known.items, user=which[0], item=which[1])
        asked = [held_out(known, chosen, seed=seed)]
        data.files[f"targets {targets.name}"] = sha256(targets)
    show(carry_out(data, asked, wanted))


@app.command()
def movielens(
    name: Annotated[
        str, typer.Argument(help=f"A set ({', '.join(SETS)}), or the folder or zip of one.")
    ] = "latest-small",
    target: Annotated[
        Path | None, typer.Option("--to", help="Where fetched sets are kept; zsrec's cache folder by default.")
    ] = None,
    method_names: options.Names = ",".join(NAMES),
    protocol: options.Protocol = "leave-one-out",
    events: options.Events = None,
    at: options.At = None,
    k: options.CutOffs = "10",
    vectors: options.OwnVectors = None,
    ease: options.Ease = None,
    sasrec: options.SasRec = None,
    strict_time: options.StrictTime = False,
    tie_orders: options.TieOrders = 1,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    users: options.Users = None,
    template: options.Templates = None,
    candidates: options.Source = "itemknn",
    pool: options.Pool = 20,
    shuffle: options.Shuffled = False,
    newest: options.Newest = 50,
    probe: options.Probe = 0,
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
    seed: options.Seed = 0,
    out: options.Out = None,
    keep: options.Kept = None,
    json_path: options.Json = None,
) -> None:
    """Runs the benchmark on MovieLens: `zsrec bench run` with its files and columns filled in.

    The set's own licence applies: research use, cite Harper & Konstan (2015); the report's notes have both.
    """
    wanted = Wanted(
        names=names(method_names), ks=cut_offs(k), out=out, json=json_path, seed=seed, strict_time=strict_time,
        tie_orders=tie_orders, vectors=vectors, templates=template or [], source=candidates, pool=pool,
        shuffled=shuffle, newest=newest, users=users, questions=probe, prices=Prices(price_in, price_out),
        base_url=base_url, model=model, protocol=protocol, events=events, at=at, ease=ease, sasrec=sasrec,
        keep=keep,
    )  # fmt: skip
    data = movielens_data(name, target)
    show(carry_out(data, _problems(data, protocol, wanted), wanted))


@app.command(name="report")
def bench_report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
) -> None:
    """Makes metrics.json, report.md and report.html again from a run's folder; no server is needed."""
    prices = None if price_in is None and price_out is None else Prices(price_in, price_out)
    show(rebuild(RunFolder(run), prices))
    console.print(plain(f"{run / 'report.html'}"), soft_wrap=True)


@app.command(name="scrub")
def bench_scrub(
    runs: Annotated[list[Path], typer.Argument(help="Folders of complete runs.")],
    keep: Annotated[
        Keep, typer.Option(help="answers: the model's answers stay; none: neither requests nor answers.")
    ] = "none",
    older_than: Annotated[
        float | None, typer.Option(help="Only runs in which so many days nothing was asked.", min=0)
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also runs that are not complete; they ask again.")
    ] = False,
) -> None:
    """Removes users' histories and ids from runs' folders; their reports can still be made again.

    Users get pseudonyms of the key in ZSREC_HASH_KEY; without one, of a key that is thrown away, and then runs can
    no longer be compared user by user. docs/security.md says what stays.
    """
    key = Settings.load().hash_key
    for run in runs:
        folder = RunFolder(run)
        if older_than is not None and days_old(folder) < older_than:
            console.print(plain(f"{run}: younger than {older_than:g} days, left as it is"), soft_wrap=True)
            continue
        found = scrub(
            folder, keep, hash_key=None if key is None else key.get_secret_value(), unfinished=unfinished
        )
        console.print(plain(f"{run}: keeps {found}"), soft_wrap=True)


@app.command(name="compare")
def bench_compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on the same data.")],
    method_names: Annotated[str, typer.Option("--methods", help="Only these, with commas between.")] = "",
    against: Annotated[str | None, typer.Option(help="Compare all others with this method only.")] = None,
    seed: options.Seed = 0,
    json_path: options.Json = None,
) -> None:
    """Compares methods, models or templates of several runs user by user, corrected for the number of pairs."""
    found = compare([RunFolder(run) for run in runs], only=names(method_names), against=against, seed=seed)
    if json_path is not None:
        _write(found, json_path)
    show_comparison(found)


def register(main: typer.Typer) -> None:
    """Adds the commands to the application."""
    main.add_typer(app, name="bench")


def own_tables(interactions: Path, items: Path, columns_: str, item_columns: str, domain: str) -> Data:
    """A caller's own tables, their columns given with commas between.

    Raises:
        ConfigError: Too few columns.
        DataError: A table cannot be read.
    """
    id_column, title = columns(item_columns, "--item-columns", 2)[:2]
    user, item, *rest = columns(columns_, "--columns", 2)
    return from_tables(
        interactions, items, columns=Columns(user=user, item=item, time=rest[0] if rest else None, rating=None),
        item_columns=(id_column, title), domain=domain,
    )  # fmt: skip


def movielens_data(name: str, target: Path | None = None) -> Data:
    """A MovieLens set by the path of its folder or zip, or by its name: then it is fetched where it is missing."""
    return from_movielens(Path(name) if Path(name).exists() else fetched(named(name), target))


def carry_out(data: Data, asked: Sequence[Split], wanted: Wanted) -> Report:
    """Runs what was asked for, in a folder where one is wanted or an LLM takes part.

    Args:
        data: The data.
        asked: What is asked; or one an order of ties.
        wanted: The options.
    """
    own = None if wanted.vectors is None else options.read_vectors(wanted.vectors, len(data.catalog))
    files = dict(data.files)
    if wanted.vectors is not None:
        files[f"vectors {wanted.vectors.name}"] = sha256(wanted.vectors)

    def texts() -> Vectors:
        if own is not None:
            return own
        with err.status("embedding the items"):
            return item_vectors(data.catalog, default_embedder(), attributes=wanted.text_columns.split(","))

    task = _task(data, asked, wanted, texts)
    with TerminalWatch(wanted.prices) as watch:
        if wanted.out is None and not wanted.asks_llm:
            found = in_memory(task, watch)
        else:
            arguments = wanted.arguments() | {"files": files}
            folder = RunFolder(wanted.folder(arguments))
            settings = wanted.settings()
            told = "it holds users' histories" + ("" if settings.keep == "all" else " until the run is complete")
            watch.say(f"the run's folder is {folder.path}; {told}")
            found = in_folder(task, folder, arguments, watch, settings=settings)
    if wanted.json is not None:
        _write(found, wanted.json)
    return found


def _task(data: Data, asked: Sequence[Split], wanted: Wanted, texts: options.GetVectors) -> Task:
    plain = [name for name in wanted.names if name not in NAMED]
    asking = [name for name in wanted.names if name in NAMED]
    if unknown := [name for name in plain if name not in ALL]:
        raise ConfigError(f"unknown method {unknown[0]!r}", hint=f"known: {', '.join(options.ALL)}")
    templates = [(name, load_template(NAMED[name])) for name in asking]
    templates += _by_name(wanted)
    if len(dict(templates)) < len(templates):
        raise ConfigError("two LLM methods have one name", hint="name each template once, and one of each name")
    made: Mapping[str, Method] = {}
    skipped: dict[str, str] = {}
    if plain or not templates:
        made, skipped = methods(
            plain,
            texts,
            window_days=wanted.window_days,
            ease=options.hyper_parameters(EaseConfig, wanted.ease, "--ease"),
            sasrec=options.hyper_parameters(SasRecConfig, wanted.sasrec, "--sasrec"),
        )
    source: Method | None = None
    if any(template.task == "rank" for _, template in templates):
        source = methods([wanted.source], texts, window_days=wanted.window_days)[0][wanted.source]
    return Task(
        data=data.name,
        catalog=data.catalog,
        problems=asked,
        methods=made,
        llm_methods=[_llm_method(name, one, source, wanted) for name, one in templates],
        ks=wanted.ks,
        users=wanted.users,
        questions=wanted.questions,
        seed=wanted.seed,
        skipped=skipped,
        notes=data.notes,
        prices=wanted.prices,
    )


def _by_name(wanted: Wanted) -> list[tuple[str, Template]]:
    """The further templates by their names; files of one name, as two versions have it, by their folders too."""
    loaded = [(given, load_template(given, wanted.prompts)) for given in wanted.templates]
    counts = Counter(template.ref.name for _, template in loaded)
    return [
        (template.ref.name if counts[template.ref.name] == 1 else "/".join(Path(given).parts[-2:]), template)
        for given, template in loaded
    ]


def _llm_method(name: str, template: Template, source: Method | None, wanted: Wanted) -> LLMMethod:
    if template.task not in ("generate", "rank"):
        raise ConfigError(
            f"the template {template.ref} is of the task {template.task!r}",
            hint="a benchmark needs a template of the task generate or rank",
        )
    ranks = template.task == "rank"
    return LLMMethod(
        name=name,
        template=template,
        source=wanted.source if ranks else None,
        retriever=source if ranks else None,
        pool=wanted.pool,
        shuffled=wanted.shuffled and ranks,
        newest=wanted.newest,
        prior=name in NAMED and name.endswith(PRIOR),
    )


def _problems(data: Data, protocol: str, wanted: Wanted) -> list[Split]:
    return problems(
        protocol,
        data.interactions,
        seed=wanted.seed,
        tie_orders=wanted.tie_orders,
        strict_time=wanted.strict_time,
        events=wanted.events,
        at=wanted.at,
    )


def _write(found: Report | RunComparison, path: Path) -> None:
    try:
        path.write_text(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint="check --json") from error
