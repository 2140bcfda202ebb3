"""Rows of CSV, TSV, JSONL and Parquet files, each with its line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zsrec.core.errors import (
    BadRowError,
    ConfigError,
    DataError,
    EncodingError,
    MissingColumnError,
    MissingExtraError,
)
from zsrec.core.json_input import DuplicateKeyError, read_json
from zsrec.core.types import Frozen

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
UNIT = "\x1f"  # the unit separator, in place of delimiters longer than one character

_NOWHERE = "\n"  # no header can name a column so

Row = tuple[int, Mapping[str, Any]]
OnBad = Callable[[BadRowError], None]
Wanted = Mapping[str, str] | Sequence[str]
"""Names of columns, perhaps each with the caller's argument that names it."""


class Columns(Frozen):
    """The names of an interactions table's columns; the defaults are MovieLens'."""

    user: str = "userId"
    item: str = "movieId"
    time: str | None = "timestamp"
    rating: str | None = "rating"

    @property
    def present(self) -> dict[str, str]:
        """The columns that the table must have, each with the argument that names it."""
        names = (self.user, self.item, self.time, self.rating)
        return {name: "columns" for name in names if name is not None}


class Layout(NamedTuple):
    """The format of a text table, where its suffix does not tell."""

    delimiter: str = ","
    header: tuple[str, ...] | None = None
    quotes: bool = True


def read_rows(
    path: str | Path,
    *,
    columns: Wanted = (),
    encoding: str = "utf-8",
    delimiter: str | None = None,
    layout: Layout | None = None,
    on_bad: OnBad | None = None,
) -> Iterator[Row]:
    """Yield the rows of a table, each with its line (in Parquet its number), in the file's order."""
    path = Path(path)
    kind = table_kind(path, layout)
    if kind == "parquet":
        number = 0
        for batch in parquet_batches(path, columns):
            for number, row in enumerate(batch.to_pylist(), start=number + 1):  # noqa: B020
                yield number, row
        return
    try:
        if kind == "jsonl":
            yield from _jsonl_rows(path, columns, encoding, on_bad)
        else:
            layout = layout or suffix_layout(path, delimiter)
            with path.open(encoding=_without_bom(encoding), newline="") as file:
                yield from read_lines(file, layout, path=path, columns=columns, on_bad=on_bad)
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from None
    except LookupError:
        raise ConfigError(f"unknown encoding {encoding!r}", hint="for example 'utf-8' or 'latin-1'") from None


def column_names(path: str | Path, *, encoding: str = "utf-8", delimiter: str | None = None) -> Sequence[str]:
    """Return the names in a table's header; of JSON lines those of the first object."""
    try:
        next(read_rows(path, columns=(_NOWHERE,), encoding=encoding, delimiter=delimiter), None)
    except MissingColumnError as error:
        return error.found
    return ()


def table_kind(path: Path, layout: Layout | None = None) -> str:
    """Return "csv", "tsv", "jsonl" or "parquet" by the suffix of an existing file, "text" if it has a layout."""
    kind = "text" if layout else SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"{path}: unknown table format {path.suffix or '(no suffix)'!r}",
            hint=f"use one of {', '.join(SUFFIXES)}",
        )
    if not path.is_file():
        raise DataError("no such file", path=path, hint="check the path; a folder is not a table")
    return kind


def suffix_layout(path: Path, delimiter: str | None = None) -> Layout:
    """Return the layout of a .csv or .tsv file; a `ConfigError` for a delimiter that separates no fields."""
    if delimiter is not None and (not delimiter.strip(" ") or (not delimiter.isprintable() and delimiter != "\t")):
        raise ConfigError(f"the delimiter is {delimiter!r}", hint="for example ';', or a tab")
    if delimiter is not None and '"' in delimiter:
        raise ConfigError(f"the delimiter is {delimiter!r}, and quotes surround fields", hint="for example ';'")
    return Layout(delimiter or ("\t" if SUFFIXES.get(path.suffix.lower()) == "tsv" else ","))


