"""What a method predicted for each user, as lines of a file and as the columns that metrics are made of."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zsrec.core.errors import DataError
from zsrec.core.types import Frozen
from zsrec.retrieval.base import Mode

MOST_SHOWN = 5
FUSED_WITH = "fused with"
"""The field of `Header.llm` that says of what order besides the model's a ranking is made."""


class Header(Frozen):
    """What is said once of a method.

    Attributes:
        method: The name it was run under.
        mode: See `zsrec.retrieval.base.Retriever.mode`.
        notes: What the method says of itself.
        llm: For a method that asks an LLM, how: template, model, candidates; empty for the others.
        pseudonyms: Whether users stand under pseudonyms (`zsrec.evaluation.retention`).
    """

    method: str
    mode: Mode
    notes: tuple[str, ...] = ()
    llm: dict[str, str | int | None] = Field(default_factory=dict)
    pseudonyms: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """What asking an LLM for one user came to.

    Attributes:
        requests: Requests sent.
        prompt_tokens: Tokens in, as the server counts them; 0 where it does not say.
        completion_tokens: Tokens out.
        named: Items named in the answer.
        unmatched: Of these, those that no catalog item was found for, for whatever reason.
        not_in_catalog: Of these, those that the catalog does not have.
        seen: Named items that the user knows.
        repeated: Named items that were named before.
        foreign: Named items outside the candidates.
        wrong_format: Whether nothing in the answer could be read as an item.
        cut: Whether an answer was cut at `max_tokens`.
        error: The kind of error where the user got no answer; None otherwise.
        candidates: The candidates' ids in the order of retrieval; empty where there were none.
        shown: The order in which they stood in the prompt, as places in `candidates`; empty for the same order.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    named: int = 0
    unmatched: int = 0
    not_in_catalog: int = 0
    seen: int = 0
    repeated: int = 0
    foreign: int = 0
    wrong_format: bool = False
    cut: bool = False
    error: str | None = None
    candidates: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """One user's ranking and where the target stands in it.

    Attributes:
        user: The user's id.
        target: The id of the held-out item, of several the first in time. It is written down after the ranking was
            made.
        order: Which order of tied events this is, from 0.
        history: How many events the method was given.
        above: Items before the target; -1 where it is not ranked (`zsrec.evaluation.metrics.Place`).
        tied: Items with the target's score.
        items: The first items, best first.
        scores: One an item, on the method's own scale.
        use: For a method that asks an LLM.
        values: Metrics by name where the target's place does not tell them: several targets, sampled candidates.
    """

    user: str
    target: str
    order: int
    history: int
    above: int
    tied: int
    items: tuple[str, ...]
    scores: tuple[float, ...]
    use: Use | None = None
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
        """The prediction of such a line's JSON.

        Raises:
            TypeError: It has other fields.
        """
        use = plain.pop("use", None)
        if use is not None:
            use = Use(**use | {"candidates": tuple(use["candidates"]), "shown": tuple(use["shown"])})
        return cls(**plain | {"items": tuple(plain["items"]), "scores": tuple(plain["scores"])}, use=use)


_PLAIN = ("user", "target", "order", "history", "above", "tied", "items", "scores")


@dataclass(frozen=True, eq=False)
class Predicted:
    """A method's predictions as columns, n of them: one a user and order of ties.

    Attributes:
        header: The method.
        users: Users' ids; n.
        targets: Targets' ids; n.
        orders: The order of ties; shape (n,).
        history: Events given; shape (n,).
        above: See `Prediction`; shape (n,).
        tied: See `Prediction`; shape (n,).
        names: Ids of all items that stand in a list.
        lists: The lists as places in `names`, best first, -1 where a list has ended; shape (n, longest list).
        uses: One a prediction where an LLM was asked; otherwise empty.
        scores: The lists' scores where an LLM was asked, 0 where a list has ended; shape as `lists`, or (0, 0).
        values: See `Prediction`; empty, or shape (n,) each.
    """

    header: Header
    users: list[str]
    targets: list[str]
    orders: NDArray[np.int64]
    history: NDArray[np.int64]
    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    names: list[str]
    lists: NDArray[np.int32]
    uses: list[Use] = field(default_factory=list)
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, header: Header, predictions: Iterable[Prediction]) -> Self:
        """The columns of predictions; they are read once and not kept."""
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

    def most_shown(self, n: int = MOST_SHOWN) -> list[tuple[str, int]]:
        """The items that stand in the most lists, with their number; ties by id."""
        counts = np.bincount(self.lists[self.lists >= 0], minlength=len(self.names))
        ordered = sorted(zip(self.names, counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return ordered[:n]


def read_predictions(path: Path) -> Predicted:
    """Reads a file of predictions: a line with the header, then one a prediction.

    Raises:
        DataError: The file is missing or a line is wrong, with its number.
    """
    try:
        with path.open(encoding="utf-8") as file:
            header = Header.model_validate_json(next(file, ""))
            return Predicted.of(header, _read(file, path))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="run the benchmark again") from error
    except ValueError as error:
        hint = "delete the file and run the benchmark again"
        raise DataError("the first line is no header", path=path, line=1, hint=hint) from error


def header_of(path: Path) -> Header:
    """The header of a file of predictions.

    Raises:
        DataError: The file is missing or its first line is wrong.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return Header.model_validate_json(next(file, ""))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, hint="run the benchmark again") from error
    except ValueError as error:
        hint = "delete the file and run the benchmark again"
        raise DataError("the first line is no header", path=path, line=1, hint=hint) from error


def renamed(path: Path, name: Callable[[str], str]) -> Iterator[str]:
    """The lines of a file of predictions with pseudonyms for its users.

    Raises:
        DataError: The file is missing or a line is wrong, with its number.
    """
    yield header_of(path).model_copy(update={"pseudonyms": True}).model_dump_json() + "\n"
    with path.open(encoding="utf-8") as file:
        next(file)
        for one in _read(file, path):
            yield replace(one, user=name(one.user)).line() + "\n"


def _read(lines: Iterable[str], path: Path) -> Iterator[Prediction]:
    for number, line in enumerate(lines, start=2):
        try:
            yield Prediction.of(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                "no prediction", path=path, line=number, hint="delete the file and run the benchmark again"
            ) from error
