"""A journal of requests and replies.

A reply is written before it is used, so a process may be killed at any moment (`kill -9`) and resumed: no request
is paid for twice. A line that was only partly written is recognised and dropped; any other damage is an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from zsrec.core.checked_lines import Line, Lines, line_of, read_lines, repair, rewrite
from zsrec.core.errors import BadReplyError, ConfigError
from zsrec.core.types import Exchange
from zsrec.llm.forwarding import ForwardingLLM
from zsrec.llm.protocol import LLM, ChatRequest

_SYNC_EVERY = 1.0  # seconds; a killed process loses nothing, a machine that loses power at most this much


class Journal:
    """An append-only file of JSON lines: `{"key": …, "model": …, "request": …, "reply": …, "check": …}`.

    Only keys and offsets are kept in memory. Entries that are not `usable` count as absent. Each line has a
    checksum (`zsrec.core.checked_lines`) for this file's `purpose`; a file of before checksums is written again
    with them. `notes` say that, and whether the file ended in a partly written line, which was cut off.

    Raises:
        ConfigError: The file cannot be opened.
        DamagedError: A line was changed, lost, repeated or moved, or is of another file.
    """

    def __init__(
        self, path: str | Path, purpose: str = "", *, usable: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self._purpose = purpose
        self._usable = usable
        self._open()
        try:
            found = self._load()
            if not found.checked and found.whole:
                self.notes.append(f"{self.path.name} is of before checksums: taken as it is, checked from now on")
                os.close(self._file)
                repair(self.path, purpose)
                self._open()
                found = self._load()
        except BaseException:
            os.close(self._file)
            raise
        self._places = found.whole
        self._synced = time.monotonic()

    def _open(self) -> None:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{self.path}: cannot be opened: {error.strerror}", hint="check the folder"
            ) from error

    def __len__(self) -> int:
        return len(self._offsets)

    def __contains__(self, key: object) -> bool:
        return key in self._offsets

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The entry of a key."""
        start, length = self._offsets[key]
        entry: dict[str, Any] = json.loads(os.pread(self._file, length, start))
        return entry

    def __iter__(self) -> Iterator[str]:
        """The keys in the order of writing."""
        return iter(tuple(self._offsets))

    def append(self, key: str, **entry: object) -> None:
        """Write an entry in one system call; once this returns it survives a kill."""
        line = line_of({"key": key, **entry}, self._places + 1, self._purpose)
        start = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = os.write(self._file, line)
            if written < len(line):
                os.ftruncate(self._file, start)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}", hint="free space") from error
        if written < len(line):
            raise ConfigError(f"{self.path}: the disk is full", hint="free space; the same command then goes on")
        self._places += 1
        self._offsets[key] = (start, len(line))
        if time.monotonic() - self._synced > _SYNC_EVERY:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def close(self) -> None:
        """Flush to the disk and close."""
        os.fsync(self._file)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _load(self) -> Lines:
        self._offsets: dict[str, tuple[int, int]] = {}

        def take(line: Line) -> bool:
            if not is_entry(line.entry):
                return False
            if self._usable(line.entry):
                self._offsets[line.entry["key"]] = (line.start, line.size)
            return True

        found = read_lines(self.path, self._purpose, take)
        for error in found.errors(self.path):
            raise error
        if found.torn is not None:
            self.notes.append("the journal ended in a torn line; its request will be sent again")
            os.ftruncate(self._file, found.torn)
        return found


def is_entry(entry: Mapping[str, Any]) -> bool:
    """Whether a line is a journal's."""
    return isinstance(entry.get("key"), str)


def without_requests(path: Path, purpose: str, rename: Callable[[str], str]) -> None:
    """Remove the requests from a journal that nobody has open, atomically, and keep the replies."""
    with Journal(path, purpose) as journal:
        rewrite(path, purpose, (_without_request(journal[key], rename) for key in journal))


def _without_request(entry: dict[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    """The entry; its key, which is made from the request, is renamed where that was still there."""
    had = entry.pop("request", None) is not None
    return entry | {"key": rename(entry["key"]) if had else entry["key"]}


def request_key(model: str, request: ChatRequest) -> str:
    """The SHA-256 of model and request."""
    whole = json.dumps([model, request.model_dump(mode="json")], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()


class JournalledLLM(ForwardingLLM):
    """A model whose replies are written to a journal before they are used, and replayed from it.

    An answer without text (`BadReplyError`) was paid for like any other, so it is recorded and raised again. Other
    errors may be temporary: they pass through, and the request is sent again next time. Two equal requests at once
    are sent once. Capabilities are never recorded: the server may be another one next time.
    """

    def __init__(
        self, llm: LLM, journal: Journal, *, on_reply: Callable[[Exchange, bool], None] | None = None
    ) -> None:
        super().__init__(llm)
        self._journal = journal
        self._on_reply = on_reply
        self._in_flight: dict[str, asyncio.Task[Exchange]] = {}

    async def chat(self, request: ChatRequest) -> Exchange:
        """Return the reply, from the journal where it has one."""
        model = (await self.handshake()).model
        key = request_key(model, request)
        if key in self._journal:
            return self._report(_replayed(self._journal[key], request), replayed=True)
        task = self._in_flight.get(key)
        if task is None:
            task = self._in_flight[key] = asyncio.create_task(self._ask(key, model, request))
            task.add_done_callback(lambda _: self._in_flight.pop(key, None))
        return await asyncio.shield(task)  # a reply that was paid for is recorded even if its caller has left

    async def _ask(self, key: str, model: str, request: ChatRequest) -> Exchange:
        sent = request.model_dump(mode="json")
        try:
            exchange = await self.llm.chat(request)
        except BadReplyError as error:
            bad_reply = {"message": error.message, "hint": error.hint, "request_id": error.request_id}
            self._journal.append(key, model=model, request=sent, bad_reply=bad_reply)
            raise
        reply = exchange.model_dump(mode="json", exclude={"messages"})
        self._journal.append(key, model=model, request=sent, reply=reply)
        return self._report(exchange, replayed=False)

    def _report(self, exchange: Exchange, *, replayed: bool) -> Exchange:
        if self._on_reply is not None:
            self._on_reply(exchange, replayed)
        return exchange


def _replayed(entry: dict[str, Any], request: ChatRequest) -> Exchange:
    if "bad_reply" in entry:
        raise BadReplyError(**entry["bad_reply"])
    return Exchange(messages=request.messages, **entry["reply"])
