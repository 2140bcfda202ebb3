from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fakes import FakeLLM
from zsrec.core.errors import BadReplyError, ConfigError, DamagedError, LLMTimeoutError
from zsrec.core.types import Exchange, Message, Sampling, Usage
from zsrec.llm.journal import Journal, JournalledLLM, request_key
from zsrec.llm.protocol import ChatRequest


def request(text: str, **sampling: object) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),), sampling=Sampling(**sampling))


def ask(path: Path, llm: FakeLLM, *requests: ChatRequest) -> list[Exchange]:
    async def all_of_them(journal: Journal) -> list[Exchange]:
        journalled = JournalledLLM(llm, journal)
        return list(await asyncio.gather(*map(journalled.chat, requests)))

    with Journal(path) as journal:
        return asyncio.run(all_of_them(journal))


def test_a_reply_is_paid_for_once(tmp_path: Path) -> None:
    path, llm = tmp_path / "j.jsonl", FakeLLM("1. Heat", "2. Up")
    first = ask(path, llm, request("a"))
    assert ask(path, llm, request("a")) == first
    assert first[0].answer == "1. Heat"
    assert len(llm.requests) == 1
    assert ask(path, llm, request("b"))[0].answer == "2. Up"
    assert path.stat().st_mode & 0o077 == 0  # users' histories stand in it


def test_everything_of_an_exchange_comes_back(tmp_path: Path) -> None:
    whole = Exchange(
        messages=(), answer="\ud800 \u202e 千と千尋 \n", finish_reason="length", model="m",
        usage=Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=1), seconds=1.5, retries=2, request_id="x",
    )  # fmt: skip
    path, llm = tmp_path / "j.jsonl", FakeLLM(whole)
    fresh = ask(path, llm, request("ünï"))
    assert ask(path, llm, request("ünï")) == fresh
    assert fresh[0].answer == whole.answer


def test_equal_requests_at_once_are_sent_once(tmp_path: Path) -> None:
    llm = FakeLLM("x")
    exchanges = ask(tmp_path / "j.jsonl", llm, request("a"), request("a"), request("b"))
    assert len(exchanges) == 3
    assert len(llm.requests) == 2


def test_an_answer_without_text_was_paid_for_too(tmp_path: Path) -> None:
    path, llm = tmp_path / "j.jsonl", FakeLLM(BadReplyError("no text", hint="h", request_id="r"), "later")
    for _ in range(2):
        with pytest.raises(BadReplyError, match="no text") as caught:
            ask(path, llm, request("a"))
        assert caught.value.request_id == "r"
    assert len(llm.requests) == 1


def test_a_passing_error_is_not_written_down(tmp_path: Path) -> None:
    path, llm = tmp_path / "j.jsonl", FakeLLM(LLMTimeoutError("slow", retryable=True), "there")
    with pytest.raises(LLMTimeoutError):
        ask(path, llm, request("a"))
    assert ask(path, llm, request("a"))[0].answer == "there"


def test_it_is_written_down_before_it_is_used(tmp_path: Path) -> None:
    seen: list[int] = []

    async def go(journal: Journal) -> None:
        await JournalledLLM(FakeLLM("x"), journal, on_reply=lambda *_: seen.append(len(journal))).chat(
            request("a")
        )

    with Journal(tmp_path / "j.jsonl") as journal:
        asyncio.run(go(journal))
    assert seen == [1]


def test_a_caller_who_goes_away_does_not_lose_the_reply(tmp_path: Path) -> None:
    class Slow(FakeLLM):
        async def chat(self, request: ChatRequest) -> Exchange:
            await asyncio.sleep(0.05)
            return await super().chat(request)

    async def go(journal: Journal) -> None:
        llm = JournalledLLM(Slow("x"), journal)
        task = asyncio.create_task(llm.chat(request("a")))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.1)
        assert len(journal) == 1

    with Journal(tmp_path / "j.jsonl") as journal:
        asyncio.run(go(journal))


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"seed": 8}, {"max_tokens": 9}, {"stop": ("x",)}])
def test_a_key_holds_model_messages_and_sampling(change: dict[str, object]) -> None:
    assert request_key("m", request("a")) == request_key("m", request("a"))
    assert request_key("m", request("a", **change)) != request_key("m", request("a"))
    assert request_key("n", request("a")) != request_key("m", request("a"))
    assert request_key("m", request("b")) != request_key("m", request("a"))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.integers(1, 400))
def test_a_torn_end_is_cut_off_and_the_rest_stays(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    with Journal(path) as journal:
        for number, text in enumerate(texts):
            journal.append(str(number), reply={"answer": text})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(whole) - cut, 0)])
    left = path.read_bytes()
    with Journal(path) as journal:
        assert bool(journal.notes) == (not left.endswith(b"\n") and left != b"")
        assert len(journal) == left.count(b"\n")
        for number in range(len(journal)):
            assert journal[str(number)]["reply"]["answer"] == texts[number]
        journal.append("new", reply={})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["key"] == "new"


def test_a_wrong_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    for text in ('{"key": "a"}\nnonsense\n{"key": "b"}\n', '{"key": "a"}\nnonsense\n'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DamagedError, match=r"j\.jsonl:2: is no entry of this file"):
            Journal(path)
    path.write_bytes(b'{"key": "a"}\n' + bytes(20))  # after a power cut
    with Journal(path) as journal:
        assert ("torn" in journal.notes[0], len(journal)) == (True, 1)
    with pytest.raises(ConfigError, match="cannot be opened"):
        Journal(tmp_path / "no" / "j.jsonl")
