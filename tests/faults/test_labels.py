"""Servers that can, cannot, or only seem to report labels and bind choices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

import pytest

from tests.faults.server import Script, ScriptedServer, answers, completion, fails, send
from zsrec.core.errors import BadReplyError, CapabilityError, LLMRequestError, LLMServerError
from zsrec.core.settings import Settings
from zsrec.core.types import Message, Sampling
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest

Found = TypeVar("Found")
PROMPT = (Message(role="user", content="Which one?"),)
START = [1, 2, 3]
SINGLE = {text: 100 + number for number, text in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def tokenize(body: dict[str, Any]) -> list[int]:
    """A tokenizer for which only the letters but "C" are one token each."""
    last = body["messages"][-1]
    if last["role"] == "user":
        return START
    text = last["content"]
    return [*START, SINGLE[text]] if text in SINGLE and text != "C" else [*START, 50, 51]


def with_logprobs(tokens: dict[str, float], text: str = "A") -> dict[str, Any]:
    body = completion(text, "length")
    listed = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in tokens.items()]
    body["choices"][0]["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]} if listed else None
    return body


def vllm(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """What vLLM does from 0.32 on."""
    if choices := body.get("structured_outputs", {}).get("choice"):
        send(handler, completion(choices[-1]))
    elif "logprob_token_ids" in body:
        ids = body["logprob_token_ids"]
        send(handler, with_logprobs({f"token_id:{token}": -1.0 - place for place, token in enumerate(ids)}))
    else:
        send(handler, completion("Hello!"))


def openai_like(most: int) -> Script:
    """Reports the likeliest tokens only, refuses more than `most`, and ignores what it does not know."""

    def script(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        top = body.get("top_logprobs", 0)
        if top > most:
            send(handler, {"error": {"message": f"at most {most}"}}, status=400)
            return
        likely = ["B", "Hello", "A", *(f"word{number}" for number in range(20))]
        if body.get("return_tokens_as_token_ids"):
            likely = ["token_id:101", "token_id:7", "token_id:100", *(f"token_id:{500 + n}" for n in range(20))]
        send(handler, with_logprobs({token: -1.0 - place for place, token in enumerate(likely[:top])}, "B"))

    return script


def ask(server: ScriptedServer, question: Callable[[OpenAIClient], Awaitable[Found]]) -> Found:
    async def run() -> Found:
        async with OpenAIClient(Settings.load(base_url=server.base_url, max_retries=0)) as client:
            return await question(client)

    return asyncio.run(run())


async def labelled(client: OpenAIClient, count: int = 3) -> dict[str, float]:
    labels = await client.labels(count)
    exchange = await client.chat(ChatRequest(messages=PROMPT, sampling=Sampling(max_tokens=1), labels=labels))
    return dict(exchange.label_logprobs or {})


def test_labels_are_single_tokens_of_the_servers_own_tokenizer() -> None:
    with ScriptedServer(vllm) as server:
        server.tokenize = tokenize

        async def run(client: OpenAIClient) -> dict[str, float]:
            assert (await client.handshake()).capabilities == {}
            found = await labelled(client)
            assert (await client.handshake()).capabilities == {"tokenize": True, "logprob_token_ids": True}
            return found

        assert ask(server, run) == {"A": -1.0, "B": -2.0, "D": -3.0}
        probe, request = server.requests
        assert len(probe["logprob_token_ids"]) == 128
        assert request["logprob_token_ids"] == [100, 101, 103]
        assert request["logprobs"] is True
        assert request["max_tokens"] == 1


def test_what_was_tried_is_not_tried_again_by_many_at_once() -> None:
    with ScriptedServer(vllm) as server:
        server.tokenize = tokenize

        async def run(client: OpenAIClient) -> None:
            await asyncio.gather(*(client.labels(count) for count in (3, 5, 2, 5)))
            await asyncio.gather(*(client.binds_choices() for _ in range(3)))

        ask(server, run)
        assert len(server.requests) == 2


def test_a_tokenizer_with_too_few_labels() -> None:
    with ScriptedServer(vllm) as server:
        server.tokenize = tokenize
        with pytest.raises(CapabilityError, match="only 25 of the labels as one token"):
            ask(server, lambda client: client.labels(26))
        with pytest.raises(CapabilityError, match="at most 128 labels"):
            ask(server, lambda client: client.labels(129))


def test_a_server_that_ignores_the_field_falls_back_to_its_likeliest_tokens() -> None:
    with ScriptedServer(openai_like(20)) as server:
        server.tokenize = tokenize

        async def run(client: OpenAIClient) -> dict[str, float]:
            found = await labelled(client)
            labels = await client.labels(3)
            assert (labels.by, labels.most) == ("top_logprobs", 20)
            return found

        assert ask(server, run) == {"B": -1.0, "A": -3.0}


def test_without_a_tokenizer_labels_are_known_by_their_text() -> None:
    with ScriptedServer(openai_like(5)) as server:

        async def run(client: OpenAIClient) -> dict[str, float]:
            found = await labelled(client)
            assert (await client.handshake()).capabilities == {"tokenize": False, "top_logprobs": True}
            with pytest.raises(CapabilityError, match="at most 5 labels"):
                await client.labels(6)
            return found

        assert ask(server, run) == {"B": -1.0, "A": -3.0}
        assert server.requests[-1]["top_logprobs"] == 5
        assert "return_tokens_as_token_ids" not in server.requests[-1]


@pytest.mark.parametrize("script", [answers("Hello!"), fails(400, "logprobs are not supported")])
def test_a_server_without_log_probabilities(script: Script) -> None:
    with ScriptedServer(script) as server, pytest.raises(CapabilityError, match="no log-probabilities") as caught:
        ask(server, lambda client: client.labels(2))
    assert "ranker: generate" in (caught.value.hint or "")


@pytest.mark.parametrize(("status", "kind"), [(500, LLMServerError), (401, LLMRequestError)])
def test_a_server_that_is_ill_is_no_server_without_the_capability(status: int, kind: type[Exception]) -> None:
    with ScriptedServer(fails(status), vllm) as server:
        server.tokenize = tokenize

        async def run(client: OpenAIClient) -> None:
            for question in (client.labels(2), client.labels(2)):
                try:
                    await question
                except kind:
                    failed.append(True)

        failed: list[bool] = []
        ask(server, run)
        assert failed == [True]


def test_log_probabilities_that_are_gone_later() -> None:
    with ScriptedServer(vllm, answers("A")) as server:
        server.tokenize = tokenize
        with pytest.raises(BadReplyError, match="without the log-probabilities"):
            ask(server, labelled)


def test_choices_bind_only_where_the_answer_shows_it() -> None:
    with ScriptedServer(vllm) as server:
        assert ask(server, lambda client: client.binds_choices()) is True
    for script in (answers("Hello! How can I help?"), fails(400, "unknown field")):
        with ScriptedServer(script) as server:
            assert ask(server, lambda client: client.binds_choices()) is False


def test_a_pattern_is_sent() -> None:
    with ScriptedServer(answers("Because.")) as server:
        chat = ask(server, lambda client: client.chat(ChatRequest(messages=PROMPT, pattern="Be.*")))
        assert chat.answer == "Because."
        assert server.requests[0]["structured_outputs"] == {"regex": "Be.*"}


def test_choices_and_salt_are_sent() -> None:
    with ScriptedServer(vllm) as server:

        async def run() -> str:
            settings = Settings.load(base_url=server.base_url, cache_salt="mine")
            async with OpenAIClient(settings) as client:
                return (await client.chat(ChatRequest(messages=PROMPT, choices=("1", "2")))).answer

        assert asyncio.run(run()) == "2"
        assert server.requests[0]["structured_outputs"] == {"choice": ["1", "2"]}
        assert server.requests[0]["cache_salt"] == "mine"
