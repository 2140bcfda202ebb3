"""`bench run` and `prompts compare` with recorded replies and request files, against the same model live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.unit.bench_world import Quiet, catalog, contacts, llm_method, task, told_by_prompt
from tests.unit.fakes import FakeLLM
from zsrec.cli import app
from zsrec.core.errors import ConfigError
from zsrec.core.types import Exchange, Message
from zsrec.evaluation.benchmark import in_folder
from zsrec.evaluation.run_folder import JOURNAL, RunFolder
from zsrec.llm.protocol import ChatRequest


class Model(FakeLLM):
    async def chat(self, request: ChatRequest) -> Exchange:
        return told_by_prompt(request)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [f"{one.user},{one.item},{one.time}" for one in contacts()]
    (tmp_path / "inter.csv").write_text("\n".join(["user,item,timestamp", *rows]) + "\n", encoding="utf-8")
    items = [f"{item.id},{item.title}" for item in catalog()]
    (tmp_path / "items.csv").write_text("\n".join(["item,title", *items]) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*more: object, command: tuple[str, ...] = ("bench", "run")) -> Result:
    argv = [*command, "--interactions", "inter.csv", "--catalog", "items.csv", "--model", "tiny", *more]
    if command == ("bench", "run"):
        argv += ["--domain", "movies", "--candidates", "itemknn", "--users", "12"]
    return CliRunner().invoke(app, [str(part) for part in argv])


def answer_all(folder: Path, out: Path) -> int:
    """Answers the newest round as the model would; how many requests that were."""
    newest = max(folder.glob("round-*"), key=lambda one: int(one.name.removeprefix("round-")))
    lines = [json.loads(line) for file in sorted(newest.glob("*.jsonl")) for line in file.read_text().splitlines()]
    replies = []
    for line in lines:
        messages = tuple(Message(**one) for one in line["body"]["messages"])
        told = told_by_prompt(ChatRequest(messages=messages))
        usage = told.usage.model_dump(exclude={"cached_tokens"})
        choice = {"message": {"content": told.answer}, "finish_reason": "stop"}
        body: dict[str, Any] = {"model": "fake", "choices": [choice], "usage": usage}
        replies.append(
            {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        )
    out.write_text("\n".join(map(json.dumps, replies)) + "\n", encoding="utf-8")
    return len(lines)


def rounds(files: Path, *more: object, command: tuple[str, ...] = ("bench", "run")) -> list[object]:
    """Writes requests and answers them until nothing is missing; the options that then give the replies."""
    given: list[object] = []
    for number in range(1, 20):
        result = invoke(*more, *given, "--requests-only", files / "requests", command=command)
        assert result.exit_code == 0, (result.output, result.exception)
        if "every request has a reply" in result.output:
            return given
        assert answer_all(files / "requests", files / f"replies-{number}.jsonl") > 0
        given += ["--replies", f"fake={files / f'replies-{number}.jsonl'}"]
    raise AssertionError("no end of rounds")


@pytest.mark.parametrize(("template", "least"), [("generate/default", 1), ("rank/default", 1), ("nir/rank", 3)])
def test_offline_gives_what_a_server_gives(files: Path, template: str, least: int) -> None:
    options = ("--methods", "pop", "--template", template, "--pool", 8)
    given = rounds(files, *options)
    assert len(given) // 2 == least  # a step is asked when the one before it is answered
    result = invoke(*options, *given, "--out", "run", "--json", "out.json")
    assert result.exit_code == 0, (result.output, result.exception)
    found = {one["method"]: one for one in json.loads((files / "out.json").read_text("utf-8"))["methods"]}
    source = None if template.startswith("generate") else "itemknn"
    method = llm_method(template, template, pool=8, source=source)
    given_task = task(llm_methods=[method], ks=(10,))
    live = in_folder(given_task, RunFolder(files / "live"), {}, Quiet(), llm=Model(""))
    same = next(one for one in live.methods if one.method == template)
    offline = found[f"{template}[fake]"]
    assert offline["metrics"] == {key: one.model_dump() for key, one in same.metrics.items()}
    assert same.llm is not None
    assert offline["llm"]["rates"] == {key: one.model_dump() for key, one in same.llm.rates.items()}
    assert offline["llm"]["total_tokens"] == list(same.llm.total_tokens)
    assert offline["seconds"] is None  # nobody measured them
    assert not (files / "run" / JOURNAL).exists()
    assert RunFolder(files / "run").config()["server"]["model"] == "fake"


def test_answers_by_user_and_two_models(files: Path) -> None:
    users = sorted({one.user for one in contacts()})
    for name, title in (("a", "Film AA (1950)"), ("b", "Film AB (1951)")):
        rows = [{"id": user, "text": f"1. {title}"} for user in users[:20]] + [{"id": "stranger", "text": "x"}]
        (files / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    result = invoke(
        "--methods",
        "generate",
        "--replies",
        "a=a.jsonl",
        "--replies",
        "b=b.jsonl",
        "--out",
        "run",
        "--json",
        "o.json",
    )
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads((files / "o.json").read_text("utf-8"))["methods"]
    assert [one["method"] for one in found] == ["generate[a]", "generate[b]"]
    assert any("foreign replies" in note and "stranger" in str(found) for note in found[0]["notes"])
    again = invoke("--methods", "generate", "--replies", "a=b.jsonl", "--out", "run")
    assert isinstance(again.exception, ConfigError)  # other replies are another run
    probing = invoke("--methods", "generate", "--replies", "a=a.jsonl", "--probe", "3", "--out", "other")
    assert "memorisation probe asks a server" in str(probing.exception)


def test_templates_are_compared_offline(files: Path) -> None:
    command = ("prompts", "compare", "generate/default", "generate/json")
    given = rounds(files, "--users", 8, command=command)
    result = invoke("--users", 8, *given, "--out", "run", "--json", command=command)
    assert result.exit_code == 0, (result.output, result.exception)
    found = json.loads(result.stdout)
    assert set(found["means"]["HR@10"]) == {"generate/default[fake]", "generate/json[fake]"}
    assert found["model"] == "fake"
