"""Recommendations for many users at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from zsrec.core.concurrency import for_each
from zsrec.core.errors import ClosedError, ConfigError, ZsrecError
from zsrec.core.types import Recommendations
from zsrec.data.history import History
from zsrec.recommender.conversation import AnyTurn
from zsrec.recommender.request import Fill, Request, User, as_k

Outcome = Recommendations | ZsrecError
OnDone = Callable[[int, Outcome], None]
Key = TypeVar("Key")
Conversations = Iterable[Iterable[AnyTurn]] | Mapping[Any, Iterable[AnyTurn]]
"""One conversation per user: by their keys, where one that is missing is none, or in their order."""
_LOG = logging.getLogger("zsrec")  # never texts of users


async def recommend_many(
    answer: Callable[[Request], Awaitable[Recommendations]],
    users: Iterable[User] | Mapping[Key, User],
    k: int,
    concurrency: int,
    fill: Fill | None,
    conversations: Conversations | None,
    on_done: OnDone | None,
) -> list[Outcome] | dict[Key, Outcome]:
    """Return one outcome per user: a list in their order, or a dict with their keys."""
    if not isinstance(users, Iterable) or isinstance(users, str | bytes | History):
        raise ConfigError(
            f"histories is {type(users).__name__}, expected a list of histories or a dict of them by user",
            hint="use recommend for a single user",
        )
    as_k(k)
    todo = list(users.values()) if isinstance(users, Mapping) else list(users)
    talks = _in_order(users, len(todo), conversations)
    outcomes: dict[int, Outcome] = {}

    async def work(number: int) -> None:
        try:
            outcome: Outcome = await answer(Request.of(todo[number], k, fill=fill, conversation=talks[number]))
        except ClosedError:
            raise  # the caller's mistake, and nobody can be answered
        except ZsrecError as error:
            outcome = error
            _LOG.warning("user %d of %d failed: %s", number + 1, len(todo), type(error).__name__)
        outcomes[number] = outcome
        if on_done is not None:
            on_done(number, outcome)

    await for_each(range(len(todo)), work, concurrency)
    ordered = [outcomes[number] for number in range(len(todo))]
    return dict(zip(users, ordered, strict=True)) if isinstance(users, Mapping) else ordered


def _in_order(
    users: Iterable[User] | Mapping[Key, User], count: int, conversations: Conversations | None
) -> list[Iterable[AnyTurn]]:
    """Each user's conversation, in the users' order."""
    if conversations is None:
        return [()] * count
    if isinstance(users, Mapping) != isinstance(conversations, Mapping):
        raise ConfigError(
            "histories and conversations are not both by user", hint="give both as lists, or both as dicts by user"
        )
    if isinstance(users, Mapping) and isinstance(conversations, Mapping):
        if unknown := [key for key in conversations if key not in users]:
            raise ConfigError(
                f"conversations has a user whom histories lack: {unknown[0]!r}", hint="give an empty history"
            )
        return [conversations.get(key, ()) for key in users]
    found = list(conversations)
    if len(found) != count:
        raise ConfigError(
            f"{len(found):,} conversations for {count:,} histories", hint="one each; () where there is none"
        )
    return found
