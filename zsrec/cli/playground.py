"""`zsrec playground`: edit, run and compare templates on a local web page."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from zsrec.cli import options
from zsrec.cli.console import err
from zsrec.cli.options import CATALOG, CatalogOptions, expand_groups, option
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.settings import Settings
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.history import History

SAMPLE = "sample"


@expand_groups
def playground(
    catalog: CatalogOptions,
    source: Annotated[str, option("'sample', or a MovieLens folder or zip.", "--data", panel=CATALOG)] = SAMPLE,
    retriever: options.RetrieverName = None,
    prompts: options.PromptsFolder = None,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8400,
    expose: Annotated[
        list[str] | None,
        option(
            "Let other machines in under this host name; the page has no password. Repeatable.",
            panel=options.SERVICE,
        ),
    ] = None,
) -> None:
    """Edit, check, run and compare templates on a local web page.

    docs/playground.md describes the page. What you type is not stored or logged; it goes to the model's host only.
    """
    try:
        import nicegui  # noqa: F401  (only to learn whether it is there)
        import uvicorn

        from zsrec.playground.app import check_exposure, create_app
        from zsrec.playground.state import NO_RETRIEVER, Workshop
    except ModuleNotFoundError:
        raise MissingExtraError("the playground", "playground") from None
    from zsrec.prompts import Library
    from zsrec.recommender.loader import Tables
    from zsrec.recommender.recommender import Recommender
    from zsrec.retrieval.by_name import WITHOUT_INTERACTIONS

    hosts = check_exposure(host, expose or ())
    items, histories, opening = _opened(source, catalog)
    # One retry, not four: a person is waiting and can press again.
    settings = Settings.load(base_url=base_url, model=model, max_retries=1)
    if retriever is not None and not histories and retriever not in WITHOUT_INTERACTIONS:
        raise ConfigError(
            f"--retriever {retriever} needs users' histories, which --catalog has none of",
            hint=f"use --data, or one of {', '.join(WITHOUT_INTERACTIONS)}",
        )
    tables = Tables.of(items, histories)
    sources = catalog.sources(prompts=prompts, template="generate/default")
    recommender = sources.make(Recommender, tables, None, settings)
    recommender.grounder.ground("")  # builds the index before the first request
    given = {"base_url": base_url, "model": model}
    model_arguments = {name: value for name, value in given.items() if value is not None}
    workshop = Workshop(
        recommender,
        Library(prompts),
        histories,
        opening=opening,
        model=model_arguments,
        known=tables.known,
        retriever=retriever or NO_RETRIEVER,
    )
    workshop.templates, workshop.users  # noqa: B018  (a broken folder fails here, not on the page)
    workshop.with_retriever(workshop.retriever)
    app = create_app(workshop, hosts)
    with recommender, _listener(host, port) as listener:
        address = f"[{host}]" if ":" in host else host
        err.print(f"The playground is at http://{address}:{listener.getsockname()[1]}/ (Ctrl-C ends it)")
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", server_header=False))
        server.run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port}: {error.strerror}", hint="choose another --port, or 0 for a free one"
        ) from error


def _opened(source: str, catalog: CatalogOptions) -> tuple[Catalog, Mapping[str, History], tuple[str, ...]]:
    """The catalog, its users, and the Python that opens them."""
    if catalog.catalog is not None:
        if source != SAMPLE:
            raise ConfigError("--data and --catalog name two catalogs", hint="leave one of them out")
        sources = catalog.sources()
        sources = replace(sources, id=sources.id_column)
        names = ("id", "title", "domain", "creator", "aliases", "encoding", "delimiter")
        given = {name: getattr(sources, name) for name in names if getattr(sources, name) not in (None, "utf-8")}
        arguments = ", ".join(
            [repr(str(catalog.catalog)), *(f"{name}={value!r}" for name, value in given.items())]
        )
        return sources.read_catalog(), {}, (f"catalog = Catalog.from_file({arguments})",)
    if source == SAMPLE:
        return *movielens.sample(), ("catalog, histories = movielens.sample()",)
    return *movielens.load(source), (f"catalog, histories = movielens.load({source!r})",)
