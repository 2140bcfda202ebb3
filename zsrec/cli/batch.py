"""`zsrec batch`: recommendations for millions of users, from Parquet to Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from zsrec.cli.console import Ticker, err, how_far, plain
from zsrec.cli.recommend import COLUMNS, CatalogOption, DomainOption, IdOption, TitleOption, columns_of
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.recommender.request import DEFAULT_POOL, Fill
from zsrec.retrieval.by_name import NAMES as RETRIEVERS

IN_AND_OUT = "Input and output"
FROM_MODEL = "Model and prompt"
OF_ENGINE = "Engine"


def batch(
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            help="A Parquet file or a folder of them: interactions, or one row a user with a list.",
            rich_help_panel=IN_AND_OUT,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The output's folder; the same command goes on in it.", rich_help_panel=IN_AND_OUT)
    ],
    columns: Annotated[
        str,
        typer.Option(
            help="The input's columns: user,item,time,rating; with lists in item: user,items,,ratings.",
            rich_help_panel=IN_AND_OUT,
        ),
    ] = COLUMNS,
    liked_from: Annotated[
        float, typer.Option(help="Ratings of at least this are likes.", rich_help_panel=IN_AND_OUT)
    ] = movielens.LIKED_FROM,
    disliked_to: Annotated[
        float, typer.Option(help="Ratings of at most this are dislikes.", rich_help_panel=IN_AND_OUT)
    ] = movielens.DISLIKED_TO,
    catalog: CatalogOption = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Items a user.", rich_help_panel=FROM_MODEL)] = 10,
    template: Annotated[
        str | None, typer.Option(help="A template's name or path (ZSREC_TEMPLATE).", rich_help_panel=FROM_MODEL)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A folder of your own templates.", rich_help_panel=FROM_MODEL)
    ] = None,
    retriever: Annotated[
        str | None,
        typer.Option(
            help=f"Where ranking templates choose from: {', '.join(RETRIEVERS)}.", rich_help_panel=FROM_MODEL
        ),
    ] = None,
    interactions: Annotated[
        Path | None,
        typer.Option(
            help="Others' interactions for --retriever, popularity and --fallback.", rich_help_panel=FROM_MODEL
        ),
    ] = None,
    interactions_columns: Annotated[
        str | None, typer.Option(help="Their columns; --columns by default.", rich_help_panel=FROM_MODEL)
    ] = None,
    pool: Annotated[
        int, typer.Option(help="How many candidates a prompt shows.", min=1, rich_help_panel=FROM_MODEL)
    ] = DEFAULT_POOL,
    fill: Annotated[
        str | None,
        typer.Option(help="Fill a short list from 'candidates' or 'popularity'.", rich_help_panel=FROM_MODEL),
    ] = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="Where the model fails or nothing is known, the order without it.",
            rich_help_panel=FROM_MODEL,
        ),
    ] = False,
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            help="A server's address with /v1 (ZSREC_BASE_URL); several share the users among them.",
            rich_help_panel=FROM_MODEL,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The served model's name (ZSREC_MODEL).", rich_help_panel=FROM_MODEL)
    ] = None,
    engine: Annotated[
        str, typer.Option(help="'local' (this process) or 'ray' (Ray Data).", rich_help_panel=OF_ENGINE)
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Ray's workers.", rich_help_panel=OF_ENGINE)] = 1,
    address: Annotated[
        str | None,
        typer.Option(
            help="A Ray cluster's address, or 'auto'; without it Ray runs here.", rich_help_panel=OF_ENGINE
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="Users in work at once, a worker (ZSREC_CONCURRENCY).", rich_help_panel=OF_ENGINE
        ),
    ] = None,
    chunk: Annotated[
        int, typer.Option(min=1, help="Users a chunk: one file of the output.", rich_help_panel=OF_ENGINE)
    ] = 1000,
    stop_after: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop when a server failed for so many users in a row; 0 never stops.",
            rich_help_panel=OF_ENGINE,
        ),
    ] = 20,
) -> None:
    """Recommends for every user of a Parquet input, each exactly once, into a folder of Parquet files.

    Killed at any moment, the same command goes on: nobody who is done is asked again. A user for whom the model
    fails is a row with the error's code. docs/scaling.md has the columns, and how to run it on a cluster.
    """
    from zsrec.recommender.loader import Recipe
    from zsrec.serving.batch_input import Input
    from zsrec.serving.batch_job import run_batch
    from zsrec.serving.batch_worker import Batch

    if fill not in (None, "candidates", "popularity"):
        raise ConfigError(f"--fill is {fill!r}", hint="write 'candidates' or 'popularity'")
    if engine not in ("local", "ray"):
        raise ConfigError(f"--engine is {engine!r}", hint="write 'local' or 'ray'")
    fill_from: Fill | None = fill  # type: ignore[assignment]  # narrowed by the checks above
    engine_name: Literal["local", "ray"] = engine  # type: ignore[assignment]
    urls = tuple(base_url or ())
    settings = Settings.load(model=model, base_url=urls[0] if urls else None, concurrency=concurrency)
    job = Batch(
        source=Input(source, columns_of(columns)),
        recipe=Recipe(
            catalog=None if catalog is None else catalog.absolute(),
            id=id_column,
            title=title,
            domain=domain,
            template=template,
            prompts=None if prompts is None else prompts.absolute(),
            retriever=retriever,
            interactions=None if interactions is None else interactions.absolute(),
            columns=columns_of(interactions_columns or columns),
            pool=pool,
            k=k,
            fill=fill_from,
            fallback=fallback,
            base_urls=urls if len(urls) > 1 else (),
            settings=settings,
        ),
        chunk=chunk,
        liked_from=liked_from,
        disliked_to=disliked_to,
        stop_after=stop_after,
    )
    parts = (TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*parts, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("users", total=None)
        ticker = Ticker()

        def done(users: int) -> None:
            bar.advance(task, users)
            ticker.tell(lambda: how_far(bar.tasks[0]))

        found = run_batch(
            job,
            out,
            engine=engine_name,
            workers=workers,
            address=address,
            concurrency=concurrency,
            on_read=lambda users: bar.update(task, total=users),
            on_done=done,
            on_note=lambda note: err.print(plain(note), soft_wrap=True),
        )
    err.print(plain(f"{found.users:,} users, {found.rows:,} rows in {out}"), soft_wrap=True)
    err.print(
        plain(
            f"{found.requests:,} requests, {found.prompt_tokens:,}+{found.completion_tokens:,} tokens, "
            f"{found.cached_tokens:,} from the prefix cache"
        ),
        soft_wrap=True,
    )
    for what, counts in (("error", found.errors), ("degraded", found.degraded)):
        for name, users in counts.items():
            err.print(plain(f"{what} {name}: {users:,} users"), style="yellow", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(batch)
