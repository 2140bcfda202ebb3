"""The service before a real vLLM: many users at once, each answered with items of the catalog, none lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.faults.service import Process
from zsrec.data.movielens import Dataset

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
TEMPLATES = ["rank/label", "generate/default"]


def test_many_users_at_once(base_url: str, movielens: Dataset, tmp_path: Path) -> None:
    service = Process(tmp_path, base_url, "--deadline", "120", "--in-work", "4", sample=True)
    histories = [[event.item for event in one.events[-5:]] for one in movielens.histories.values()][:16]
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(
                    lambda job: service.post(
                        "/v1/recommend", {"history": job[1], "k": 5, "template": TEMPLATES[job[0] % 4 == 3]}
                    ),
                    enumerate(histories),
                )
            )
        http = HTTPConnection("127.0.0.1", service.port, timeout=60)
        http.request("GET", "/metrics")
        metrics = http.getresponse().read().decode().splitlines()
        http.close()
    finally:
        service.stop()
    for history, (status, body) in zip(histories, found, strict=True):
        assert (status, body["degraded"]) == (200, None)
        assert {one["id"] for one in body["items"]} <= set(movielens.catalog.ids) - set(history)
        assert body["tokens"]["prompt"] > 0
        assert len(body["items"]) == 5 or body["template"].startswith("generate")
    assert 'zsrec_requests_total{route="/v1/recommend",status="200"} 16.0' in metrics
    assert "zsrec_in_work 0.0" in metrics
