"""`zsrec prompts compare`: templates against each other on the same real users, with a plain verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from zsrec.cli import options
from zsrec.cli.bench import carry_out, movielens_data, own_tables
from zsrec.cli.console import err, out, plain
from zsrec.cli.options import Folders, Wanted
from zsrec.core.errors import ConfigError
from zsrec.data.download import SETS
from zsrec.evaluation.datasets import Data
from zsrec.evaluation.protocols import problems
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.template_comparison import Comparing, compare_templates, written
from zsrec.prompts import load_template


def compare(
    templates: Annotated[list[str], typer.Argument(help="Two or more templates, by name or path.")],
    users: Annotated[
        int, typer.Option(help="How many users are asked for, drawn by hash of their ids.", min=2)
    ] = 100,
    data: Annotated[
        str | None,
        typer.Option(
            help=f"A MovieLens set ({', '.join(SETS)}), or the folder or zip of one; latest-small by default."
        ),
    ] = None,
    interactions: Annotated[
        Path | None, typer.Option(help="Instead: a table of user, item and timestamp, with --items.")
    ] = None,
    items: Annotated[Path | None, typer.Option(help="A table of items with id and title: the catalog.")] = None,
    columns_: Annotated[str, typer.Option("--columns", help="The interactions' columns.")] = "user,item,timestamp",
    item_columns: Annotated[str, typer.Option(help="The items' columns of id and title.")] = "item,title",
    domain: Annotated[str, typer.Option(help="What the items are, in the plural, for prompts.")] = "items",
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    against: Annotated[
        str | None, typer.Option(help="Compare all others with this template only: fewer pairs, less correction.")
    ] = None,
    candidates: options.Source = "itemknn",
    pool: options.Pool = 20,
    shuffle: options.Shuffled = False,
    newest: options.Newest = 50,
    k: Annotated[int, typer.Option("-k", "--k", help="The length of the lists.", min=1)] = 10,
    seed: options.Seed = 0,
    prompts: Folders = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", help="The run's folder; the same command goes on in it. Made up if missing."),
    ] = None,
    keep: options.Kept = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Compare templates on the same users: what each finds, gets wrong and costs, with a verdict.

    Each user's last item is held out and nothing of it is told. Templates of the task rank choose from the same
    candidates; any other has the whole catalog before it. Every reply is kept in the run's folder, so a killed
    comparison goes on, and `zsrec bench report` makes the whole report of it.
    """
    if len(templates) < 2:
        raise ConfigError("one template has nothing to be compared with", hint="name two or more")
    wanted = Wanted(
        names=[], ks=[k], templates=templates, prompts=prompts, source=candidates, pool=pool, shuffled=shuffle,
        newest=newest, users=users, base_url=base_url, model=model, seed=seed, keep=keep,
        more={"columns": columns_, "item_columns": item_columns, "domain": domain} if interactions else {},
    )  # fmt: skip
    read = _read(data, interactions, items, columns_, item_columns, domain)
    texts = [load_template(one, prompts).ref.sha256 for one in templates]  # an edited template is another run
    folder = out_ or wanted.folder(wanted.arguments() | {"files": read.files, "templates": texts})
    asked = problems("leave-one-out", read.interactions, seed=seed)
    carry_out(read, asked, replace(wanted, out=folder))
    found = compare_templates(RunFolder(folder), against=against)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        show(found)
        err.print(plain(f"the whole report: {folder / 'report.html'}"), style="dim", soft_wrap=True)


def show(found: Comparing) -> None:
    """Shows the means, of two templates every measure, and the verdicts."""
    names = list(next(iter(found.means.values())))
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{found.users:,} users")
    for name in names:
        table.add_column(plain(name), justify="right", overflow="fold")
    percent = {one.comparison.metric for one in found.pairs if one.percent}
    for measure, means in found.means.items():
        cells = []
        for name in names:
            mean = means.get(name)
            numbers = (
                []
                if mean is None
                else [written(v, percent=measure in percent) for v in (mean.mean, mean.low, mean.high)]
            )
            cells.append(f"{numbers[0]}\n{numbers[1]}–{numbers[2]}" if numbers else "")
        table.add_row(measure, *cells)
    out.print(table)
    if len(found.verdicts) == 1:
        for one in found.pairs:
            out.print(plain(one.verdict), soft_wrap=True)
    for verdict in found.verdicts:
        out.print()
        out.print(plain(verdict), style="bold", soft_wrap=True)
    out.print()
    for pair in found.lift:
        if pair.metric.startswith("NDCG"):
            out.print(plain(pair.verdict), soft_wrap=True)
    for line in _remarks(found):
        out.print(plain(line), style="dim", soft_wrap=True)


def _remarks(found: Comparing) -> list[str]:
    lines = [f"{found.data}, model {found.model}. {found.protocol}"]
    lines += [
        f"{name} chooses from {found.pools[name]}; the held-out item is among them for {share:.0%} of the users"
        for name, share in found.reachable.items()
    ]
    lines += ["Every measure of every pair: --json"] if len(found.verdicts) > 1 else []
    return [*lines, found.tests]


def _read(
    data: str | None, interactions: Path | None, items: Path | None, columns_: str, item_columns: str, domain: str
) -> Data:
    if interactions is None and items is None:
        return movielens_data(data or "latest-small")
    if interactions is None or items is None or data is not None:
        raise ConfigError(
            "data of your own are --interactions and --items together, without --data", hint="give both tables"
        )
    return own_tables(interactions, items, columns_, item_columns, domain)
