"""The rule for ids over HTTP: the same outcome as in files and calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.test_type_rule import VALUES, is_json
from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make

CASES = {name: case for name, case in VALUES.items() if is_json(case[0])}


def test_ids_of_a_history(tmp_path: Path) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:

        def sent(body: Any) -> Any:
            content = json.dumps(body).encode()
            return http.post("/v1/feedback", content=content, headers={"content-type": "application/json"})

        for name, (value, outcome) in CASES.items():
            for history in ([value], [{"item": value}]):
                reply = sent({"history": history, "feedback": [{"item": "Heat"}]})
                if outcome is None:
                    assert reply.status_code in (400, 422), name
                    assert reply.json()["detail"], name
                else:
                    assert (reply.status_code, reply.json()["history"][0]["item"]) == (200, outcome), name


@pytest.mark.parametrize(("candidates", "status"), [([2, 3.0], 200), ([1.5], 422), ([True], 422), ("278", 422)])
def test_ids_of_candidates(tmp_path: Path, candidates: Any, status: int) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        body = {"history": [1], "candidates": candidates, "template": "rank/default", "user": 7}
        assert http.post("/v1/recommend", json=body).status_code == status
