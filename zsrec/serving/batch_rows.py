"""The output's rows: one answer per user, one row per item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from zsrec.core.errors import MissingExtraError
from zsrec.core.types import Recommendations, TemplateRef


@dataclass(frozen=True)
class Answer:
    """The answer for one user."""

    user: str
    items: tuple[tuple[str, float, str], ...] = ()
    mode: str | None = None
    degraded: str | None = None
    error: str | None = None
    unmatched: int = 0
    dropped: int = 0
    history_given: int = 0
    history_unknown: int = 0
    requests: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    model: str | None = None
    named: tuple[str, ...] = ()  # ids of the items that the conversation names

    @classmethod
    def of(cls, user: str, found: Recommendations, *, degraded: str | None = None) -> Self:
        """The answer of a user's recommendations."""
        trace = found.trace
        usage = [exchange.usage for exchange in trace.exchanges]
        return cls(
            user=user,
            items=tuple((one.item.id, one.score, one.source) for one in found.items),
            mode=trace.mode,
            degraded=degraded,
            unmatched=len(trace.unresolved),
            dropped=len(trace.dropped),
            history_given=trace.history.given,
            history_unknown=len(trace.history.unresolved),
            requests=len(trace.exchanges),
            prompt_tokens=_sum(one.prompt_tokens for one in usage),
            completion_tokens=_sum(one.completion_tokens for one in usage),
            cached_tokens=_sum(one.cached_tokens for one in usage),
            model=trace.exchanges[-1].model if trace.exchanges else None,
            named=() if trace.conversation is None else trace.conversation.named,
        )

    def entry(self) -> dict[str, Any]:
        """The answer as a journal entry."""
        return dict(vars(self))

    def fits(self) -> bool:
        """Whether every value has its column's type; counts have 32 bits."""
        counts = (getattr(self, name) for name in _COUNTS)
        texts = (*self.named, self.mode, self.degraded, self.error, self.model)
        return (
            all(count is None or (type(count) is int and 0 <= count <= _MOST) for count in counts)
            and all(text is None or isinstance(text, str) for text in texts)
            and all(isinstance(item, str) and isinstance(score, int | float) for item, score, _ in self.items)
        )

    @classmethod
    def usable(cls, entry: dict[str, Any]) -> bool:
        """Whether a journal's entry can be written to the output; if not, the user is asked for again."""
        try:
            return cls.from_entry(entry).fits()
        except (KeyError, TypeError, ValueError):
            return False

    @classmethod
    def from_entry(cls, entry: dict[str, Any]) -> Self:
        """The answer of a journal entry."""
        fields = {name: value for name, value in entry.items() if name in cls.__dataclass_fields__}
        items = tuple((item, score, source) for item, score, source in fields["items"])
        return cls(**fields | {"items": items, "named": tuple(fields.get("named", ()))})


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


_COUNTS = (
    "unmatched", "dropped", "history_given", "history_unknown", "requests", "prompt_tokens", "completion_tokens",
    "cached_tokens",
)  # fmt: skip
ITEM_COLUMNS = ("rank", "item", "score", "source")
USER_COLUMNS = ("mode", "degraded", "error", *_COUNTS, "model", "named")
COLUMNS = ("user", *ITEM_COLUMNS, *USER_COLUMNS, "template", "template_sha256")
"""The output's columns in their order; docs/scaling.md describes them."""

_TYPES = {"rank": "int32", "score": "float64"} | dict.fromkeys(_COUNTS, "int32")
_MOST = 2**31 - 1


def arrow() -> Any:  # noqa: ANN401  (pyarrow has no types)
    """The pyarrow package; `MissingExtraError` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("batch jobs", "batch") from None
    return pyarrow


def schema() -> Any:  # noqa: ANN401
    """The output's `pyarrow.Schema`; everything but counts and scores is text."""
    pa = arrow()
    types = {name: pa.type_for_alias(_TYPES.get(name, "string")) for name in COLUMNS}
    return pa.schema([pa.field(name, kind) for name, kind in {**types, "named": pa.list_(pa.string())}.items()])


def table(answers: Sequence[Answer], template: TemplateRef) -> Any:  # noqa: ANN401
    """The rows of some users, a `pyarrow.Table`: one per item, and one without an item for a user who got none."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for answer in answers:
        ranked: list[tuple[Any, ...]] = [(rank, *item) for rank, item in enumerate(answer.items, start=1)]
        for row in ranked or [(None, None, None, None)]:
            columns["user"].append(answer.user)
            for name, value in zip(ITEM_COLUMNS, row, strict=True):
                columns[name].append(value)
            for name in USER_COLUMNS:
                columns[name].append(getattr(answer, name))
    columns["template"] = [str(template)] * len(columns["user"])
    columns["template_sha256"] = [template.sha256] * len(columns["user"])
    return arrow().table(columns, schema=schema())
