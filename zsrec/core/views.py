"""Results as DataFrames and as HTML tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.util import find_spec
from typing import Any, Literal

from zsrec.core.errors import ConfigError, MissingExtraError
from zsrec.core.untrusted_text import printable

FrameLibrary = Literal["pandas", "polars", "pyarrow"]
TYPES = {"rank": "Int64", "score": "Float64", "confidence": "Float64"}
"""The types of the columns that are no text."""
LIBRARIES: tuple[FrameLibrary, ...] = ("pandas", "polars", "pyarrow")


def as_frame(columns: Mapping[str, Sequence[Any]], library: str | None = None) -> Any:  # noqa: ANN401
    """Return columns as a DataFrame of a library; by default of the first one that is installed."""
    try:
        import narwhals
    except ImportError:
        raise MissingExtraError("DataFrames", "frames") from None
    wanted = library or next((name for name in LIBRARIES if find_spec(name) is not None), "pandas")
    if wanted not in LIBRARIES:
        raise ConfigError(f"unknown DataFrame library {wanted!r}", hint=f"use one of {', '.join(LIBRARIES)}")
    if find_spec(wanted) is None:
        raise ConfigError(f"{wanted} is not installed", hint=f"pip install {wanted}")
    schema = {name: getattr(narwhals, TYPES.get(name, "String")) for name in columns}
    return narwhals.from_dict(dict(columns), schema, backend=wanted).to_native()


def as_html(items: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return a small table of recommendations as dicts; every text is escaped."""
    header = ("rank", "title", "why", "how matched")
    rows = [
        (
            str(one["rank"]),
            one["title"],
            one["reason"] or "",
            one["source"] if one["method"] is None else f"{one['method']} {one['confidence']:.2f}",
        )
        for one in items
    ]

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(f"<{tag}>{escape(printable(text))}</{tag}>" for text in texts)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f"<table><caption>{escape(printable(caption))}</caption>"
        f"<thead><tr>{cells('th', header)}</tr></thead><tbody>{body}</tbody></table>"
    )
