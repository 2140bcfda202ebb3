"""What is answered when the model is down, slow or of no use: never an invented item, always the reason."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, PSEUDONYMS, SlowLLM, client, make, sources
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.llm.client import OpenAIClient
from zsrec.serving.admission import CallerGoneError, FullError, while_connected
from zsrec.serving.auth import Tenant
from zsrec.serving.problem_details import DETAILS, RefusedError
from zsrec.serving.schemas import RecommendIn, RecommendOut
from zsrec.serving.service import Options, Service

pytestmark = pytest.mark.alone
WANTED = {"history": ["Heat"], "k": 3}
ORDER = ["2", "6", "5"]  # item-kNN of Heat, then what is popular
NOBODY = Tenant(None, admin=False)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.LLMConnectionError("SECRET"), "llm_unreachable"),
        (errors.LLMTimeoutError("SECRET"), "llm_timeout"),
        (errors.LLMRateLimitError("SECRET"), "llm_busy"),
        (errors.LLMServerError("SECRET"), "llm_failed"),
        (errors.LLMRequestError("SECRET"), "llm_refused"),
        (errors.ContextOverflowError("SECRET"), "context_overflow"),
        (errors.ModelNotServedError("SECRET"), "model_not_served"),
        (errors.CapabilityError("SECRET"), "capability_missing"),
        (errors.BadReplyError("SECRET"), "bad_reply"),
        (errors.LLMError("SECRET"), "llm_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_failure_of_the_model_has_its_reason(tmp_path: Path, error: errors.LLMError, reason: str) -> None:
    with client(make(tmp_path, FakeLLM(error))) as http:
        reply = http.post("/v1/recommend", json=WANTED)
    body = reply.json()
    assert reply.status_code == 200
    assert body["degraded"] == {"reason": reason, "detail": DETAILS[reason]}  # type: ignore[index]
    assert [one["id"] for one in body["items"]][:3] == ORDER
    assert {one["source"] for one in body["items"]} == {"candidates"}
    assert body["mode"] == "training-free"
    assert "SECRET" not in reply.text


def test_a_slow_model_is_left_at_the_deadline(tmp_path: Path) -> None:
    llm = SlowLLM(ANSWER, seconds=30.0)
    with client(make(tmp_path, llm, deadline=20.0)) as http:
        http.get("/healthz")
        started = time.perf_counter()
        body = http.post("/v1/recommend", json=WANTED | {"deadline": 0.4}).json()
        seconds = time.perf_counter() - started
    assert body["degraded"]["reason"] == "deadline"
    assert [one["id"] for one in body["items"]] == ORDER
    assert llm.left == 1
    assert seconds < 2.0  # a tenth of it on an idle machine


def test_a_server_that_refuses_connections_is_unreachable_also_at_the_deadline(tmp_path: Path) -> None:
    """The client tries again for seconds, longer than the caller waits."""
    nobody = OpenAIClient(Settings.load(base_url="http://127.0.0.1:9/v1", model="tiny"))
    with client(make(tmp_path, nobody, breaker_failures=2)) as http:
        reasons = [
            http.post("/v1/recommend", json=WANTED | {"deadline": 0.5}).json()["degraded"]["reason"]
            for _ in range(3)
        ]
    assert reasons == ["llm_unreachable", "llm_unreachable", "breaker_open"]


def test_candidates_of_the_caller_are_an_order_too(tmp_path: Path) -> None:
    down = FakeLLM(errors.LLMServerError("no"))
    with client(make(tmp_path, down, contacts=False)) as http:
        body = http.post("/v1/recommend", json=WANTED | {"candidates": ["5", "1", "Up (2009)"]}).json()
        assert [one["id"] for one in body["items"]] == ["5", "4"]
        assert body["mode"] == "zero-shot"
        assert http.post("/v1/recommend", json=WANTED | {"candidates": ["no such"]}).status_code == 422
        reply = http.post("/v1/recommend", json=WANTED)
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "llm_failed", "1")


def test_the_breaker_spares_a_dead_model(tmp_path: Path) -> None:
    dead = FakeLLM(errors.LLMConnectionError("no"))
    service = make(tmp_path, dead, breaker_failures=2, breaker_seconds=0.3)
    with client(service) as http:
        reasons = [http.post("/v1/recommend", json=WANTED).json()["degraded"]["reason"] for _ in range(4)]
        assert reasons == ["llm_unreachable"] * 2 + ["breaker_open"] * 2
        assert len(dead.requests) == 2
        assert http.get("/readyz").json()["llm"] == "breaker_open"
        assert http.post("/v1/recommend", json={"history": []}).status_code == 422
        dead.answers = [ANSWER]
        time.sleep(0.3)
        assert http.post("/v1/recommend", json=WANTED).json()["degraded"] is None
        assert service.breaker.state == "closed"


def test_what_is_wrong_with_one_request_does_not_open_the_breaker(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(errors.ContextOverflowError("too long")), breaker_failures=1)
    with client(service) as http:
        http.post("/v1/recommend", json=WANTED)
        http.post("/v1/recommend", json=WANTED | {"candidates": ["no such"]})
    assert service.breaker.state == "closed"


def test_a_full_queue_refuses_and_says_when_to_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        service = make(tmp_path, SlowLLM(ANSWER, seconds=0.2), in_work=1, waiting=1)
        wanted = RecommendIn.model_validate(WANTED)
        calls = [asyncio.create_task(service.recommend(wanted, NOBODY, str(n))) for n in range(4)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        refused = [one for one in found if isinstance(one, FullError)]
        assert [one.retry_after >= 1 for one in refused] == [True, True]
        assert (service.queue.in_work, service.queue.waiting) == (0, 0)

    asyncio.run(run())


def test_a_request_under_way_ends_with_the_catalog_it_began_with(tmp_path: Path) -> None:
    async def run() -> None:
        service = make(tmp_path, SlowLLM("1. Heat 2 (2026)\n2. Ronin (1998)", seconds=0.5), contacts=False)
        wanted = RecommendIn.model_validate(WANTED)
        before = asyncio.create_task(service.recommend(wanted, NOBODY, "1"))
        await asyncio.sleep(0.1)
        (tmp_path / "films.csv").write_text("movieId,title\n1,Heat (1995)\n9,Heat 2 (2026)\n")
        await service.reload()
        after = await service.recommend(wanted, NOBODY, "2")
        assert [one.id for one in (await before).items] == ["2"]
        assert [one.id for one in after.items] == ["9"]

    asyncio.run(run())


def test_a_deadline_that_passes_in_the_queue_is_not_held_against_the_model(tmp_path: Path) -> None:
    async def run() -> None:
        service = make(tmp_path, SlowLLM(ANSWER, seconds=0.5), in_work=1, breaker_failures=1)
        first = asyncio.create_task(service.recommend(RecommendIn.model_validate(WANTED), NOBODY, "1"))
        await asyncio.sleep(0.05)
        hurried = RecommendIn.model_validate(WANTED | {"deadline": 0.1})
        second = await service.recommend(hurried, NOBODY, "2")
        assert second.degraded is not None
        assert second.degraded.reason == "busy"
        assert (await first).degraded is None
        assert service.breaker.state == "closed"

    asyncio.run(run())


def test_a_caller_in_a_hurry_does_not_close_the_model_to_the_others(tmp_path: Path) -> None:
    async def run() -> None:
        service = make(tmp_path, SlowLLM(ANSWER, seconds=0.3), breaker_failures=1)
        wanted = RecommendIn.model_validate(WANTED)
        hurried = RecommendIn.model_validate(WANTED | {"deadline": 0.06})
        assert (await service.recommend(wanted, NOBODY, "1")).degraded is None
        late = await service.recommend(hurried, NOBODY, "2")
        assert late.degraded is not None
        assert late.degraded.reason == "deadline"
        assert (await service.recommend(wanted, NOBODY, "3")).degraded is None

    asyncio.run(run())


def test_a_model_that_hangs_is_left_alone_though_every_caller_is_in_a_hurry(tmp_path: Path) -> None:
    async def run() -> list[str | None]:
        llm = SlowLLM(ANSWER, seconds=0.01)
        service = make(tmp_path, llm, breaker_failures=2)
        wanted = RecommendIn.model_validate(WANTED | {"deadline": 0.5})
        reasons: list[str | None] = []
        for place in range(4):
            told = (await service.recommend(wanted, NOBODY, str(place))).degraded
            reasons.append(None if told is None else told.reason)
            llm.seconds = 30.0
        return reasons

    assert asyncio.run(run()) == [None, "deadline", "deadline", "breaker_open"]


def test_who_owns_the_process_hears_of_every_stock_that_was_loaded(tmp_path: Path) -> None:
    told: list[str] = []

    async def run() -> None:
        where, settings = sources(tmp_path), Settings.load()
        service = Service(where, settings, FakeLLM(ANSWER), Options(), PSEUDONYMS, loaded=lambda: told.append("x"))
        assert told == ["x"]
        await service.reload()
        (tmp_path / "films.csv").write_text("no,such\n1,2\n")
        with pytest.raises(errors.ZsrecError):
            await service.reload()

    asyncio.run(run())
    assert told == ["x", "x"]


def test_a_caller_who_leaves_gives_the_place_and_the_breakers_trial_back(tmp_path: Path) -> None:
    async def run() -> None:
        llm = SlowLLM(ANSWER, seconds=30.0)
        service = make(tmp_path, llm, in_work=1, breaker_failures=1, breaker_seconds=0.01)
        service.breaker.failed()
        await asyncio.sleep(0.02)

        async def leaves() -> dict[str, str]:
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        with pytest.raises(CallerGoneError):
            await while_connected(leaves, service.recommend(RecommendIn.model_validate(WANTED), NOBODY, "1"))
        assert (llm.left, service.queue.in_work) == (1, 0)
        assert service.breaker.admits()

    asyncio.run(run())


def test_one_tenant_cannot_take_every_place(tmp_path: Path) -> None:
    service = make(tmp_path, SlowLLM(ANSWER, seconds=0.3), in_work=2, waiting=2, per_tenant=2)
    loud, quiet = Tenant("loud", admin=False), Tenant("quiet", admin=False)
    wanted = RecommendIn.model_validate(WANTED)

    async def all_at_once() -> list[object]:
        asked = [service.recommend(wanted, who, "id") for who in (*[loud] * 6, quiet, quiet, NOBODY)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(all_at_once())
    refused = [one for one in found if isinstance(one, RefusedError) and not isinstance(one, FullError)]
    assert [(one.problem.status, one.problem.code, one.retry_after) for one in refused] == [
        (429, "TenantBusy", 1)
    ] * 4
    assert found[:2] == [one for one in found[:2] if isinstance(one, RecommendOut) and one.degraded is None]
    assert all(isinstance(one, RecommendOut) for one in found[6:8])
    assert isinstance(found[8], FullError)  # a caller without a key has no share, and the queue's bound holds
    assert asyncio.run(all_at_once())[0] is not None
    assert not service.shares._in_use  # every share was given back, the refused ones' too
