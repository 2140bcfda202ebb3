"""What can be said of docker/ without a Docker engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPO
from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import make

DOCKER = REPO / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_its_secrets_come_by_file(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$", service["image"])
    assert set(service["profiles"]) <= {"gpu", "cpu", "monitoring", "fetch"}
    for secret in service.get("secrets", ()):
        assert COMPOSE["secrets"][secret]["file"] == f"./secrets/{secret}"
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    given = json.dumps(service.get("environment", {}))
    assert not re.search(r"(KEY|PASSWORD|TOKEN)\"", given)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    if name != "fetch":
        assert service["mem_limit"]
        assert service["pids_limit"]


def test_prompts_have_no_way_out_and_the_engine_calls_nobody() -> None:
    assert COMPOSE["networks"]["model"] == {"internal": True}
    for kind in ("gpu", "cpu"):
        engine = SERVICES[f"vllm-{kind}"]
        assert engine["networks"] == ["model"]
        quiet = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")
        assert {engine["environment"][name] for name in quiet} == {"1"}
        assert any(part.startswith("--revision=") for part in engine["command"])
    assert SERVICES["fetch"]["networks"] == ["egress"]


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_the_service_reaches_its_model_and_no_other_host(kind: str) -> None:
    environment = SERVICES[f"zsrec-{kind}"]["environment"]
    assert environment["ZSREC_BASE_URL"] == f"http://vllm-{kind}:8000/v1"
    assert environment["ZSREC_ALLOW_HOSTS"] == f"vllm-{kind}"
    assert SERVICES[f"vllm-{kind}"]["profiles"] == [kind]


def test_the_image_runs_as_nobody_and_is_watched() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert "\nUSER 10001:10001\n" in text
    assert "\nHEALTHCHECK " in text
    assert "torch" not in re.sub(r"#.*", "", text)


def test_the_dashboard_asks_for_metrics_that_exist(tmp_path: Path) -> None:
    dashboard = json.loads((DOCKER / "grafana/dashboards/zsrec.json").read_text(encoding="utf-8"))
    told = make(tmp_path, FakeLLM("")).metrics.text().decode()
    families = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    asked = {
        name for panel in dashboard["panels"] for target in panel["targets"]
        for name in re.findall(r"zsrec_\w+", target["expr"])
    }  # fmt: skip
    assert len(asked) > 8
    assert {name.removesuffix("_bucket") for name in asked} <= families
