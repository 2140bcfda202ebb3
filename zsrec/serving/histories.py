"""The histories that a service knows, by user: those of the interactions, and what feedback added."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zsrec.core.errors import BadRowError, DataError
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Interactions
from zsrec.retrieval.base import Learns, Retriever


class UserHistories:
    """Histories by user, kept in memory, with a journal that a restart reads.

    The journal has one JSON object per line, {"user": …, "event": …}, and is personal data: only its owner can
    read it. A last line that a crash cut short is skipped; any other line that is not valid is an error.

    Args:
        journal: The file, made on the first event; None keeps events in memory only.

    Raises:
        DataError: The journal cannot be read.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._journal = journal
        self._known: Interactions | None = None
        self._retriever: Retriever | None = None
        self._added: dict[str, tuple[Event, ...]] = {}
        for user, event in () if journal is None or not journal.exists() else _read(journal):
            self._added[user] = (*self._added.get(user, ()), event)

    def __len__(self) -> int:
        return sum(map(len, self._added.values()))

    def serve(self, known: Interactions | None, retriever: Retriever | None) -> None:
        """Take new interactions, and teach their retriever the events that they lack."""
        self._known, self._retriever = known, retriever
        for user, events in self._added.items():
            own = set(self._items(user))
            self._learn(user, [event for event in events if event.item not in own])

    def of(self, user: str) -> History | None:
        """The history of a user; None where nothing is known of them."""
        added = self._added.get(user, ())
        again = {event.item for event in added}
        events = tuple(Event(item=item, by="id") for item in self._items(user) if item not in again)
        return History(events=(*events, *added), user=user) if events or added else None

    def add(self, user: str, events: Sequence[Event]) -> None:
        """Append events to a user's history and to the journal; they count from the next request on.

        Raises:
            DataError: The journal cannot be written; nothing is added then.
        """
        if self._journal is not None:
            lines = [json.dumps({"user": user, "event": one.model_dump(mode="json")}) + "\n" for one in events]
            try:
                _append(self._journal, "".join(lines))
            except OSError as error:
                raise DataError(f"the journal cannot be written: {error.strerror}", path=self._journal) from error
        self._added[user] = (*self._added.get(user, ()), *events)
        self._learn(user, events)

    def _items(self, user: str) -> list[str]:
        code = None if self._known is None else self._known.users.code(user)
        if self._known is None or code is None:
            return []
        return [self._known.items[item] for item in self._known.items_of(code).tolist()]

    def _learn(self, user: str, events: Sequence[Event]) -> None:
        if isinstance(self._retriever, Learns):
            for event in events:
                if event.feedback in (Feedback.SEEN, Feedback.LIKED):
                    self._retriever.add(user, event.item)


def _read(journal: Path) -> Iterator[tuple[str, Event]]:
    try:
        text = journal.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the journal cannot be read: {error}", path=journal) from error
    lines = text.split("\n")
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line break was cut short
        try:
            row = json.loads(line)
            yield row["user"], Event.model_validate(row["event"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadRowError("no event of the journal", path=journal, line=number) from error


def _append(path: Path, text: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # a crash cut the last line short
            whole = os.pread(file, size, 0).rfind(b"\n") + 1
            os.ftruncate(file, whole)
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
