"""A chunk of users, from the work folder to a finished file of the output.

::

    OUT/part-00012.parquet              finished; written atomically
    OUT/_zsrec/work/chunk-00012.arrow   its users and histories, while there is work: personal data!
    OUT/_zsrec/work/chunk-00012.jsonl   its users that are done, one line each (`zsrec.llm.journal`)
    OUT/_zsrec/work/chunk-00012.lock    held by the process that works on it
    OUT/_zsrec/work/part-00012.sha256   the part's checksum, written before the part takes its name

A user is done when the line is written, so a resumed job asks again only for what was under way. The checksums of
chunks, and of parts once the job is done, are in `OUT/_zsrec/SHA256SUMS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from zsrec.core.checksums import Checksums, Sums
from zsrec.core.errors import ConfigError, DataError
from zsrec.core.files import atomic_write, file_lock, sha256
from zsrec.core.resumable_folder import CONFIG
from zsrec.core.types import TemplateRef
from zsrec.data.history import Event, History, Turn, feedback_of
from zsrec.llm.journal import Journal
from zsrec.serving.batch_input import Part, turns_of
from zsrec.serving.batch_rows import Answer, arrow, table

_LOCK_TIMEOUT = 60.0  # seconds for the workers of a killed process to release a chunk


class Files:
    """The files of a job, below its output folder."""

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        self.work = self.out / "_zsrec" / "work"
        self.sums = Checksums(self.out / "_zsrec")

    @cached_property
    def recorded(self) -> Sums:
        """The checksums when they were first needed."""
        return self.sums.read()

    @cached_property
    def job(self) -> str:
        """The job's configuration as a checksum; empty for chunks without a job."""
        path = self.out / "_zsrec" / CONFIG
        return sha256(path) if path.exists() else ""

    def purpose(self, number: int) -> str:
        """What the journal of a chunk is of."""
        return f"batch {self.job} chunk {number}"

    def part(self, number: int) -> Path:
        """The finished rows of a chunk."""
        return self.out / f"part-{number:05d}.parquet"

    def chunk(self, number: int) -> Path:
        """A chunk's users and histories."""
        return self.work / f"chunk-{number:05d}.arrow"

    def journal(self, number: int) -> Path:
        """The journal of a chunk's users that are done."""
        return self.work / f"chunk-{number:05d}.jsonl"

    def lock(self, number: int) -> Path:
        """The lock file of a chunk that is being worked on."""
        return self.work / f"chunk-{number:05d}.lock"

    def digest(self, number: int) -> Path:
        """The checksum of a part, until the driver records it."""
        return self.work / f"part-{number:05d}.sha256"


def write_chunk(files: Files, number: int, part: Part) -> None:
    """Write a chunk's users and histories atomically."""
    pa = arrow()
    starts = pa.array(part.starts, pa.int64())
    columns = {"user": part.users, "items": pa.LargeListArray.from_arrays(starts, part.items)}
    if part.ratings is not None:
        columns["ratings"] = pa.LargeListArray.from_arrays(starts, part.ratings)
    if part.conversations is not None:
        columns["conversation"] = part.conversations
    if part.bad:
        columns["bad"] = pa.array([user in part.bad for user in part.users.to_pylist()])
    rows = pa.table(columns)
    path = files.chunk(number)
    with atomic_write(path, part=_part_of(path, files)) as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)


