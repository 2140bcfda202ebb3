"""Keys, reloads, host names, fairness and left-over processes: what an operator relies on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, client, make
from zsrec.cli import app
from zsrec.core.errors import DataError
from zsrec.core.files import Home
from zsrec.llm.vllm_install import engine_environment
from zsrec.llm.vllm_process import identify
from zsrec.llm.vllm_server import down
from zsrec.recommender.loader import Sources
from zsrec.serving.admission import FairSlot, FullError, TooLateError
from zsrec.serving.app import create_app
from zsrec.serving.auth import Keys, Tenant

SHOP, OPS = "s" * 16, "o" * 16
A, B = Tenant("a", admin=False), Tenant("b", admin=False)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# -- keys and reloads ---------------------------------------------------------------------------------


def test_a_revoked_key_stops_working_with_a_reload(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"shop:{SHOP}\nops:{OPS}:admin\n")
    wanted = {"history": ["Heat"], "k": 3}
    with client(make(tmp_path, FakeLLM(ANSWER)), Keys.open(path)) as http:
        assert http.post("/v1/recommend", json=wanted, headers=bearer(SHOP)).status_code == 200
        path.write_text(f"new:{'n' * 16}\nops:{OPS}:admin\n")
        assert http.post("/v1/reload", headers=bearer(OPS)).status_code == 200
        assert http.post("/v1/recommend", json=wanted, headers=bearer(SHOP)).status_code == 401
        assert http.post("/v1/recommend", json=wanted, headers=bearer("n" * 16)).status_code == 200
        path.write_text("nonsense\n")
        assert http.post("/v1/reload", headers=bearer(OPS)).status_code == 422
        assert http.post("/v1/recommend", json=wanted, headers=bearer("n" * 16)).status_code == 200


def test_a_revoked_key_stops_working_even_if_the_catalog_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"shop:{SHOP}\nops:{OPS}:admin\n")
    with client(make(tmp_path, FakeLLM(ANSWER)), Keys.open(path)) as http:
        path.write_text(f"ops:{OPS}:admin\n")
        (tmp_path / "films.csv").write_text("nothing,of,use\n")
        assert http.post("/v1/reload", headers=bearer(OPS)).status_code == 422
        assert http.get("/v1/templates", headers=bearer(SHOP)).status_code == 401
        assert http.get("/v1/templates", headers=bearer(OPS)).status_code == 200


def test_a_fault_in_a_reload_is_a_refusal_and_what_was_served_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RecursionError("planted")

    keys = Keys([f"ops:{OPS}:admin"], "keys")
    service = make(tmp_path, FakeLLM(ANSWER))
    monkeypatch.setattr(Sources, "load", breaks)
    with client(service, keys) as http:
        reply = http.post("/v1/reload", headers=bearer(OPS))
        assert (reply.status_code, reply.json()["code"]) == (422, "Config")
        assert "planted" not in reply.text
        assert 'zsrec_reloads_total{outcome="refused"} 1.0' in http.get("/metrics").text
        assert http.post("/v1/recommend", json={"history": ["Heat"]}, headers=bearer(OPS)).status_code == 200


@pytest.mark.parametrize("second", [f"other:{SHOP}", f"shop:{SHOP}:admin"])
def test_one_key_has_one_owner(second: str) -> None:
    with pytest.raises(DataError, match="already in the file") as caught:
        Keys([f"shop:{SHOP}", second], "keys")
    assert SHOP not in str(caught.value)
    assert Keys([f"shop:{SHOP}", f"shop:{SHOP}"], "keys").tenant(SHOP) == Tenant("shop", admin=False)


# -- names in the Host header -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8080", 200), ("shop.test", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("[::1].evil.example", 200),
    ],
)  # fmt: skip
def test_only_known_names_are_answered(tmp_path: Path, host: str, status: int) -> None:
    allowed = ("localhost", "127.0.0.1", "[::1]", "shop.test")
    with TestClient(create_app(make(tmp_path, FakeLLM(ANSWER)), None, allowed)) as http:
        reply = http.get("/healthz", headers={"Host": host})
    assert reply.status_code == status
    if status == 421:
        assert reply.json()["code"] == "UnknownHost"
        assert "evil" not in reply.text


# -- fairness -----------------------------------------------------------------------------------------


def test_one_tenants_burst_delays_another_by_one_turn() -> None:
    async def run() -> list[str]:
        slot, served = FairSlot(64), list[str]()

        async def one(tenant: Tenant, name: str) -> None:
            async with slot.slot(tenant, 10):
                served.append(name)
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(one(A, f"a{n}")) for n in range(6)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(one(B, f"b{n}")) for n in range(2)]
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(run()) == ["a0", "a1", "b0", "a2", "b1", "a3", "a4", "a5"]


def test_a_turn_that_is_left_is_passed_on() -> None:
    async def run() -> None:
        slot = FairSlot(2)
        async with slot.slot(A, 1):
            with pytest.raises(TooLateError):
                async with slot.slot(B, 0.01):
                    raise AssertionError
            leaving = asyncio.create_task(slot.slot(B, 1).__aenter__())
            await asyncio.sleep(0)
            waiting = asyncio.create_task(slot.slot(B, 1).__aenter__())
            await asyncio.sleep(0)
            with pytest.raises(FullError):
                async with slot.slot(A, 1):
                    raise AssertionError
        leaving.cancel()  # its turn has come in this very moment
        await asyncio.wait([leaving, waiting], timeout=1)
        assert leaving.cancelled()
        assert waiting.done()
        assert not waiting.cancelled()

    asyncio.run(run())


# -- what is said of a wrong request ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "detail", "hint"),
    [
        ({"history": [{"item": "Heat", "feedback": "adored"}]}, "history.0.feedback: expected 'seen'", ""),
        ({"history": [{"item": "Heat", "feedbak": "liked"}]}, "history.0.feedbak: there is no such", "'feedback'"),
        ({"history": ["Heat"], "candidate": ["1"]}, "candidate: there is no such field", "'candidates'"),
        ({"history": [1.5]}, "history.0: ", ""),
        ({"history": "Heat"}, "history: ", ""),
    ],
)
def test_the_wrong_field_is_named_and_the_right_one_suggested(
    tmp_path: Path, body: object, detail: str, hint: str
) -> None:
    with client(make(tmp_path, FakeLLM(ANSWER))) as http:
        found = http.post("/v1/recommend", json=body).json()
    assert found["detail"].startswith(detail)
    assert hint in found["hint"]


# -- processes ----------------------------------------------------------------------------------------


def test_the_engine_does_not_see_our_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("ZSREC_API_KEY", "ZSREC_HASH_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN",
               "ZSREC_EXTRA_HEADERS", "DB_PASSWORD")  # fmt: skip
    for name in (*secrets, "HF_TOKEN", "VLLM_API_KEY", "HOME_SWEET"):
        monkeypatch.setenv(name, "planted")
    seen = engine_environment({})
    assert not set(secrets) & set(seen)
    assert {"HF_TOKEN", "VLLM_API_KEY", "HOME_SWEET"} <= set(seen)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_a_server_whose_record_was_never_written_is_found_and_ended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir(parents=True)
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--port", "8447"]
    others = [[*command[:-1], "8448"], command]
    lost = subprocess.Popen(command, cwd=home.run, start_new_session=True)
    strangers = [
        subprocess.Popen(others[0], cwd=home.run, start_new_session=True),  # another port
        subprocess.Popen(others[1], cwd=tmp_path, start_new_session=True),  # another folder
    ]
    try:
        time.sleep(0.2)
        assert down(8447, home=home) is None
        lost.wait(10)
        assert identify(lost.pid) is None
        assert all(one.poll() is None for one in strangers)
    finally:
        for one in (lost, *strangers):
            if one.poll() is None:
                os.kill(one.pid, 9)
            one.wait()


# -- files --------------------------------------------------------------------------------------------


def test_results_are_private_and_do_not_go_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSREC_BASE_URL", "http://127.0.0.1:9/v1")
    catalog = tmp_path / "films.csv"
    catalog.write_text("movieId,title\n1,Heat (1995)\n2,Ronin (1998)\n")
    (tmp_path / "link").symlink_to(catalog)
    command = ["recommend", "--catalog", str(catalog), "--history", "Heat (1995)", "--candidates", "Ronin (1998)",
               "--no-model", "--out"]  # fmt: skip
    run = CliRunner()
    refused = run.invoke(app, [*command, str(tmp_path / "link")])
    assert refused.exit_code == 1
    assert catalog.read_text().startswith("movieId,title")
    done = run.invoke(app, [*command, str(tmp_path / "found.jsonl")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "found.jsonl").stat().st_mode & 0o077 == 0
