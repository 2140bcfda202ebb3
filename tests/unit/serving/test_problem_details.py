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
        ("recommend", {"histroy": ["Heat"]}, "histroy: extra_forbidden", "did you mean 'history'?"),
        ("recommend", {"history": ["Heat"], "K": 3}, "K: extra_forbidden", "did you mean 'k'?"),
        ("recommend", {"history": ["Heat"], "text": "x"}, "text: extra_forbidden", DOCS),  # a field of /v1/ground
        (
            "recommend",
            {"history": ["Heat"], "candidate": ["1"]},
            "candidate: extra_forbidden",
            "did you mean 'candidates'?",
        ),
        (
            "recommend",
            {"history": ["Heat"], "fill": "more"},
            "fill: literal_error",
            "one of 'candidates' or 'popularity'",
        ),
        (
            "recommend",
            {"history": [EVENT | {"feedback": "loved"}]},
            "history.0.feedback: enum",
            "one of 'seen', 'liked', 'disliked' or 'skipped'",
        ),
        (
            "recommend",
            {"history": [EVENT | {"feedbak": "liked"}]},
            "history.0.feedbak: extra_forbidden",
            "did you mean 'feedback'?",
        ),
        ("recommend", {"history": ["Heat", {"title": "Heat"}]}, "history.1.item: missing", DOCS),
        ("recommend", {"history": [EVENT | {"rating": "5"}]}, "history.0.rating: float_type", DOCS),
        ("recommend", {"history": [{"item": ""}]}, "history.0.item: too_short", DOCS),
        ("recommend", {"history": [None]}, "history.0: string_type", DOCS),
        (
            "recommend",
            {"conversation": [{"rol": "user", "text": "x"}]},
            "conversation.0.rol: extra_forbidden",
            "did you mean 'role'?",
        ),
        (
            "recommend",
            {"conversation": [{"role": "bot", "text": "x"}]},
            "conversation.0.role: literal_error",
            "one of 'user' or 'assistant'",
        ),
        ("recommend", {"history": ["Heat"], "12 Main Street, Bonn": 1}, "body: extra_forbidden", DOCS),
        ("recommend", [], "body: model_attributes_type", DOCS),
        ("feedback", {"feedbak": [EVENT]}, "feedbak: extra_forbidden", "did you mean 'feedback'?"),
        (
            "feedback",
            {"feedback": [EVENT | {"feedback": "loved"}]},
            "feedback.0.feedback: enum",
            "one of 'seen', 'liked', 'disliked' or 'skipped'",
        ),
        ("ground", {"texts": "Heat"}, "texts: extra_forbidden", "did you mean 'text'?"),
    ],
)
def test_the_field_that_is_wrong_is_named_with_what_was_meant(
    http: TestClient, path: str, body: object, detail: str, hint: str
) -> None:
    reply = http.post(f"/v1/{path}", json=body)
    assert (reply.status_code, reply.json()["code"]) == (422, "Invalid")
    assert (reply.json()["detail"], reply.json()["hint"]) == (detail, hint)
    assert "Heat" not in reply.text
    assert "Main Street" not in reply.text


def test_scores_have_no_noise_of_binary_fractions(http: TestClient) -> None:
    body = {"history": ["Heat"], "k": 5, "template": "rank/default"}
    items = http.post("/v1/recommend", json=body).json()["items"]
    assert items
    assert all(len(repr(one["score"])) <= 11 for one in items)
