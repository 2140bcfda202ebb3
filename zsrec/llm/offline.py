"""Offline inference: requests as files for `vllm run-batch` or a Batch API, and their replies read back.

A request's `custom_id` is its key (`batch_key`), so a reply finds its request in whatever order replies come. The
journal of a live run has both. Recorded answers of other origin are named by whom they answer:
`{"id": "u1", "text": "1. Heat"}`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from pydantic import ValidationError

from zsrec.core.errors import BadReplyError, CapabilityError, ConfigError, DataError, MissingReplyError
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Frozen, Message
from zsrec.llm.capabilities import read_labels
from zsrec.llm.dialects import Dialect, only_thought, request_fields
from zsrec.llm.journal import request_key
from zsrec.llm.protocol import ChatRequest, Label, LabelSet, ServerInfo
from zsrec.llm.responses import Reply

SHARD_BYTES = 100_000_000
SHARD_REQUESTS = 50_000
"""The most of one file; Batch APIs take no more than 50,000 requests or 200 MB."""

_MOST_LABELS = 20  # log-probabilities that servers report at the most
_LABELS = "ABCDEFGHIJKLMNOPQRST"


def batch_key(request: ChatRequest) -> str:
    """The `custom_id` of a request: a SHA-256 of all of it, whichever model answers."""
    return request_key("", request)


class _Entry(NamedTuple):
    """One line of a file of replies: a text, a chat completion, a live exchange, or why there is none."""

    text: str | None = None
    finish_reason: str | None = None  # of the text
    exchange: Exchange | None = None
    reply: Reply | None = None
    failure: str | None = None


class ReplyCounts(Frozen):
    """What became of recorded replies, each list sorted and without repetition."""

    answered: int  # users or turns with all the replies that they need
    missing: tuple[str, ...] = ()  # ids of users or turns without one
    failed: tuple[str, ...] = ()  # ids whose reply is an error or holds no text
    duplicate: tuple[str, ...] = ()  # ids or keys that stand in the files more than once; the first reply counts
    foreign: tuple[str, ...] = ()  # ids or keys that nobody asked for

    @property
    def notes(self) -> tuple[str, ...]:
        """The counts in words, with the first of each list."""
        lists = {
            "missing": self.missing,
            "failed": self.failed,
            "duplicate": self.duplicate,
            "foreign": self.foreign,
        }
        return tuple(
            f"{len(ids):,} {what} replies, the first for {ids[0]!r}" for what, ids in lists.items() if ids
        )


@dataclass
class RecordedReplies:
    """The replies of one model, read from files.

    Attributes:
        name: What the model is called in reports.
        files: Where the replies are from.
    """

    name: str
    files: tuple[Path, ...] = ()
    _entries: dict[str, _Entry] = field(default_factory=dict, repr=False)
    _duplicate: set[str] = field(default_factory=set, repr=False)
    _used: set[str] = field(default_factory=set, repr=False)
    _answers: dict[str, str] = field(default_factory=dict, repr=False)  # the request that an id's text answered
    _missing: set[str] = field(default_factory=set, repr=False)
    _failed: set[str] = field(default_factory=set, repr=False)
    _asked: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def read(cls, name: str, paths: Iterable[str | Path]) -> Self:
        """Reads files of `{"id", "text"}` lines, of a batch's output or a run's `exchanges.jsonl`, one by one.

        A successful reply replaces a failed one of the same id, as a later round brings it.

        Raises:
            DataError: A file is missing, or a line has none of these forms, with its number.
        """
        replies = cls(name, tuple(map(Path, paths)))
        for path in replies.files:
            for key, entry in _lines(path):
                before = replies._entries.get(key)
                if before is None or (before.failure is not None and entry.failure is None):
                    replies._entries[key] = entry
                elif before.failure is None:
                    replies._duplicate.add(key)
        return replies

    def __len__(self) -> int:
        return len(self._entries)

    def exchange(self, asker: str, request: ChatRequest) -> Exchange:
        """The recorded reply to a request, found by its key, else by the asker's id.

        Raises:
            MissingReplyError: There is none.
            BadReplyError: It is an error, or holds no text.
        """
        key = batch_key(request)
        self._asked.add(asker)
        found = key if key in self._entries else asker
        entry = self._entries.get(found)
        if entry is None:
            self._missing.add(asker)
            raise MissingReplyError(f"{self.name}: no reply for {asker!r}", hint="ask for it with --requests-only")
        self._used.add(found)
        if found == asker and self._answers.setdefault(asker, key) != key:
            self._missing.add(asker)
            raise MissingReplyError(
                f"{self.name}: the method asks several times, and there is one text for {asker!r}",
                hint="answer the files of --requests-only",
            )
        try:
            return _exchange(entry, request, self.name)
        except BadReplyError:
            self._failed.add(asker)
            raise

    def counts(self) -> ReplyCounts:
        """What has become of the replies so far."""
        lost = self._missing | self._failed
        return ReplyCounts(
            answered=len(self._asked - lost),
            missing=tuple(sorted(self._missing)),
            failed=tuple(sorted(self._failed)),
            duplicate=tuple(sorted(self._duplicate)),
            foreign=tuple(sorted(set(self._entries) - self._used)),
        )


class RequestFolder:
    """A folder of request files, one subfolder `round-N` for each time that a method asks.

    Requests go to the disk as they come. The files hold users' histories, so only their owner may read them.

    Args:
        path: The folder.
        settings: They name the model that the requests carry, and its further fields.
        shard_bytes: The most bytes of one file.
        shard_requests: The most requests of one file.

    Raises:
        ConfigError: The settings name no model.
    """

    def __init__(
        self,
        path: str | Path,
        settings: Settings,
        *,
        shard_bytes: int = SHARD_BYTES,
        shard_requests: int = SHARD_REQUESTS,
    ) -> None:
        if settings.model is None:
            raise ConfigError("requests for no model", hint="name with --model the one that will answer")
        self.path = Path(path)
        self.model = settings.model
        self._dialect = Dialect(settings)
        self._limits = shard_bytes, shard_requests
        self._part = self.path / ".round.part"
        self._keys: set[str] = set()
        self._shards = self._bytes = self._count = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, request: ChatRequest) -> None:
        """Takes a request for the next round; an equal one is asked once.

        Raises:
            ConfigError: It cannot be written.
        """
        key = batch_key(request)
        if key in self._keys:
            return
        body = {"model": self.model, **self._dialect.body(request_fields(request))}
        plain = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        line = json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            with self._shard(len(line)) as file:
                file.write(line)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error}", hint="check --requests-only") from error
        self._keys.add(key)

    def write(self) -> tuple[Path, ...]:
        """Closes the round of what is missing; a round that is still unanswered is not written again.

        Returns:
            The files to be answered; empty where nothing is missing.

        Raises:
            ConfigError: They cannot be written.
        """
        if not self._keys:
            return ()
        rounds = sorted(self.path.glob("round-*"), key=lambda one: int(one.name.removeprefix("round-")))
        if rounds and _keys(sorted(rounds[-1].glob("*.jsonl"))) == self._keys:
            shutil.rmtree(self._part)
            return tuple(sorted(rounds[-1].glob("*.jsonl")))
        try:
            folder = self._part.rename(self.path / f"round-{len(rounds) + 1}")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error}", hint="check --requests-only") from error
        return tuple(sorted(folder.glob("*.jsonl")))

    def _shard(self, size: int) -> IO[bytes]:
        """The file that takes so many more bytes."""
        most_bytes, most_requests = self._limits
        if not self._shards:  # a killed process may have left half a round
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
        if not self._shards or self._bytes + size > most_bytes or self._count >= most_requests:
            self._shards, self._bytes, self._count = self._shards + 1, 0, 0
        self._bytes, self._count = self._bytes + size, self._count + 1
        path = self._part / f"requests-{self._shards:04}.jsonl"
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


@dataclass(frozen=True)
class Offline:
    """What stands in a server's place: recorded replies, and where requests without one go."""

    replies: RecordedReplies | None = None
    requests: RequestFolder | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.replies.name if self.replies else self.requests.model if self.requests else "offline"

    def llm(self, asker: str) -> OfflineLLM:
        """The model for one user or turn."""
        return OfflineLLM(asker, self.replies, self.requests)