def check_columns(path: Path, line: int | None, found: Sequence[str], wanted: Wanted, advice: str = "") -> None:
    """Raise a DataError unless all columns `wanted` were `found` at `line` (None for Parquet), each once."""
    for name in wanted:
        if name not in found:
            argument = wanted[name] if isinstance(wanted, Mapping) else None
            raise MissingColumnError(name, found, argument=argument, advice=advice, path=path, line=line)
        if found.count(name) > 1:
            raise DataError(
                f"the column {name!r} appears twice", path=path, line=line, hint="rename or remove one of the two"
            )


def read_lines(
    lines: Iterable[str],
    layout: Layout,
    *,
    path: Path,
    columns: Wanted = (),
    first_line: int = 1,
    on_bad: OnBad | None = None,
) -> Iterator[Row]:
    """Yield the rows of a text table's lines, the first of which is number `first_line`; as `read_rows`."""
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
                wrong = f"expected {len(header)} fields, found {len(fields)}"
                hint = "put fields that contain the delimiter between double quotes"
                complain(BadRowError(wrong, path=path, line=line, hint=hint), on_bad)
    except csv.Error as error:
        wrong, hint = f"broken CSV: {error}", "check the quotes of this line"
        if "field limit" in str(error):
            wrong = f"a field of more than {csv.field_size_limit():,} characters"
            hint = "close its quote, or shorten it; JSONL and Parquet have no such limit"
        raise BadRowError(wrong, path=path, line=start, hint=hint) from None
    if header is None:
        check_columns(path, 1, (), columns)


def complain(error: BadRowError, on_bad: OnBad | None) -> None:
    """Pass an error to `on_bad`, or raise it."""
    if on_bad is None:
        raise error
    on_bad(error)


def _jsonl_rows(path: Path, columns: Wanted, encoding: str, on_bad: OnBad | None) -> Iterator[Row]:
    with path.open(encoding=_without_bom(encoding)) as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = read_json(text)
            except DuplicateKeyError as error:
                twice = f"the column {error.key!r} appears twice"
                raise DataError(twice, path=path, line=line, hint="keep one of its two values") from None
            except (ValueError, RecursionError) as error:
                wrong = f"not JSON: {error}"
            else:
                wrong = "" if isinstance(row, dict) else f"expected a JSON object, found {type(row).__name__}"
            if wrong:
                hint = 'write one JSON object per line, for example {"id": …, "title": …}'
                complain(BadRowError(wrong, path=path, line=line, hint=hint), on_bad)
                continue
            check_columns(path, line, tuple(row), columns)
            yield line, row


def parquet_batches(path: Path, columns: Wanted, *, only: bool = False) -> Iterator[Any]:
    """Yield the record batches of a Parquet file; `only` reads no columns but these."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("reading Parquet files", "parquet") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            check_columns(path, None, file.schema_arrow.names, columns)
            yield from (
                file.iter_batches(1 << 18, columns=list(dict.fromkeys(columns))) if only else file.iter_batches()
            )
    except (pyarrow.ArrowException, OSError) as error:  # OSError: also a corrupt page
        raise DataError(f"not a Parquet file: {error}", path=path, hint="write the file again") from None


def undecodable(path: Path, encoding: str, error: UnicodeError) -> EncodingError:
    """Return the error that names the line of bytes that are not in `encoding`."""
    byte = f": byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else ""
    with path.open("rb") as file:
        utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    likely, why = ("utf-16", "as the file seems to be") if utf16 else ("latin-1", "which reads any file")
    return EncodingError(
        f"not {encoding}{byte}",
        path=path,
        line=_undecodable_line(path, encoding),
        hint=f"save the file as UTF-8, or name its encoding: --encoding {likely} or encoding={likely!r}, {why}",
    )


def _without_bom(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Return the first line that does not decode; None where lines cannot be told apart before decoding."""
    if encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return None
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            try:
                raw.decode(encoding)
            except UnicodeDecodeError:
                return line
    return None
