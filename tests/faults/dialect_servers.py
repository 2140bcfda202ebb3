"""One scripted server per dialect of the OpenAI API: its list of models, its replies and its errors.

Each is after the server's documentation; what that leaves open is from its source or from errors that users
reported, and a docstring says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.faults.server import Script, completion, send

CONTEXT = 4096  # tokens of every scripted model
Body = dict[str, Any]
Answered = tuple[int, Any]  # a status, and the body

OPENAI = {
    "model", "messages", "temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "seed",
    "stop", "logprobs", "top_logprobs", "response_format",
}  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """A scripted server, and the settings that a user of it needs."""

    script: Script
    listing: Answered
    model: str | None = None
    path: str = "/v1/chat/completions"
    settings: Mapping[str, str] = field(default_factory=dict)


# -- the model behind every server ------------------------------------------------------------------


def tokens(body: Body) -> int:
    """The prompt's tokens: a quarter of its characters, those of images too."""
    return sum(len(str(message["content"])) // 4 for message in body["messages"])


def replied(body: Body, *, tops: int = 0, binds: Collection[str] = (), thoughts: int = 0) -> Answered:
    """What the model answers.

    Of its first token `tops` likely ones are reported (0: `"logprobs": null`), its answer is held to the types
    `binds` of `response_format`, and before it are `thoughts` hidden tokens.
    """
    form = body.get("response_format") or {}
    asked = str(body["messages"][-1]["content"])
    if form.get("type") == "json_schema" and "json_schema" in binds:
        text = json.dumps({"answer": form["json_schema"]["schema"]["properties"]["answer"]["enum"][-1]})
    elif form.get("type") == "regex" and "regex" in binds:
        text = re.sub(r"\\(.)", r"\1", form["value"].removeprefix("(?:").removesuffix(")").split("|")[-1])
    elif body.get("logprobs"):
        text = "A"
    elif "Recommended:" in asked:
        text = "Like Heat (1995), it is about people who steal for a living."
    else:
        text = "Hello!" if "Say hello." in asked else "1. Ronin (1998)\n2. Thief (1981)\n3. Up (2009)"
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    eaten = most is not None and thoughts >= most
    reply = completion(None if eaten else text, "length" if eaten else "stop")
    reply["choices"][0]["logprobs"] = None
    if body.get("logprobs") and tops:
        likely = ["A", "B", "C", "D", *(f"word{n}" for n in range(20))][: min(tops, body["top_logprobs"])]
        known = [{"token": one, "logprob": -1.0 - n, "bytes": [65]} for n, one in enumerate(likely)]
        reply["choices"][0]["logprobs"] = {"content": [{**known[0], "top_logprobs": known}]}
    reply["usage"] = {"prompt_tokens": tokens(body), "completion_tokens": 5, "total_tokens": tokens(body) + 5}
    return 200, reply


def scripted(answer: Callable[[Body], Answered]) -> Script:
    def script(handler: BaseHTTPRequestHandler, body: Body) -> None:
        status, reply = answer(body)
        kind = "text/plain" if isinstance(reply, str) else "application/json"
        send(handler, reply, status=status, content_type=kind)

    return script


def listed(*names: str, **card: object) -> Answered:
    return 200, {"object": "list", "data": [{"id": one, "object": "model", "created": 1, **card} for one in names]}


def openai_error(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Answered:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


# -- servers that one runs oneself ------------------------------------------------------------------


def sglang(body: Body) -> Answered:
    """Takes vLLM's fields and ignores what it does not know. Errors are from its source."""
    message = ""
    if tokens(body) >= CONTEXT:
        message = (
            f"The input ({tokens(body)} tokens) is longer than the model's context length ({CONTEXT} tokens)."
        )
    elif not 0 <= body.get("repetition_penalty", 1) <= 2:
        message = f"repetition_penalty must be in [0, 2], got {body['repetition_penalty']}."
    if message:
        error = {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}
        return 400, error
    return replied(body, tops=20, binds={"json_schema"})


def ollama(body: Body) -> Answered:
    """Ignores what it does not know, and cuts a prompt that is too long without a word."""
    status, reply = replied(body, tops=20, binds={"json_schema"})
    reply["usage"]["prompt_tokens"] = min(CONTEXT, tokens(body))
    return status, reply


def lm_studio(body: Body) -> Answered:
    """Ignores what it does not know, and "logprobs" too. That, and the errors, are from users' reports."""
    if body.get("response_format", {}).get("type", "text") not in {"json_schema", "text"}:
        return 400, {"error": "'response_format.type' must be 'json_schema' or 'text'"}
    if tokens(body) > CONTEXT:
        message = (
            f"Trying to keep the first {tokens(body)} tokens when context the overflows. However, the model is"
        )
        return 400, {
            "error": f"{message} loaded with context length of only {CONTEXT} tokens, which is not enough."
        }
    return replied(body, binds={"json_schema"})


def tgi(body: Body) -> Answered:
    """Bounds of fields and shapes of errors are from its source; it ignores what it does not know."""
    error = ""
    if body.get("top_p") is not None and not 0 < body["top_p"] < 1:
        error = "`top_p` must be > 0.0 and < 1.0"
    elif body.get("top_logprobs", 0) > 5:
        error = f"`top_n_tokens` must be >= 0 and <= 5. Given: {body['top_logprobs']}"
    elif tokens(body) >= CONTEXT:
        error = f"`inputs` must have less than {CONTEXT} tokens. Given: {tokens(body)}"
    if error:
        return 422, {"error": f"Input validation error: {error}", "error_type": "validation"}
    form = body.get("response_format", {}).get("type")
    if form not in {None, "json", "json_object", "regex"}:
        message = f"response_format: unknown variant `{form}`, expected one of `json`, `json_object`, `regex`"
        return 422, f"Failed to deserialize the JSON body into the target type: {message}"
    return replied(body, tops=5, binds={"regex"})


# -- hosted models ----------------------------------------------------------------------------------


def gpt_4o(body: Body) -> Answered:
    """Names one unknown field after the other."""
    if unknown := sorted(set(body) - OPENAI):
        return openai_error(f"Unrecognized request argument supplied: {unknown[0]}")
    return of_openai(body) or replied(body, tops=20, binds={"json_schema"})


def of_openai(body: Body) -> Answered | None:
    if tokens(body) <= CONTEXT:
        return None
    message = f"This model's maximum context length is {CONTEXT} tokens. However, your messages resulted in"
    message += f" {tokens(body)} tokens. Please reduce the length of the messages."
    return openai_error(message, "messages", "context_length_exceeded")


def gpt_5(body: Body) -> Answered:
    """Thinks in secret, takes no sampling fields, and reports no log-probabilities (403, from users' reports)."""
    fields = ("max_tokens", "top_p", "stop", "presence_penalty", "frequency_penalty")
    if wrong := [name for name in fields if body.get(name)]:
        message = f"Unsupported parameter: '{wrong[0]}' is not supported with this model."
        message += " Use 'max_completion_tokens' instead." if wrong[0] == "max_tokens" else ""
        return openai_error(message, wrong[0], "unsupported_parameter")
    if body.get("temperature", 1) != 1:
        message = f"Unsupported value: 'temperature' does not support {body['temperature']} with this model."
        message += " Only the default (1) value is supported."
        return openai_error(message, "temperature", "unsupported_value")
    if unknown := sorted(set(body) - OPENAI - {"max_completion_tokens", "reasoning_effort"}):
        return openai_error(f"Unknown parameter: '{unknown[0]}'.", unknown[0], "unknown_parameter")
    if body.get("logprobs"):
        return openai_error("You are not allowed to request logprobs from this model.", status=403)
    thoughts = 0 if body.get("reasoning_effort") in {"minimal", "none"} else 512
    status, reply = of_openai(body) or replied(body, binds={"json_schema"}, thoughts=thoughts)
    if status == 200:
        reply["usage"]["completion_tokens_details"] = {"reasoning_tokens": thoughts}
        reply["choices"][0]["message"]["content"] = reply["choices"][0]["message"]["content"] or ""
    return status, reply


def azure(handler: BaseHTTPRequestHandler, body: Body) -> None:
    """A GPT-4o deployment: the version in the query, the key in a header."""
    if handler.headers["api-key"] != "azure-key":
        message = "Access denied due to invalid subscription key or wrong API endpoint."
        send(handler, {"error": {"code": "401", "message": message}}, status=401)
    elif not handler.path.endswith("?api-version=2024-10-21"):
        send(handler, {"error": {"code": "404", "message": "Resource not found"}}, status=404)
    else:
        scripted(gpt_4o)(handler, body)


def mistral(body: Body) -> Answered:
    """Pydantic's list of errors, 422, and `random_seed`; no log-probabilities."""
    known = OPENAI - {"seed", "logprobs", "top_logprobs"} | {"random_seed"}
    wrong = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": value}
        for name, value in body.items()
        if name not in known
    ]
    error: Body = {"object": "error", "type": "invalid_request_error", "param": None, "code": None}
    if wrong:
        return 422, error | {"message": {"detail": wrong}}
    if tokens(body) > CONTEXT:
        message = f"Prompt contains {tokens(body)} tokens and 0 draft tokens, too large for model with {CONTEXT}"
        return 400, error | {"message": f"{message} maximum context length", "code": "3051"}
    return replied(body, binds={"json_schema"})


def groq(body: Body) -> Answered:
    """Llama 3.3: no log-probabilities, and no JSON schema, which other models there have."""
    if body.get("logprobs"):
        return openai_error("`logprobs` is not supported with this model")
    if unknown := sorted(set(body) - OPENAI):  # the wording is from users' reports
        return openai_error(f"property '{unknown[0]}' is unsupported")
    if body.get("response_format", {}).get("type") == "json_schema":
        return openai_error("This model does not support response format `json_schema`.")
    if tokens(body) > CONTEXT:
        message = "Please reduce the length of the messages or completion."
        return openai_error(message, "messages", "context_length_exceeded")
    return replied(body)


def gemini(body: Body) -> Answered:
    """Thinks in secret unless `reasoning_effort` is "none". Its errors, in a list, are from users' reports."""
    known = {*OPENAI, "max_completion_tokens", "reasoning_effort"}
    known -= {"seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
    unknown = [name for name in body if name not in known]
    message = "\n".join(
        f'Invalid JSON payload received. Unknown name "{one}": Cannot find field.' for one in unknown
    )
    if not unknown and tokens(body) > CONTEXT:
        message = (
            f"The input token count ({tokens(body)}) exceeds the maximum number of tokens allowed ({CONTEXT})."
        )
    if message:
        return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]
    thoughts = 0 if body.get("reasoning_effort") == "none" else 512
    status, reply = replied(body, binds={"json_schema"}, thoughts=thoughts)
    if reply["choices"][0]["message"]["content"] is None:
        del reply["choices"][0]["message"]["content"]
    return status, reply


def anthropic(body: Body) -> Answered:
    """Ignores most fields, `logprobs` and `response_format` too; newer models take one of two sampling fields."""
    if {"temperature", "top_p"} <= set(body):  # the wording is from users' reports
        return openai_error(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    if tokens(body) > CONTEXT:
        return openai_error(f"prompt is too long: {tokens(body)} tokens > {CONTEXT} maximum")
    return replied(body)


NO_LIST: Answered = (404, {"error": {"code": "404", "message": "Resource not found"}})
OPENAI_LIST = listed("gpt-4o", "gpt-5", owned_by="system")
AZURE = {
    "extra_query": '{"api-version": "2024-10-21"}',
    "extra_headers": '{"api-key": "azure-key"}',
    "context_length": str(CONTEXT),
}
DIALECTS = {
    "SGLang": Dialect(scripted(sglang), listed("llama", owned_by="sglang", parent=None, max_model_len=CONTEXT)),
    "Ollama": Dialect(scripted(ollama), listed("llama3.2:latest", "x:1b", owned_by="library"), model="llama3.2"),
    "LM Studio": Dialect(scripted(lm_studio), listed("qwen2.5-7b-instruct", owned_by="organization_owner")),
    "TGI": Dialect(scripted(tgi), listed("meta-llama/Llama-3.1-8B", owned_by="meta-llama/Llama-3.1-8B")),
    "OpenAI, GPT-4o class": Dialect(scripted(gpt_4o), OPENAI_LIST, model="gpt-4o"),
    "OpenAI, GPT-5 class": Dialect(
        scripted(gpt_5), OPENAI_LIST, model="gpt-5", settings={"reasoning_effort": "minimal"}
    ),
    "Azure, GPT-4o": Dialect(
        azure, NO_LIST, model="mine", path="/openai/deployments/mine/chat/completions", settings=AZURE
    ),
    "Mistral": Dialect(
        scripted(mistral), listed("mistral-small-latest", owned_by="mistralai", max_context_length=CONTEXT)
    ),
    "Groq, Llama 3.3": Dialect(
        scripted(groq), listed("llama-3.3-70b-versatile", owned_by="Meta", active=True, context_window=CONTEXT)
    ),
    "Gemini": Dialect(
        scripted(gemini),
        listed("models/gemini-2.5-flash", "models/gemini-2.5-pro", owned_by="google"),
        model="gemini-2.5-flash",
        path="/v1beta/openai/chat/completions",
        settings={"reasoning_effort": "none"},
    ),
    "Anthropic": Dialect(scripted(anthropic), NO_LIST, model="claude-haiku-4-5"),  # no list is documented here
}
