"""Damage to files, as disks, copies and hands do it; each returns what it damaged, or None where it cannot."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

Damage = Callable[[random.Random, Sequence[Path]], Path | None]


def flipped_byte(rng: random.Random, files: Sequence[Path]) -> Path | None:
    path = rng.choice(files)
    raw = bytearray(path.read_bytes())
    if not raw:
        return None
    raw[rng.randrange(len(raw))] ^= rng.randint(1, 255)
    path.write_bytes(raw)
    return path


def other_digit(rng: random.Random, files: Sequence[Path]) -> Path | None:
    """A digit in a number or a string: the file stays well formed."""
    path = rng.choice(files)
    raw = bytearray(path.read_bytes())
    digits = [at for at, byte in enumerate(raw) if chr(byte).isdigit()]
    if not digits:
        return None
    at = rng.choice(digits)
    raw[at] = ord(str((int(chr(raw[at])) + rng.randint(1, 9)) % 10))
    path.write_bytes(raw)
    return path


def lost_line_break(rng: random.Random, files: Sequence[Path]) -> Path | None:
    path = rng.choice(files)
    raw = bytearray(path.read_bytes())
    breaks = [at for at, byte in enumerate(raw) if byte == 10]
    if not breaks:
        return None
    raw[rng.choice(breaks)] = 32
    path.write_bytes(raw)
    return path


def cut_end(rng: random.Random, files: Sequence[Path]) -> Path | None:
    path = rng.choice(files)
    raw = path.read_bytes()
    path.write_bytes(raw[: -rng.randint(1, 40)])
    return path if raw else None


def other_lines(rng: random.Random, files: Sequence[Path]) -> Path | None:
    """A line lost, twice, or at another's place."""
    path = rng.choice(files)
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < 3:
        return None
    at = rng.randrange(len(lines) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[at])
    else:
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    path.write_bytes(b"".join(lines))
    return path


def copied_over(rng: random.Random, files: Sequence[Path]) -> Path | None:
    """A file under the name of another of its kind."""
    pairs = [(a, b) for a in files for b in files if a != b and a.suffix == b.suffix]
    if not pairs:
        return None
    one, other = rng.choice(pairs)
    if one.read_bytes() == other.read_bytes():
        return None
    other.write_bytes(one.read_bytes())
    return other


def lost_file(rng: random.Random, files: Sequence[Path]) -> Path | None:
    path = rng.choice(files)
    path.unlink()
    return path


DAMAGE: tuple[Damage, ...] = (
    flipped_byte, other_digit, lost_line_break, cut_end, other_lines, copied_over, lost_file,
)  # fmt: skip
