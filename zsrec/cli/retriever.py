"""Candidates for the command line: a retriever by its name, over a file of interactions."""

from __future__ import annotations

from pathlib import Path

from zsrec.candidates import Ids, Retriever, item_vectors, read_interactions
from zsrec.candidates.semantic import Vectors
from zsrec.catalog import Catalog
from zsrec.cli.console import err, plain
from zsrec.embed import default_embedder
from zsrec.evals.methods import NAMES as RETRIEVERS
from zsrec.evals.methods import check_retriever, retriever_named
from zsrec.interactions import Columns

__all__ = ["RETRIEVERS", "made_retriever"]


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
