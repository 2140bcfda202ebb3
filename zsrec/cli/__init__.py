"""The command line: thin over the Python API, one module per command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import zsrec
from zsrec.cli import (
    batch,
    bench,
    chat,
    data,
    demo,
    doctor,
    ground,
    mcp,
    model,
    playground,
    prompts,
    recommend,
    serve,
    verify,
)
from zsrec.cli.console import complain, echo
from zsrec.cli.options import accepting, examples
from zsrec.core.errors import ZsrecError

app = typer.Typer(
    name="zsrec",
    help="Zero-shot sequential recommendation: prompt templates, a local vLLM server, grounded answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command(
    epilog=examples(
        'zsrec recommend --history "Heat; Ronin" -k 5',
        'zsrec recommend --about "slow-burn heist films" --template generate/default',
        "zsrec recommend --catalog books.csv --id isbn --title name --history sales.csv --out all.jsonl",
    )
)(recommend.recommend)
app.command()(demo.demo)
app.command()(chat.chat)
app.command(
    epilog=examples(
        "zsrec batch --input users.parquet --columns user,items,,ratings --catalog films.parquet --out lists"
    )
)(batch.batch)
app.command(epilog=examples("zsrec serve --catalog films.csv --interactions ratings.csv --port 8080"))(serve.serve)
app.command(epilog=examples("zsrec mcp --catalog books.csv --id isbn --title name --domain books"))(mcp.mcp)
app.command(epilog=examples("zsrec playground", "zsrec playground --catalog books.csv --id isbn --title name"))(
    playground.playground
)
app.command(
    cls=accepting(ground.OLD_NAMES),
    epilog=examples("zsrec ground --catalog films.csv --id movieId --input mentions.jsonl --out matches.jsonl"),
)(ground.ground)
app.command(
    cls=accepting(ground.OLD_NAMES),
    epilog=examples("zsrec ground-fit --catalog books.csv --input labels.jsonl --out weights.json"),
)(ground.ground_fit)
app.command()(doctor.doctor)
app.command(epilog=examples("zsrec verify RUN", "zsrec verify OUT --repair"))(verify.verify)
for _group in (prompts, model, bench, data):
    app.add_typer(_group.app, name=_group.__name__.rpartition(".")[2])


def _show_version(wanted: bool) -> None:
    if wanted:
        echo(f"zsrec {zsrec.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a zsrec error becomes a message and exit code 1."""
    try:
        app()
    except ZsrecError as error:
        complain(error)
        sys.exit(1)
