"""Wrong bodies: the field, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client(make(tmp_path_factory.mktemp("served"), FakeLLM(ANSWER))) as one:
        yield one


EVENT = {"item": "Heat"}
DOCS = "/docs says what is expected"


@pytest.mark.parametrize(
    ("path", "body", "detail", "hint"),
    [
        ("recommend", {"histroy": ["Heat"]}, "histroy: there is no such field", "did you mean 'history'?"),
        ("recommend", {"history": ["Heat"], "K": 3}, "K: there is no such field", "did you mean 'k'?"),
        (
            "recommend",
            {"history": ["Heat"], "text": "x"},
            "text: there is no such field",
            DOCS,
        ),  # a field of /v1/ground
        (
            "recommend",
            {"history": ["Heat"], "candidate": ["1"]},
            "candidate: there is no such field",
            "did you mean 'candidates'?",
        ),
        (
            "recommend",
            {"history": ["Heat"], "fill": "more"},
            "fill: expected 'candidates' or 'popularity', found a text of 4 characters",
            DOCS,
        ),
        (
            "recommend",
            {"history": [EVENT | {"feedback": "loved"}]},
            "history.0.feedback: expected 'seen', 'liked', 'disliked' or 'skipped', found a text of 5 characters",
            DOCS,
        ),
        (
            "recommend",
            {"history": [EVENT | {"feedbak": "liked"}]},
            "history.0.feedbak: there is no such field",
            "did you mean 'feedback'?",
        ),
        ("recommend", {"history": ["Heat", {"title": "Heat"}]}, "history.1.item: is missing", DOCS),
        (
            "recommend",
            {"history": [EVENT | {"rating": "5"}]},
            "history.0.rating: expected a number, found a text of 1 character",
            DOCS,
        ),
        (
            "recommend",
            {"history": [{"item": ""}]},
            "history.0.item: expected at least 1 character, found a text of 0 characters",
            DOCS,
        ),
        ("recommend", {"history": [None]}, "history.0: expected a text, found null", DOCS),
        (
            "recommend",
            {"conversation": [{"rol": "user", "text": "x"}]},
            "conversation.0.rol: there is no such field",
            "did you mean 'role'?",
        ),
        (
            "recommend",
            {"conversation": [{"role": "bot", "text": "x"}]},
            "conversation.0.role: expected 'user' or 'assistant', found a text of 3 characters",
            DOCS,
        ),
        ("recommend", {"history": ["Heat"], "12 Main Street, Bonn": 1}, "body: there is no such field", DOCS),
        ("recommend", [], "body: expected an object, found 0 entries", DOCS),
        ("feedback", {"feedbak": [EVENT]}, "feedbak: there is no such field", "did you mean 'feedback'?"),
        (
            "feedback",
            {"feedback": [EVENT | {"feedback": "loved"}]},
            "feedback.0.feedback: expected 'seen', 'liked', 'disliked' or 'skipped', found a text of 5 characters",
            DOCS,
        ),
        ("recommend", {"k": 5000}, "k: expected at most 1,000, found 5,000", DOCS),
        ("recommend", {"k": 0}, "k: expected at least 1, found 0", DOCS),
        ("recommend", {"k": 2.5}, "k: expected a whole number, found 2.5", DOCS),
        ("recommend", {"k": "Heat"}, "k: expected a whole number, found a text of 4 characters", DOCS),
        (
            "recommend",
            {"history": ["Heat"] * 5001},
            "history: expected at most 5,000 entries, found 5,001 entries",
            DOCS,
        ),
        ("recommend", {"history": "Heat"}, "history: expected a list, found a text of 4 characters", DOCS),
        ("recommend", {"user": 4711.5}, "user: expected a text or a whole number, found a number", DOCS),
        ("recommend", {"about": 4711}, "about: expected a text, found a number", DOCS),
        ("ground", {"texts": "Heat"}, "texts: there is no such field", "did you mean 'text'?"),
    ],
)
def test_the_field_that_is_wrong_is_named_with_what_was_meant(
    http: TestClient, path: str, body: object, detail: str, hint: str
) -> None:
    reply = http.post(f"/v1/{path}", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "Invalid")
    assert (reply.json()["detail"], reply.json()["hint"]) == (detail, hint)
    assert "Heat" not in reply.text
    assert "4711" not in reply.text
    assert "Main Street" not in reply.text


def test_scores_have_no_noise_of_binary_fractions(http: TestClient) -> None:
    body = {"history": ["Heat"], "k": 5, "template": "rank/default"}
    items = http.post("/v1/recommend", json=body).json()["items"]
    assert items
    assert all(len(repr(one["score"])) <= 11 for one in items)


def test_a_body_that_is_not_declared_as_json_and_a_wrong_route_say_what_to_do(http: TestClient) -> None:
    as_a_form = {"content-type": "application/x-www-form-urlencoded"}  # curl's default
    reply = http.post("/v1/recommend", content='{"history": ["Heat"]}', headers=as_a_form)
    assert (reply.status_code, reply.json()["detail"]) == (422, "the body is not declared as JSON")
    assert reply.json()["hint"] == "send the header Content-Type: application/json"
    for method, path, status in (("GET", "/v1/recommend", 405), ("POST", "/v1/explain", 404)):
        wrong = http.request(method, path)
        assert (wrong.status_code, wrong.json()["hint"]) == (status, "/docs lists the routes")


def test_a_guessed_title_is_said(http: TestClient) -> None:
    notes = http.post("/v1/recommend", json={"history": ["Toy Storry"], "k": 1}).json()["notes"]
    assert notes[0] == "'Toy Storry' was read as 'Toy Story (1995)'"
