"""From a user's history to an answer, whatever happens: a failing user is an answer with the failure's code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from zsrec.batch.rows import Answer
from zsrec.errors import AnswerError, ConfigError, ContextOverflowError, LLMError, ZsrecError
from zsrec.recommender import AsyncRecommender, Fill
from zsrec.serve.problems import reason
from zsrec.types import History, Recommendations


class Asked(NamedTuple):
    """What came of asking for one user.

    Attributes:
        answer: What will stand in the output.
        replica: Which of several servers was asked.
        failure: The error that speaks against the server and not only against this user, or None.
        answered: Whether the server answered.
    """

    answer: Answer
    replica: int = 0
    failure: LLMError | None = None
    answered: bool = False


class Ask(Protocol):
    """Asks for one user; never raises what concerns this user alone."""

    async def __call__(self, user: str, history: History) -> Asked:
        """What came of it."""
        ...


class Asker:
    """Asks recommenders, one a server.

    Args:
        recommenders: Alike but for the server. A user always goes to the same one, so that several orders or steps
            of one user find their prefix in its cache.
        k: Items wanted a user.
        fill: See `Recommender.recommend`.
        fallback: Whether a user for whom the model fails, or of whom nothing is known, gets the order without it.
    """

    def __init__(
        self, recommenders: Sequence[AsyncRecommender], k: int, *, fill: Fill | None = None, fallback: bool = False
    ) -> None:
        self._recommenders = recommenders
        self._k = k
        self._fill: Fill | None = fill
        self._fallback = fallback

    async def __call__(self, user: str, history: History) -> Asked:
        """See `Ask`."""
        replica = replica_of(user, len(self._recommenders))
        recommender = self._recommenders[replica]
        if not history.events:
            return Asked(self._without(recommender, user, history, "no_history"), replica)
        try:
            found = await recommender.recommend(history, self._k, fill=self._fill)
            return Asked(Answer.of(user, found), replica, answered=True)
        except ZsrecError as error:
            answer = self._without(recommender, user, history, code(error))
            failure = (
                error if isinstance(error, LLMError) and not isinstance(error, ContextOverflowError) else None
            )
            return Asked(answer, replica, failure, answered=isinstance(error, AnswerError))
        except Exception as error:  # noqa: BLE001  (a fault of ours with one user's data must not cost the others)
            return Asked(self._without(recommender, user, history, _place(error)), replica)

    def _without(self, recommender: AsyncRecommender, user: str, history: History, why: str) -> Answer:
        if self._fallback:
            try:
                found: Recommendations = recommender.retrieval_order(history, self._k)
            except ZsrecError:
                pass  # nothing gives an order for this user either
            else:
                return Answer.of(user, found, degraded=why)
        return Answer(user=user, error=why, history_given=len(history.events))


def replica_of(user: str, replicas: int) -> int:
    """Which of the servers a user belongs to: the same in every process and on every day."""
    if replicas == 1:
        return 0
    return int.from_bytes(hashlib.blake2b(user.encode("utf-8", "replace"), digest_size=8).digest()) % replicas


def code(error: ZsrecError) -> str:
    """An error's code in the output: as in the service where that has one, else from its type's name."""
    if (known := reason(error)) is not None:
        return known
    if type(error) is ConfigError:
        return "not_possible"  # what concerns the whole job was refused at its start: no candidate is left
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).strip("_")


def _place(error: Exception) -> str:
    """Type and place of a fault of ours; its message might quote a history."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"internal: {type(error).__name__}{where}"
