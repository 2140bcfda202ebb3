"""The embedded default server: a local vLLM in an environment of its own, brought up and down by zsrec.

    with running_server(ServerOptions()) as base_url:
        ...

zsrec itself only speaks HTTP to it: nothing of vLLM is imported here.
"""

from zsrec.server.options import DEFAULT_MODEL_NAME, DEFAULT_PORT, ENGINES, EngineChoice, ServerOptions
from zsrec.server.paths import Home
from zsrec.server.progress import ConsoleProgress, Progress, SilentProgress
from zsrec.server.service import Server, ServerStatus, down, running_server, status, up
from zsrec.server.signals import ended_politely
from zsrec.server.state import ServerState

__all__ = [
    "DEFAULT_MODEL_NAME",
    "DEFAULT_PORT",
    "ENGINES",
    "ConsoleProgress",
    "EngineChoice",
    "Home",
    "Progress",
    "Server",
    "ServerOptions",
    "ServerState",
    "ServerStatus",
    "SilentProgress",
    "down",
    "ended_politely",
    "running_server",
    "status",
    "up",
]
