"""Rows of CSV, TSV, JSONL and Parquet files, each with the line it came from.

One reader for catalogs and interactions, so that every complaint about a file reads the same.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zsrec.errors import BadRowError, ConfigError, DataError, EncodingError, MissingColumnError, MissingExtraError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

Row = tuple[int, Mapping[str, Any]]


def read_rows(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    encoding: str = "utf-8",
    delimiter: str | None = None,
) -> Iterator[Row]:
    """The rows of a table, lazily, in the file's order.

    Args:
        path: A .csv, .tsv, .jsonl, .ndjson or .parquet file; the suffix decides the format.
        columns: Columns that must be there.
        encoding: Of text formats. A byte-order mark is skipped.
        delimiter: Of CSV; "," by default, and a tab for .tsv.

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
    kind = SUFFIXES.get(path.suffix.lower())
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
            yield from _jsonl_rows(path, columns, encoding)
        else:
            yield from _csv_rows(path, columns, encoding, delimiter or ("\t" if kind == "tsv" else ","))
    except UnicodeDecodeError as error:
        raise EncodingError(
            f"not {encoding}: byte 0x{error.object[error.start]:02x}",
            path=path,
            line=_undecodable_line(path, encoding),
            hint="save the file as UTF-8 or name its encoding (encoding='latin-1' reads any file)",
        ) from None
    except LookupError:
        raise ConfigError(f"unknown encoding {encoding!r}", hint="for example 'utf-8' or 'latin-1'") from None


def check_columns(path: Path, line: int, found: Sequence[str], wanted: Sequence[str]) -> None:
    """Makes sure that the columns are there.

    Raises:
        MissingColumnError: One of `wanted` is not among `found`.
    """
    for name in wanted:
        if name not in found:
            raise MissingColumnError(
                f"no column {name!r}",
                path=path,
                line=line,
                hint=f"the file has: {', '.join(map(repr, found)) or 'no columns'}",
            )


def _csv_rows(path: Path, columns: Sequence[str], encoding: str, delimiter: str) -> Iterator[Row]:
    with path.open(encoding=_without_bom(encoding), newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        start = 1
        header: list[str] | None = None
        try:
            for fields in reader:
                line, start = start, reader.line_num + 1
                if header is None:
                    header = [name.strip() for name in fields]
                    check_columns(path, line, header, columns)
                elif len(fields) == len(header):
                    yield line, dict(zip(header, fields, strict=True))
                elif fields:  # an empty line is no row
                    raise BadRowError(
                        f"expected {len(header)} fields, found {len(fields)}",
                        path=path,
                        line=line,
                        hint="put fields that contain the delimiter between double quotes",
                    )
        except csv.Error as error:
            raise BadRowError(
                f"broken CSV: {error}", path=path, line=start, hint="check the quotes of this line"
            ) from None
        if header is None:
            check_columns(path, 1, (), columns)


def _jsonl_rows(path: Path, columns: Sequence[str], encoding: str) -> Iterator[Row]:
    with path.open(encoding=_without_bom(encoding)) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise BadRowError(
                    f"not JSON: {error}", path=path, line=line, hint="write one JSON object a line"
                ) from None
            if not isinstance(row, dict):
                raise BadRowError(
                    f"expected a JSON object, found {type(row).__name__}",
                    path=path,
                    line=line,
                    hint='write {"id": …, "title": …}',
                )
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
            check_columns(path, 1, file.schema_arrow.names, columns)
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
