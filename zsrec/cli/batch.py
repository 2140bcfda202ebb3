"""`zsrec batch`: recommendations for millions of users, from Parquet to Parquet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from zsrec.cli import options
from zsrec.cli.console import TerminalWatch, print_line
from zsrec.cli.offline import read_replies, show_requests
from zsrec.cli.options import COLUMNS, MODEL, CatalogOptions, columns_of, expand_groups, named_by, option
from zsrec.core.errors import ConfigError
from zsrec.core.settings import DEFAULT_TEMPLATE, Settings
from zsrec.data import movielens
from zsrec.recommender.request import DEFAULT_POOL
from zsrec.recommender.strategy import CONVERSATION_TEMPLATE

FILES, ENGINE = "Input and output", "Engine"


@expand_groups
def batch(
    source: Annotated[
        Path,
        option(
            "A Parquet file or a folder of them: interactions, or one row per user with a list.",
            "--input",
            panel=FILES,
        ),
    ],
    out: Annotated[Path, option("The output folder; the same command continues in it.", panel=FILES)],
    catalog: CatalogOptions,
    columns: Annotated[
        str, option("The input's columns: user,item,time,rating; with lists: user,items,,ratings.", panel=FILES)
    ] = COLUMNS,
    conversation: Annotated[
        str | None,
        option("The input's column of conversations: turns with role and text, or JSON text.", panel=FILES),
    ] = None,
    liked_from: Annotated[float, option("Ratings from this on are likes.", panel=FILES)] = movielens.LIKED_FROM,
    disliked_to: Annotated[float, option("Ratings up to this are dislikes.", panel=FILES)] = movielens.DISLIKED_TO,
    k: options.HowMany = 10,
    template: options.TemplateName = None,
    prompts: options.PromptsFolder = None,
    retriever: options.RetrieverName = None,
    interactions: options.Interactions = None,
    interactions_columns: Annotated[
        str | None, option("The columns of --interactions; by default those of --columns.", panel=MODEL)
    ] = None,
    pool: options.PoolSize = DEFAULT_POOL,
    fill: options.FillFrom = None,
    fallback: Annotated[
        bool, option("Use the order without the model where it fails or knows nothing.", "--fallback", panel=MODEL)
    ] = False,
    base_url: Annotated[
        list[str] | None,
        option("A model server's address, with /v1; several share the users.", panel=MODEL, env="ZSREC_BASE_URL"),
    ] = None,
    model: options.ModelName = None,
    replies: options.Replies = None,
    requests_only: options.RequestsOnly = None,
    engine: Annotated[Literal["local", "ray"], option("This process, or Ray Data.", panel=ENGINE)] = "local",
    workers: Annotated[int, option("The number of Ray workers.", panel=ENGINE, min=1)] = 1,
    address: Annotated[
        str | None,
        option("A Ray cluster's address, or 'auto'; by default Ray runs on this machine.", panel=ENGINE),
    ] = None,
    concurrency: Annotated[
        int | None,
        option("Users in progress at once, per worker.", panel=ENGINE, min=1, max=4096, env="ZSREC_CONCURRENCY"),
    ] = None,
    chunk: Annotated[int, option("Users per chunk, which is one output file.", panel=ENGINE, min=1)] = 1000,
    stop_after: Annotated[
        int, option("Stop when a server failed for so many users in a row; 0 never stops.", panel=ENGINE, min=0)
    ] = 20,
) -> None:
    """Recommend for every user of a Parquet input, each exactly once, into a folder of Parquet files.

    If it is killed, the same command continues, and nobody who is done is asked again. A user for whom the model
    fails is a row with the error's code. docs/scaling.md describes the columns, and how to run it on a cluster.
    """
    from zsrec.llm.offline import Offline, RequestFolder
    from zsrec.recommender.loader import Recipe
    from zsrec.serving.batch_input import Input
    from zsrec.serving.batch_job import run_batch
    from zsrec.serving.batch_worker import Batch

    urls = tuple(base_url or ())
    settings = Settings.load(model=model, base_url=urls[0] if urls else None, concurrency=concurrency)
    recorded = read_replies(replies)
    if len(recorded) > 1:
        raise ConfigError("--replies of two names", hint="a batch job has one model: give its files one NAME")
    requests = None if requests_only is None else RequestFolder(requests_only, settings)
    offline = Offline(recorded[0] if recorded else None, requests) if recorded or requests is not None else None
    sources = replace(catalog, catalog=catalog.catalog and catalog.catalog.absolute()).sources(
        template=template
        or (CONVERSATION_TEMPLATE if conversation and settings.template == DEFAULT_TEMPLATE else None),
        prompts=None if prompts is None else prompts.absolute(),
        retriever=retriever,
        interactions=None if interactions is None else interactions.absolute(),
        columns=columns_of(interactions_columns or columns),
        pool=pool,
    )
    job = Batch(
        source=Input(source, columns_of(columns), conversation),
        recipe=Recipe(
            **vars(sources),
            k=k,
            fill=fill,
            fallback=fallback,
            base_urls=urls if len(urls) > 1 else (),
            settings=settings,
        ),
        chunk=chunk,
        liked_from=liked_from,
        disliked_to=disliked_to,
        stop_after=stop_after,
        offline=offline,
    )
    with TerminalWatch() as watch, named_by("--interactions-columns", sources.interactions):
        found = run_batch(
            job,
            out,
            engine=engine,
            workers=workers,
            address=address,
            concurrency=concurrency,
            on_read=lambda users: watch.start("users", users),
            on_done=watch.step,
            on_note=watch.say,
        )
    if recorded:
        for note in recorded[0].counts().notes:
            print_line(note, "yellow", error=True)
    if found is None or requests is not None:
        show_requests(requests)
    if found is None:
        return
    print_line(f"{found.users:,} users, {found.rows:,} rows in {out}", error=True)
    tokens = f"{found.prompt_tokens:,}+{found.completion_tokens:,} tokens"
    print_line(f"{found.requests:,} requests, {tokens}, {found.cached_tokens:,} from the prefix cache", error=True)
    if found.short:
        none = f", {found.empty:,} of them none" if found.empty else ""
        print_line(f"{found.short:,} users got fewer than {k} items{none}; --fill fills up", "yellow", error=True)
    if found.unmatched or found.dropped:
        gone = f"{found.unmatched:,} match no item or several, {found.dropped:,} known, repeated or beyond k"
        print_line(f"titles in the answers that were left out: {gone}", "yellow", error=True)
    if found.unknown_histories:
        print_line(f"the catalog has no item of {found.unknown_histories:,} histories", "yellow", error=True)
    for what, counts in (("error", found.errors), ("degraded", found.degraded)):
        for name, users in counts.items():
            print_line(f"{what} {name}: {users:,} users", "yellow", error=True)
