"""Single fields, replies and errors in which servers differ; whole servers are in test_dialect_contract.py."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

import pytest

from tests.faults.server import Script, ScriptedServer, answers, completion, fails, send
from tests.faults.test_labels import with_logprobs
from zsrec.core import errors
from zsrec.core.settings import Settings
from zsrec.core.types import Exchange, Message, Sampling
from zsrec.llm.client import OpenAIClient
from zsrec.llm.model_cards import read_cards
from zsrec.llm.protocol import ChatRequest, LabelSet, ServerInfo

Found = TypeVar("Found")
Handler = BaseHTTPRequestHandler
PROMPT = (Message(role="user", content="Films like Heat?"),)


def ask(server: ScriptedServer, question: Callable[[OpenAIClient], Awaitable[Found]], **settings: object) -> Found:
    async def run() -> Found:
        given = {"base_url": server.base_url, "max_retries": 0, **settings}
        async with OpenAIClient(Settings.load(**given)) as client:
            return await question(client)

    return asyncio.run(run())


async def twice(client: OpenAIClient) -> list[Exchange]:
    request = ChatRequest(messages=PROMPT, sampling=Sampling(max_tokens=9, temperature=0.5))
    return [await client.chat(request), await client.chat(request)]


# -- fields -------------------------------------------------------------------------------------------


def test_a_value_without_effect_that_is_refused_is_left_out_and_others_are_sent() -> None:
    """TGI takes a `top_p` below 1 only, older SGLang a `top_k` above 0."""

    def strict(handler: Handler, body: dict[str, Any]) -> None:
        if body.get("top_k") == -1:
            send(handler, {"object": "error", "message": "top_k must be positive, got -1"}, status=400)
        elif body.get("top_p") == 1.0:
            send(handler, {"error": "`top_p` must be > 0.0 and < 1.0", "error_type": "validation"}, status=422)
        else:
            send(handler, completion("1. Ronin (1998)"))

    async def run(client: OpenAIClient) -> Exchange:
        await twice(client)
        return await client.chat(ChatRequest(messages=PROMPT, sampling=Sampling(top_p=0.9, top_k=40)))

    with ScriptedServer(strict) as server:
        found = ask(server, run)
    sent = [(one.get("top_k"), one.get("top_p")) for one in server.requests]
    assert sent == [(-1, 1.0), (None, 1.0), (None, None), (None, None), (40, 0.9)]
    assert [note.partition(":")[0] for note in found.notes] == [
        "top_k is not sent where it is -1 and has no effect",
        "top_p is not sent where it is 1 and has no effect",
    ]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("min_p", "property 'min_p' is unsupported, did you mean 'top_p'?"),  # Groq: it does take top_p
        ("temperature", "`temperature` is deprecated for this model."),  # Claude from Opus 4.7 on
    ],
)
def test_only_the_field_that_is_refused_is_left_out(refused: str, message: str) -> None:
    def strict(handler: Handler, body: dict[str, Any]) -> None:
        (fails(400, message) if refused in body else answers("1. Ronin (1998)"))(handler, body)

    with ScriptedServer(strict) as server:
        ask(server, twice)
    assert set(server.requests[0]) - set(server.requests[-1]) == {refused}


def test_a_server_that_takes_everything_gets_everything_and_no_note() -> None:
    with ScriptedServer(answers("1. Ronin (1998)"), owner="openai") as server:
        first, _ = ask(server, twice)
    assert set(Sampling.model_fields) <= set(server.requests[0])
    assert first.notes == ()


def test_a_refused_value_is_no_refused_field() -> None:
    with ScriptedServer(fails(400, "temperature must be below 0.2")) as server:
        with pytest.raises(errors.LLMRequestError, match="must be below"):
            ask(server, twice)
        assert len(server.requests) == 1


def test_a_validation_error_with_status_500_is_a_refusal() -> None:
    """llama-cpp-python behind a name of its own; the same error without a field is the server's failure."""

    def strict(handler: Handler, body: dict[str, Any]) -> None:
        if body.get("top_k", 0) < 0:
            what = (
                "1 validation error:\n  {'type': 'greater_than_equal', 'loc': ('body', 'top_k'), "
                "'msg': 'Input should be greater than or equal to 0', 'input': -1, 'ctx': {'ge': 0}}"
            )
            send(handler, {"error": {"message": what, "type": "internal_server_error"}}, status=500)
        else:
            send(handler, completion("1. Ronin (1998)"))

    with ScriptedServer(strict) as server:
        first, _ = ask(server, twice)
    assert len(server.requests) == 3
    assert "top_k" not in server.requests[-1]
    assert first.notes == ("top_k is not sent where it is -1 and has no effect: the server refuses that value",)
    with (
        ScriptedServer(fails(500, "1 validation error in my database")) as server,
        pytest.raises(errors.LLMServerError),
    ):
        ask(server, twice)


