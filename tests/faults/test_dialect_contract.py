"""Every dialect of the OpenAI API through zsrec's own ways: what works, and what is said of what does not.

The expected outcomes are the rows of docs/servers.md, "Scripted".
"""

from __future__ import annotations

import asyncio
import re
import select
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from tests.conftest import REPO
from tests.faults.dialect_servers import CONTEXT, DIALECTS, Dialect
from tests.faults.server import Script, ScriptedServer
from zsrec import AsyncRecommender, Recommender
from zsrec.cli import app
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.core.types import Recommendations
from zsrec.data.catalog import Catalog
from zsrec.llm.protocol import ServerInfo

HISTORY = ["Heat (1995)"]
CANDIDATES = ["Ronin (1998)", "Matrix, The (1999)", "Up (2009)", "Thief (1981)"]
MOST_REQUESTS = 30  # of one way of asking, with all probes and all fields that are learned


class Row(NamedTuple):
    """What is expected of a dialect: "cannot (words)" is a typed error with these words."""

    fields: str
    context: str
    labels: str
    choices: str
    overflow: str


REFUSED = "ContextOverflowError"
NOT_BOUND = "cannot (does not restrict its answers)"
VLLMS = "min_p, repetition_penalty, top_k"
EXPECTED = {
    "SGLang": Row("all", "card", "20, by text", "JSON schema", REFUSED),
    "Ollama": Row("repetition_penalty ignored", "not said", "20, by text", "JSON schema", "a note (may have cut)"),
    "LM Studio": Row(
        "repetition_penalty ignored", "not said", "cannot (reports no log-probabilities)", "JSON schema", REFUSED
    ),
    "TGI": Row(
        "repetition_penalty ignored; top_p not sent where it is 1", "not said", "5, by text", "regex", REFUSED
    ),
    "OpenAI, GPT-4o class": Row(f"not sent: {VLLMS}", "not said", "20, by text", "JSON schema", REFUSED),
    "OpenAI, GPT-5 class": Row(
        "max_completion_tokens; not sent: min_p, repetition_penalty, temperature, top_k, top_p",
        "not said",
        "cannot (not allowed to request logprobs)",
        "JSON schema",
        REFUSED,
    ),
    "Azure, GPT-4o": Row(f"not sent: {VLLMS}", "ZSREC_CONTEXT_LENGTH", "20, by text", "JSON schema", REFUSED),
    "Mistral": Row(
        f"random_seed; not sent: {VLLMS}", "card", "cannot (reports no log-probabilities)", "JSON schema", REFUSED
    ),
    "Groq, Llama 3.3": Row(f"not sent: {VLLMS}", "card", "cannot (logprobs is not supported)", NOT_BOUND, REFUSED),
    "Gemini": Row(
        "not sent: frequency_penalty, min_p, presence_penalty, repetition_penalty, seed, top_k",
        "not said",
        "cannot (reports no log-probabilities)",
        "JSON schema",
        REFUSED,
    ),
    "Anthropic": Row(
        "repetition_penalty ignored; top_p not sent where it is 1",
        "not said",
        "cannot (reports no log-probabilities)",
        NOT_BOUND,
        REFUSED,
    ),
}
every_dialect = pytest.mark.parametrize("name", DIALECTS)


def served(name: str) -> ScriptedServer:
    dialect = DIALECTS[name]
    return ScriptedServer(dialect.script, listing=dialect.listing, path=dialect.path)


def settings(server: ScriptedServer, dialect: Dialect, **more: object) -> Settings:
    return Settings.load(
        base_url=server.base_url, model=dialect.model, max_retries=0, **{**dialect.settings, **more}
    )


