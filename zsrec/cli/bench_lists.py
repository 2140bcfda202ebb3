"""`zsrec bench split`, and the lists of other systems as methods of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, get_args

from zsrec.cli import options
from zsrec.cli.console import print_line
from zsrec.cli.options import CatalogOptions, RequiredCatalog, columns_of, expand_groups, option
from zsrec.core.errors import ConfigError
from zsrec.data.interactions import Ids, Interactions
from zsrec.evaluation.datasets import Data, from_sources
from zsrec.evaluation.protocols import check, problems
from zsrec.evaluation.split_files import write_split
from zsrec.retrieval.base import Method, Mode
from zsrec.retrieval.lists import Lists, read_lists


@expand_groups
def split_command(
    interactions: Annotated[Path, option("A table of user, item and timestamp.")],
    catalog: RequiredCatalog,
    out: Annotated[Path, option("The folder for training.csv, histories.csv and targets.csv.")],
    columns: options.EventColumns = "user,item,timestamp",
    protocol: options.ProtocolName = "leave-one-out",
    events: options.ShownEvents = None,
    at: options.SplitTime = None,
    seed: options.Seed = 0,
) -> None:
    """Write a benchmark's split as tables, for a system that runs elsewhere.

    Train on training.csv, write a table of user and item, best first, and give it to `zsrec bench run --lists
    NAME=FILE` with the same options: both then have the same users, targets and tests.
    """
    check(protocol, events=events, at=at)
    known = own_tables(interactions, catalog, columns).interactions
    split = problems(protocol, known, seed=seed, events=events, at=at)[0]
    for path in write_split(split, out):
        print_line(f"{path}")
    print_line(f"{len(split):,} users with a target. {split.protocol}")


def own_tables(interactions: Path, catalog: CatalogOptions, columns: str) -> Data:
    """The caller's own tables; the columns are separated by commas."""
    return from_sources(catalog.sources(interactions=interactions, columns=columns_of(columns, rating=False)))


def external_lists(given: Sequence[str] | None, items: Ids) -> Mapping[str, Method]:
    """The methods of `--lists NAME=FILE` and `--lists NAME:MODE=FILE`.

    Raises:
        ConfigError: An option is neither, or a name is used twice.
        DataError: A file cannot be read.
    """
    found: dict[str, Lists] = {}
    for one in given or ():
        named, equals, file = one.partition("=")
        name, colon, mode = named.partition(":")
        if not (name and equals and file) or (colon and mode not in get_args(Mode)):
            modes = ", ".join(get_args(Mode))
            raise ConfigError(
                f"--lists is {one!r}, expected NAME=FILE or NAME:MODE=FILE",
                hint=f"for example als=als.csv; a mode is one of {modes}",
            )
        if name in found:
            raise ConfigError(f"two --lists are named {name!r}", hint="name each once")
        found[name] = read_lists(Path(file), items, mode=mode if colon else "trained")  # type: ignore[arg-type]
    return {name: _fixed(lists) for name, lists in found.items()}


def _fixed(lists: Lists) -> Method:
    def method(known: Interactions) -> Lists:  # noqa: ARG001  (made elsewhere)
        return lists

    return method
