"""Files of JSON lines that a command reads and writes; "-" is stdin or stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from zsrec.errors import BadRowError, ConfigError


@contextmanager
def opened(name: str, mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    """A file by its path, or stdin and stdout by "-".

    Raises:
        ConfigError: It cannot be opened.
    """
    if name == "-":
        stream = sys.stdin.buffer if mode == "rb" else sys.stdout.buffer
        yield stream
        stream.flush()
        return
    try:
        file = Path(name).open(mode)  # noqa: SIM115  (closed below; only opening fails with our error)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be opened: {error.strerror}", hint="check --in and --out") from error
    with file:
        yield file


def json_object(line: bytes, source: str, number: int) -> Mapping[str, Any]:
    """The object in one line.

    Args:
        line: As read.
        source: The file's name, for the message.
        number: The line's number from 1, for the message.

    Raises:
        BadRowError: The line holds anything else.
    """
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"not a line of JSON: {error}", path=source, line=number) from error
    if not isinstance(row, dict):
        raise BadRowError(f"expected an object, found {kind(row)}", path=source, line=number)
    return row


def is_id(value: object) -> bool:
    """Whether a JSON value can be an id: a text, or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def kind(value: object) -> str:
    """What a JSON value is, in words for a message."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else "a number"