def asked(
    name: str, films: Catalog, template: str, ask: Callable[[Recommender], Any], **more: object
) -> tuple[Any, list[dict[str, Any]], ServerInfo]:
    """The outcome or its error, every request, and what was learned of the server."""
    with served(name) as server:
        with Recommender(
            films, template=template, settings=settings(server, DIALECTS[name], **more)
        ) as recommender:
            try:
                found = ask(recommender)
            except errors.ZsrecError as error:
                found = error
            info = recommender.server()
        assert len(server.requests) <= MOST_REQUESTS
        return found, server.requests, info


def ranked(recommender: Recommender) -> Recommendations:
    return recommender.recommend(HISTORY, 3, candidates=CANDIDATES)


def is_expected(cell: str, found: Any) -> bool:
    """Whether an error is the one that a cell names."""
    words = re.fullmatch(r"cannot \((.*)\)", cell)
    return (
        words is not None
        and isinstance(found, errors.CapabilityError)
        and words[1] in found.message.replace("`", "")
    )


@every_dialect
def test_a_free_answer(name: str, films: Catalog) -> None:
    def twice(recommender: Recommender) -> list[Recommendations]:
        return [recommender.recommend(HISTORY, 3) for _ in range(2)]

    (found, again), requests, info = asked(name, films, "generate/default", twice)
    assert [one.item.id for one in found] == [one.item.id for one in again] == ["2", "6", "4"]
    first, before, last = requests[0], requests[-2], requests[-1]
    assert before == last  # what was learned is remembered
    assert {note for note in again.trace.notes if "sent" in note} == set(info.notes)
    gone = {field for field, other in info.field_names.items() if other is None} | set(info.unneeded)
    for field, value in first.items():  # the first request holds everything, some fields under another name
        other = info.field_names.get(field, field)
        assert other is None or field in gone or last[other] == value
    assert not gone & set(last)
    context = EXPECTED[name].context
    assert info.context_length == (None if context == "not said" else CONTEXT)


@every_dialect
def test_labels(name: str, films: Catalog) -> None:
    found, requests, _ = asked(name, films, "rank/label", ranked)
    cell = EXPECTED[name].labels
    if not is_expected(cell, found):
        assert cell == f"{requests[-1]['top_logprobs']}, by text"
        assert len(found) == 3
        assert found.trace.ranking.labels_by == "top_logprobs"


@every_dialect
def test_choices(name: str, films: Catalog) -> None:
    found, requests, _ = asked(name, films, "rank/choose", ranked)
    cell = EXPECTED[name].choices
    if not is_expected(cell, found):
        assert cell == {"json_schema": "JSON schema", "regex": "regex"}[requests[-1]["response_format"]["type"]]
        assert [one.item.id for one in found] == ["6", "4", "3"]  # the scripted model takes the last choice


@every_dialect
def test_explanations(name: str, films: Catalog) -> None:
    found, _, _ = asked(name, films, "explain/default", lambda one: one.explain([films["2"]], HISTORY))
    assert found[0].error is None
    assert found[0].cited == ("1",)


@every_dialect
def test_a_prompt_that_does_not_fit(name: str) -> None:
    titles = [f"A film whose title says that it is number {n} of a long series (1999)" for n in range(700)]
    many = Catalog.from_items([{"id": f"i{n}", "title": title} for n, title in enumerate(titles)])
    found, _, _ = asked(name, many, "rank/default", lambda one: one.recommend(["i0"], 3, candidates=titles[1:]))
    if EXPECTED[name].overflow == REFUSED:
        assert isinstance(found, errors.ContextOverflowError)
    else:
        assert any("may have cut the prompt" in note for note in found.trace.notes)


