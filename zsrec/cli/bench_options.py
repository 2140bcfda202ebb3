"""Options of the benchmarks: how the model is asked, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from zsrec.cli.options import (
    ALL_METHODS,
    METHODS,
    MODEL,
    OUTPUT,
    PROTOCOL,
    BaseUrl,
    ModelName,
    PoolSize,
    PriceIn,
    PriceOut,
    PromptsFolders,
    ProtocolName,
    Replies,
    ReportFile,
    RequestsOnly,
    RequiredRetriever,
    Seed,
    ShownEvents,
    SplitTime,
    option,
)
from zsrec.core.errors import ConfigError
from zsrec.core.settings import Keep
from zsrec.retrieval.by_name import DEFAULT as DEFAULT_RETRIEVER
from zsrec.retrieval.by_name import NAMES as RETRIEVERS


@dataclass(frozen=True)
class AskingOptions:
    """How a benchmark asks the model; shared by `bench` and `prompts compare`."""

    base_url: BaseUrl = None
    model: ModelName = None
    prompts: PromptsFolders = None
    retriever: RequiredRetriever = DEFAULT_RETRIEVER
    pool: PoolSize = 20
    shuffle: Annotated[bool, option("Shuffle the candidates by hash.", "--shuffle", panel=MODEL)] = False
    newest: Annotated[int, option("How many of a user's newest events a prompt shows.", panel=MODEL, min=1)] = 50
    seed: Seed = 0
    out: Annotated[
        Path | None,
        option(
            "The run's folder, named after the options by default; the same command continues in it.", panel=OUTPUT
        ),
    ] = None
    keep: Annotated[
        Keep | None,
        option("What is kept of requests and replies once the run is complete.", panel=OUTPUT, env="ZSREC_KEEP"),
    ] = None
    replies: Replies = None
    requests_only: RequestsOnly = None

    def __post_init__(self) -> None:
        if self.retriever not in RETRIEVERS:
            raise ConfigError(
                f"unknown method {self.retriever!r} for --retriever", hint=f"one of {', '.join(RETRIEVERS)}"
            )


@dataclass(frozen=True)
class RunOptions(AskingOptions):
    """What a benchmark measures and how, apart from the data."""

    methods: Annotated[
        str,
        option(
            f"Some of {', '.join(ALL_METHODS)}, separated by commas.",
            panel=METHODS,
            show_default=", ".join(RETRIEVERS),
        ),
    ] = ",".join(RETRIEVERS)
    lists: Annotated[
        list[str] | None,
        option(
            "Another system's lists, NAME=FILE: a table of user and item, best first; repeatable. "
            "NAME:training-free=FILE where nothing was trained.",
            panel=METHODS,
        ),
    ] = None
    template: Annotated[
        list[str] | None, option("A template, by name or path, as one more LLM method; repeatable.", panel=METHODS)
    ] = None
    text_columns: Annotated[str, option("Item columns that are embedded after the title.", panel=METHODS)] = (
        "genres"
    )
    vectors: Annotated[Path | None, option("Item vectors: an .npy file with one row per item.", panel=METHODS)] = (
        None
    )
    window_days: Annotated[float | None, option("pop counts only the last so many days.", panel=METHODS)] = None
    itemknn: Annotated[str | None, option("Options of itemknn, such as last=8,decay=0.7.", panel=METHODS)] = None
    cooccurrence: Annotated[
        str | None, option("Options of cooccurrence, such as newest=200,window=50.", panel=METHODS)
    ] = None
    fused: Annotated[str | None, option("Options of fused, such as text_weight=0.3.", panel=METHODS)] = None
    ease: Annotated[str | None, option("Options of ease, such as regularization=200.", panel=METHODS)] = None
    sasrec: Annotated[str | None, option("Options of sasrec, such as epochs=20,factors=64.", panel=METHODS)] = None
    protocol: ProtocolName = "leave-one-out"
    events: ShownEvents = None
    at: SplitTime = None
    k: Annotated[str, option("Cut-offs, separated by commas.", "-k", "--k", panel=PROTOCOL)] = "10"
    strict_time: Annotated[
        bool, option("Use only what happened before each target; slow.", "--strict-time", panel=PROTOCOL)
    ] = False
    tie_orders: Annotated[int, option("Average over so many orders of tied events.", panel=PROTOCOL, min=1)] = 1
    users: Annotated[int | None, option("Ask the LLM for so many users, by hash.", panel=PROTOCOL, min=1)] = None
    probe: Annotated[int, option("Memorisation questions to ask, of each kind.", panel=PROTOCOL, min=0)] = 0
    price_in: PriceIn = None
    price_out: PriceOut = None
    json: ReportFile = None