class Chunk:
    """A chunk that is being worked on; made by `open_chunk`. `pending` are the indices of users not yet asked."""

    def __init__(self, number: int, files: Files, rows: Any, journal: Journal, close: ExitStack) -> None:  # noqa: ANN401
        self.number = number
        self._files = files
        self._users: list[str] = rows["user"].to_pylist()
        self._items, self._ratings = rows["items"], rows["ratings"] if "ratings" in rows.column_names else None
        self._talk = rows["conversation"] if "conversation" in rows.column_names else None
        self._bad = rows["bad"].to_pylist() if "bad" in rows.column_names else None
        self._journal = journal
        self._close = close
        self.pending = [index for index, user in enumerate(self._users) if user not in journal]
        self._left = len(self.pending)

    def __len__(self) -> int:
        return len(self._users)

    @property
    def done(self) -> bool:
        """Whether every user is written."""
        return self._left == 0

    def user(self, index: int) -> str:
        """A user's id."""
        return self._users[index]

    def is_bad(self, index: int) -> bool:
        """Return whether a value of the user's history is not valid."""
        return self._bad is not None and bool(self._bad[index])

    def conversation(self, index: int) -> tuple[Turn, ...]:
        """A user's conversation."""
        return () if self._talk is None else turns_of(self._talk[index].as_py())

    def history(self, index: int, *, liked_from: float | None, disliked_to: float | None) -> History:
        """A user's history; ratings become likes and dislikes as in `read_histories`."""
        items = self._items[index].as_py()
        ratings = [None] * len(items) if self._ratings is None else self._ratings[index].as_py()
        return History(
            user=self._users[index],
            events=tuple(
                Event(item=item, by="id", rating=rating, feedback=feedback_of(rating, liked_from, disliked_to))
                for item, rating in zip(items, ratings, strict=True)
            ),
        )

    def write(self, answer: Answer) -> None:
        """Record a user as done; a resumed job does not ask for them again."""
        if not answer.fits():  # it could never be written, and the job never end
            answer = Answer(user=answer.user, error="bad_reply", history_given=answer.history_given)
        self._journal.append(answer.user, **answer.entry())
        self._left -= 1

    def finish(self, template: TemplateRef) -> None:
        """Write the chunk's part of the output atomically, and remove what it was made from."""
        rows = table([Answer.from_entry(self._journal[user]) for user in self._users], template)
        path = self._files.part(self.number)
        part = _part_of(path, self._files)
        with atomic_write(path, part=part) as file:
            arrow().parquet.write_table(rows, file, compression="zstd")
            file.flush()
            with atomic_write(self._files.digest(self.number)) as digest:
                digest.write(sha256(part).encode())
        self.close()

    def close(self) -> None:
        """Release the chunk; what is recorded stays."""
        self._close.close()


def open_chunk(files: Files, number: int) -> Chunk | None:
    """Lock a chunk and read it; None where it is finished, with its leftovers removed."""
    pa = arrow()
    if files.part(number).exists() and not files.chunk(number).exists():
        return None
    held = ConfigError(f"another process works on chunk {number}", hint="end it, then start this command again")
    with ExitStack() as stack:
        # A dead driver's worker may still be about to finish this chunk.
        stack.enter_context(file_lock(files.lock(number), timeout=_LOCK_TIMEOUT, held=held))
        if files.part(number).exists():
            _remove(files, number)
            return None
        for fault in files.sums.faults([files.sums.name(files.chunk(number))], files.recorded):
            raise fault
        try:
            with files.chunk(number).open("rb") as file, pa.ipc.open_file(file) as reader:
                rows = reader.read_all().combine_chunks()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=files.chunk(number)) from error
        except pa.ArrowException as error:
            raise DataError(f"cannot be read: {error}", path=files.chunk(number)) from None
        stack.callback(_remove_finished, files, number)
        journal = stack.enter_context(Journal(files.journal(number), files.purpose(number), usable=Answer.usable))
        return Chunk(number, files, rows, journal, stack.pop_all())
    raise AssertionError  # for the type checker: an ExitStack might swallow an exception


@contextmanager
def closing_chunks(chunks: Iterator[Chunk]) -> Iterator[Iterator[Chunk]]:
    """The same chunks; those that were taken are closed when the block ends."""
    taken: list[Chunk] = []

    def recorded() -> Iterator[Chunk]:
        for chunk in chunks:
            taken[:] = [one for one in taken if not one.done]
            taken.append(chunk)
            yield chunk

    try:
        yield recorded()
    finally:
        for chunk in taken:
            chunk.close()


def _remove_finished(files: Files, number: int) -> None:
    if files.part(number).exists():
        _remove(files, number)


def _remove(files: Files, number: int) -> None:
    files.journal(number).unlink(missing_ok=True)
    with suppress(PermissionError):  # on Windows its holder cannot remove it: it goes with the folder
        files.lock(number).unlink(missing_ok=True)
    files.chunk(number).unlink(missing_ok=True)  # the last one: whoever sees it may still have work


def _part_of(path: Path, files: Files) -> Path:
    """The name while a file is written: in the work folder, since readers of the output take every file in it."""
    return files.work / f"{path.name}.tmp"


def unfinished(files: Files, chunks: int) -> Sequence[int]:
    """The numbers of the chunks that are not finished."""
    return [number for number in range(chunks) if not files.part(number).exists()]
