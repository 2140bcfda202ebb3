"""The client against a server that misbehaves: a typed error each time, and never an error's text as an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.server import Script, ScriptedServer, answers, cut, fails, hang, says
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Message, Sampling
from zsrec.data.catalog import Catalog
from zsrec.llm.client import OpenAIClient
from zsrec.llm.protocol import ChatRequest
from zsrec.recommender import AsyncRecommender, Recommender

REQUEST = ChatRequest(messages=(Message(role="user", content="SECRET-HISTORY"),), sampling=Sampling(max_tokens=8))
GOOD = answers("1. Heat (1995)")


def chat(base_url: str, requests: int = 1, **settings: object) -> list[Exchange]:
    async def run() -> list[Exchange]:
        async with OpenAIClient(Settings.load(base_url=base_url, **settings)) as client:
            return list(await asyncio.gather(*(client.chat(REQUEST) for _ in range(requests))))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("scripts", "sent"),
    [
        ([fails(429, Retry_After="0.01"), GOOD], 2),
        ([fails(503), GOOD], 2),
        ([fails(500), fails(502), GOOD], 3),
        ([cut, GOOD], 2),
        ([hang(1.0), GOOD], 2),
    ],
    ids=["429", "503", "500-502", "cut", "hang"],
)
def test_passing_faults_are_retried(scripts: list[Script], sent: int) -> None:
    with ScriptedServer(*scripts) as server:
        (exchange,) = chat(server.base_url, timeout=0.5)
    assert exchange.answer == "1. Heat (1995)"
    assert exchange.retries == sent - 1
    assert len(server.requests) == sent


@pytest.mark.parametrize(
    ("script", "expected", "retryable"),
    [
        (fails(429, Retry_After="0.01"), errors.LLMRateLimitError, True),
        (fails(503), errors.LLMServerError, True),
        (cut, errors.LLMConnectionError, True),
        (hang(1.0), errors.LLMTimeoutError, True),
    ],
    ids=["429", "503", "cut", "hang"],
)
def test_lasting_faults_end_in_a_typed_error(
    script: Script, expected: type[errors.LLMError], retryable: bool
) -> None:
    with ScriptedServer(script) as server, pytest.raises(expected) as caught:
        chat(server.base_url, timeout=0.3, max_retries=1)
    assert caught.value.retryable is retryable
    assert caught.value.hint
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (fails(400, "temperature must be non-negative"), errors.LLMRequestError),
        (fails(401, "Unauthorized"), errors.LLMRequestError),
        (fails(404, "The model `x` does not exist."), errors.ModelNotServedError),
        (fails(400, "This model's maximum context length is 4096 tokens."), errors.ContextOverflowError),
        (fails(307, "moved", Location="http://127.0.0.1:9/v1/chat/completions"), errors.LLMRequestError),
        (says("<html>proxy login</html>", "text/html"), errors.BadReplyError),
        (says('{"id": "chatcmpl-1", "choices": [', "application/json"), errors.BadReplyError),
        (says('{"id": "x", "object": "chat.completion", "choices": []}'), errors.BadReplyError),
        (says("[]"), errors.BadReplyError),
        (says("null"), errors.BadReplyError),
        (says('"an error occurred"'), errors.BadReplyError),
        (says('{"error": {"message": "engine dead"}}'), errors.BadReplyError),
        (says('{"choices": [{"index": 0, "message": null}]}'), errors.BadReplyError),
        (answers(None), errors.BadReplyError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_final_faults_are_not_retried(script: Script, expected: type[errors.LLMError]) -> None:
    with ScriptedServer(script) as server, pytest.raises(expected) as caught:
        chat(server.base_url)
    assert not caught.value.retryable
    assert caught.value.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("script", "when"), [(cut, "in the middle of its reply"), (hang(0.0), "before it answered")]
)
def test_a_connection_that_the_server_closes_was_reached(script: Script, when: str) -> None:
    with ScriptedServer(script) as server, pytest.raises(errors.LLMConnectionError) as caught:
        chat(server.base_url, max_retries=0)
    assert caught.value.message == f"the server at {server.base_url} closed the connection {when}"
    assert "zsrec model up" not in str(caught.value.hint)


def test_a_redirect_is_not_followed_so_the_history_stays_on_the_allowed_host() -> None:
    with ScriptedServer(GOOD) as other:
        location = f"{other.base_url}/chat/completions"
        with ScriptedServer(fails(307, "moved", Location=location)) as server, pytest.raises(errors.LLMError):
            chat(server.base_url)
    assert other.requests == []


def test_an_error_quotes_only_the_start_of_what_the_server_says() -> None:
    with (
        ScriptedServer(fails(400, "bad " + "x" * 5000)) as server,
        pytest.raises(errors.LLMRequestError) as caught,
    ):
        chat(server.base_url)
    assert len(str(caught.value)) < 600


def test_nothing_listens() -> None:
    with pytest.raises(errors.LLMConnectionError, match="zsrec model up"):
        chat("http://127.0.0.1:9/v1", max_retries=0)


@pytest.mark.parametrize(
    ("models", "model", "match"),
    [(["big"], "tiny", "served: big"), (["big", "small"], None, "several models"), ([], None, "served: none")],
)
def test_another_model_is_served(models: list[str], model: str | None, match: str) -> None:
    with ScriptedServer(GOOD, models=models) as server, pytest.raises(errors.ModelNotServedError, match=match):
        chat(server.base_url, model=model)
    assert server.requests == []


@pytest.mark.parametrize("models", [[], ["openai/*"]])
def test_a_named_model_is_tried_where_the_list_is_empty_or_has_wildcards(models: list[str]) -> None:
    with ScriptedServer(GOOD, models=models) as server:
        chat(server.base_url, model="tiny")
    assert server.requests[0]["model"] == "tiny"


def test_the_only_model_is_taken_when_none_is_named() -> None:
    with ScriptedServer(GOOD) as server:
        chat(server.base_url)
    assert server.requests[0]["model"] == "tiny"


def test_every_sampling_field_is_sent() -> None:
    with ScriptedServer(GOOD) as server:
        chat(server.base_url)
    sent = set(server.requests[0])
    assert set(Sampling.model_fields) <= sent


def test_requests_in_flight_are_bounded() -> None:
    def slow(handler: object, body: dict[str, object], good: Callable[..., None] = GOOD) -> None:
        hang(0.4)(handler, body)  # type: ignore[arg-type]
        good(handler, body)

    with ScriptedServer(slow) as server:
        chat(server.base_url, requests=12, concurrency=3)
    assert len(server.requests) == 12
    assert 2 <= server.most_at_once <= 3  # a busy machine may start the third late, never a fourth


def test_hosts_beyond_this_machine_need_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.HostNotAllowedError, match="ZSREC_ALLOW_HOSTS=gpu-box"):
        Settings.load(base_url="http://gpu-box:8000/v1")
    monkeypatch.setenv("ZSREC_ALLOW_HOSTS", "gpu-box, other")
    assert Settings.load(base_url="http://gpu-box:8000/v1").allow_hosts == ("gpu-box", "other")


def test_after_closing_every_call_is_a_typed_error() -> None:
    films = Catalog(["1", "2"], ["Heat", "Ronin"])
    with ScriptedServer(GOOD) as server:
        settings = Settings.load(base_url=server.base_url)
        with Recommender(films, settings=settings) as closed:
            copy = closed.with_catalog(films)
            closed.recommend(["Ronin"], 1)
        for call in (
            lambda: closed.recommend(["Ronin"], 1),
            lambda: copy.recommend(["Ronin"], 1, strategy="auto"),
            lambda: copy.recommend_many([["Ronin"]], 1),
            lambda: asyncio.run(_closed(films, settings)),
        ):
            with pytest.raises(errors.ClosedError, match="make a new recommender"):
                call()
        assert len(server.requests) == 1


async def _closed(films: Catalog, settings: Settings) -> None:
    async with AsyncRecommender(films, settings=settings) as closed:
        pass
    await closed.recommend(["Ronin"], 1)
