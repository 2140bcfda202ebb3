"""DataFrames of pandas, polars and pyarrow, by narwhals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zsrec.core.errors import BadRowError, ConfigError, DataError, MissingExtraError
from zsrec.data.blocks import Block, check_block
from zsrec.data.tables import Columns, Wanted, check_columns

FRAME = "DataFrame"
"""In the place of a file's path in errors."""


def frame_block(frame: Any, columns: Columns) -> Block:  # noqa: ANN401
    """Return the checked columns of a frame of interactions; the first bad value is raised."""
    found = frame_columns(frame, columns.present)
    bad: list[BadRowError] = []
    lines = np.arange(1, len(found[columns.user]) + 1)
    raw = [found[name] for name in columns.present]
    block = check_block(Path(FRAME), columns, lines, raw, needs_time=False, on_bad=bad.append)
    if bad:
        raise min(bad, key=lambda error: error.line or 0)
    return block


def frame_columns(frame: Any, needed: Wanted) -> dict[str, list[Any]]:  # noqa: ANN401
    """Return a frame's columns as lists in which None is missing; the `needed` ones must be there."""
    try:
        import narwhals
        from narwhals.exceptions import NarwhalsError
    except ImportError:
        raise MissingExtraError("DataFrames", "frames") from None
    try:
        table = narwhals.from_native(frame)
        table = table.collect() if isinstance(table, narwhals.LazyFrame) else table
    except TypeError:
        hint = "pass a DataFrame of pandas or polars, or a pyarrow Table"
        raise ConfigError(f"expected a DataFrame, found {type(frame).__name__}", hint=hint) from None
    except NarwhalsError as error:
        raise DataError(str(error), path=FRAME, hint="rename one of the columns") from None
    check_columns(Path(FRAME), None, [str(name) for name in table.columns], needed)
    return {str(name): _values(table[name]) for name in table.columns}


def _values(column: Any) -> list[Any]:  # noqa: ANN401
    missing = column.is_null().to_list()
    return [None if is_missing else value for value, is_missing in zip(column.to_list(), missing, strict=True)]
