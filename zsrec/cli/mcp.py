"""`zsrec mcp`: the service as tools for agents, over standard input and output."""

from __future__ import annotations

import asyncio
import logging.config
import signal

from zsrec.cli import options
from zsrec.cli.options import CatalogOptions, columns_of, expand_groups
from zsrec.cli.serve import ApiKeyFile, Deadline, HashKeyFile, Journal, LogLevel, Redact, open_service
from zsrec.core.errors import MissingExtraError
from zsrec.core.settings import Settings


@expand_groups
def mcp(
    catalog: CatalogOptions,
    interactions: options.Interactions = None,
    columns: options.InteractionColumns = "userId,movieId,timestamp",
    prompts: options.PromptsFolder = None,
    template: options.TemplateName = None,
    retriever: options.RetrieverName = None,
    pool: options.PoolSize = 20,
    journal: Journal = None,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    api_key_file: ApiKeyFile = None,
    hash_key_file: HashKeyFile = None,
    redact: Redact = True,
    log_level: LogLevel = "info",
    deadline: Deadline = 30.0,
) -> None:
    """Serve recommend, ground, feedback and explain to an agent (Model Context Protocol, stdio).

    An agent's program starts this command and speaks with it; docs/mcp.md has its configuration. The log goes to
    standard error and ends with the program that started it.
    """
    try:
        from zsrec.serving.auth import read_secret
        from zsrec.serving.mcp_server import serve_stdio
        from zsrec.serving.observability import config
        from zsrec.serving.service import Options
    except ModuleNotFoundError:
        raise MissingExtraError("the MCP server", "mcp") from None

    settings = Settings.load(
        base_url=base_url,
        model=model,
        template=template,
        api_key=None if api_key_file is None else read_secret(api_key_file).strip(),
    )
    limits = Options(deadline=deadline, redact=redact)
    sources = catalog.sources(
        interactions=interactions,
        columns=columns_of(columns, rating=False),
        prompts=prompts,
        template=settings.template,
        pool=pool,
        retriever=retriever,
    )
    settings = settings.replaced(concurrency=max(settings.concurrency, limits.in_work))
    service = open_service(sources, settings, limits, journal, hash_key_file)
    logging.config.dictConfig(config(debug=log_level == "debug"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # or Ctrl-C would wait for the thread that reads the next line
    asyncio.run(serve_stdio(service))
