"""Images on the wire: how they are sent, and servers that do not see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.faults.server import Script, ScriptedServer, answers, completion, fails, send
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Image, Message
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest

URL = "data:image/png;base64,AAAA"
PICTURE = Image(item="7", source="dress.png", caption="Image 1: A dress", sha256="0" * 64, url=URL)
PROMPT = (Message(role="system", content="You sell."), Message(role="user", content="Which?", images=(PICTURE,)))


def ask(server: ScriptedServer, question: Callable[[OpenAIClient], Awaitable[Exchange]]) -> Exchange:
    async def run() -> Exchange:
        async with OpenAIClient(Settings.load(base_url=server.base_url, max_retries=0)) as client:
            return await question(client)

    return asyncio.run(run())


def chat(server: ScriptedServer) -> Exchange:
    return ask(server, lambda client: client.chat(ChatRequest(messages=PROMPT)))


def sees(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    """Counts 100 tokens for each image."""
    reply = completion("1. A dress")
    parts = [part for one in body["messages"] if isinstance(one["content"], list) for part in one["content"]]
    reply["usage"]["prompt_tokens"] = 10 + 100 * sum(part["type"] == "image_url" for part in parts)
    send(handler, reply)


def test_an_image_is_a_part_after_its_caption_and_text_stays_text() -> None:
    with ScriptedServer(sees) as server:
        found = chat(server)
        assert len(server.requests) == 3  # two to find out whether the model sees
    assert server.requests[-1]["messages"] == [
        {"role": "system", "content": "You sell."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Which?"},
                {"type": "text", "text": "Image 1: A dress"},
                {"type": "image_url", "image_url": {"url": URL}},
            ],
        },
    ]
    assert URL not in found.model_dump_json()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (answers("A dress"), "no more tokens"),  # it drops images in silence
        ("refuses", "not a multimodal model"),  # vLLM
        ("fails", "image input is not supported"),  # llama.cpp, with status 500
    ],
)
def test_a_server_that_sees_nothing_says_so_before_a_prompt_is_sent(script: Script | str, words: str) -> None:
    said = {"refuses": fails(400, "tiny is not a multimodal model"), "fails": fails(500, words)}

    def text_only(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        content = body["messages"][-1]["content"]
        has_image = isinstance(content, list) and any(part["type"] == "image_url" for part in content)
        (said[str(script)] if has_image else answers("A dress"))(handler, body)

    with (
        ScriptedServer(script if callable(script) else text_only) as server,
        pytest.raises(errors.CapabilityError, match=words) as caught,
    ):
        chat(server)
    assert "vision model" in str(caught.value.hint)
    assert URL not in str(server.requests)


def test_a_server_that_reports_no_tokens_is_believed_with_a_note() -> None:
    reply = completion("1. A dress")
    del reply["usage"]
    with ScriptedServer(lambda handler, _: send(handler, reply)) as server:
        assert "whether the model sees images is not known" in " ".join(chat(server).notes)
