"""Rows of CSV, TSV, JSONL and Parquet files, each with the line it came from.

One reader for catalogs and interactions, so that every complaint about a file reads the same.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsrec.core.errors import (
    BadRowError,
    ConfigError,
    DataError,
    EncodingError,
    MissingColumnError,
    MissingExtraError,
)

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

Row = tuple[int, Mapping[str, Any]]
OnBad = Callable[[BadRowError], None]
UNIT = "\x1f"  # the unit separator, for delimiters longer than one character


class Layout(NamedTuple):
    """How a text table is written, where its suffix does not tell.

    Attributes:
        delimiter: What stands between fields; longer than one character only where `quotes` is false.
        header: The columns' names; None where the file's first line names them.
        quotes: Whether a field may stand between double quotes.
    """

    delimiter: str = ","
    header: tuple[str, ...] | None = None
    quotes: bool = True


def read_rows(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    encoding: str = "utf-8",
    delimiter: str | None = None,
    layout: Layout | None = None,
    on_bad: OnBad | None = None,
) -> Iterator[Row]:
    """The rows of a table, lazily, in the file's order.

    Args:
        path: A .csv, .tsv, .jsonl, .ndjson or .parquet file; the suffix decides the format.
        columns: Columns that must be there.
        encoding: Of text formats. A byte-order mark is skipped.
        delimiter: Of CSV; "," by default, and a tab for .tsv.
        layout: How a text table is written; the suffix is not asked then.
        on_bad: Called with what is wrong with a row that cannot be read, which is passed over then. A broken quote
            still ends the reading: nobody knows where its row ends.

    Yields:
        `(line, values)`: the 1-based line on which the row starts (for Parquet the row's number), and the
        row's values by column. CSV values are text; JSONL and Parquet values keep their types.

    Raises:
        ConfigError: The suffix is none of those above.
        DataError: The file cannot be opened.
        MissingColumnError: One of `columns` is missing.
        EncodingError: The bytes are not in `encoding`.
        BadRowError: A row cannot be read.
        MissingExtraError: Parquet without pyarrow.
    """
    path = Path(path)
    kind = "text" if layout else SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"{path}: unknown table format {path.suffix or '(no suffix)'!r}",
            hint=f"use one of {', '.join(SUFFIXES)}",
        )
    if not path.is_file():
        raise DataError("no such file", path=path, hint="check the path; a folder is not a table")
    if kind == "parquet":
        yield from _parquet_rows(path, columns)
        return
    try:
        if kind == "jsonl":
            yield from _jsonl_rows(path, columns, encoding, on_bad)
        else:
            layout = layout or suffix_layout(path, delimiter)
            with path.open(encoding=_without_bom(encoding), newline="") as file:
                yield from read_lines(file, layout, path=path, columns=columns, on_bad=on_bad)
    except UnicodeDecodeError as error:
        raise undecodable(path, encoding, error) from None
    except LookupError:
        raise ConfigError(f"unknown encoding {encoding!r}", hint="for example 'utf-8' or 'latin-1'") from None


def suffix_layout(path: Path, delimiter: str | None = None) -> Layout:
    """The layout of a .csv or .tsv file."""
    return Layout(delimiter or ("\t" if SUFFIXES.get(path.suffix.lower()) == "tsv" else ","))


def undecodable(path: Path, encoding: str, error: UnicodeDecodeError) -> EncodingError:
    """The error that names the line of bytes that are not in `encoding`."""
    return EncodingError(
        f"not {encoding}: byte 0x{error.object[error.start]:02x}",
        path=path,
        line=_undecodable_line(path, encoding),
        hint="save the file as UTF-8 or name its encoding (encoding='latin-1' reads any file)",
    )


def check_columns(
    path: Path, line: int | None, found: Sequence[str], wanted: Sequence[str], advice: str = ""
) -> None:
    """Makes sure that the columns are there.

    Args:
        path: The file, for complaints.
        line: Where it names its columns; None where that is no line, as in Parquet.
        found: The columns that it has.
        wanted: Those that it must have.
        advice: What else to do where one is missing.

    Raises:
        MissingColumnError: One of `wanted` is not among `found`.
    """
    for name in wanted:
        if name not in found:
            raise MissingColumnError(
                f"no column {name!r}",
                path=path,
                line=line,
                hint=f"the file has: {', '.join(map(repr, found)) or 'no columns'}{advice and '; '}{advice}",
            )


def read_lines(
    lines: Iterable[str],
    layout: Layout,
    *,
    path: Path,
    columns: Sequence[str] = (),
    first_line: int = 1,
    on_bad: OnBad | None = None,
) -> Iterator[Row]:
    """The rows of a text table's lines.

    Args:
        lines: Each with its line break.
        layout: How the table is written.
        path: The file, for complaints.
        columns: Columns that must be there.
        first_line: The number of the first of `lines`.
        on_bad: As in `read_rows`.

    Yields:
        As `read_rows`.

    Raises:
        MissingColumnError: One of `columns` is missing.
        BadRowError: A row cannot be read.
    """
    header, start = layout.header, first_line
    long = len(layout.delimiter) > 1
    reader = csv.reader(
        (line.replace(layout.delimiter, UNIT) for line in lines) if long else lines,
        delimiter=UNIT if long else layout.delimiter,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE,
    )
    if header is not None:
        check_columns(path, first_line, header, columns)
    try:
        for fields in reader:
            line, start = start, reader.line_num + first_line
            if header is None:
                header = tuple(name.strip() for name in fields)
                check_columns(path, line, header, columns)
            elif len(fields) == len(header):
                yield line, dict(zip(header, fields, strict=True))
            elif fields:  # an empty line is no row
                _complain(
                    BadRowError(
                        f"expected {len(header)} fields, found {len(fields)}",
                        path=path,
                        line=line,
                        hint="put fields that contain the delimiter between double quotes",
                    ),
                    on_bad,
                )
    except csv.Error as error:
        raise BadRowError(
            f"broken CSV: {error}", path=path, line=start, hint="check the quotes of this line"
        ) from None
    if header is None:
        check_columns(path, 1, (), columns)


def _complain(error: BadRowError, on_bad: OnBad | None) -> None:
    if on_bad is None:
        raise error
    on_bad(error)


def _jsonl_rows(path: Path, columns: Sequence[str], encoding: str, on_bad: OnBad | None) -> Iterator[Row]:
    with path.open(encoding=_without_bom(encoding)) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                wrong = f"not JSON: {error}"
            else:
                wrong = "" if isinstance(row, dict) else f"expected a JSON object, found {type(row).__name__}"
            if wrong:
                hint = 'write one JSON object a line, for example {"id": …, "title": …}'
                _complain(BadRowError(wrong, path=path, line=line, hint=hint), on_bad)
                continue
            check_columns(path, line, tuple(row), columns)
            yield line, row


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("reading Parquet files", "parquet") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_columns(path, None, file.schema_arrow.names, columns)
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pyarrow.ArrowException as error:
        raise DataError(f"not a Parquet file: {error}", path=path) from None


def _without_bom(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """The first line that does not decode; None where lines cannot be told apart before decoding."""
    if encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return None
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            try:
                raw.decode(encoding)
            except UnicodeDecodeError:
                return line
    return None


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
        on_bad: As in `zsrec.data.tables.read_rows`.
        size: Bytes a block, about.

    Yields:
        A `Block`, or the rows of a block that is none. Those must be consumed before the next one is asked for.

    Raises:
        UnicodeDecodeError: The bytes are not in `encoding`.
        DataError: As `zsrec.data.tables.read_lines`.
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
