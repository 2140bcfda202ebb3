"""The folder of a batch job: its checksums, what in it is damaged, and what can be asked again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from zsrec.core.checked_lines import read_lines, repair
from zsrec.core.errors import DamagedError
from zsrec.core.resumable_folder import ResumableFolder
from zsrec.llm.journal import is_entry
from zsrec.serving.batch_chunks import Files

INPUT, SUMMARY = "input.json", "summary.json"


class BatchFolder(ResumableFolder):
    """The folder of one job, `OUT/_zsrec`, with the parts beside it."""

    def __init__(self, out: str | Path) -> None:
        self.files = Files(out)
        super().__init__(self.files.sums.folder)

    def collect(self) -> None:
        """Record the checksums that workers left beside the chunks."""
        found = {one: self.files.out / f"{one.stem}.parquet" for one in self.files.work.glob("part-*.sha256")}
        done = {one: part for one, part in found.items() if part.exists()}
        if done:
            text = {one: one.read_text(encoding="ascii", errors="replace").strip() for one in done}
            self.sums.record({self.sums.name(part): text[one][:64].ljust(64, "0") for one, part in done.items()})
        for one in done:
            one.unlink()

    def has_chunks(self, numbers: Iterable[int]) -> bool:
        """Whether these chunks are there, with their checksums."""
        recorded = self.sums.read()
        return all(path.exists() and self.sums.name(path) in recorded for path in map(self.files.chunk, numbers))

    def forget_chunks(self) -> None:
        """Forget the checksums of chunks, which go when the job is done."""
        chunks = [name for name in self.sums.read() if name.startswith("work/")]
        if chunks:
            self.sums.record({}, forget=chunks)

    def check_parts(self) -> None:
        """Raise `DamagedError` where a finished part is not as it was written."""
        self.collect()
        names = {name for name in self.sums.read() if name.startswith("../part-")}
        there = {self.sums.name(path) for path in self.files.out.glob("part-*.parquet")}
        for fault in self.sums.faults(sorted(names | there)):
            raise fault

    def faults(self) -> Iterator[DamagedError]:
        """What in the folder is damaged."""
        self.collect()
        for error in super().faults():
            path = Path(error.path or "")
            if path.suffix != ".arrow" or path.exists():  # a chunk goes when its part is there
                yield error
        for path in sorted(self.files.work.glob("chunk-*.jsonl")):
            purpose = self.files.purpose(int(path.stem.removeprefix("chunk-")))
            yield from read_lines(path, purpose, lambda line: is_entry(line.entry)).errors(path)

    def _stored(self) -> Iterator[str]:
        """The files that have checksums."""
        yield from super()._stored()
        for path in (*self.files.out.glob("part-*.parquet"), *self.files.work.glob("chunk-*.arrow")):
            yield self.sums.name(path)

    def _repair(self, path: Path) -> None:
        if path.suffix == ".jsonl":
            repair(path, self.files.purpose(int(path.stem.removeprefix("chunk-"))), is_entry)
            return
        super()._repair(path)
        if path.suffix == ".parquet":
            self.remove(SUMMARY)
