"""Checksums in the lines of append-only JSONL files.

A line ends in the field `"check": "PLACE-CRC"`: its place in the file, from 1, and a CRC-32 of what the file is
for, of that place and of the bytes before the field. So a changed byte, a lost, repeated or moved line and a
line of another file are found and named, and every line stays JSON for pandas, jq and grep. A CRC-32 finds every
change within 32 bits in a row, and any other but one in 4 billion; it is no protection against forgery. Lines that
are lost at the end are not found: they look like lines that were never written.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from zsrec.core.errors import DamagedError, DataError
from zsrec.core.files import atomic_write

_FIELD = b', "check": "'
_CHECK = re.compile(rb"([1-9]\d{0,17})-([0-9a-f]{8})\"\}\n")
REPAIR = "`zsrec verify {} --repair` removes what is damaged; what was lost can then be asked for again"


class Line(NamedTuple):
    """A line whose bytes are as they were written."""

    place: int  # the place that it states; its number in the file where it has no checksum
    start: int  # the offset of its first byte
    size: int  # its bytes, with the line break
    entry: dict[str, Any]  # what it holds


@dataclass
class Lines:
    """What a file of lines holds."""

    whole: int = 0  # lines that are as they were written
    checked: bool = True  # whether it has checksums; files of before them have none
    faults: list[tuple[int, str]] = field(default_factory=list)  # what is damaged, with the line's number
    torn: int | None = None  # the offset of a last line that was not written to its end

    def errors(self, path: Path) -> Iterator[DamagedError]:
        """The damage, each with its line; one error where no line at all is of this file."""
        hint = REPAIR.format(path)
        if len(self.faults) > 1 and not self.whole:
            yield DamagedError("is of another run or job, or damaged in every line", path=path, hint=hint)
            return
        for number, what in self.faults:
            yield DamagedError(what, path=path, line=number, hint=hint)


def line_of(entry: Mapping[str, Any], place: int, purpose: str) -> bytes:
    """An entry as the line at a place of a file with a purpose."""
    text = json.dumps({name: value for name, value in entry.items() if name != "check"}, ensure_ascii=False)
    body = text.encode("utf-8", "surrogatepass")[:-1]
    return body + _FIELD + f'{place}-{_crc(body, place, purpose):08x}"}}\n'.encode()


def read_lines(path: Path, purpose: str, take: Callable[[Line], bool] = lambda _: True) -> Lines:
    """Reads a file of lines; `take` gets those that are as they were written, and says whether it can use them.

    Raises:
        DataError: The file cannot be read.
    """
    found, start, bare, expected, last = Lines(), 0, [], 1, b""
    try:
        with path.open("rb") as file:
            for number, last in enumerate(file, start=1):
                place, sound = _parts(last, purpose)
                entry = _entry(last) if sound else None
                if entry is None or not take(Line(place or number, start, len(last), entry)):
                    found.faults.append((number, "is damaged" if not sound else "is no entry of this file"))
                    expected += 1
                else:
                    found.whole += 1
                    if place is None:
                        bare.append(number)
                    elif place != expected:
                        found.faults.append((number, _misplaced(place, expected)))
                    expected = (place or number) + 1
                start += len(last)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from error
    if last and not last.endswith(b"\n"):
        found.faults.pop()
        found.torn = start - len(last)
    found.checked = found.whole > len(bare) or not bare
    if found.checked:
        found.faults = sorted([*found.faults, *((number, "has lost its checksum") for number in bare)])
    return found


def rewrite(path: Path, purpose: str, entries: Iterable[Mapping[str, Any]]) -> None:
    """Writes a file of lines anew, atomically; only its owner may read it."""
    with atomic_write(path, private=True, hint="free space") as file:
        for place, entry in enumerate(entries, start=1):
            file.write(line_of(entry, place, purpose))


def repair(path: Path, purpose: str, is_entry: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> int:
    """Writes a file anew with its whole lines in their order, each once; returns how many places were damaged."""
    checked: dict[int, tuple[int, int]] = {}
    bare: dict[int, tuple[int, int]] = {}

    def take(line: Line) -> bool:
        lines = checked if "check" in line.entry else bare
        lines.setdefault(line.place, (line.start, line.size))
        return is_entry(line.entry)

    found = read_lines(path, purpose, take)
    if found.faults or found.torn is not None or not found.checked:
        kept = sorted((checked if found.checked else bare).items())
        with path.open("rb") as file:
            whole = (json.loads(os.pread(file.fileno(), size, start)) for _, (start, size) in kept)
            rewrite(path, purpose, (entry for entry in whole if is_entry(entry)))
    return len(found.faults)


def _parts(line: bytes, purpose: str) -> tuple[int | None, bool]:
    """The place that a line states, and whether its bytes are as they were written."""
    if not line.endswith(b"\n"):
        return None, False
    body, found, rest = line.rpartition(_FIELD)
    if not found:
        return None, True
    match = _CHECK.fullmatch(rest)
    if match is None:
        return None, False
    place = int(match[1])
    return place, _crc(body, place, purpose) == int(match[2], 16)


def _crc(body: bytes, place: int, purpose: str) -> int:
    return zlib.crc32(body, zlib.crc32(f"{purpose}\n{place}\n".encode()))


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _misplaced(place: int, expected: int) -> str:
    if place < expected:
        return f"stands at the wrong place or twice: it was line {place}"
    return "follows on a lost line" if place == expected + 1 else f"follows on {place - expected:,} lost lines"
