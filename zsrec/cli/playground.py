"""`zsrec playground`: edit, run and compare templates on a local web page."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from zsrec.cli.console import err
from zsrec.cli.recommend import DomainOption, IdOption, TitleOption
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History

OF_PAGE = "Page"
FROM_MODEL = "Model and prompt"
SAMPLE = "sample"


def playground(
    source: Annotated[
        str, typer.Option("--data", help="'sample', or a MovieLens folder or zip.", rich_help_panel="Catalog")
    ] = SAMPLE,
    catalog: Annotated[
        Path | None,
        typer.Option(help="Your own catalog instead: CSV, TSV, JSONL or Parquet.", rich_help_panel="Catalog"),
    ] = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    prompts: Annotated[
        Path | None, typer.Option(help="A folder of your own templates.", rich_help_panel=FROM_MODEL)
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="The model server's address with /v1 (ZSREC_BASE_URL).", rich_help_panel=FROM_MODEL),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The served model's name (ZSREC_MODEL).", rich_help_panel=FROM_MODEL)
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes a free one.", rich_help_panel=OF_PAGE)
    ] = 8400,
    host: Annotated[str, typer.Option(help="Where to listen.", rich_help_panel=OF_PAGE)] = "127.0.0.1",
    expose: Annotated[
        list[str] | None,
        typer.Option(
            help="Let other machines in, under this host name; the page has no password. May be repeated.",
            rich_help_panel=OF_PAGE,
        ),
    ] = None,
) -> None:
    """Opens a page on which templates are edited, checked, run and compared; docs/playground.md describes it.

    Nothing that is typed there is stored or logged; it goes to the model's host only.
    """
    try:
        import nicegui  # noqa: F401  (only to learn whether it is there)
        import uvicorn

        from zsrec.playground.app import check_exposure, create_app
        from zsrec.playground.state import Workshop
    except ModuleNotFoundError:
        raise MissingExtraError("the playground", "playground") from None
    from zsrec.prompts import Library
    from zsrec.recommender.recommender import Recommender
    from zsrec.retrieval.popularity import popularity

    hosts = check_exposure(host, expose or ())
    items, histories, opening = _opened(source, catalog, id_column, title, domain)
    # Somebody waits at the page and can press again: one retry, not four.
    settings = Settings.load(base_url=base_url, model=model, max_retries=1)
    recommender = Recommender(
        items,
        settings=settings,
        prompts=prompts,
        template="generate/default",
        popularity=popularity(histories.values()) if histories else None,
    )
    recommender.grounder.ground("")  # builds the index before anybody waits for it
    given = {"base_url": base_url, "model": model}
    workshop = Workshop(
        recommender,
        Library(prompts),
        histories,
        opening=opening,
        model={name: value for name, value in given.items() if value is not None},
    )
    workshop.templates, workshop.users  # noqa: B018  (a broken folder is told here, not on the page)
    app = create_app(workshop, hosts)
    with recommender, _listener(host, port) as listener:
        address = f"[{host}]" if ":" in host else host
        err.print(f"The playground is at http://{address}:{listener.getsockname()[1]}/ (Ctrl-C ends it)")
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", server_header=False))
        server.run(sockets=[listener])


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(playground)


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port}: {error.strerror}", hint="choose another --port, or 0 for a free one"
        ) from error


def _opened(
    source: str, path: Path | None, id_column: str, title: str, domain: str
) -> tuple[Catalog, Mapping[str, History], tuple[str, ...]]:
    """The catalog, its users, and lines of Python that open the same."""
    if path is not None:
        if source != SAMPLE:
            raise ConfigError("--data and --catalog name two catalogs", hint="leave one of them out")
        items = Catalog.from_file(path, id=id_column, title=title, domain=domain)
        arguments = f"{str(path)!r}, id={id_column!r}, title={title!r}, domain={domain!r}"
        return items, {}, (f"catalog = Catalog.from_file({arguments})",)
    if source == SAMPLE:
        return *movielens.sample(), ("catalog, histories = movielens.sample()",)
    return *movielens.load(source), (f"catalog, histories = movielens.load({source!r})",)
