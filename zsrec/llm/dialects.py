"""What a server accepts: every field is tried, and renamed or left out where the server's error names it.

What was learned is remembered for the client's server and model, and shown: nothing is left out in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from zsrec.core.errors import LLMError
from zsrec.core.settings import Settings
from zsrec.llm.failures import refused_fields
from zsrec.llm.protocol import ChatRequest, Label, LabelsBy, wire

Binding = Literal["structured_outputs", "json_schema", "grammar", "regex"]

# The values that change nothing: of vLLM's own sampling fields, and of OpenAI's.
_OWN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
_NEUTRAL = {**_OWN, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
# The names that other servers have for a field: OpenAI's reasoning models, Mistral, llama.cpp.
_RENAMES = {"max_tokens": "max_completion_tokens", "seed": "random_seed", "repetition_penalty": "repeat_penalty"}
_OPTIONAL = {*("temperature", "seed", "stop", "cache_salt", "chat_template_kwargs", "reasoning_effort", *_NEUTRAL)}
_JSON_TOKENS = 16  # of an object around an answer
_UNSUPPORTED = (
    "unsupported", "not supported", "not support", "unrecognized", "unknown", "unexpected", "extra inputs",
    "not permitted", "not allowed", "forbidden", "additional propert", "extra_forbidden", "invalid parameter",
    "deprecated",
)  # fmt: skip
TOKEN_ID = "token_id:"  # noqa: S105  before an id, where vLLM returns tokens as ids
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}\"/-]")
LESS_THOUGHT = "set ZSREC_THINKING=off (OpenAI, Gemini: ZSREC_REASONING_EFFORT=none or minimal)"
THOUGHT_OPENERS = ("<think>", "<thinking>", "<|channel|>", "[THINK]", "<|start_thinking|>", "◁think▷")


class Dialect:
    """The fields that one server takes, learned from its errors.

    Attributes:
        names: Fields that the server takes under another name, or (None) not at all.
        unneeded: Fields of which the server refuses the value that changes nothing (TGI: `top_p` 1).
        bindings: Ways to bind answers to choices, in the order of trial.
        binding: The one that the server has.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thinking_off = settings.thinking == "off"
        self.names: dict[str, str | None] = {}
        self.unneeded: set[str] = set()
        self._all_tokens = _OWN["top_k"]
        self.bindings: tuple[Binding, ...] = ("structured_outputs", "json_schema", "grammar", "regex")
        self.binding: Binding = "structured_outputs"

    def llama_cpp(self) -> bool:
        """Use the names of llama.cpp, which ignores unknown fields, and its grammars, which cost no token.

        False where they are in use, or where a gateway in between refused the name.
        """
        if "repetition_penalty" in self.names:
            return False
        self.names["repetition_penalty"] = _RENAMES["repetition_penalty"]
        self._all_tokens = 0  # its default is 40, and llama-cpp-python refuses -1
        self.bindings = ("grammar", "json_schema")
        return True

    def body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields as this server takes them, with those of the settings."""
        effort = self._settings.reasoning_effort
        added = self.template_fields() | ({"reasoning_effort": effort} if effort else {})
        if fields.get("top_k") == _OWN["top_k"]:
            added["top_k"] = self._all_tokens
        return renamed({**fields, **added}, self.names, self.unneeded) | self._settings.extra_body

    def template_fields(self) -> dict[str, Any]:
        """Arguments of the model's chat template, for chats and for the tokenizer alike."""
        if self._settings.thinking != "on" and not self._thinking_off:
            return {}
        on = not self._thinking_off  # one name is Qwen's and most others', the other DeepSeek's and Granite's
        return {"chat_template_kwargs": {"enable_thinking": on, "thinking": on}}

    def learn(self, error: LLMError, sent: Mapping[str, Any]) -> None:
        """Rename or drop the fields that a refusal names as unsupported."""
        said = json.dumps(getattr(error.__cause__, "body", None), default=str).lower()
        unsupported = any(sign in said for sign in _UNSUPPORTED)
        original = {new: old for old, new in self.names.items() if new is not None}
        for name in refused_fields(error) & set(sent):
            field = original.get(name, name)
            if not unsupported:
                if field in _NEUTRAL and sent[name] == _NEUTRAL[field]:
                    self.unneeded.add(field)
            elif field in _RENAMES and field not in self.names:
                self.names[field] = _RENAMES[field]
            elif field in _OPTIONAL:
                self.names[field] = None

    def turn_thinking_off(self) -> bool:
        """Ask for answers without thinking; False where that was tried, or the settings say otherwise."""
        if self._settings.thinking != "auto" or self._thinking_off or "chat_template_kwargs" in self.names:
            return False
        self._thinking_off = True
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What is sent in another way than a template says, as sentences."""
        known = sorted(self.names.items())
        gone = ", ".join(old for old, new in known if new is None)
        notes = [f"{old} is sent as {new}" for old, new in known if new is not None]
        notes += [f"not sent, since the server refuses it: {gone}"] if gone else []
        notes += [
            f"{name} is not sent where it is {_NEUTRAL[name]:g} and has no effect: the server refuses that value"
            for name in sorted(self.unneeded)
        ]
        refused = "chat_template_kwargs" in self.names
        if self._thinking_off and self._settings.thinking == "auto" and not refused:
            notes.append("the model's thinking is turned off (ZSREC_THINKING=on keeps it)")
        return tuple(notes)


def request_fields(request: ChatRequest, *, binding: Binding = "structured_outputs") -> dict[str, Any]:
    """A chat completion's fields as vLLM takes them, without the model's name and a cache salt."""
    fields = request.sampling.model_dump()
    fields["stop"] = list(request.sampling.stop) or None
    fields["messages"] = [wire(message) for message in request.messages]
    if request.labels is not None:
        fields |= label_fields(request.labels.labels, request.labels.by, request.labels.most)
    if binding == "json_schema" and (request.choices or request.pattern):
        fields["max_tokens"] += _JSON_TOKENS
    return fields | bind_fields(binding, request.choices, request.pattern)


def renamed(
    fields: Mapping[str, Any], names: Mapping[str, str | None], unneeded: Collection[str] = ()
) -> dict[str, Any]:
    """The fields under a server's own names, without those that have none or, if `unneeded`, change nothing."""
    sent = (
        (names.get(name, name), value)
        for name, value in fields.items()
        if name not in unneeded or value != _NEUTRAL[name]
    )
    return {name: value for name, value in sent if name is not None}


