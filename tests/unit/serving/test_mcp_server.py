"""The MCP server, asked by the package's own client."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent
from typer.testing import CliRunner

from tests.conftest import REPO
from tests.faults.server import ScriptedServer, answers, fails
from tests.unit.fakes import FakeLLM
from tests.unit.serve_fakes import ANSWER, SlowLLM, make, sources
from zsrec.cli import app
from zsrec.core.errors import HostNotAllowedError, LLMConnectionError, MissingExtraError
from zsrec.serving.mcp_server import create_server
from zsrec.serving.service import Service

SENTENCE = "You liked Heat (1995), and Thief (1981) is as cool."
SECRET = "Secret Film of mine"


def call(service: Service, tool: str, mode: str = "auto", **arguments: Any) -> CallToolResult:
    """One call, of a server with its life around it; the client checks what comes against the tool's schema."""

    async def asked() -> CallToolResult:
        async with Client(create_server(service), mode=mode, raise_exceptions=True) as client:
            await client.list_tools()
            return await client.call_tool(tool, arguments)

    return asyncio.run(asked())


def fields(result: CallToolResult) -> dict[str, Any]:
    """What a program reads; a model reads the same or, of an error, its words."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    found: dict[str, Any] = result.structured_content
    if result.is_error:
        assert "Traceback" not in block.text
        assert block.text.startswith(f"error: {found['code']}: ")
        assert found["hint"] is None or f"hint: {found['hint']}" in block.text
    else:
        assert json.loads(block.text) == found
    return found


def problem(service: Service, tool: str, **arguments: Any) -> dict[str, Any]:
    result = call(service, tool, **arguments)
    assert result.is_error
    return fields(result)


def test_the_tools_and_their_schemas(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(ANSWER))

    async def listed() -> None:
        async with Client(create_server(service)) as client:
            tools = {one.name: one for one in (await client.list_tools()).tools}
        assert list(tools) == ["recommend", "ground", "feedback", "explain"]
        for one in tools.values():
            assert one.description
            assert "/v1" not in json.dumps(one.input_schema)
            assert one.annotations is not None
            assert one.annotations.read_only_hint is (one.name != "feedback")
        template = tools["recommend"].input_schema["properties"]["template"]
        assert set(template["enum"]) == {*service.stock.templates, None}

    asyncio.run(listed())


def test_the_examples_of_the_schemas_are_answered(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(ANSWER))

    async def tried() -> int:
        count = 0
        async with Client(create_server(service)) as client:
            for tool in (await client.list_tools()).tools:
                for example in tool.input_schema["examples"]:
                    assert not (await client.call_tool(tool.name, example)).is_error
                    count += 1
        return count

    assert asyncio.run(tried()) == 4


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_recommend(tmp_path: Path, mode: str) -> None:
    llm = FakeLLM(ANSWER)
    found = fields(call(make(tmp_path, llm), "recommend", mode, history=["Heat (1995)"], k=2))
    assert [one["title"] for one in found["items"]] == ["Matrix, The (1999)", "Ronin (1998)"]
    assert found["degraded"] is None
    assert found["not_in_catalog"] == ["John Wick (2014)"]
    assert llm.closed


def test_ground(tmp_path: Path) -> None:
    found = fields(call(make(tmp_path, FakeLLM(ANSWER)), "ground", text=ANSWER))
    assert found["items"] == ["3", "2"]
    assert [one["match"]["item_id"] for one in found["mentions"]] == ["3", "2", None]


def test_feedback_with_a_history_and_for_a_user(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(ANSWER))
    event = {"item": "Up (2009)", "feedback": "skipped"}
    found = fields(call(service, "feedback", history=["Heat (1995)"], feedback=[event]))
    assert [one["item"] for one in found["history"]] == ["Heat (1995)", "Up (2009)"]
    assert (found["feedback"][0]["item_id"], found["kept"]) == ("4", 0)
    assert fields(call(service, "feedback", user="u", feedback=[event]))["kept"] == 1
    known = service.histories.of("u")
    assert known is not None
    assert [one.item for one in known.events] == ["4"]
    assert problem(service, "feedback", user="u", history=["1"], feedback=[event])["code"] == "UserAndHistory"


def test_explain(tmp_path: Path) -> None:
    llm = FakeLLM(SENTENCE)
    found = fields(call(make(tmp_path, llm), "explain", items=["Thief (1981)", 2], history=["Heat (1995)"]))
    assert [(one["id"], one["text"], one["cited"]) for one in found["items"]] == [
        ("6", SENTENCE, ["1"]),
        ("2", SENTENCE, ["1"]),
    ]
    assert found["template"].startswith("explain/default")
    assert len(llm.requests) == 2


def test_what_is_known_of_a_user_and_a_name_to_take_out(tmp_path: Path) -> None:
    llm = FakeLLM(SENTENCE)
    service = make(tmp_path, llm)
    fields(call(service, "feedback", user="u", feedback=[{"item": "1"}]))
    about = "Jane Roe, jane@example.org, likes heists"
    found = fields(call(service, "explain", items=["6"], user="u", about=about, names=["Jane Roe"]))
    assert found["items"][0]["cited"] == ["1"]
    sent = " ".join(message.content for message in llm.requests[0].messages)
    assert "heists" in sent
    assert "Jane" not in sent
    assert "example.org" not in sent


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("recommend", {"histroy": [SECRET]}, "Invalid", "did you mean 'history'?"),
        ("recommend", {"history": [SECRET], "k": "many"}, "Invalid", "the tool's inputSchema"),
        ("recommend", {"history": [SECRET] * 201}, "HistoryTooLong", "at most 200 events, found 201"),
        ("recommend", {"history": [SECRET], "k": 101}, "KTooLarge", "at most 100 items, found 101"),
        ("recommend", {"history": [SECRET], "template": "no/such"}, "UnknownTemplate", "zsrec prompts list"),
        ("recommend", {"history": [SECRET], "candidates": ["Nowhere"]}, "UnknownItem", "ids or titles"),
        ("recommend", {"history": [SECRET * 50] * 300}, "TooLarge", "at most 262144 bytes"),
        (
            "ground",
            {"text": "x" * 8001},
            "Invalid",
            "expected at most 8,000 characters, found a text of 8,001 characters",
        ),
        ("feedback", {"feedback": []}, "Invalid", "feedback: expected at least 1 entry, found 0 entries"),
        ("explain", {"items": ["Nowhere"], "history": [SECRET]}, "UnknownItem", "items are ids or titles"),
        ("explain", {"items": ["6"]}, "Config", "pass the history"),
        (
            "explain",
            {"items": ["6"] * 21, "history": [SECRET]},
            "Invalid",
            "items: expected at most 20 entries, found 21",
        ),
        ("explain", {"item": ["6"], "history": [SECRET]}, "Invalid", "did you mean 'items'?"),
        ("shell", {"command": SECRET}, "UnknownTool", "recommend, ground, feedback, explain"),
    ],
)
def test_a_wrong_call_is_an_error_that_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tool: str, arguments: dict[str, Any], code: str, says: str
) -> None:
    llm = FakeLLM(ANSWER)
    with caplog.at_level(logging.DEBUG):
        found = problem(make(tmp_path, llm), tool, **arguments)
    assert found["code"] == code
    assert says in f"{found['detail']} {found['hint']}"
    assert SECRET not in json.dumps(found)
    assert not llm.requests
    ours = [vars(record) for record in caplog.records if record.name.startswith("zsrec")]
    assert any(record["fields"].get("code") == code for record in ours)
    assert SECRET not in repr(ours)


def test_without_its_model_it_recommends_in_retrieval_order_and_explains_nothing(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(LLMConnectionError("refused")))
    found = fields(call(service, "recommend", history=["Heat (1995)"], k=2))
    assert found["degraded"]["reason"] == "llm_unreachable"
    assert [one["source"] for one in found["items"]] == ["candidates", "candidates"]
    refused = problem(service, "explain", items=["6"], history=["Heat (1995)"])
    assert (refused["status"], refused["code"]) == (503, "llm_unreachable")
    assert refused["retry_after"] >= 1


def test_the_deadline_holds_for_explanations(tmp_path: Path) -> None:
    service = make(tmp_path, SlowLLM(SENTENCE, seconds=30))
    assert problem(service, "explain", items=["6"], history=["1"], deadline=0.2)["code"] == "deadline"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_that_is_cancelled_leaves_the_model(tmp_path: Path, mode: str) -> None:
    llm = SlowLLM(ANSWER, seconds=30)
    service = make(tmp_path, llm)

    async def cancelled() -> None:
        async with Client(create_server(service), mode=mode) as client:
            asking = asyncio.create_task(client.call_tool("recommend", {"history": ["1"]}))
            while not service.queue.in_work:
                await asyncio.sleep(0.01)
            asking.cancel()
            while service.capacity.in_use:
                await asyncio.sleep(0.01)
        assert llm.left == 1

    asyncio.run(asyncio.wait_for(cancelled(), 20))


def test_without_its_extra_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "zsrec.serving.mcp_server")
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    result = CliRunner().invoke(app, ["mcp"])
    assert isinstance(result.exception, MissingExtraError)
    assert result.exception.extra == "mcp"


def test_a_full_service_says_so(tmp_path: Path) -> None:
    service = make(tmp_path, FakeLLM(ANSWER), in_work=1, waiting=0)
    assert service.capacity.acquire()
    assert problem(service, "ground", text="Heat")["code"] == "Busy"
    service.capacity.release()
    assert fields(call(service, "ground", text="Heat"))["items"] == ["1"]
    assert service.capacity.in_use == 0


def test_a_fault_of_ours_is_said_without_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("zsrec.serving.lookups.read_answer", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.INFO):
        found = problem(make(tmp_path, FakeLLM(ANSWER)), "ground", text=SECRET)
    assert found["code"] == "Internal"
    assert "division" not in json.dumps(found)
    assert SECRET not in repr([vars(record) for record in caplog.records if record.name.startswith("zsrec")])


def test_a_host_that_is_not_allowed_is_not_served() -> None:
    result = CliRunner().invoke(app, ["mcp", "--base-url", "http://example.org/v1"])
    assert isinstance(result.exception, HostNotAllowedError)
    assert "example.org" in str(result.exception)


def command(folder: Path, base_url: str) -> list[str]:
    where = sources(folder)
    return ["-m", "zsrec", "mcp", "--catalog", str(where.catalog), "--interactions", str(where.interactions),
            "--domain", "movies", "--base-url", base_url, "--log-level", "debug"]  # fmt: skip


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO), "OPENAI_LOG": "debug"}


def test_a_process_answers_and_its_log_holds_no_history(tmp_path: Path) -> None:
    history = ["Heat (1995)", SECRET]

    async def talked(base_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
        parameters = StdioServerParameters(
            command=sys.executable, args=command(tmp_path, base_url), env=ENVIRONMENT, cwd=str(tmp_path)
        )
        with (tmp_path / "log").open("w") as log:
            async with Client(stdio_client(parameters, errlog=log), read_timeout_seconds=60) as client:
                good = await client.call_tool("recommend", {"history": history, "k": 2})
                degraded = await client.call_tool("recommend", {"history": history, "k": 2, "deadline": 3})
        return fields(good), fields(degraded)

    with ScriptedServer(answers(ANSWER), fails(500, SECRET)) as server:
        good, degraded = asyncio.run(talked(server.base_url))
    assert [one["title"] for one in good["items"]] == ["Matrix, The (1999)", "Ronin (1998)"]
    assert good["unknown_history"] == [SECRET]
    assert degraded["degraded"]["reason"] in ("llm_failed", "deadline")
    assert [one["source"] for one in degraded["items"]] == ["candidates", "candidates"]
    log = (tmp_path / "log").read_text()
    assert '"event": "recommend"' in log
    assert '"event": "stopped"' in log
    assert "Traceback" not in log
    assert SECRET not in log


FIRST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}


def test_standard_output_holds_the_protocol_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *command(tmp_path, "http://127.0.0.1:9/v1")], cwd=tmp_path, env=ENVIRONMENT, text=True,
        input=f"{json.dumps(FIRST)}\nno JSON: {SECRET}\n", capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    (reply,) = map(json.loads, done.stdout.splitlines())
    assert reply["result"]["serverInfo"]["name"] == "zsrec"
    assert "movies" in reply["result"]["instructions"]
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
def test_an_interrupt_ends_it_though_the_input_is_open(tmp_path: Path) -> None:
    started = [sys.executable, *command(tmp_path, "http://127.0.0.1:9/v1")]
    pipe = subprocess.PIPE
    with subprocess.Popen(started, cwd=tmp_path, env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(FIRST).encode() + b"\n")
        process.stdin.flush()
        assert b"zsrec" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
