"""`zsrec serve`: the REST service."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from zsrec.cli.recommend import CatalogOption, DomainOption, IdOption, TitleOption
from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.settings import Settings, is_loopback
from zsrec.data.readers import Columns

OF_SERVICE = "Service"
OF_LIMITS = "Limits"
FROM_MODEL = "Model and prompt"
_GRACE = 5
_KEEP_ALIVE = 75  # longer than balancers keep idle connections (60 s): who sends must be the one who closes


def serve(
    catalog: CatalogOption = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    interactions: Annotated[
        Path | None,
        typer.Option(
            help="Contacts of all users: item-kNN over them gives candidates and the fallback.",
            rich_help_panel="Catalog",
        ),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="The interactions file's columns: user,item,time.", rich_help_panel="Catalog")
    ] = "userId,movieId,timestamp",
    prompts: Annotated[
        Path | None, typer.Option(help="A folder of your own templates.", rich_help_panel=FROM_MODEL)
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="The default template's name (ZSREC_TEMPLATE).", rich_help_panel=FROM_MODEL)
    ] = None,
    pool: Annotated[
        int, typer.Option(min=1, help="Candidates that a ranking prompt shows.", rich_help_panel=FROM_MODEL)
    ] = 20,
    base_url: Annotated[
        str | None,
        typer.Option(help="The model server's address with /v1 (ZSREC_BASE_URL).", rich_help_panel=FROM_MODEL),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The served model's name (ZSREC_MODEL).", rich_help_panel=FROM_MODEL)
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the model server's key.", rich_help_panel=FROM_MODEL),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen.", rich_help_panel=OF_SERVICE)] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", rich_help_panel=OF_SERVICE)] = 8080,
    keys: Annotated[
        Path | None,
        typer.Option(help="API keys, one name:key or name:key:admin a line.", rich_help_panel=OF_SERVICE),
    ] = None,
    hash_key_file: Annotated[
        Path | None,
        typer.Option(
            help="The key of pseudonyms in the log (ZSREC_HASH_KEY); without it a new one.",
            rich_help_panel=OF_SERVICE,
        ),
    ] = None,
    redact: Annotated[
        bool,
        typer.Option(help="Take e-mails, phone and card numbers out of prompts.", rich_help_panel=OF_SERVICE),
    ] = True,
    deadline: Annotated[
        float, typer.Option(min=0.05, help="Seconds for one request.", rich_help_panel=OF_LIMITS)
    ] = 30.0,
    in_work: Annotated[int, typer.Option(min=1, help="Requests in work at once.", rich_help_panel=OF_LIMITS)] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait.", rich_help_panel=OF_LIMITS)] = 64,
    per_key: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Requests that one name of --keys may have under way; of several names half of all places.",
            rich_help_panel=OF_LIMITS,
        ),
    ] = None,
    log_level: Annotated[
        Literal["info", "debug"], typer.Option(help="How much is logged.", rich_help_panel=OF_SERVICE)
    ] = "info",
) -> None:
    """Serves recommendations over HTTP; docs/deployment.md describes it.

    SIGHUP (or POST /v1/reload with an admin's key) reads catalog and templates anew; SIGTERM finishes what was
    accepted and stops.
    """
    try:
        import uvicorn

        from zsrec.core.privacy import Pseudonyms
        from zsrec.recommender.loader import Sources, settle
        from zsrec.serving.app import create_app
        from zsrec.serving.auth import Keys, check_exposure, read_secret
        from zsrec.serving.observability import config
        from zsrec.serving.service import Options, Service
    except ModuleNotFoundError:
        raise MissingExtraError("serving", "serve") from None
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    named = [name.strip() or None for name in columns.split(",")]
    if not 2 <= len(named) <= 3 or not named[0] or not named[1]:
        raise ConfigError(f"--columns is {columns!r}", hint="write user,item or user,item,time")
    tenants = None if keys is None else Keys.open(keys)
    check_exposure(host, tenants, loopback=is_loopback(host))
    settings = Settings.load(
        base_url=base_url,
        model=model,
        template=template,
        api_key=None if api_key_file is None else read_secret(api_key_file).strip(),
    )
    if per_key is None and tenants is not None and len(tenants.names) > 1:
        per_key = max(1, (in_work + waiting) // 2)
    options = Options(deadline=deadline, in_work=in_work, waiting=waiting, redact=redact, per_tenant=per_key)
    sources = Sources(
        catalog=catalog,
        id=id_column,
        title=title,
        domain=domain,
        interactions=interactions,
        columns=Columns(user=named[0], item=named[1], time=named[2] if len(named) == 3 else None, rating=None),
        prompts=prompts,
        template=settings.template,
        pool=pool,
    )
    if hash_key_file is not None:
        hash_key = read_secret(hash_key_file).strip().encode()
    elif settings.hash_key is not None:
        hash_key = settings.hash_key.get_secret_value().encode()
    else:
        hash_key = secrets.token_bytes(32)
    llm = OpenAIClient(settings.replaced(concurrency=max(settings.concurrency, in_work)))
    service = Service(sources, settings, llm, options, Pseudonyms(hash_key), loaded=settle)
    app = create_app(service, tenants)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=config(debug=log_level == "debug"),
        access_log=False,
        server_header=False,
        loop="asyncio",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(deadline) + _GRACE,
    )


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(serve)
