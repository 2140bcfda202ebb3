"""`zsrec mcp`: the service as tools for agents, over standard input and output."""

from __future__ import annotations

import asyncio
import logging.config
import signal

from zsrec.cli.options import expand_groups
from zsrec.cli.serve import ServiceOptions
from zsrec.core.errors import MissingExtraError


@expand_groups
def mcp(shared: ServiceOptions) -> None:
    """Serve recommend, ground, feedback and explain to an agent (Model Context Protocol, stdio).

    An agent's program starts this command and speaks with it; docs/mcp.md has its configuration. The log goes to
    standard error and ends with the program that started it.
    """
    try:
        from zsrec.serving.mcp_server import serve_stdio
        from zsrec.serving.observability import config
    except ModuleNotFoundError:
        raise MissingExtraError("the MCP server", "mcp") from None

    service = shared.load()
    logging.config.dictConfig(config(debug=shared.log_level == "debug"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # or Ctrl-C would wait for the thread that reads the next line
    asyncio.run(serve_stdio(service))
