"""schemathesis makes requests up from the OpenAPI, right and wrong ones: never a 5xx, always what it promises."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, make
from zsrec.serving.app import create_app
from zsrec.serving.auth import Keys

pytestmark = pytest.mark.slow
KEY = "o" * 16
PROBLEM = {"status", "code", "title", "detail", "hint", "request_id"}
WITHOUT_BODY = {"/healthz": "get", "/readyz": "get", "/v1/templates": "get", "/v1/reload": "post"}
WITH_BODY = dict.fromkeys(("/v1/recommend", "/v1/ground", "/v1/feedback"), "post")


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    service = make(tmp_path_factory.mktemp("served"), FakeLLM(ANSWER))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(service, Keys([f"ops:{KEY}:admin"], "keys")))


def test_every_operation_is_tried(openapi: schemathesis.BaseSchema) -> None:
    found = {(one.ok().path, one.ok().method) for one in openapi.get_all_operations()}
    assert found == {*WITHOUT_BODY.items(), *WITH_BODY.items()}


@pytest.mark.parametrize(
    ("path", "mode", "examples"),
    [(path, GenerationMode.POSITIVE, 1) for path in WITHOUT_BODY]
    + [(path, mode, 60) for path in WITH_BODY for mode in GenerationMode],
)
def test_the_contract_is_kept(
    openapi: schemathesis.BaseSchema, path: str, mode: GenerationMode, examples: int
) -> None:
    operation = openapi[path][(WITHOUT_BODY | WITH_BODY)[path]]
    answered: list[int] = []

    @settings(max_examples=examples, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def tried(case: schemathesis.Case) -> None:
        # A request that fits the contract may be refused all the same: the catalog may lack what it names.
        # Too large a body is refused before it is read (413), which schemathesis does not count as refusal.
        reply = case.call(headers={"Authorization": f"Bearer {KEY}"})
        excluded = [positive_data_acceptance, *([negative_data_rejection] if reply.status_code == 413 else [])]
        case.validate_response(reply, excluded_checks=excluded)
        if reply.status_code != 200:
            assert reply.status_code < 500
            assert set(reply.json()) == PROBLEM
        answered.append(reply.status_code)

    tried()
    assert answered
    assert mode is GenerationMode.NEGATIVE or 200 in answered
