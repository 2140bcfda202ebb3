"""The options that the benchmark's commands share, and how their texts are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from pydantic import ValidationError

from zsrec.cli.console import err, plain
from zsrec.core.embedding import default_embedder
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Keep, Settings
from zsrec.data import movielens
from zsrec.data.catalog import Catalog
from zsrec.data.interactions import Ids
from zsrec.data.readers import Columns, read_interactions
from zsrec.evaluation.llm_methods import NAMED
from zsrec.evaluation.protocols import PROTOCOLS, check
from zsrec.evaluation.report import Prices
from zsrec.evaluation.token_budget import Person, cast_of
from zsrec.prompts import Template
from zsrec.retrieval.base import Retriever
from zsrec.retrieval.registry import ALL as WITHOUT_LLM
from zsrec.retrieval.registry import NAMES, check_retriever, retriever_named
from zsrec.retrieval.semantic import Vectors, item_vectors
from zsrec.retrieval.trained import NAMES as TRAINED
from zsrec.retrieval.trained import EaseConfig, SasRecConfig

OneConfig = TypeVar("OneConfig", EaseConfig, SasRecConfig)
GetVectors = Callable[[], Vectors]
NO_PRICES = Prices()
ALL = (*WITHOUT_LLM, *NAMED)

Names = Annotated[str, typer.Option("--methods", help=f"Some of {', '.join(ALL)}.")]
Protocol = Annotated[str, typer.Option(help=f"One of: {', '.join(PROTOCOLS)}.")]
Events = Annotated[int | None, typer.Option(help="cold-users: how many events of a user are shown.", min=0)]
At = Annotated[
    datetime | None,
    typer.Option(
        help="time-split, cold-items: the moment (UTC), as 2017-06-30; by default 80% of the events lie before.",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
    ),
]
CutOffs = Annotated[str, typer.Option("-k", "--k", help="Cut-offs, with commas between.")]
TextColumns = Annotated[str, typer.Option(help="Item columns that are embedded after the title.")]
OwnVectors = Annotated[
    Path | None, typer.Option(help="Item vectors of your own: an .npy file, one row an item, in file order.")
]
WindowDays = Annotated[float | None, typer.Option(help="pop counts only this many last days.")]
Ease = Annotated[
    str | None,
    typer.Option(help="Hyper-parameters of ease, as regularization=200 (zsrec.retrieval.trained.EaseConfig)."),
]
SasRec = Annotated[
    str | None,
    typer.Option(help="Those of sasrec, as epochs=20,factors=64 (zsrec.retrieval.trained.SasRecConfig)."),
]
StrictTime = Annotated[
    bool, typer.Option("--strict-time", help="Use only what happened before each target. Slow.")
]
TieOrders = Annotated[int, typer.Option(help="Average over so many orders of tied events.", min=1)]
Seed = Annotated[int, typer.Option(help="Of subsets, tie orders, intervals and tests.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the whole report here.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder; the same command goes on in it. Made up where an LLM is asked."),
]
BaseUrl = Annotated[str | None, typer.Option(help="The OpenAI-compatible endpoint (or ZSREC_BASE_URL).")]
Model = Annotated[str | None, typer.Option(help="The served model (or ZSREC_MODEL).")]
Users = Annotated[
    int | None, typer.Option(help="Ask the LLM for this many users, drawn by hash of their ids.", min=1)
]
Templates = Annotated[
    list[str] | None,
    typer.Option("--template", help="One more LLM method: any template by name or path. May be repeated."),
]
Source = Annotated[
    str, typer.Option("--candidates", help=f"Where rank templates choose from: {', '.join(NAMES)}.")
]
Pool = Annotated[int, typer.Option(help="How many candidates.", min=1)]
Shuffled = Annotated[
    bool, typer.Option("--shuffle", help="Show the candidates in an order drawn by hash: shows position bias.")
]
Newest = Annotated[int, typer.Option(help="How many of a user's newest events stand in the prompt.", min=1)]
Probe = Annotated[int, typer.Option(help="Ask the model to recite the data: so many questions a kind.", min=0)]
Kept = Annotated[
    Keep | None,
    typer.Option(
        "--keep",
        help="What stays of requests and replies when the run is complete: all, answers, none (ZSREC_KEEP).",
    ),
]
PriceIn = Annotated[float | None, typer.Option(help="Money for a million tokens in.", min=0)]
PriceOut = Annotated[float | None, typer.Option(help="Money for a million tokens out.", min=0)]


@dataclass(frozen=True)
class Wanted:
    """What a command was asked for, apart from the data.

    Attributes:
        names: Methods.
        ks: Cut-offs.
        out: The run's folder.
        json: Where the report goes as JSON.
        seed: See `Seed`.
        protocol: See `Protocol`; None where targets are given.
        events: See `Events`.
        at: See `At`.
        strict_time: See `StrictTime`.
        tie_orders: See `TieOrders`.
        window_days: See `WindowDays`.
        ease: See `Ease`.
        sasrec: See `SasRec`.
        text_columns: See `TextColumns`.
        vectors: See `OwnVectors`.
        templates: Further LLM methods.
        prompts: Folders of templates, looked at first.
        source: See `Source`.
        pool: See `Pool`.
        shuffled: See `Shuffled`.
        newest: See `Newest`.
        users: See `Users`.
        questions: See `Probe`.
        prices: Of tokens.
        base_url: See `BaseUrl`.
        model: See `Model`.
        keep: See `Kept`.
        more: Further arguments that the results depend on.
    """

    names: list[str]
    ks: list[int]
    out: Path | None = None
    json: Path | None = None
    seed: int = 0
    protocol: str | None = "leave-one-out"
    events: int | None = None
    at: datetime | None = None
    strict_time: bool = False
    tie_orders: int = 1
    window_days: float | None = None
    ease: str | None = None
    sasrec: str | None = None
    text_columns: str = "genres"
    vectors: Path | None = None
    templates: list[str] = field(default_factory=list)
    prompts: Sequence[Path] | None = None
    source: str = "itemknn"
    pool: int = 20
    shuffled: bool = False
    newest: int = 50
    users: int | None = None
    questions: int = 0
    prices: Prices = NO_PRICES
    base_url: str | None = None
    model: str | None = None
    keep: Keep | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.protocol is not None:
            check(
                self.protocol,
                tie_orders=self.tie_orders,
                strict_time=self.strict_time,
                events=self.events,
                at=self.at,
                asks_llm=self.asks_llm,
            )
        if self.strict_time and any(name in TRAINED for name in self.names):
            raise ConfigError(
                f"--strict-time does not go with {' and '.join(TRAINED)}: they would be trained for each user",
                hint="leave one of them out",
            )
        if self.source not in NAMES:
            raise ConfigError(
                f"unknown method {self.source!r} for --candidates", hint=f"one of {', '.join(NAMES)}"
            )

    @property
    def asks_llm(self) -> bool:
        """Whether a model server is needed."""
        return bool(self.templates) or self.questions > 0 or any(name in NAMED for name in self.names)

    def settings(self) -> Settings:
        """How to reach the model."""
        return Settings.load(base_url=self.base_url, model=self.model, keep=self.keep)

    def arguments(self) -> dict[str, Any]:
        """What the results depend on and `zsrec.evaluation.benchmark` does not know itself."""
        return {
            "protocol": self.protocol or "leave-one-out",  # targets are among the files
            "events": self.events,
            "at": None if self.at is None else self.at.isoformat(),
            "strict_time": self.strict_time,
            "tie_orders": self.tie_orders,
            "window_days": self.window_days,
            "ease": self.ease,
            "sasrec": self.sasrec,
            "text_columns": self.text_columns,
            "model": self.model,
            **self.more,
        }

    def folder(self, arguments: Mapping[str, Any]) -> Path:
        """The run's folder: `out`, or one named after everything that was asked for."""
        if self.out is not None:
            return self.out
        asked = [self.names, self.templates, self.source, self.pool, self.shuffled, self.newest]
        whole = [arguments, *asked, self.ks, self.users, self.questions, self.seed]
        text = json.dumps(whole, sort_keys=True, default=str)
        return Path(f"zsrec-bench-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def names(text: str) -> list[str]:
    """The names in a text with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def cut_offs(text: str) -> list[int]:
    """The cut-offs in a text with commas between.

    Raises:
        ConfigError: One is no whole number of at least 1.
    """
    try:
        found = [int(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise ConfigError(f"--k is {text!r}", hint="write whole numbers of at least 1, for example 10 or 5,10")
    return list(dict.fromkeys(found))


def hyper_parameters(kind: type[OneConfig], text: str | None, option: str) -> OneConfig | None:
    """A model's hyper-parameters in a text as `epochs=20,factors=64`; None for the defaults.

    Raises:
        ConfigError: One is unknown or does not fit.
    """
    if text is None:
        return None
    given = [part.partition("=") for part in names(text)]
    try:
        return kind.model_validate({name.strip(): value.strip() for name, _, value in given})
    except ValidationError as error:
        known = ", ".join(kind.model_fields)
        raise ConfigError(f"{option} is {text!r}", hint=f"write NAME=VALUE,… of {known}") from error


def columns(text: str, option: str, least: int) -> list[str]:
    """The column names in a text with commas between.

    Raises:
        ConfigError: There are fewer than `least`.
    """
    found = [name.strip() for name in text.split(",")]
    if len(found) < least or not all(found[:least]):
        raise ConfigError(f"{option} is {text!r}", hint=f"write at least {least} names with commas between")
    return [name for name in found if name]


def read_vectors(path: Path, items: int) -> Vectors:
    """Item vectors of a file, each of length 1; shape (items, d).

    Raises:
        ConfigError: It is no .npy file of such floats.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no readable .npy file: {error}", hint="write it with numpy.save") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or len(found) != items or found.dtype.kind != "f":
        shape = getattr(found, "shape", "several arrays")
        raise ConfigError(f"{path}: expected floats of shape ({items}, d), found {shape}", hint="one row an item")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


Folders = Annotated[
    list[Path] | None,
    typer.Option("--prompts", help="A folder of your own templates, looked at first. May be repeated."),
]


def template_target(name: str) -> str | Path:
    """A name stays text; whatever is on the disk or looks like a path becomes one."""
    path = Path(name)
    return path if path.suffix == ".j2" or path.is_file() else name


def sample_person(template: Template, *, pool: int = 20) -> Person:
    """A user of the MovieLens sample with as many events as the median user."""
    return cast_of(movielens.sample(), template, pool=pool).typical


def made_retriever(name: str, catalog: Catalog, interactions: Path, columns: Columns) -> Retriever:
    """The retriever of that name, as `zsrec bench` has it. Rows that were left out are told of on standard error.

    Args:
        name: One of `RETRIEVERS`.
        catalog: What candidates may be.
        interactions: A table of who met what; no more than 5% of its rows may name other items.
        columns: The table's columns.

    Raises:
        ConfigError: No such retriever.
        DataError: The table cannot be read.
        MissingExtraError: It needs vectors of the items' texts, and the extra "embed" is not installed.
    """
    check_retriever(name)
    reading = read_interactions(interactions, columns=columns, catalog=Ids(catalog.ids))
    for note in reading.notes:
        err.print(plain(note), soft_wrap=True)

    def vectors() -> Vectors:
        with err.status("embedding the items"):
            return item_vectors(catalog, default_embedder())

    return retriever_named(name, reading.interactions, vectors)
