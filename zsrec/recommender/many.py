"""Recommendations for many users at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from zsrec.core.concurrency import for_each
from zsrec.core.errors import ConfigError, ZsrecError
from zsrec.core.types import Recommendations
from zsrec.data.history import History
from zsrec.recommender.request import Fill, Request, User, as_count

Outcome = Recommendations | ZsrecError
OnDone = Callable[[int, Outcome], None]
Key = TypeVar("Key")
_LOG = logging.getLogger("zsrec")  # never texts of users


async def recommend_many(
    answer: Callable[[Request], Awaitable[Recommendations]],
    users: Iterable[User] | Mapping[Key, User],
    k: int,
    concurrency: int,
    fill: Fill | None,
    on_done: OnDone | None,
) -> list[Outcome] | dict[Key, Outcome]:
    """Return one outcome per user: a list in their order, or a dict with their keys."""
    if not isinstance(users, Iterable) or isinstance(users, str | bytes | History):
        raise ConfigError(
            f"histories is {type(users).__name__}, expected a list of histories or a dict of them by user",
            hint="use recommend for a single user",
        )
    as_count(k, "k")
    todo = list(users.values()) if isinstance(users, Mapping) else list(users)
    outcomes: dict[int, Outcome] = {}

    async def work(number: int) -> None:
        try:
            outcome: Outcome = await answer(Request.of(todo[number], k, fill=fill))
        except ZsrecError as error:
            outcome = error
            _LOG.warning("user %d of %d failed: %s", number + 1, len(todo), type(error).__name__)
        outcomes[number] = outcome
        if on_done is not None:
            on_done(number, outcome)

    await for_each(range(len(todo)), work, concurrency)
    ordered = [outcomes[number] for number in range(len(todo))]
    return dict(zip(users, ordered, strict=True)) if isinstance(users, Mapping) else ordered
