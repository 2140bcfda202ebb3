"""A split as tables, for systems that run elsewhere; their lists come back through `zsrec.retrieval.Lists`."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable
from pathlib import Path

from zsrec.core.errors import ConfigError
from zsrec.core.files import atomic_write
from zsrec.data.ordering import in_time
from zsrec.evaluation.splits import Split

TRAINING, HISTORIES, TARGETS = "training.csv", "histories.csv", "targets.csv"


def write_split(split: Split, folder: Path) -> tuple[Path, ...]:
    """Writes what a system may know, whom it is asked for, and what is to be found.

    `training.csv` has user, item, timestamp and place: users one after the other, each oldest first, and places
    count the rows, so that events of one user at one time have the split's order too. `histories.csv` has user
    and item, oldest first. `targets.csv` has user and item, and no system may read it.

    Raises:
        ConfigError: The split is cut anew for each prediction (strict time), or has candidates of its own.
    """
    if split.strict_time or split.candidates is not None:
        raise ConfigError(
            "this split has other statistics or candidates for each user",
            hint="export leave-one-out, cold-users, time-split or cold-items, without strict time",
        )
    users, items = split.training.users, split.training.items
    contacts = in_time(split.training, split.training.tie_seed)
    columns = (contacts.user.tolist(), contacts.item.tolist(), contacts.time.tolist())
    cases = [(users[user], case) for case, user in enumerate(split.users.tolist())]
    tables: dict[str, tuple[str, Iterable[tuple[object, ...]]]] = {
        TRAINING: (
            "user,item,timestamp,place",
            (
                (users[user], items[item], int(time) if time.is_integer() else time, place)
                for place, (user, item, time) in enumerate(zip(*columns, strict=True))
            ),
        ),
        HISTORIES: (
            "user,item",
            ((user, items[code]) for user, case in cases for code in split.history(case).tolist()),
        ),
        TARGETS: (
            "user,item",
            ((user, items[code]) for user, case in cases for code in split.targets_of(case).tolist()),
        ),
    }
    for name, (header, rows) in tables.items():
        with atomic_write(folder / name, private=True) as file:
            writer = csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n")
            writer.writerow(header.split(","))
            writer.writerows(rows)
    return tuple(folder / name for name in tables)