def label_fields(labels: Sequence[Label], by: LabelsBy, most: int) -> dict[str, Any]:
    """The fields that ask for the labels' log-probabilities.

    Tokens come back as ids where ids are known, since two tokens may have the same text. `most` is the number of
    tokens to report for "top_logprobs".
    """
    fields: dict[str, Any] = {"logprobs": True}
    if any(label.token is not None for label in labels):
        fields["return_tokens_as_token_ids"] = True
    if by == "logprob_token_ids":
        return fields | {"logprob_token_ids": [label.token for label in labels]}
    return fields | {"top_logprobs": most}


def bind_fields(binding: Binding, choices: tuple[str, ...], pattern: str = "") -> dict[str, Any]:
    """The fields that bind an answer to one of `choices`, or to a regular expression."""
    if not choices and not pattern:
        return {}
    if binding == "structured_outputs":
        return {"structured_outputs": {"choice": list(choices)} if choices else {"regex": pattern}}
    if binding == "grammar":
        if not choices:
            return {}
        return {"grammar": "root ::= " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)}
    if binding == "regex":  # TGI's own response format
        value = pattern or "|".join(map(escaped, choices))
        return {"response_format": {"type": "regex", "value": f"(?:{value})"}}
    rule: dict[str, Any] = {"enum": list(choices)} if choices else {"pattern": f"^(?:{pattern})$"}
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", **rule}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    }


def bound_answer(binding: Binding, answer: str) -> str:
    """The answer that was bound; within a JSON object it stands under "answer"."""
    if binding != "json_schema":
        return answer
    try:
        found = json.loads(answer)
    except ValueError:
        return answer
    return str(found["answer"]) if isinstance(found, dict) and "answer" in found else answer


def escaped(text: str) -> str:
    """A text as a pattern of every dialect: `re.escape` also escapes spaces, which some refuse."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def only_thought(text: str | None, *, thought: bool) -> bool:
    """Whether a reply holds the model's thoughts and no answer."""
    begins = (text or "").lstrip()
    return (thought and not begins) or (begins.startswith("<think>") and "</think>" not in begins)


def opens_thought(token: str | None) -> bool:
    """Whether an answer's first token begins a thought."""
    return token is not None and token.strip().startswith(THOUGHT_OPENERS)