def test_llama_cpp_has_another_name_for_the_penalty_and_says_nothing() -> None:
    with ScriptedServer(answers("1. Ronin (1998)"), owner="llamacpp") as server:
        first, _ = ask(server, twice)
    assert server.requests[0]["repeat_penalty"] == 1.0
    assert server.requests[0]["top_k"] == 0  # all tokens: its own default is 40
    assert "repetition_penalty" not in server.requests[0]
    assert first.notes == ("repetition_penalty is sent as repeat_penalty",)


@pytest.mark.parametrize(("checks", "lost"), [(True, False), (False, True)])
def test_a_gateway_that_loses_vllms_own_fields_is_found_by_an_impossible_value(checks: bool, lost: bool) -> None:
    def gateway(handler: Handler, body: dict[str, Any]) -> None:
        if checks and body["repetition_penalty"] <= 0:
            fails(400, "repetition_penalty must be greater than zero, got -1.0.")(handler, body)
        else:
            send(handler, completion("hi"))

    async def run(client: OpenAIClient) -> tuple[bool, tuple[str, ...]]:
        return await client.ignores_extras(), (await client.handshake()).notes

    with ScriptedServer(gateway, owner="openai") as server:
        assert ask(server, run) == (lost, ())


def test_llama_cpp_behind_a_gateway_is_known_by_its_timings() -> None:
    """It ignores vLLM's name for the penalty: the first answer is asked for again."""

    def behind(handler: Handler, _: dict[str, Any]) -> None:
        send(handler, completion("1. Ronin (1998)") | {"timings": {"prompt_ms": 3.0}})

    async def run(client: OpenAIClient) -> Exchange:
        request = ChatRequest(messages=PROMPT, sampling=Sampling(repetition_penalty=1.1))
        await client.chat(request)
        return await client.chat(request)

    with ScriptedServer(behind, owner="openai") as server:
        found = ask(server, run)
    assert [one.get("repeat_penalty") for one in server.requests] == [None, 1.1, 1.1]
    assert found.notes == ("repetition_penalty is sent as repeat_penalty",)


def test_further_fields_and_effort_are_sent() -> None:
    with ScriptedServer(answers("1. Ronin (1998)")) as server:
        extra = '{"provider": {"order": ["x"]}, "top_k": 40, "presence_penalty": null}'
        ask(server, twice, extra_body=extra, reasoning_effort="low")
    assert server.requests[0]["provider"] == {"order": ["x"]}
    assert server.requests[0]["presence_penalty"] is None
    assert server.requests[0]["top_k"] == 40
    assert server.requests[0]["reasoning_effort"] == "low"


@pytest.mark.parametrize("field", ["extra_body", "extra_headers", "extra_query"])
def test_what_is_no_object_is_a_wrong_setting_that_is_not_quoted(field: str) -> None:
    with pytest.raises(errors.ConfigError, match=field) as caught:
        Settings.load(**{field: '{"api-key": planted'})
    assert "planted" not in str(caught.value)


# -- thinking -----------------------------------------------------------------------------------------


def qwen3(handler: Handler, body: dict[str, Any]) -> None:
    """Thinks unless its template is told not to; a reasoning parser puts thoughts in a field of their own."""
    if body.get("chat_template_kwargs", {}).get("enable_thinking") is False:
        if "logprobs" in body:
            send(handler, with_logprobs({"A": -0.3, "B": -1.5, "C": -3.0, "D": -4.0, "E": -5.0}))
        else:
            send(handler, completion("1. Ronin (1998)"))
        return
    reply = completion(None, "length")
    reply["choices"][0]["message"]["reasoning_content"] = "Okay, the user likes heists"
    send(handler, reply)


def unparsed(handler: Handler, body: dict[str, Any]) -> None:
    """The same without a reasoning parser."""
    if body.get("chat_template_kwargs", {}).get("enable_thinking") is False:
        qwen3(handler, body)
    elif "logprobs" in body:
        send(handler, with_logprobs({"<think>": -0.01, "A": -5.0, "B": -6.0, "C": -7.0, "D": -8.0}, "<think>"))
    else:
        send(handler, completion("<think>\nOkay, the user", "length"))


