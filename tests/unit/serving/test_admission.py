"""Breaker, queue, deadline, keys and pseudonyms, each alone."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsrec.core.errors import ConfigError, DataError
from zsrec.core.privacy import Pseudonyms
from zsrec.data.history import Event, History
from zsrec.data.interactions import Ids, Interactions
from zsrec.retrieval import ItemKNN, Popularity, top
from zsrec.retrieval.lists import Backed
from zsrec.serving.admission import Breaker, CallerGoneError, FullError, Queue, TooLateError, while_connected
from zsrec.serving.auth import Keys, Tenant, check_exposure
from zsrec.serving.observability import JsonLines, log_failure


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try() -> None:
    clock = Clock()
    breaker = Breaker(2, 10.0, clock)
    for outcome in (breaker.failed, breaker.succeeded, breaker.failed):
        assert breaker.admits()
        outcome()
    assert breaker.state == "closed"
    breaker.failed()
    assert (breaker.state, breaker.admits(), breaker.remaining) == ("open", False, 10.0)
    breaker.failed()  # a latecomer
    clock.now += 10.0
    assert breaker.state == "half_open"
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.gave_up()
    assert breaker.admits()
    breaker.failed()
    assert (breaker.state, breaker.remaining) == ("open", 10.0)
    clock.now += 10.0
    assert breaker.admits()
    breaker.succeeded()
    assert (breaker.state, breaker.remaining) == ("closed", 0.0)
    breaker.failed()
    assert breaker.state == "closed"


@given(st.lists(st.sampled_from(["ask", "succeeded", "failed", "gave_up", "wait"]), max_size=60))
def test_a_breaker_never_locks_itself(steps: list[str]) -> None:
    clock = Clock()
    breaker, asking = Breaker(2, 10.0, clock), 0
    for step in steps:
        if step == "wait":
            clock.now += 4.0
        elif step == "ask":
            asking += breaker.admits()
        elif asking:
            asking -= 1
            getattr(breaker, step)()
    for _ in range(asking):
        breaker.gave_up()
    clock.now += 10.0
    assert breaker.admits()


def test_a_deadline_counts_as_a_failure_only_where_the_model_had_its_time() -> None:
    breaker = Breaker(1, 10.0, Clock())
    for seconds in (2.0, 2.0, 2.0):
        breaker.took(seconds, "a list")
    breaker.took(0.1, "a label")
    breaker.timed_out(1.9, "a list")
    assert breaker.state == "closed"
    breaker.timed_out(2.0, "a list")
    assert breaker.state == "open"
    breaker.succeeded()
    breaker.timed_out(0.2, "a label")
    assert breaker.state == "open"


def test_a_deadline_counts_where_nothing_is_known_of_the_model() -> None:
    breaker = Breaker(1, 10.0, Clock())
    breaker.took(5.0, "another")
    breaker.timed_out(0.1, "this")
    assert breaker.state == "open"


def test_a_hurried_trial_leaves_the_breaker_half_open() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.took(2.0, "a list")
    breaker.failed()
    clock.now += 10.0
    assert breaker.admits()
    breaker.timed_out(0.1, "a list")
    assert (breaker.state, breaker.admits()) == ("half_open", True)


def test_a_queue_refuses_what_it_cannot_hold_and_serves_in_order() -> None:
    async def run() -> list[int]:
        queue, served, gate = Queue(1, 2), [], asyncio.Event()

        async def one(number: int) -> None:
            async with queue.slot():
                served.append(number)
                await gate.wait()

        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await asyncio.sleep(0)
        assert (queue.in_work, queue.waiting) == (1, 2)
        with pytest.raises(FullError) as full:
            await one(99)
        assert full.value.retry_after >= 1
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert queue.waiting == 1
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (queue.in_work, queue.waiting) == (0, 0)
        return served

    assert asyncio.run(run()) == [0, 2]


def test_nobody_waits_for_a_place_that_will_not_come_in_time() -> None:
    async def run() -> None:
        queue = Queue(1, 8)
        async with queue.slot():
            waiter = asyncio.create_task(held(queue, 0.0, patience=0.1))  # nothing is known yet: it may wait
            await asyncio.sleep(0.05)
        await waiter
        for _ in range(20):
            await held(queue, 0.1)  # a free place is given whatever was expected
        async with queue.slot(0.001):
            with pytest.raises(TooLateError):
                await held(queue, 0.0, patience=0.05)
            assert queue.waiting == 0
            patient = asyncio.create_task(held(queue, 0.0, patience=5.0))
            await asyncio.sleep(0.01)
            assert queue.waiting == 1
        await patient
        assert queue.in_work == 0

    async def held(queue: Queue, seconds: float, patience: float = math.inf) -> None:
        async with queue.slot(patience):
            await asyncio.sleep(seconds)

    asyncio.run(run())


def test_a_queue_without_waiting_still_gives_its_places() -> None:
    async def run() -> None:
        queue = Queue(1, 0)
        async with queue.slot():
            with pytest.raises(FullError):
                async with queue.slot():
                    pass
        async with queue.slot():
            pass

    asyncio.run(run())


def test_work_ends_with_the_deadline_or_with_the_caller() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("work")

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def there() -> dict[str, str]:
        await asyncio.sleep(30)
        return {}

    async def quick() -> int:
        return 3

    async def failing() -> int:
        raise ConfigError("no")

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(while_connected(there, work()), 0.01))
    with pytest.raises(CallerGoneError):
        asyncio.run(while_connected(gone, work()))
    assert ended == ["work", "work"]
    assert asyncio.run(while_connected(there, quick())) == 3
    with pytest.raises(ConfigError):
        asyncio.run(while_connected(there, failing()))


def test_keys_are_told_apart_and_never_quoted(tmp_path: Path) -> None:
    keys = Keys(["", "# one", "shop:" + "s" * 16, "shop:" + "t" * 16, "ops:" + "o" * 16 + ":admin"], "keys")
    assert keys.tenant("s" * 16) == keys.tenant("t" * 16) == Tenant("shop", admin=False)
    assert keys.tenant("o" * 16) == Tenant("ops", admin=True)
    assert keys.tenant("") is keys.tenant("é\ud800") is None
    for line in ("shop", "shop:SECRETSECRET", ":" + "s" * 16, "shop:" + "SECRET" * 4 + ":root", "# only"):
        with pytest.raises(DataError) as caught:
            Keys([line], "keys.txt")
        assert "keys.txt" in str(caught.value)
        assert "SECRET" not in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        Keys.open(tmp_path / "absent")


def test_a_service_that_others_reach_asks_for_keys() -> None:
    check_exposure("127.0.0.1", None, loopback=True)
    check_exposure("0.0.0.0", Keys(["a:" + "s" * 16], "k"), loopback=False)
    with pytest.raises(ConfigError, match="without keys"):
        check_exposure("0.0.0.0", None, loopback=False)


def test_pseudonyms_hold_and_depend_on_the_key() -> None:
    one, other = Pseudonyms(b"a" * 16), Pseudonyms(b"b" * 16)
    assert one.of("user", "u-17") == one.of("user", "u-17")
    assert len({one.of("user", "u-17"), one.of("salt", "u-17"), other.of("user", "u-17"), one.of("user", "")}) == 4
    with pytest.raises(ConfigError, match="4 bytes") as caught:
        Pseudonyms(b"weak")
    assert "weak" not in str(caught.value)


def test_a_failure_is_logged_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("SECRET")
    except ValueError as error:
        log_failure("failed", error, request_id="r1")
        logging.getLogger("uvicorn.error").error("Exception in it\nSECRET", exc_info=error)
    lines = [JsonLines().format(record) for record in caplog.records]
    assert "SECRET" not in "".join(lines)
    first, second = map(json.loads, lines)
    assert (first["event"], first["error"], first["request_id"]) == ("failed", "ValueError", "r1")
    assert first["where"].endswith("test_admission.py:" + first["where"].rpartition(":")[2])
    assert (second["message"], second["error"]) == ("Exception in it", "ValueError")


def test_popularity_stands_behind_item_knn() -> None:
    histories = {
        user: History(events=tuple(Event(item=item, by="id") for item in items))
        for user, items in {"a": "12", "b": "12", "c": "13", "d": "45", "e": "45", "f": "45"}.items()
    }
    contacts = Interactions.from_histories(histories, catalog=Ids("123456"))
    backed = Backed(ItemKNN(contacts), Popularity(contacts))
    assert top(backed, ["1"], 6).ids[:2] == ("2", "3")
    assert set(top(backed, ["1"], 6).ids[2:4]) == {"4", "5"}
    assert top(backed, [], 6).ids[-1] == "6"
    assert len(top(backed, [], 6)) == 6
