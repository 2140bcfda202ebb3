"""A caller's own held-out items from a table file."""

from __future__ import annotations

from pathlib import Path

from zsrec.candidates import Ids
from zsrec.errors import BadRowError
from zsrec.tables import read_rows


def read_targets(path: str | Path, catalog: Ids, *, user: str = "user", item: str = "item") -> dict[str, str]:
    """Reads one target a user.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file.
        catalog: The items that may be targets: what the catalog lacks can never be found.
        user: The column of user ids.
        item: The column of item ids.

    Raises:
        DataError: With file and line: a missing column, an empty id, a user's second target, an unknown item.
    """
    targets: dict[str, str] = {}
    for line, row in read_rows(path, columns=(user, item)):
        one, target = (str("" if row[name] is None else row[name]).strip() for name in (user, item))
        if not one or not target:
            raise BadRowError("an empty user or item", path=path, line=line, hint="every row needs both ids")
        if one in targets:
            raise BadRowError(f"the user {one!r} has a target already", path=path, line=line, hint="one a user")
        if target not in catalog:
            raise BadRowError(
                f"the item {target!r} is not in the catalog",
                path=path,
                line=line,
                hint="add it to the catalog, or leave the target out",
            )
        targets[one] = target
    return targets
