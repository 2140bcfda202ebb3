"""Large text tables by blocks of lines: clean blocks at pyarrow's speed, odd ones row by row.

A block that pyarrow reads is one that has nothing to complain about. Wherever it has, the block is read once more
by `zsrec.tables`, so that there is one place that decides what a row says and what is wrong with it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.tables import UNIT, Layout, OnBad, Row, check_columns, read_lines

SIZE = 1 << 25
ENCODINGS = ("utf-8", "utf8", "utf-8-sig", "ascii", "latin-1", "latin1", "iso-8859-1", "cp1252")
_QUOTED = re.compile(r'"[^"]*"')
_BOM = b"\xef\xbb\xbf"


class Coded(NamedTuple):
    """A column of texts: each different one once, and which stands where.

    Attributes:
        values: The different texts.
        places: Of each row's text in `values`; shape (rows,).
    """

    values: Sequence[str]
    places: NDArray[np.int32]


class Block(NamedTuple):
    """A block of clean rows, each on a line of its own.

    Attributes:
        first_line: The number of the first row's line.
        texts: The columns of ids.
        numbers: The column of times, finite; None where the table has none; shape (rows,).
    """

    first_line: int
    texts: Mapping[str, Coded]
    numbers: NDArray[np.float64] | None


def is_fast(encoding: str) -> bool:
    """Whether `read_blocks` can be used: pyarrow is there, and a byte 0x0A is always a line's end."""
    try:
        import pyarrow.csv  # noqa: F401
    except ImportError:
        return False
    return encoding.lower().replace("_", "-") in ENCODINGS


def read_blocks(
    path: Path,
    layout: Layout,
    *,
    texts: Sequence[str],
    number: str | None,
    encoding: str = "utf-8",
    on_bad: OnBad | None = None,
    size: int = SIZE,
) -> Iterator[Block | Iterator[Row]]:
    """The rows of a text table, in the file's order.

    Args:
        path: The file.
        layout: How it is written.
        texts: Columns of ids.
        number: A column of numbers, or None.
        encoding: One of `ENCODINGS`.
        on_bad: As in `zsrec.tables.read_rows`.
        size: Bytes a block, about.

    Yields:
        A `Block`, or the rows of a block that is none. Those must be consumed before the next one is asked for.

    Raises:
        UnicodeDecodeError: The bytes are not in `encoding`.
        DataError: As `zsrec.tables.read_lines`.
    """
    columns = [*texts, *([number] if number else [])]
    line = 1
    with path.open("rb") as file:
        if not (encoding.lower().startswith("utf") and file.read(len(_BOM)) == _BOM):
            file.seek(0)
        while True:
            start = file.tell()
            block = file.readline() if layout.header is None else file.read(size) + file.readline()
            if not block and layout.header is not None:
                return
            if not block or (layout.quotes and _may_hold_line_breaks(block, layout)):
                file.seek(start)
                rest = io.TextIOWrapper(file, encoding, newline="")
                yield read_lines(rest, layout, path=path, columns=columns, first_line=line, on_bad=on_bad)
                return
            if layout.header is None:
                names = block.decode(encoding).strip("\r\n").split(layout.delimiter)
                layout = layout._replace(header=tuple(name.strip().strip('"').strip() for name in names))
                check_columns(path, line, layout.header or (), columns)
            elif clean := _clean(block, layout, line, texts, number, encoding):
                yield clean
            else:
                lines = io.StringIO(block.decode(encoding), newline="")
                yield read_lines(lines, layout, path=path, columns=columns, first_line=line, on_bad=on_bad)
            line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def _may_hold_line_breaks(block: bytes, layout: Layout) -> bool:
    """Whether a quoted field may go over several lines; names in a header between quotes do not."""
    if layout.header is not None:
        return b'"' in block
    names = block.decode("latin-1").strip("\r\n").split(layout.delimiter)
    return any('"' in name and not _QUOTED.fullmatch(name) for name in names)


def _clean(
    block: bytes, layout: Layout, line: int, texts: Sequence[str], number: str | None, encoding: str
) -> Block | None:
    """The block's columns; None where anything in it is odd."""
    import pyarrow
    from pyarrow import csv

    if not encoding.lower().startswith("utf"):
        block = block.decode(encoding).encode()
    if len(layout.delimiter) > 1:
        block = block.replace(layout.delimiter.encode(), UNIT.encode())
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    types = dict.fromkeys(texts, text) | ({number: pyarrow.float64()} if number else {})
    try:
        table = csv.read_csv(
            pyarrow.BufferReader(block),
            csv.ReadOptions(column_names=layout.header, block_size=len(block) + 1),
            csv.ParseOptions(
                delimiter=UNIT if len(layout.delimiter) > 1 else layout.delimiter,
                quote_char=False,
                newlines_in_values=False,
            ),
            csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
        ).combine_chunks()
    except pyarrow.ArrowException:
        return None
    if len(table) != block.count(b"\n") + (not block.endswith(b"\n")):
        return None  # an empty line, or another line end: lines would be counted wrong
    numbers = table[number].to_numpy() if number else None
    if numbers is not None and not np.isfinite(numbers).all():
        return None
    coded = {name: _coded(table[name].combine_chunks()) for name in texts}
    if any(not value.strip() for column in coded.values() for value in column.values):
        return None
    return Block(line, coded, numbers)


def _coded(column: Any) -> Coded:  # noqa: ANN401  (pyarrow has no types)
    return Coded(column.dictionary.to_pylist(), column.indices.to_numpy())
