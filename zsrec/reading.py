"""Reading what a model's text names: grounded, and ranked in its own order."""

from __future__ import annotations

from collections.abc import Sequence

from zsrec.ground import Context
from zsrec.ground.answer import ground_answer
from zsrec.job import Job
from zsrec.pool import Candidates
from zsrec.rank import Order, select
from zsrec.types import Dropped, Exchange, Grounded, Recommendation

_CUT = "the answer was cut at max_tokens; a title that may be cut in half was not matched"


class Reader:
    """Reads one call's answers, and keeps what was found for the trace.

    Args:
        job: The call.
        seen: Ids that the user knows.
        candidates: What may be recommended; None for the whole catalog.
        before: How many exchanges of the trace come before the first answer that is read.

    Attributes:
        said: The first mention of each item that may be recommended, by id.
    """

    def __init__(self, job: Job, seen: frozenset[str], candidates: Candidates | None, before: int = 0) -> None:
        self._job = job
        self._seen = seen
        self._pool = None if candidates is None else candidates.ids
        self._numbers = {item_id: number for number, item_id in enumerate(self._pool or ())}
        self._grounded: list[Grounded] = []
        self._dropped: list[Dropped] = []
        self._answers = before
        self._cut = False
        self.said: dict[str, Grounded] = {}

    @property
    def grounded(self) -> tuple[Grounded, ...]:
        """Every mention with its match."""
        return tuple(self._grounded)

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """Grounded mentions that were not taken."""
        return tuple(self._dropped)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller should know of the answers."""
        return (_CUT,) if self._cut else ()

    def read(self, exchange: Exchange, k: int, members: Sequence[str] | None = None) -> tuple[Recommendation, ...]:
        """At most k items that an answer names, best first.

        Args:
            exchange: The next exchange of the call.
            k: The longest list.
            members: Ids that the prompt showed, where these are not all candidates.
        """
        shown = self._pool if members is None else members
        found = ground_answer(
            exchange.answer,
            self._job.grounder,
            style=self._job.template.answer,
            side=self._job.template.side,
            context=Context(candidates=tuple(shown or ()), history=tuple(self._seen)),
            echo=tuple(message.content for message in exchange.messages),
            cut=exchange.finish_reason == "length",
        )
        grounded = [one.model_copy(update={"exchange": self._answers}) for one in found]
        allowed = None if shown is None else frozenset(shown)
        chosen = select(grounded, self._job.catalog, k=k, seen=self._seen, allowed=allowed)
        self._answers += 1
        self._cut |= exchange.finish_reason == "length"
        self._grounded += grounded
        self._dropped += chosen.dropped
        for one in chosen.recommendations:
            if one.provenance is not None:
                self.said.setdefault(one.item.id, one.provenance)
        return chosen.recommendations

    def named(self, exchange: Exchange, order: Order) -> tuple[int, ...]:
        """Which of these candidates an answer names, best first; see `zsrec.rank.question.Question.named`."""
        members = [(self._pool or ())[one] for one in order]
        return tuple(self._numbers[one.item.id] for one in self.read(exchange, len(members), members))
