"""`zsrec serve`: the REST service."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from zsrec.cli import options
from zsrec.cli.options import MODEL, SERVICE, CatalogOptions, columns_of, expand_groups, option
from zsrec.core.errors import MissingExtraError
from zsrec.core.settings import Settings, is_loopback

if TYPE_CHECKING:
    from zsrec.serving.service import Service

LIMITS = "Limits"
_GRACE = 5
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_KEEP_ALIVE = 75  # longer than balancers keep idle connections (60 s): who sends must be the one who closes


@dataclass(frozen=True)
class ServiceOptions(CatalogOptions):
    """What a service recommends from and how it asks the model, over HTTP and MCP alike."""

    interactions: options.Interactions = None
    columns: options.InteractionColumns = "userId,movieId,timestamp"
    prompts: options.PromptsFolder = None
    template: options.TemplateName = None
    retriever: options.RetrieverName = None
    pool: options.PoolSize = 20
    journal: Annotated[
        Path | None, option("Keep events of feedback in this file; a restart reads it.", panel=SERVICE)
    ] = None
    base_url: options.BaseUrl = None
    model: options.ModelName = None
    api_key_file: Annotated[Path | None, option("A file with the model server's key.", panel=MODEL)] = None
    hash_key_file: Annotated[
        Path | None,
        option(
            "A file with the key of pseudonyms in the log; by default a new one.",
            panel=SERVICE,
            env="ZSREC_HASH_KEY",
        ),
    ] = None
    redact: Annotated[bool, option("Remove e-mail addresses and numbers from prompts.", panel=SERVICE)] = True
    log_level: Annotated[Literal["info", "debug"], option("How much is logged.", panel=SERVICE)] = "info"
    deadline: Annotated[float, option("Seconds for one request.", panel=LIMITS, min=0.05)] = 30.0

    def load(self, **limits: int | None) -> Service:
        """A loaded service with some limits; `Service.stock.notes` are not said yet."""
        from zsrec.core.privacy import Pseudonyms
        from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import
        from zsrec.recommender.loader import settle
        from zsrec.serving.auth import read_secret
        from zsrec.serving.histories import UserHistories
        from zsrec.serving.service import Options, Service

        api_key = None if self.api_key_file is None else read_secret(self.api_key_file).strip()
        settings = Settings.load(base_url=self.base_url, model=self.model, template=self.template, api_key=api_key)
        allowed = Options(deadline=self.deadline, redact=self.redact, **limits)
        sources = self.sources(
            interactions=self.interactions,
            columns=columns_of(self.columns, rating=False),
            prompts=self.prompts,
            template=settings.template,
            pool=self.pool,
            retriever=self.retriever,
        )
        settings = settings.replaced(concurrency=max(settings.concurrency, allowed.in_work))
        if self.hash_key_file is not None:
            hash_key = read_secret(self.hash_key_file).strip().encode()
        elif settings.hash_key is not None:
            hash_key = settings.hash_key.get_secret_value().encode()
        else:
            hash_key = secrets.token_bytes(32)
        llm, histories = OpenAIClient(settings), UserHistories(self.journal)
        return Service(sources, settings, llm, allowed, Pseudonyms(hash_key), histories, loaded=settle)


@expand_groups
def serve(
    shared: ServiceOptions,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8080,
    keys: Annotated[Path | None, option("API keys: name:key or name:key:admin per line.", panel=SERVICE)] = None,
    allow_host: Annotated[
        list[str] | None,
        option("A further name in the Host header to answer; without --keys only this machine's.", panel=SERVICE),
    ] = None,
    in_work: Annotated[int, option("Requests in progress at once.", panel=LIMITS, min=1)] = 32,
    waiting: Annotated[int, option("Requests that may wait.", panel=LIMITS, min=0)] = 64,
    per_key: Annotated[
        int | None,
        option(
            "Requests in progress or waiting per name in --keys; with several names, by default half of all.",
            panel=LIMITS,
            min=1,
        ),
    ] = None,
) -> None:
    """Serve recommendations over HTTP.

    docs/deployment.md describes the service. SIGHUP (or POST /v1/reload with an admin's key) reads catalog and
    templates again; SIGTERM finishes the accepted requests and stops.
    """
    try:
        import uvicorn

        from zsrec.serving.app import create_app
        from zsrec.serving.auth import Keys, check_exposure
        from zsrec.serving.connection import bounded_protocol
        from zsrec.serving.observability import config
    except ModuleNotFoundError:
        raise MissingExtraError("serving", "serve") from None

    tenants = None if keys is None else Keys.open(keys)
    check_exposure(host, tenants, loopback=is_loopback(host))
    if per_key is None and tenants is not None and len(tenants.names) > 1:
        per_key = max(1, (in_work + waiting) // 2)
    service = shared.load(in_work=in_work, waiting=waiting, per_tenant=per_key)
    # Without keys a page in a caller's browser could ask under a name of its own: only known names are answered.
    hosts = None if tenants is not None and not allow_host else {*_LOOPBACK, host, *(allow_host or ())}
    app = create_app(service, tenants, hosts)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=config(debug=shared.log_level == "debug"),
        access_log=False,
        server_header=False,
        loop="asyncio",
        http=bounded_protocol(service.options.max_body),
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(shared.deadline) + _GRACE,
    )
