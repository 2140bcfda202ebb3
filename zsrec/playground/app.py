"""The playground's application: one page behind its guard; nothing of what is asked is stored or logged."""

from __future__ import annotations

import logging
from importlib.metadata import version

from fastapi import FastAPI
from nicegui import ui
from starlette.types import ASGIApp

from zsrec.playground.guard import Guard
from zsrec.playground.page import Page
from zsrec.playground.workshop import Workshop

_RECONNECT = 60.0  # seconds for which a tab that lost its connection keeps its state


def create_app(workshop: Workshop, hosts: frozenset[str]) -> ASGIApp:
    """The ASGI application. NiceGUI keeps its pages in the process, so one process has one playground.

    Args:
        workshop: What all tabs share.
        hosts: See `Guard`.
    """
    quiet()

    @ui.page("/")
    async def index() -> None:
        page = Page(workshop)
        await ui.context.client.connected(timeout=_RECONNECT)
        await page.connected()

    app = FastAPI(
        title="zsrec playground", version=version("zsrec"), docs_url=None, redoc_url=None, openapi_url=None
    )
    ui.run_with(
        app,
        title="zsrec playground",
        favicon="🎬",
        language="en-US",
        reconnect_timeout=_RECONNECT,
        tailwind=False,
        show_welcome_message=False,
    )
    return Guard(app, hosts)


def quiet() -> None:
    """Keeps what a person typed out of the log: of an unexpected error only its type and place are written."""
    logger = logging.getLogger("nicegui")
    if not any(isinstance(one, _TypeAndPlace) for one in logger.filters):
        logger.addFilter(_TypeAndPlace())


class _TypeAndPlace(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites a record; lets every one pass."""
        error = record.msg if isinstance(record.msg, BaseException) else None
        error = error or (record.exc_info[1] if record.exc_info else None)
        if error is not None:
            last = error.__traceback__
            while last is not None and last.tb_next is not None:
                last = last.tb_next
            place = f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else ""
            record.msg, record.args = f"a fault of the playground: {type(error).__name__}{place}", ()
            record.exc_info, record.exc_text = None, None
        return True
