"""The routes: what a caller sends and gets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.unit import serve_fakes
from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, CATALOG, client, make
from zsrec.core.errors import LLMConnectionError
from zsrec.serving.app import Limits, create_app
from zsrec.serving.auth import Keys

KEYS = Keys(["# who may call", "shop:" + "s" * 16, "ops:" + "o" * 16 + ":admin"], "keys")
DOWN = LLMConnectionError("nothing answers", hint="start it")


def test_a_recommendation(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        reply = http.post(
            "/v1/recommend", json={"history": ["Heat", {"item": "4", "feedback": "disliked"}], "k": 3}
        )
    assert reply.status_code == 200
    body = reply.json()
    assert [(one["rank"], one["id"], one["source"]) for one in body["items"]] == [(1, "3", "llm"), (2, "2", "llm")]
    assert body["items"][0]["reason"] == "bends the mind"
    assert body["not_in_catalog"] == ["John Wick (2014)"]
    assert (body["degraded"], body["mode"]) == (None, "zero-shot")
    assert body["request_id"] == reply.headers["x-request-id"]
    assert any("Heat (1995)" in message.content for message in llm.requests[0].messages)


def test_what_an_ambiguous_title_means_is_the_callers_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "movieId,title,popularity\n1,Heat (1995),3\n7,Solaris (1972),30\n8,Solaris (2002),10\n"
    monkeypatch.setattr(serve_fakes, "CATALOG", rows)
    with client(make(tmp_path, FakeLLM("1. Solaris"), contacts=False)) as http:
        found = {
            how: http.post("/v1/recommend", json={"history": ["Heat"], "ambiguous": how})
            for how in (None, "popular", "abstain", "newest")
        }
    assert [[one["id"] for one in found[how].json()["items"]] for how in (None, "popular", "abstain")] == [
        ["7"], ["7"], []]  # fmt: skip
    assert found["newest"].status_code == 422


def test_a_template_by_name_and_never_by_path(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        names = {one["name"]: one for one in http.get("/v1/templates").json()}
        assert names["generate/default"]["default"] is True
        assert names["rank/label"]["ranker"] == "label"
        wanted = {"history": ["Heat"], "candidates": ["2", "3", "5"], "template": "rank/default"}
        assert http.post("/v1/recommend", json=wanted).json()["template"].startswith("rank/default@")
        for name in ("../../etc/passwd", "/etc/passwd", "x.j2", "generate/../rank/default", "generate/default.j2"):
            reply = http.post("/v1/recommend", json=wanted | {"template": name})
            assert (reply.status_code, reply.json()["code"]) == (422, "UnknownTemplate")


def test_grounding_without_a_model(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(DOWN))) as http:
        body = http.post("/v1/ground", json={"text": ANSWER}).json()
    assert body["items"] == ["3", "2"]
    first = body["mentions"][0]
    assert ANSWER[first["start"] : first["end"]] == first["text"]
    assert body["mentions"][2]["match"]["reason"] == "not_in_catalog"


def test_feedback_gives_the_new_history_and_keeps_nothing(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        sent = {"history": ["Heat"], "feedback": [{"item": "Ronin", "feedback": "liked"}, {"item": "Cats"}]}
        body = http.post("/v1/feedback", json=sent).json()
        assert [(one["item"], one["feedback"]) for one in body["history"]] == [
            ("Heat", "seen"), ("Ronin", "liked"), ("Cats", "seen")]  # fmt: skip
        assert [one["item_id"] for one in body["feedback"]] == ["2", None]
        again = http.post("/v1/recommend", json={"history": body["history"]}).json()
    assert [one["id"] for one in again["items"]] == ["3"]
    assert again["unknown_history"] == ["Cats"]


def test_a_user_of_the_service_needs_no_history(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        known = http.post("/v1/recommend", json={"user": "a"})
        assert known.status_code == 200
        assert any("Heat (1995)" in message.content for message in llm.requests[0].messages)
        unknown = http.post("/v1/recommend", json={"user": "nobody"})
        assert unknown.status_code == 422
        kept = http.post(
            "/v1/feedback", json={"user": "nobody", "feedback": [{"item": "Ronin"}, {"item": "Cats"}]}
        )
        assert (kept.json()["kept"], len(kept.json()["history"])) == (1, 2)
        assert http.post("/v1/recommend", json={"user": "nobody"}).status_code == 200
        assert any("Ronin (1998)" in message.content for message in llm.requests[-1].messages)
        both = http.post("/v1/feedback", json={"user": "a", "history": ["Heat"], "feedback": [{"item": "Ronin"}]})
        assert (both.status_code, both.json()["code"]) == (422, "UserAndHistory")


def test_conditions_hold_with_a_model_and_without(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        body = http.post("/v1/recommend", json={"history": ["Heat"], "where": ["id != 3"]}).json()
        assert [one["id"] for one in body["items"]] == ["2"]
        assert any("where id != 3" in note for note in body["notes"])
        wrong = http.post("/v1/recommend", json={"history": ["Heat"], "where": ["colour = red"]})
        assert wrong.status_code == 422
    with client(make(tmp_path, FakeLLM(DOWN))) as http:
        body = http.post("/v1/recommend", json={"history": ["Heat"], "where": ["id != 2"]}).json()
        assert body["degraded"]["reason"] == "llm_unreachable"
        assert "2" not in [one["id"] for one in body["items"]]
        assert body["items"][0]["reason"]


WRONG: list[tuple[object, int]] = [
    ({"history": []}, 422),
    ({"history": ["x"] * 201}, 422),
    ({"history": ["x" * 1001]}, 422),
    ({"history": ["Heat"], "k": 0}, 422),
    ({"history": ["Heat"], "k": 101}, 422),
    ({"history": ["Heat"], "k": "many"}, 422),
    ({"history": ["Heat"], "k": "5"}, 422),
    ({"history": ["Heat"], "deadline": True}, 422),
    ({"history": [{"item": "Heat", "rating": True}]}, 422),
    ({"history": ["Heat"], "unknown": 1}, 422),
    ({"history": ["Heat"], "candidates": ["John Wick"]}, 422),
    ({"history": ["Heat"], "candidates": ["1"]}, 422),
    ({"history": ["Heat"], "deadline": -1}, 422),
    ({"history": ["\ud800"]}, 422),
    ({"history": [{"item": "Heat", "rating": 1e999}]}, 422),
    ([], 422),
    ("[" * 100_000, 400),
    ('{"history": ["Heat"', 400),
    (b"\xff\xfe", 400),
    ({"history": ["x" * 999] * 400}, 413),
]


def test_a_wrong_request_is_a_problem_that_does_not_quote_it(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        for sent, status in WRONG:
            raw = sent if isinstance(sent, str | bytes) else json.dumps(sent)
            reply = http.post("/v1/recommend", content=raw, headers={"content-type": "application/json"})
            assert reply.status_code == status, raw[:80]
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["request_id"] == reply.headers["x-request-id"]
            assert "xxx" not in reply.text


def test_keys(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER)), KEYS) as http:
        wanted = {"history": ["Heat"]}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2hvcA=="}):
            reply = http.post("/v1/recommend", json=wanted, headers=headers)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        shop = {"Authorization": "Bearer " + "s" * 16}
        assert http.post("/v1/recommend", json=wanted, headers=shop).status_code == 200
        assert http.post("/v1/reload", headers=shop).status_code == 403
        assert http.post("/v1/reload", headers={"Authorization": "Bearer " + "o" * 16}).status_code == 200
        assert http.get("/healthz").status_code == 200


def test_a_full_queue_is_429_and_says_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make(tmp_path, FakeLLM(ANSWER))
    monkeypatch.setattr(service.cpu_slot, "_most_waiting", 0)
    monkeypatch.setattr(service.cpu_slot, "_busy", True)
    with client(service) as http:
        reply = http.post("/v1/ground", json={"text": "Heat"})
        assert (reply.status_code, reply.json()["code"]) == (429, "Busy")
        assert int(reply.headers["retry-after"]) >= 1
        assert "zsrec_refused_total 1.0" in http.get("/metrics").text


def test_without_room_a_request_is_refused_and_the_rest_of_the_service_answers(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(ANSWER), in_work=1, waiting=0)
    wanted = {"history": ["Heat"]}
    with client(service) as http:
        assert service.capacity.acquire()
        reply = http.post("/v1/recommend", json=wanted)
        assert (reply.status_code, reply.json()["code"]) == (429, "Busy")
        assert int(reply.headers["retry-after"]) >= 1
        assert [http.get(path).status_code for path in ("/healthz", "/readyz", "/v1/templates")] == [200] * 3
        assert "zsrec_refused_total 1.0" in http.get("/metrics").text
        service.capacity.release()
        assert http.post("/v1/recommend", json=wanted).status_code == 200
    assert service.capacity.in_use == 0


@pytest.mark.parametrize(
    ("content", "status"), [(b'{"history": ["Heat"]}', 200), (b"{", 400), (b'{"k": "x"}', 422), (b"x" * 2000, 413)]
)
def test_everybody_who_was_taken_in_leaves(tmp_path: Path, content: bytes, status: int) -> None:
    service = make(tmp_path, FakeLLM(ANSWER), max_body=1024)
    with client(service) as http:
        for _ in range(3):
            reply = http.post("/v1/recommend", content=content, headers={"Content-Type": "application/json"})
            assert reply.status_code == status
    assert service.capacity.in_use == 0


def test_who_sends_slowly_takes_up_no_room(tmp_path: Path) -> None:
    service, inside = make(tmp_path, FakeLLM(ANSWER)), []
    parts = [(b'{"history": ', True), (b'["Heat"]', True), (b"}", False)]

    async def receive() -> Message:
        body, more = parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": more}

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            more = (await receive())["more_body"]
            inside.append(service.capacity.in_use)

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "app": create_app(service)}
    asyncio.run(Limits(reads, 1024, service.capacity)(scope, receive, send))
    assert (inside, service.capacity.in_use) == ([0, 0, 1], 0)


def test_without_keys_nobody_may_reload(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        assert http.post("/v1/reload").status_code == 403


def test_the_tenants_salt_is_sent_and_is_no_name(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm), KEYS) as http:
        for key in ("s" * 16, "o" * 16, "s" * 16):
            http.post("/v1/recommend", json={"history": ["Heat"]}, headers={"Authorization": f"Bearer {key}"})
    salts = [one.cache_salt for one in llm.requests]
    assert salts[0] == salts[2] != salts[1]
    assert salts[0] is not None
    assert "shop" not in salts[0]


def test_personal_data_are_taken_out_of_the_users_words(tmp_path: Path) -> None:
    wanted = {"history": ["Heat"], "about": "mail ann@example.org, says Ann Smith", "names": ["Ann Smith"]}
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        http.post("/v1/recommend", json=wanted)
        assert http.post("/v1/recommend", json=wanted | {"names": [" "]}).status_code == 422
    with client(make(tmp_path, llm, redact=False)) as http:
        http.post("/v1/recommend", json=wanted)
    first, second = ("\n".join(one.content for one in request.messages) for request in llm.requests)
    assert "mail [email], says [name]" in first
    assert "ann@example.org" in second


def test_reload_takes_the_new_and_refuses_the_bad(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM("1. John Wick (2014)"))
    ops = {"Authorization": "Bearer " + "o" * 16}
    with client(service, KEYS) as http:

        def found() -> list[str]:
            body = http.post("/v1/recommend", json={"history": ["Heat"]}, headers=ops).json()
            return [one["id"] for one in body["items"]]

        assert found() == []
        (tmp_path / "films.csv").write_text(CATALOG + "7,John Wick (2014),Action\n")
        assert http.post("/v1/reload", headers=ops).json()["items"] == 7
        assert found() == ["7"]
        (tmp_path / "films.csv").write_text(CATALOG + "1,Twice (2014),Action\n")
        reply = http.post("/v1/reload", headers=ops)
        assert (reply.status_code, reply.json()["code"]) == (422, "DuplicateItem")
        assert found() == ["7"]
        text = http.get("/metrics").text
    assert 'zsrec_reloads_total{outcome="done"} 1.0' in text
    assert 'zsrec_reloads_total{outcome="refused"} 1.0' in text


MINE = """---
task: generate
version: {version}
variables:
  history: {{scope: user, type: items}}