class OfflineLLM:
    """An `LLM` of recorded replies for one user or turn; what is not recorded becomes a request of the next round.

    Args:
        asker: The id of whom the requests are about.
        replies: Recorded replies; None where there are none yet.
        requests: Takes the requests without a reply; None takes none.
    """

    def __init__(
        self, asker: str, replies: RecordedReplies | None = None, requests: RequestFolder | None = None
    ) -> None:
        self._asker, self._replies, self._requests = asker, replies, requests

    async def handshake(self) -> ServerInfo:
        """The model's name; neither its context nor a tokenizer is known, so nothing is cut to fit."""
        model = Offline(self._replies, self._requests).model
        return ServerInfo(base_url="offline", model=model, vllm=True)

    async def chat(self, request: ChatRequest) -> Exchange:
        """The recorded reply.

        Raises:
            MissingReplyError: There is none.
            BadReplyError: It is an error, or holds no text.
        """
        try:
            return (self._replies or RecordedReplies("offline")).exchange(self._asker, request)
        except (MissingReplyError, BadReplyError):
            if self._requests is not None:
                self._requests.add(request)
            raise

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:  # noqa: ARG002
        """Unknown."""
        return None

    async def labels(self, count: int) -> LabelSet:
        """Letters, whose log-probabilities are read from the 20 most likely first tokens.

        Raises:
            CapabilityError: There are more candidates than letters.
        """
        if count > _MOST_LABELS:
            raise CapabilityError(
                f"offline, {_MOST_LABELS} labels at the most can be read, and {count} were asked for",
                hint=f"a --pool of {_MOST_LABELS}, or a template without labels",
            )
        return LabelSet(
            labels=tuple(Label(text=one) for one in _LABELS[:count]), by="top_logprobs", most=_MOST_LABELS
        )

    async def binds_choices(self) -> bool:
        """Structured outputs are in the requests; whether the model that answers keeps to them is not tried."""
        return True

    async def aclose(self) -> None:
        """Nothing is open."""


