"""The histories that a service knows, by user: those of the interactions, and what feedback added."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from zsrec.core.checked_lines import Line, Lines, line_of, read_lines, repair
from zsrec.core.errors import DataError
from zsrec.data.history import Event, Feedback, History
from zsrec.data.interactions import Interactions
from zsrec.retrieval.base import Learns, Retriever

FEEDBACK = "feedback"
"""What the lines of the journal are of."""


class UserHistories:
    """Histories by user, kept in memory, with a journal that a restart reads.

    The journal has one JSON object per line, {"user": …, "event": …, "check": …}, and is personal data: only its
    owner can read it. A last line that a crash cut short is skipped; any other line that is not as it was written
    is an error (`zsrec.core.checked_lines`). One process writes it. A journal of before checksums gets them here.

    Args:
        journal: The file, made on the first event; None keeps events in memory only.

    Raises:
        DataError: The journal cannot be read.
        DamagedError: A line was changed, lost, repeated or moved.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._journal = journal
        self._known: Interactions | None = None
        self._retriever: Retriever | None = None
        self._added: dict[str, tuple[Event, ...]] = {}
        self._lines = 0
        if journal is not None and journal.exists():
            found = _read(journal, self._added)
            if found.torn is not None or (found.whole and not found.checked):
                repair(journal, FEEDBACK)
            self._lines = found.whole

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
            entries = [{"user": user, "event": one.model_dump(mode="json")} for one in events]
            places = enumerate(entries, start=self._lines + 1)
            try:
                _append(self._journal, b"".join(line_of(entry, place, FEEDBACK) for place, entry in places))
            except OSError as error:
                raise DataError(f"the journal cannot be written: {error.strerror}", path=self._journal) from error
            self._lines += len(events)
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


def _read(journal: Path, added: dict[str, tuple[Event, ...]]) -> Lines:
    """Adds the journal's events to those of their users."""

    def take(line: Line) -> bool:
        try:
            user, event = line.entry["user"], Event.model_validate(line.entry["event"])
        except (ValueError, KeyError, TypeError):
            return False
        added[user] = (*added.get(user, ()), event)
        return True

    found = read_lines(journal, FEEDBACK, take)
    for error in found.errors(journal):
        raise error
    return found


def _append(path: Path, lines: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # a crash cut the last line short
            size = os.pread(file, size, 0).rfind(b"\n") + 1
            os.ftruncate(file, size)
        if os.write(file, lines) < len(lines):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)