@pytest.mark.parametrize("script", [qwen3, unparsed])
def test_thinking_is_turned_off_where_it_costs_the_answer(script: Script) -> None:
    with ScriptedServer(script) as server:
        first, second = ask(server, twice)
    assert first.answer == second.answer == "1. Ronin (1998)"
    assert len(server.requests) == 3
    assert server.requests[-1]["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert "thinking is turned off" in " ".join(first.notes)


@pytest.mark.parametrize("script", [qwen3, unparsed])
def test_thinking_is_turned_off_where_it_costs_the_labels(script: Script) -> None:
    async def labelled(client: OpenAIClient) -> dict[str, float]:
        found: LabelSet = await client.labels(2)
        exchange = await client.chat(ChatRequest(messages=PROMPT, sampling=Sampling(max_tokens=1), labels=found))
        return dict(exchange.label_logprobs or {})

    with ScriptedServer(script) as server:
        assert ask(server, labelled) == {"A": -0.3, "B": -1.5}


@pytest.mark.parametrize("script", [qwen3, unparsed])
def test_a_thought_without_an_answer_is_named(script: Script) -> None:
    with ScriptedServer(script) as server:
        with pytest.raises(errors.BadReplyError, match="thoughts and no answer") as caught:
            ask(server, twice, thinking="on")
        assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": True, "thinking": True}
        with pytest.raises(errors.CapabilityError, match="thinks before it answers") as no_label:
            ask(server, lambda client: client.labels(2), thinking="on")
    for hint in (caught.value.hint, no_label.value.hint):
        assert "ZSREC_THINKING=off" in str(hint)


@pytest.mark.parametrize("opener", ["<think>", "<|channel|>"], ids=["R1 distill", "gpt-oss"])
def test_a_model_that_cannot_stop_thinking_has_no_labels_and_that_is_said(opener: str) -> None:
    def thinks(handler: Handler, body: dict[str, Any]) -> None:
        if "logprobs" in body:
            send(handler, with_logprobs({opener: -0.01, "A": -5.0, "B": -6.0, "C": -7.0, "D": -8.0}, opener))
        else:
            send(handler, completion(f"{opener} the user likes heists", "length"))

    with (
        ScriptedServer(thinks) as server,
        pytest.raises(errors.CapabilityError, match="thinks before it") as caught,
    ):
        ask(server, lambda client: client.labels(2))
    assert "ranker: generate" in str(caught.value.hint)


def test_thinking_off_is_said_to_the_tokenizer_too() -> None:
    bodies: list[dict[str, Any]] = []

    def tokenize(body: dict[str, Any]) -> list[int]:
        bodies.append(body)
        return [1, 2, 3]

    with ScriptedServer(qwen3) as server:
        server.tokenize = tokenize
        ask(server, lambda client: client.count_tokens(PROMPT), thinking="off")
    asked = [body for body in bodies if "return_token_strs" not in body]  # those look for control tokens
    assert asked
    assert all(body["chat_template_kwargs"]["enable_thinking"] is False for body in asked)


def test_an_answer_in_parts_is_joined() -> None:
    reply = completion("")
    reply["choices"][0]["message"]["content"] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "1. Ronin"},
        {"type": "text", "text": " (1998)"},
    ]
    with ScriptedServer(lambda handler, _: send(handler, reply)) as server:
        assert ask(server, twice)[0].answer == "1. Ronin (1998)"


# -- labels -------------------------------------------------------------------------------------------


def labelled_by(tokens: dict[str, float], text: str = "A") -> Exchange:
    async def run(client: OpenAIClient) -> Exchange:
        found = await client.labels(2)
        return await client.chat(ChatRequest(messages=PROMPT, sampling=Sampling(max_tokens=1), labels=found))

    with ScriptedServer(lambda handler, _: send(handler, with_logprobs(tokens, text))) as server:
        return ask(server, run)


@pytest.mark.parametrize("space", [" ", "▁", "Ġ"])
def test_a_label_with_and_without_a_space_is_one_label(space: str) -> None:
    tokens = {f"{space}A": math.log(0.4), "A": math.log(0.2), f"{space}B": math.log(0.3), "x": -9.0, "y": -9.5}
    found = labelled_by(tokens).label_logprobs
    assert found is not None
    assert {name: round(math.exp(value), 6) for name, value in found.items()} == {"A": 0.6, "B": 0.3}


