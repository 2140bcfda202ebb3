"""A pass-through to a model server that counts which prompts were answered."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from contextlib import suppress

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class PassThrough:
    """One HTTP exchange a connection to the server behind, whose death it passes on as its own.

    Args:
        port: The server's, on this machine.

    Attributes:
        asked: How often each chat's body was sent.
        answered: How often each was answered in full.
        asked_again: Bodies that came after they had been answered.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked = Counter[str]()
        self.answered = Counter[str]()
        self.asked_again: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # either side is gone: so is the connection
                while True:
                    await self._exchange(reader, writer)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await _message(reader)
        chat = _prompt(body) if b"/chat/completions" in head.split(b"\r\n", 1)[0] else None
        if chat is not None:
            self.asked[chat] += 1
            self.asked_again += [chat] * (chat in self.answered)
        behind, onward = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            onward.write(head + body)
            status, reply = await _message(behind)
        finally:
            onward.close()
        if chat is not None and b" 200 " in status.split(b"\r\n", 1)[0]:
            self.answered[chat] += 1
        writer.write(status + reply)
        await writer.drain()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await reader.readexactly(int(length[1])) if length else b""


def _prompt(body: bytes) -> str:
    return json.dumps(json.loads(body)["messages"])
