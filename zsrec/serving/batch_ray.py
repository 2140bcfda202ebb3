"""The batch job on Ray Data: rows of chunk numbers, mapped by a pool of workers with recommenders of their own.

Ray decides which worker, on which machine, takes which chunk, and replaces workers that die. `batch_chunks`
records what is done, so Ray may start a chunk any number of times.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from zsrec.core.concurrency import LoopThread
from zsrec.core.errors import BatchStoppedError, ConfigError, MissingExtraError, ZsrecError
from zsrec.recommender.recommender import AsyncRecommender
from zsrec.serving.batch_worker import OnDone, OnNote, Work

_CHUNKS_A_CALL = 4  # a call ends with few users under way: not after each chunk


def check_ray() -> None:
    """Raise `MissingExtraError` where Ray Data cannot be imported."""
    try:
        import_module("ray.data")
    except ImportError:
        raise MissingExtraError("the engine 'ray'", "batch") from None


class Worker:
    """One of Ray's processes."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._loop = LoopThread()
        self._error: ZsrecError | None = None
        self._recommenders: list[AsyncRecommender] = []
        self._notes: list[str] = []
        try:
            self._recommenders = work.batch.recipe.recommenders(self._notes.append)
        except ZsrecError as error:  # reported by the first call: Ray would restart a failing worker for ever
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Work through the chunks with these numbers."""
        done = 0

        def count(users: int) -> None:
            nonlocal done
            done += users

        try:
            if self._error is not None:
                raise self._error
            numbers = [int(number) for number in batch["chunk"]]
            self._loop.run(self._work.run_with(self._recommenders, numbers, count))
        except ZsrecError as error:
            return self._row(done, error.message, error.hint or "")
        return self._row(done)

    def _row(self, done: int, wrong: str = "", hint: str = "") -> dict[str, list[Any]]:
        return {"users": [done], "notes": ["\n".join(self._notes)], "wrong": [wrong], "hint": [hint]}

    def close(self) -> None:
        """Close the connections and the thread."""
        for one in self._recommenders:
            self._loop.run(one.llm.aclose())
        self._loop.close()


def run_on_ray(
    work: Work, numbers: Sequence[int], *, workers: int, address: str | None, on_done: OnDone, on_note: OnNote
) -> None:
    """Work through chunks on a Ray cluster, or on Ray on this machine, which is ended afterwards."""
    ray: Any = import_module("ray")
    ray_data: Any = import_module("ray.data")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)  # the caller reports the progress
    own = not ray.is_initialized()
    if own:
        ray.init(
            address=address, log_to_driver=False, configure_logging=False,
            **({} if address else {"include_dashboard": False, "num_cpus": workers}),
        )  # fmt: skip
    errors: Any = import_module("ray.exceptions")
    try:
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < workers:
            raise ConfigError(
                f"{workers} workers, and the cluster has {processors} processors", hint="lower --workers"
            )
        ray_data.DataContext.get_current().enable_progress_bars = False
        a_call = max(1, min(_CHUNKS_A_CALL, len(numbers) // (2 * workers)))
        calls = -(-len(numbers) // a_call)
        rows = ray_data.from_items([{"chunk": number} for number in numbers], override_num_blocks=calls)
        done = rows.map_batches(
            Worker,
            fn_constructor_kwargs={"work": work},
            compute=ray_data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
            batch_size=None,  # a block each
            num_cpus=1,
        )
        said = set[str]()  # every worker reads the same files
        for row in done.iter_rows():
            on_done(int(row["users"]))
            for note in row["notes"].splitlines():
                if note not in said:
                    on_note(note)
                    said.add(note)
            if row["wrong"]:
                raise BatchStoppedError(row["wrong"], hint=row["hint"] or None)
    except errors.RayError as error:
        raise BatchStoppedError(
            f"Ray: {type(error).__name__}: {error}", hint="the same command resumes where this one stopped"
        ) from error
    finally:
        if own:
            ray.shutdown()
