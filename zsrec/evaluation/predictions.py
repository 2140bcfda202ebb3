"""Predictions of a method: lines of a file, and the columns that metrics are computed from.

A file is gzipped JSON lines (format 2): the header with the format's number, a line per prediction, a last line
with the number of predictions and the SHA-256 of all lines before it. Format 1 is plain, without the last line.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zsrec.core.errors import DamagedError, DataError
from zsrec.core.types import Frozen
from zsrec.retrieval.base import Mode

FORMAT = 2
MOST_SHOWN = 5
_AGAIN = "`zsrec verify RUN --repair` removes it; the same benchmark then makes it again"
FUSED_WITH = "fused with"
"""The field of `Header.llm` that says of what order besides the model's a ranking is made."""


class Header(Frozen):
    """A method's name, mode and settings."""

    method: str
    mode: Mode
    notes: tuple[str, ...] = ()
    llm: dict[str, str | int | None] = Field(default_factory=dict)
    pseudonyms: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """LLM usage and errors for one user."""

    requests: int = 0  # requests sent
    prompt_tokens: int = 0  # tokens in, as the server counts them; 0 where it does not say
    completion_tokens: int = 0  # tokens out
    named: int = 0  # items named in the answer
    unmatched: int = 0  # of these, those that no catalog item was found for, for whatever reason
    not_in_catalog: int = 0  # of these, those that the catalog does not have
    seen: int = 0  # named items that the user knows
    repeated: int = 0  # named items that were named before
    foreign: int = 0  # named items outside the candidates
    wrong_format: bool = False  # whether nothing in the answer could be read as an item
    cut: bool = False  # whether an answer was cut at `max_tokens`
    error: str | None = None  # the kind of error where the user got no answer; None otherwise
    candidates: tuple[str, ...] = ()  # the candidates' ids in the order of retrieval; empty where there were none
    # the order in which they stood in the prompt, as places in `candidates`; empty for the same order
    shown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """One user's ranking and the target's place in it."""

    user: str  # the user's id
    # the id of the held-out item, of several the first in time. It is written down after the ranking was made
    target: str
    order: int  # which order of tied events this is, from 0
    history: int  # how many events the method was given
    above: int  # items before the target; -1 where it is not ranked (`zsrec.evaluation.metrics.Place`)
    tied: int  # items with the target's score
    items: tuple[str, ...]  # the first items, best first
    scores: tuple[float, ...]  # one an item, on the method's own scale
    use: Use | None = None  # for a method that asks an LLM
    # metrics by name that the target's place does not determine: several targets, sampled candidates
    values: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The prediction as one line of JSON."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        if self.use is not None:
            plain["use"] = asdict(self.use)
        if self.values:
            plain["values"] = dict(self.values)
        return json.dumps(plain, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """The prediction of such a line's JSON."""
        use = plain.pop("use", None)
        if use is not None:
            use = Use(**use | {"candidates": tuple(use["candidates"]), "shown": tuple(use["shown"])})
        return cls(**plain | {"items": tuple(plain["items"]), "scores": tuple(plain["scores"])}, use=use)


_PLAIN = ("user", "target", "order", "history", "above", "tied", "items", "scores")


@dataclass(frozen=True, eq=False)
class Predicted:
    """A method's predictions as columns, one per user and order of ties, n in all."""

    header: Header  # the method
    users: list[str]  # users' ids; n
    targets: list[str]  # targets' ids; n
    orders: NDArray[np.int64]  # the order of ties; shape (n,)
    history: NDArray[np.int64]  # events given; shape (n,)
    above: NDArray[np.int64]  # see `Prediction`; shape (n,)
    tied: NDArray[np.int64]  # see `Prediction`; shape (n,)
    names: list[str]  # ids of all items in lists
    # the lists as places in `names`, best first, -1 where a list has ended; shape (n, longest list)
    lists: NDArray[np.int32]
    uses: list[Use] = field(default_factory=list)  # one per prediction where an LLM was asked; otherwise empty
    # the lists' scores where an LLM was asked, 0 where a list has ended; shape as `lists`, or (0, 0)
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    # see `Prediction`; empty, or shape (n,) each
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, header: Header, predictions: Iterable[Prediction]) -> Self:
        """The columns of predictions; they are consumed."""
        users: list[str] = []
        targets: list[str] = []
        numbers = [array("q") for _ in range(4)]
        codes: defaultdict[str, int] = defaultdict()
        codes.default_factory = codes.__len__  # a new item's code is the number of items before it
        flat, lengths, scored, uses = array("i"), array("i"), array("d"), []
        values: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        for one in predictions:
            users.append(one.user)
            targets.append(one.target)
            for column, value in zip(numbers, (one.order, one.history, one.above, one.tied), strict=True):
                column.append(value)
            flat.extend(map(codes.__getitem__, one.items))
            lengths.append(len(one.items))
            for name, metric in one.values.items():
                values[name].append(metric)
            if one.use is not None:
                uses.append(one.use)
                scored.extend(one.scores)
        orders, history, above, tied = (np.array(column, dtype=np.int64) for column in numbers)
        sizes = np.array(lengths, dtype=np.int64)
        lists = np.full((len(users), int(sizes.max(initial=0))), -1, dtype=np.int32)
        lists[np.arange(lists.shape[1]) < sizes[:, None]] = np.array(flat, dtype=np.int32)
        scores = np.zeros(lists.shape if uses else (0, 0))
        if uses:
            scores[lists >= 0] = np.array(scored)
        measured = {name: np.array(column) for name, column in values.items()}
        return cls(
            header, users, targets, orders, history, above, tied, list(codes), lists, uses, scores, measured
        )

    @property
    def candidate_places(self) -> NDArray[np.int64] | None:
        """Where each target stands among the candidates, -1 for nowhere; shape (n,); None without candidates."""
        if not any(use.candidates for use in self.uses):
            return None
        pairs = zip(self.targets, self.uses, strict=True)
        return np.array([use.candidates.index(one) if one in use.candidates else -1 for one, use in pairs])

    def most_shown(self, n: int = MOST_SHOWN) -> list[tuple[str, int]]:
        """The items that are in the most lists, with their number; ties by id."""
        counts = np.bincount(self.lists[self.lists >= 0], minlength=len(self.names))
        ordered = sorted(zip(self.names, counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return ordered[:n]


def write_predictions(file: IO[bytes], header: Header, predictions: Iterable[Prediction]) -> None:
    """Writes predictions (format 2) to a file; equal predictions give equal bytes."""
    rows, digest = 0, hashlib.sha256()
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed:

        def write(line: str) -> None:
            raw = line.encode() + b"\n"
            digest.update(raw)
            packed.write(raw)

        write(json.dumps({"format": FORMAT} | header.model_dump(mode="json"), separators=(",", ":")))
        for one in predictions:
            write(one.line())
            rows += 1
        packed.write(json.dumps({"rows": rows, "sha256": digest.hexdigest()}).encode() + b"\n")


def read_predictions(path: Path) -> Predicted:
    """Reads a file of predictions, packed (format 2) or plain (format 1, without a checksum)."""
    with _opened(path) as (header, rows):
        return Predicted.of(header, rows)


def header_of(path: Path) -> Header:
    """The header of a file of predictions."""
    with _opened(path) as (header, _):
        return header


def rename_users(path: Path, file: IO[bytes], name: Callable[[str], str]) -> None:
    """Writes the predictions in `path` to another file, with pseudonyms for their users."""
    with _opened(path) as (header, rows):
        renamed = (replace(one, user=name(one.user)) for one in rows)
        write_predictions(file, header.model_copy(update={"pseudonyms": True}), renamed)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Header, Iterator[Prediction]]]:
    """The header and the predictions that follow it; a packed file is checked when its last line is reached."""
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            lines = iter(file)
            first = next(lines, b"")
            try:
                plain = json.loads(first)
                number = plain.pop("format", 1)
                if number in (1, FORMAT):
                    header = Header.model_validate(plain)
            except (ValueError, TypeError, AttributeError) as error:
                raise DataError("the first line is no header", path=path, line=1, hint=_AGAIN) from error
            if number not in (1, FORMAT):
                raise DataError(
                    f"is of format {number!r}, and this version reads formats up to {FORMAT}",
                    path=path, hint="open it with a newer zsrec",
                )  # fmt: skip
            yield header, _rows(_checked(first, lines, path) if packed else lines, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedError(f"is damaged: {error}", path=path, hint=_AGAIN) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="run the benchmark again") from error


def _checked(first: bytes, lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The lines before the last one, which states how many they are and their checksum."""
    digest, rows, line = hashlib.sha256(first), 0, next(lines, b"")
    for following in lines:
        digest.update(line)
        rows += 1
        yield line
        line = following
    try:
        stated = json.loads(line)
        wanted = stated["rows"], stated["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("is damaged: the last line is no checksum", path=path, hint=_AGAIN) from error
    if wanted != (rows, digest.hexdigest()):
        raise DamagedError(
            f"is damaged: {rows:,} rows where {wanted[0]} are stated, or another checksum", path=path, hint=_AGAIN
        )


def _rows(lines: Iterable[bytes], path: Path) -> Iterator[Prediction]:
    for number, line in enumerate(lines, start=2):
        try:
            yield Prediction.of(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError("no prediction", path=path, line=number, hint=_AGAIN) from error