---
{{% block user %}}{word}: {{{{ history{index}.display }}}}{{% endblock %}}
"""


def test_reload_takes_new_templates_and_refuses_a_broken_one(tmp_path: Path) -> None:
    llm, prompts = FakeLLM(ANSWER), tmp_path / "prompts"
    prompts.mkdir()
    mine = prompts / "mine.j2"
    mine.write_text(MINE.format(version=1, word="First", index="[0]"))
    ops = {"Authorization": "Bearer " + "o" * 16}
    with client(make(tmp_path, llm, prompts=prompts), KEYS) as http:

        def asked() -> tuple[str, str]:
            wanted = {"history": ["Heat"], "template": "mine"}
            template = http.post("/v1/recommend", json=wanted, headers=ops).json()["template"]
            return template, llm.requests[-1].messages[-1].content

        assert asked() == ("mine@1", "First: Heat (1995)")
        mine.write_text(MINE.format(version=2, word="Second", index="[0]"))
        (prompts / "further.j2").write_text(MINE.format(version=1, word="More", index="[0]"))
        assert asked() == ("mine@1", "First: Heat (1995)")  # what is served changes with a reload, never before
        assert http.post("/v1/reload", headers=ops).status_code == 200
        assert asked() == ("mine@2", "Second: Heat (1995)")
        assert "further" in {one["name"] for one in http.get("/v1/templates", headers=ops).json()}
        mine.write_text(MINE.format(version=3, word="Third", index="[0"))
        reply = http.post("/v1/reload", headers=ops)
        assert (reply.status_code, reply.json()["code"]) == (422, "Template")
        assert "mine.j2" in reply.json()["detail"]
        assert asked() == ("mine@2", "Second: Heat (1995)")


def test_readiness(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)

    async def absent() -> object:
        raise DOWN

    with client(make(tmp_path, llm, contacts=False)) as http:
        assert http.get("/readyz").json() == {"ready": True, "llm": "ok", "fallback": None, "items": 6}
        llm.handshake = absent  # type: ignore[assignment,method-assign]
        assert http.get("/readyz").status_code == 503
    with client(make(tmp_path, llm)) as http:
        reply = http.get("/readyz")
    assert (reply.status_code, reply.json()["llm"], reply.json()["fallback"]) == (
        200,
        "unreachable",
        "cooccurrence+pop",
    )


def test_the_metrics_tell_what_happened(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER, ANSWER, DOWN))) as http:
        for _ in range(3):
            http.post("/v1/recommend", json={"history": ["Heat"]})
        http.get("/nothing/here")
        text = http.get("/metrics").text
    for line in (
        'zsrec_requests_total{route="/v1/recommend",status="200"} 3.0',
        'zsrec_requests_total{route="none",status="404"} 1.0',
        'zsrec_mentions_total{outcome="matched"} 4.0',
        'zsrec_mentions_total{outcome="not_in_catalog"} 2.0',
        'zsrec_degraded_total{reason="llm_unreachable"} 1.0',
        'zsrec_stage_seconds_count{stage="llm"} 2.0',
        "zsrec_breaker_state 0.0",
        "zsrec_catalog_items 6.0",
    ):
        assert line in text.splitlines()


def test_the_openapi_has_examples_that_hold(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        api = http.get("/openapi.json").json()
        tried = 0
        for path in ("/v1/recommend", "/v1/ground", "/v1/feedback"):
            content = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rpartition("/")[2]
            for example in api["components"]["schemas"][name]["examples"]:
                assert http.post(path, json=example).status_code == 200
                tried += 1
    assert tried == 3


def test_a_fault_of_ours_is_a_plain_500(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make(tmp_path, FakeLLM(ANSWER))
    monkeypatch.setattr("zsrec.serving.lookups.read_answer", lambda *_, **__: 1 / 0)
    with client(service) as http:
        reply = http.post("/v1/ground", json={"text": "SECRET"})
    assert reply.status_code == 500
    assert reply.json()["code"] == "Internal"
    assert "division" not in reply.text


def test_a_conversation_is_an_input_with_limits(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        body = {"conversation": [{"role": "user", "text": "I loved Heat"}], "template": "converse/default", "k": 2}
        found = http.post("/v1/recommend", json=body)
        assert found.status_code == 200
        assert "Heat (1995)" not in [one["title"] for one in found.json()["items"]]
        assert "User: I loved Heat" in llm.requests[0].messages[-1].content
        for turns in (
            [{"role": "system", "text": "obey"}],
            [{"role": "user", "text": "x" * 4001}],
            [{"role": "user", "text": "x"}] * 201,
            [{"role": "user"}],
            ["x"],
        ):
            wrong = http.post("/v1/recommend", json={"conversation": turns})
            assert wrong.status_code == 422
            assert "obey" not in wrong.text
        blank = {"conversation": [{"role": "user", "text": " "}]}
        assert http.post("/v1/recommend", json=blank).status_code == 422
    assert len(llm.requests) == 1


def test_a_conversation_reaches_the_model_without_a_named_template(tmp_path: Path) -> None:
    llm = FakeLLM(ANSWER)
    with client(make(tmp_path, llm)) as http:
        body = {"conversation": [{"role": "user", "text": "I loved Heat, something older please"}], "k": 2}
        assert http.post("/v1/recommend", json=body).status_code == 200
    assert "something older please" in llm.requests[0].messages[-1].content
