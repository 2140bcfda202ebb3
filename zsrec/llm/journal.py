"""A journal of every request and reply: what was paid for once is never asked for again.

A reply is written down before anybody uses it, so a process may die at any moment (`kill -9`): the same requests
go on where it was. A line that was being written when it died is recognised and dropped.
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

from zsrec.core.errors import BadReplyError, ConfigError, DataError
from zsrec.core.files import atomic_write
from zsrec.core.types import Exchange, Message
from zsrec.llm.protocol import LLM, ChatRequest, LabelSet, ServerInfo

_SYNC_EVERY = 1.0  # seconds; a killed process loses nothing, a machine that loses power at most this much


class Journal:
    """An append-only file of JSON lines, each with its key: `{"key": …, "model": …, "request": …, "reply": …}`.

    Only keys and places are held in memory; lines are read when they are needed.

    Args:
        path: The file; it is made where it is missing.

    Attributes:
        dropped: Whether the file ended in a torn line, which was cut off.

    Raises:
        ConfigError: The file cannot be opened.
        DataError: A line before the last one is no entry, with its number.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._places: dict[str, tuple[int, int]] = {}
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be opened: {error.strerror}", hint="check the folder") from error
        try:
            self.dropped = self._load()
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The entry of a key.

        Raises:
            KeyError: There is none.
        """
        start, length = self._places[key]
        entry: dict[str, Any] = json.loads(os.pread(self._file, length, start))
        return entry

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order in which they were written."""
        return iter(tuple(self._places))

    def append(self, key: str, **entry: object) -> None:
        """Writes an entry in one system call; it is safe from a kill when this returns.

        Raises:
            ConfigError: The disk is full, or the file cannot be written.
        """
        line = _line(key, entry)
        start = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = os.write(self._file, line)
            if written < len(line):
                os.ftruncate(self._file, start)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}", hint="free space") from error
        if written < len(line):
            raise ConfigError(f"{self.path}: the disk is full", hint="free space; the same command then goes on")
        self._places[key] = (start, len(line))
        if time.monotonic() - self._synced > _SYNC_EVERY:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def close(self) -> None:
        """Writes everything to the disk and closes the file."""
        os.fsync(self._file)
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _load(self) -> bool:
        start = number = 0
        bad: tuple[int, int] | None = None
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if bad is not None:
                    break
                key = _key_of(line)
                if key is None:
                    bad = (number, start)
                else:
                    self._places[key] = (start, len(line))
                    start += len(line)
        if bad is None:
            return False
        if number > bad[0]:
            raise DataError(
                "no entry of a journal", path=self.path, line=bad[0],
                hint="delete this line; its request will be sent again",
            )  # fmt: skip
        os.ftruncate(self._file, bad[1])
        return True


def _key_of(line: bytes) -> str | None:
    """The key of a whole line; None where it was torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    key = entry.get("key") if isinstance(entry, dict) else None
    return key if isinstance(key, str) else None


def without_requests(path: Path, rename: Callable[[str], str]) -> None:
    """Leaves the replies of a journal and removes the requests, whole or not at all.

    Args:
        path: The journal's file; nobody has it open.
        rename: Gives each entry its new key: the old one is the request's hash, which would tell whether a guess
            at a history is right. An entry without a request keeps its own.

    Raises:
        ConfigError: The file cannot be written.
        DataError: A line before the last one is no entry.
    """
    with Journal(path) as journal, atomic_write(path, private=True, hint="free space") as file:
        for key in journal:
            entry = journal[key]
            del entry["key"]
            file.write(_line(rename(key) if entry.pop("request", None) is not None else key, entry))


def _line(key: str, entry: Mapping[str, object]) -> bytes:
    return (json.dumps({"key": key, **entry}, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def request_key(model: str, request: ChatRequest) -> str:
    """The SHA-256 of model and request; it depends on nothing else."""
    whole = json.dumps([model, request.model_dump(mode="json")], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()


class JournalledLLM:
    """A model whose replies are written down before they are used, and repeated from there.

    An answer without text (`BadReplyError`) was paid for like any other: it is written down and raised again.
    Other errors cost nothing and may be passing: they go through, and the request is sent again next time.
    Two equal requests at once are sent once.

    Args:
        llm: The model.
        journal: Where replies are kept.
        on_reply: Called with every reply and whether it comes from the journal.
    """

    def __init__(
        self, llm: LLM, journal: Journal, *, on_reply: Callable[[Exchange, bool], None] | None = None
    ) -> None:
        self._llm = llm
        self._journal = journal
        self._on_reply = on_reply
        self._asked: dict[str, asyncio.Task[Exchange]] = {}

    async def handshake(self) -> ServerInfo:
        """See `zsrec.llm.protocol.LLM.handshake`; always asked, never written down."""
        return await self._llm.handshake()

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """See `zsrec.llm.protocol.LLM.count_tokens`; costs nothing, so it is not written down."""
        return await self._llm.count_tokens(messages)

    async def labels(self, count: int) -> LabelSet:
        """See `LLM.labels`; tried anew in each process, since the server may be another one."""
        return await self._llm.labels(count)

    async def binds_choices(self) -> bool:
        """See `zsrec.llm.protocol.LLM.binds_choices`; tried out anew in each process."""
        return await self._llm.binds_choices()

    async def aclose(self) -> None:
        """Closes the connections; the journal stays open."""
        await self._llm.aclose()

    async def chat(self, request: ChatRequest) -> Exchange:
        """The reply, from the journal where it has one.

        Raises:
            LLMError: As from the model, or as it was when the reply was written down.
        """
        model = (await self.handshake()).model
        key = request_key(model, request)
        if key in self._journal:
            return self._told(_replayed(self._journal[key], request), replayed=True)
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key, model, request))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)  # a caller who goes away does not make a paid reply get lost

    async def _ask(self, key: str, model: str, request: ChatRequest) -> Exchange:
        sent = request.model_dump(mode="json")
        try:
            exchange = await self._llm.chat(request)
        except BadReplyError as error:
            told = {"message": error.message, "hint": error.hint, "request_id": error.request_id}
            self._journal.append(key, model=model, request=sent, bad_reply=told)
            raise
        reply = exchange.model_dump(mode="json", exclude={"messages"})
        self._journal.append(key, model=model, request=sent, reply=reply)
        return self._told(exchange, replayed=False)

    def _told(self, exchange: Exchange, *, replayed: bool) -> Exchange:
        if self._on_reply is not None:
            self._on_reply(exchange, replayed)
        return exchange


def _replayed(entry: dict[str, Any], request: ChatRequest) -> Exchange:
    if "bad_reply" in entry:
        told = entry["bad_reply"]
        raise BadReplyError(told["message"], hint=told["hint"], request_id=told["request_id"])
    return Exchange(messages=request.messages, **entry["reply"])
