"""Work that ends with the deadline, or with the caller's patience; either way it is cancelled to its roots.

Cancelling a chat closes its connection, and vLLM stops generating for a client that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Any]]


class CallerGoneError(Exception):
    """The caller closed the connection: nobody reads an answer."""


async def until(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """Runs work for at most so many seconds.

    Raises:
        TimeoutError: They are over; the work was cancelled, and has ended.
    """
    async with asyncio.timeout(seconds):
        return await work


async def while_called(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Runs work as long as the caller is there.

    Args:
        receive: ASGI's; the request's body is read already, so that only a disconnect is left to come.
        work: What to do.

    Raises:
        CallerGoneError: The caller left; the work was cancelled, and has ended.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise CallerGoneError
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
