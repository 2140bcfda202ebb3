"""`zsrec prompts compare`: templates against each other on the same real users, with a plain verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from zsrec.cli import options
from zsrec.cli.bench import carry_out, movielens_data, run_arguments, run_folder, table_arguments
from zsrec.cli.bench_lists import own_tables
from zsrec.cli.bench_options import AskingOptions, RunOptions
from zsrec.cli.console import plain, print_json, print_line, print_table
from zsrec.cli.options import CatalogOptions, expand_groups, option
from zsrec.cli.tables import result_table
from zsrec.core.errors import ConfigError
from zsrec.data.download import SETS
from zsrec.evaluation.protocols import problems
from zsrec.evaluation.run_folder import RunFolder
from zsrec.evaluation.template_comparison import Comparing, compare_templates, written
from zsrec.prompts import load_template
from zsrec.recommender.request import MOST_K


@dataclass(frozen=True)
class ComparedCatalog(CatalogOptions):
    """The catalog of one's own data, which may be absent."""

    catalog: Annotated[Path | None, option("The catalog: CSV, TSV, JSONL or Parquet.", panel=options.CATALOG)] = (
        None
    )


@expand_groups
def compare(
    templates: Annotated[list[str], typer.Argument(help="Two or more templates, by name or path.")],
    asking: AskingOptions,
    catalog: ComparedCatalog,
    users: Annotated[int, option("How many users to ask for, drawn by hash of their ids.", min=2)] = 100,
    k: Annotated[int, option("The length of the lists.", "-k", "--k", min=1, max=MOST_K)] = 10,
    against: options.Against = None,
    data: Annotated[
        str | None,
        option(
            f"A MovieLens set ({', '.join(SETS)}), or the folder or zip of one; by default latest-small.",
            panel=options.CATALOG,
        ),
    ] = None,
    interactions: Annotated[
        Path | None, option("Instead: a table of user, item and timestamp, with --catalog.", panel=options.CATALOG)
    ] = None,
    columns: options.EventColumns = "user,item,timestamp",
    as_json: options.JsonToStdout = False,
) -> None:
    """Compare templates on the same users: what each finds, gets wrong and costs, with a verdict.

    Each user's last item is held out and never sent. Ranking templates choose from the same candidates, all others
    from the whole catalog. Replies are kept in the run's folder: the same command continues a comparison that was
    killed, and `zsrec bench report` makes the whole report.
    """
    if len(templates) < 2:
        raise ConfigError("one template has nothing to be compared with", hint="name two or more")
    run = RunOptions(**vars(asking), methods="", template=templates, users=users, k=str(k))
    more = table_arguments(catalog, columns) if interactions else {}
    if interactions is None and catalog.catalog is None:
        found = movielens_data(data or "latest-small")
    elif interactions is None or catalog.catalog is None or data is not None:
        raise ConfigError(
            "your own data are --interactions and --catalog together, without --data", hint="give both tables"
        )
    else:
        found = own_tables(interactions, catalog, columns)
    texts = [load_template(one, run.prompts).ref.sha256 for one in templates]  # an edited template is another run
    folder = run_folder(run, run_arguments(run, more) | {"files": found.files, "templates": texts})
    splits = problems("leave-one-out", found.interactions, seed=run.seed)
    carry_out(found, splits, replace(run, out=folder), more)
    compared = compare_templates(RunFolder(folder), against=against)
    if as_json:
        print_json(compared.model_dump(mode="json"), indent=1)
    else:
        show(compared)
        print_line(f"the whole report: {folder / 'report.html'}", "dim", error=True)


def show(found: Comparing) -> None:
    """Show the means, every measure if there are two templates, and the verdicts."""
    names = list(next(iter(found.means.values())))
    table = result_table(f"{found.users:,} users", *map(plain, names))
    percent = {one.comparison.metric for one in found.pairs if one.percent}
    for measure, means in found.means.items():
        cells = []
        for name in names:
            mean, shown = means.get(name), measure in percent
            numbers = () if mean is None else (written(v, percent=shown) for v in (mean.mean, mean.low, mean.high))
            cells.append("{}\n{}–{}".format(*numbers) if mean is not None else "")
        table.add_row(measure, *cells)
    print_table(table)
    if len(found.verdicts) == 1:
        for one in found.pairs:
            print_line(one.verdict)
    for verdict in found.verdicts:
        print_line("")
        print_line(verdict, "bold")
    print_line("")
    for pair in found.lift:
        if pair.metric.startswith("NDCG"):
            print_line(pair.verdict)
    for line in _remarks(found):
        print_line(line, "dim")


def _remarks(found: Comparing) -> Iterator[str]:
    yield f"{found.data}, model {found.model}. {found.protocol}"
    for name, share in found.reachable.items():
        pool = found.pools[name]
        yield f"{name} chooses from {pool}; the held-out item is among them for {share:.0%} of the users"
    if len(found.verdicts) > 1:
        yield "Every measure of every pair: --json"
    yield found.tests
