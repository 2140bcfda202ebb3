"""JSON that callers wrote: a key that an object has twice is an error, since only one value could be meant."""

from __future__ import annotations

import json
from typing import Any


class DuplicateKeyError(ValueError):
    """An object of a JSON text has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} appears twice in one object")
        self.key = key


def read_json(text: str | bytes) -> Any:  # noqa: ANN401
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON.
        DuplicateKeyError: An object has a key twice.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateKeyError(next(name for name in found if names.count(name) > 1))
    return found