def _lines(path: Path) -> Iterator[tuple[str, _Entry]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    try:
                        yield _entry(read_json(line))
                    except DuplicateKeyError as error:
                        hint = "keep one of its two values"
                        raise DataError(str(error), path=path, line=number, hint=hint) from None
                    except (ValueError, TypeError, KeyError, AttributeError) as error:
                        raise DataError(
                            "is neither {\"id\", \"text\"} nor a line of a batch's output or of a run's journal",
                            path=path, line=number,
                            hint="give `vllm run-batch` -o files, exchanges.jsonl, or lines of id and text",
                        ) from error  # fmt: skip
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check --replies") from error


def _entry(line: Mapping[str, Any]) -> tuple[str, _Entry]:
    if "request" in line:
        request = ChatRequest.model_validate(line["request"])
        if "bad_reply" in line:
            return batch_key(request), _Entry(failure=str(line["bad_reply"]["message"]))
        return batch_key(request), _Entry(exchange=Exchange(messages=request.messages, **line["reply"]))
    if "custom_id" not in line:
        text, ended = line["text"], line.get("finish_reason")
        if not isinstance(text, str | None) or not isinstance(ended, str | None):
            raise TypeError
        return _id(line["id"]), _Entry(text, ended, failure="no text" if text is None else None)
    response, error = line.get("response") or {}, line.get("error")
    status = response.get("status_code")
    if error or status not in (None, 200) or "body" not in response:
        message = error.get("message") if isinstance(error, dict) else error
        return _id(line["custom_id"]), _Entry(failure=str(message or f"status {status}")[:300])
    try:
        reply = Reply.model_validate(response["body"])
    except ValidationError:
        return _id(line["custom_id"]), _Entry(failure="no chat completion")
    return _id(line["custom_id"]), _Entry(reply=reply)


def _id(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError


def _exchange(entry: _Entry, request: ChatRequest, name: str) -> Exchange:
    if entry.failure is not None:
        raise BadReplyError(f"{name}: the reply failed: {entry.failure}", hint="ask for it again")
    if entry.exchange is not None:
        return entry.exchange
    labels = request.labels.labels if request.labels is not None else None
    if entry.reply is None:
        if labels is not None:
            raise BadReplyError(f"{name}: a text has no log-probabilities", hint="answer the request files")
        return Exchange(
            messages=request.messages, answer=entry.text or "", finish_reason=entry.finish_reason, model=name
        )
    reply, answer = entry.reply, entry.reply.answer
    if labels is None and (answer is None or only_thought(answer, thought=reply.thought)):
        raise BadReplyError(f"{name}: the reply has no answer", hint="ask for it again, with more max_tokens")
    return Exchange(
        messages=request.messages,
        answer=answer or "",
        finish_reason=reply.finish_reason,
        model=reply.model,
        usage=reply.tokens(),
        request_id=reply.id,
        label_logprobs=None if labels is None else read_labels(reply, labels, name),
    )


def _keys(files: Sequence[Path]) -> set[str]:
    found: set[str] = set()
    for path in files:
        with path.open("rb") as file:
            found.update(json.loads(line)["custom_id"] for line in file)
    return found