def test_ids_that_do_not_come_back_are_known_by_their_text() -> None:
    """SGLang ignores `return_tokens_as_token_ids`."""
    tokens = {"A": -0.5, "B": -1.0, "C": -3.0, "D": -4.0, "E": -5.0}

    def tokenize(body: dict[str, Any]) -> list[int]:
        last = body["messages"][-1]
        return [1, 2] if last["role"] == "user" else [1, 2, 100 + ord(last["content"][0])]

    async def run(client: OpenAIClient) -> Exchange:
        found = await client.labels(2)
        assert found.labels[0].token == 165
        return await client.chat(ChatRequest(messages=PROMPT, sampling=Sampling(max_tokens=1), labels=found))

    with ScriptedServer(lambda handler, _: send(handler, with_logprobs(tokens))) as server:
        server.tokenize = tokenize
        assert ask(server, run).label_logprobs == {"A": -0.5, "B": -1.0}


def test_labels_after_an_inserted_empty_thought_are_found() -> None:
    """A template that writes an answer elsewhere than it asks for one: its letters are looked up alone."""

    def tokenize(body: dict[str, Any]) -> list[int]:
        if "prompt" in body:
            return [100 + ord(body["prompt"][0])]
        last = body["messages"][-1]
        return [1, 2, 8, 9] if last["role"] == "user" else [1, 2, 100 + ord(last["content"][0]), 3]

    tokens = {"token_id:165": -1.0, "a": -2.0, "b": -3.0, "c": -4.0, "d": -5.0}
    with ScriptedServer(lambda handler, _: send(handler, with_logprobs(tokens))) as server:
        server.tokenize = tokenize
        found = ask(server, lambda client: client.labels(2))
    assert [label.token for label in found.labels] == [165, 166]


def test_an_empty_list_of_tokens_is_no_tokenizer() -> None:
    with ScriptedServer(lambda handler, _: send(handler, with_logprobs(dict.fromkeys("ABCDE", -1.0)))) as server:
        server.tokenize = lambda _: []
        found = ask(server, lambda client: client.labels(2))
    assert [label.token for label in found.labels] == [None, None]


@pytest.mark.parametrize("most", [15, 10, 5])
def test_the_number_of_tokens_that_a_server_reports_is_found(most: int) -> None:
    def capped(handler: Handler, body: dict[str, Any]) -> None:
        if body["top_logprobs"] > most:
            fails(400, "top_logprobs is too large")(handler, body)
        else:
            send(handler, with_logprobs({f"t{n}": -1.0 - n for n in range(body["top_logprobs"])}))

    with ScriptedServer(capped) as server:
        assert ask(server, lambda client: client.labels(2)).most == most


def test_one_hot_log_probabilities_are_noted() -> None:
    hot = labelled_by({"A": 0.0, "B": -9999.0, "C": -9999.0, "D": -9999.0, "E": -9999.0})
    assert "as certain" in " ".join(hot.notes)


# -- choices ------------------------------------------------------------------------------------------


def schema_only(handler: Handler, body: dict[str, Any]) -> None:
    """Binds by `response_format`, and ignores what it does not know, as LiteLLM before OpenAI."""
    if form := body.get("response_format"):
        rule = form["json_schema"]["schema"]["properties"]["answer"]
        text = rule["enum"][-1] if "enum" in rule else "because"
        send(handler, completion(json.dumps({"answer": text})))
    else:
        send(handler, completion("Hello!"))


def grammar_only(handler: Handler, body: dict[str, Any]) -> None:
    """Binds by a GBNF grammar, as old builds of llama.cpp."""
    if grammar := body.get("grammar"):
        send(handler, completion(json.loads(grammar.rpartition(" | ")[2])))
    else:
        send(handler, completion("Hello!"))


@pytest.mark.parametrize("script", [schema_only, grammar_only])
def test_choices_bind_in_whichever_way_the_server_has(script: Script) -> None:
    async def run(client: OpenAIClient) -> str:
        assert await client.binds_choices()
        return (await client.chat(ChatRequest(messages=PROMPT, choices=("Heat (1995)", 'The "X" Files')))).answer

    with ScriptedServer(script) as server:
        assert ask(server, run) == 'The "X" Files'


def test_llama_cpp_binds_by_a_grammar_which_costs_no_token() -> None:
    with ScriptedServer(grammar_only, owner="llamacpp") as server:
        assert ask(server, lambda client: client.binds_choices())
        assert len(server.requests) == 1