@every_dialect
def test_a_cancelled_request_is_taken_back(name: str, films: Catalog) -> None:
    arrived, gone = threading.Event(), threading.Event()

    def waits(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        arrived.set()
        if select.select([handler.connection], [], [], 10)[0] and not handler.connection.recv(1):
            gone.set()
        handler.close_connection = True

    async def run(server: ScriptedServer) -> int:
        script: list[Script] = list(server.scripts)
        async with AsyncRecommender(films, settings=settings(server, DIALECTS[name])) as recommender:
            await recommender.recommend(HISTORY, 3)
            server.scripts = [waits]
            task = asyncio.create_task(recommender.recommend(HISTORY, 3))
            await asyncio.to_thread(arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(gone.wait, 10)
            server.scripts = script
            return len(await recommender.recommend(HISTORY, 3))

    with served(name) as server:
        assert asyncio.run(run(server)) == 3


@every_dialect
def test_the_doctor_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = DIALECTS[name]
    for key, value in dialect.settings.items():
        monkeypatch.setenv(f"ZSREC_{key.upper()}", value)
    with served(name) as server:
        arguments = [
            "doctor",
            "--base-url",
            server.base_url,
            *(["--model", dialect.model] if dialect.model else []),
        ]
        done = CliRunner().invoke(app, arguments)
        assert len(server.requests) <= MOST_REQUESTS
    assert done.exit_code == 0, done.output
    lines = {line[5:].split()[0]: line for line in done.output.splitlines() if line.startswith("ok")}
    row = EXPECTED[name]
    for kind, cell in (("labels", row.labels), ("choices", row.choices)):
        assert f"{'cannot' if cell.startswith('cannot') else 'works'}:" in lines[kind]
    assert fields_told(lines["sampling"]) == row.fields
    assert "works:" in lines["chat"]
    assert ("unknown length" in lines["model"]) == (row.context == "not said")


def fields_told(line: str) -> str:
    """The doctor's line about sampling fields in a cell's words."""
    told = [
        *re.findall(r"\w+ is sent as (\w+)", line),
        *(f"not sent: {gone}" for gone in re.findall(r"not sent, since the server refuses it: ([\w, ]+)", line)),
        *(f"{one} ignored" for one in re.findall(r"(\w+), a field of vLLM's own, is ignored", line)),
        *(
            f"{one} not sent where it is {at}"
            for one, at in re.findall(r"(\w+) is not sent where it is (\S+)", line)
        ),
    ]
    return "; ".join(told) or "all"


@pytest.mark.parametrize("name", ["OpenAI, GPT-5 class", "Gemini"])
@pytest.mark.parametrize("template", ["rank/default", "rank/choose"])
def test_a_model_that_thinks_in_secret_is_told_apart(name: str, template: str, films: Catalog) -> None:
    """Without the effort that the row's settings have, thoughts take all tokens of the answer."""
    found, _, info = asked(name, films, template, ranked, reasoning_effort=None)
    assert isinstance(found, errors.BadReplyError | errors.CapabilityError)
    assert "thought" in found.message
    assert "ZSREC_REASONING_EFFORT=none or minimal" in str(found.hint)
    assert not any("turned off" in note for note in info.notes)


@pytest.mark.parametrize("name", ["OpenAI, GPT-5 class", "Gemini"])
def test_the_doctor_gives_a_thinking_model_its_tokens(name: str) -> None:
    with served(name) as server:
        done = CliRunner().invoke(
            app, ["doctor", "--base-url", server.base_url, "--model", str(DIALECTS[name].model)]
        )
    assert done.exit_code == 0
    assert "thoughts included" in done.output
    assert "cannot: the model thinks before it answers" in done.output


def test_azure_without_a_version_is_told_of_it(films: Catalog) -> None:
    found, _, _ = asked("Azure, GPT-4o", films, "generate/default", ranked, extra_query={})
    assert "api-version" in str(found.hint)


def test_the_documented_table_is_this_one() -> None:
    page = (REPO / "docs" / "servers.md").read_text(encoding="utf-8").partition("### Scripted")[2]
    lines = [line.replace("`", "").strip("| ") for line in page.splitlines() if line.startswith("| ")]
    rows = {name: cells for name, *cells in (line.split(" | ") for line in lines[1:])}
    assert {name: Row(*cells[:5]) for name, cells in rows.items()} == EXPECTED
    assert "—" not in "".join(lines)
