"""Requests as curl commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from zsrec.core.types import Message, Sampling
from zsrec.llm.protocol import wire

KEY = "ZSREC_API_KEY"
_END = "JSON"


def as_curl(
    messages: Sequence[Message], sampling: Sampling, *, base_url: str, model: str, labels: bool = False
) -> str:
    """The curl command for messages, without asking a server what it can do; see `command`.

    Every sampling field is sent, as zsrec does: vLLM would take others from the model's own configuration.
    `labels` asks for the 20 most likely first tokens, as the label ranker does.
    """
    body: dict[str, object] = {"model": model, "messages": [wire(message) for message in messages]}
    body |= sampling.model_dump(mode="json")
    if labels:
        body |= {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    return command(base_url, body)


def command(base_url: str, body: Mapping[str, object]) -> str:
    """The curl command for a request's body, for a POSIX shell; the key is read from the environment when it runs.

    The body is JSON in a quoted here-document, so that nothing in a title means anything to the shell: JSON writes
    every line break inside a text as two characters, so no line of the body can end the document.
    """
    lines = [
        f"curl -sS {shlex.quote(base_url.rstrip('/') + '/chat/completions')} \\",
        "  -H 'Content-Type: application/json' \\",
        f'  -H "Authorization: Bearer ${{{KEY}:-none}}" \\',
        f"  --data-binary @- <<'{_END}'",
        json.dumps(body, ensure_ascii=False, indent=2),
        _END,
    ]
    return "\n".join(lines)
