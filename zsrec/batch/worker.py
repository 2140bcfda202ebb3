"""What a worker of a job is given, and its work; pickled as it is where an engine sends it to other machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zsrec import data
from zsrec.batch.chunk import Files
from zsrec.batch.inputs import Input
from zsrec.batch.recipe import Recipe
from zsrec.batch.work import OnDone, work_through
from zsrec.errors import ConfigError
from zsrec.recommender import AsyncRecommender


@dataclass(frozen=True)
class Batch:
    """What a job does.

    Attributes:
        source: The users.
        recipe: The recommenders.
        chunk: Users a chunk, at least 1: one file of the output each, and the unit that a worker takes.
        liked_from: Ratings of at least this are likes; None for none.
        disliked_to: Ratings of at most this are dislikes; None for none.
        stop_after: After so many users in a row for whom a server failed the job stops, and can go on later; 0
            goes on to the end whatever happens.
    """

    source: Input
    recipe: Recipe
    chunk: int = 1000
    liked_from: float | None = data.LIKED_FROM
    disliked_to: float | None = data.DISLIKED_TO
    stop_after: int = 20

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.stop_after < 0:
            raise ConfigError("--chunk is at least 1 and --stop-after at least 0", hint="leave them out")


@dataclass(frozen=True)
class Work:
    """What a worker needs beside the numbers of its chunks; small, and sent to other machines as it is."""

    out: Path
    batch: Batch
    concurrency: int

    async def run(self, numbers: Sequence[int], on_done: OnDone) -> None:
        """Works through some chunks with recommenders of its own.

        Raises:
            ZsrecError: The job cannot go on.
        """
        recommenders = self.batch.recipe.recommenders()
        try:
            await self.run_with(recommenders, numbers, on_done)
        finally:
            for one in recommenders:
                await one.llm.aclose()

    async def run_with(
        self, recommenders: Sequence[AsyncRecommender], numbers: Sequence[int], on_done: OnDone
    ) -> None:
        """Works through some chunks with recommenders that are there.

        Raises:
            ZsrecError: The job cannot go on.
        """
        await work_through(
            Files(self.out),
            numbers,
            self.batch.recipe.asker(recommenders),
            template=recommenders[0].template.ref,
            concurrency=self.concurrency,
            liked_from=self.batch.liked_from,
            disliked_to=self.batch.disliked_to,
            stop_after=self.batch.stop_after,
            on_done=on_done,
        )