# -- context ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        (400, {"error": {"code": 400, "message": "no", "type": "exceed_context_size_error", "n_ctx": 4096}}),
        (400, {"error": {"message": "the request exceeds the available context size. try increasing it"}}),
        (400, {"error": "Trying to keep the first 5000 tokens when context the overflows."}),
        (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}),
        (422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"}),
        (400, {"error": {"message": "prompt too long; exceeded max context length by 12 tokens"}}),
        (400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 200251 tokens"}}),
        (400, [{"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens"}}]),
        (400, {"object": "error", "message": "The input (9000 tokens) is longer than the model's context length"}),
        (400, {"error": {"message": "Please reduce the length of the messages or completion."}}),
        (400, {"object": "error", "message": "Prompt contains 40000 tokens … maximum context length of 32768"}),
        (500, {"error": {"message": "Input is too long: context size exceeded"}}),
        (200, {"error": {"message": "This model's maximum context length is 4096 tokens.", "code": 400}}),
    ],
    ids=["openai", "llama.cpp", "llama.cpp words", "lm-studio", "tgi", "tgi input", "ollama", "anthropic",
         "gemini", "sglang", "groq", "mistral", "other 500", "200 with an error"],
)  # fmt: skip
def test_an_overflow_is_recognised_by_code_or_in_words(status: int, body: object) -> None:
    with (
        ScriptedServer(lambda handler, _: send(handler, body, status=status)) as server,
        pytest.raises(errors.ContextOverflowError),
    ):
        ask(server, twice)


def test_a_used_up_quota_is_not_a_busy_server() -> None:
    with (
        ScriptedServer(fails(429, "You exceeded your current quota, please check your plan")) as server,
        pytest.raises(errors.LLMRateLimitError) as caught,
    ):
        ask(server, twice)
    assert not caught.value.retryable
    assert "CONCURRENCY" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("card", "length"),
    [
        ({"max_model_len": 512}, 512),
        ({"meta": {"n_ctx": 1024, "n_ctx_train": 8192}}, 1024),
        ({"max_input_tokens": 128_000}, 128_000),
        ({"context_length": 32_768}, 32_768),
        ({"context_window": 8192}, 8192),
        ({"max_model_len": -1}, None),
        ({"max_model_len": "many", "meta": 3}, None),
        ({"max_model_len": 10**400}, None),
        ({"parent": "base"}, 2048),
    ],
)
def test_the_context_is_read_from_every_card(card: dict[str, Any], length: int | None) -> None:
    cards = read_cards({"data": [{"id": "m", **card}, {"id": "base", "max_model_len": 2048}, {"id": 3}, "x"]})
    assert list(cards) == ["m", "base"]
    assert cards["m"].context(cards) == length


@pytest.mark.parametrize(
    ("card", "llama_cpp"),
    [({"owned_by": "llamacpp"}, True), ({"owned_by": "me", "permissions": []}, True), ({"owned_by": "me"}, False)],
)
def test_llama_cpp_is_known_by_its_card(card: dict[str, Any], llama_cpp: bool) -> None:
    assert read_cards({"data": [{"id": "m", **card}]})["m"].llama_cpp is llama_cpp


def test_the_settings_context_wins() -> None:
    with ScriptedServer(answers("x"), context_length=4096) as server:
        info: ServerInfo = ask(server, lambda client: client.handshake(), context_length=2000)
    assert info.context_length == 2000


def test_a_prompt_that_the_server_cut_in_silence_is_noted() -> None:
    """Ollama keeps `num_ctx` tokens and says nothing."""

    def ollama(handler: Handler, body: dict[str, Any]) -> None:
        text = "".join(message["content"] for message in body["messages"])
        reply = completion("1. Ronin (1998)")
        reply["usage"]["prompt_tokens"] = min(2048, len(text) // 4)
        send(handler, reply)

    async def run(client: OpenAIClient) -> list[tuple[str, ...]]:
        notes = []
        for words in (500, 1200, 4000):
            prompt = (Message(role="user", content="Heat (1995) " * words),)
            notes.append((await client.chat(ChatRequest(messages=prompt))).notes)
        return notes

    with ScriptedServer(ollama) as server:
        short, longer, cut = ask(server, run)
    assert short == ()
    assert longer == () or "may have cut" in longer[-1]
    assert "may have cut the prompt" in cut[-1]


def test_a_key_of_openai_is_named_and_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-key")
    seen: list[str] = []

    def refuses(handler: Handler, body: dict[str, Any]) -> None:
        seen.append(handler.headers["authorization"])
        fails(401, "no")(handler, body)

    with ScriptedServer(refuses) as server, pytest.raises(errors.LLMRequestError) as caught:
        ask(server, twice)
    assert "ZSREC_API_KEY=$OPENAI_API_KEY" in str(caught.value.hint)
    assert seen == ["Bearer none"]


@pytest.mark.parametrize("path", ["", "/"])
def test_a_url_without_its_path_says_so(path: str) -> None:
    with ScriptedServer(answers("x")) as server, pytest.raises(errors.LLMError) as caught:
        ask(server, twice, base_url=server.base_url.removesuffix("/v1") + path)
    assert f"{server.base_url}" in str(caught.value.hint)
