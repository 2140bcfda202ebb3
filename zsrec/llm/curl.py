"""A request as a command line that does the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from zsrec.core.types import Message, Sampling

KEY = "ZSREC_API_KEY"
_END = "JSON"


def as_curl(
    messages: Sequence[Message], sampling: Sampling, *, base_url: str, model: str, labels: bool = False
) -> str:
    """A curl command for messages that no server was asked about; see `command`.

    Args:
        messages: The roles.
        sampling: Every field is sent, as zsrec does: vLLM would take others from the model's own configuration.
        base_url: The endpoint with its `/v1`.
        model: The served model's name.
        labels: Ask for the 20 most likely first tokens, as a ranker does that reads labels.
    """
    body: dict[str, object] = {"model": model, "messages": [message.model_dump() for message in messages]}
    body |= sampling.model_dump(mode="json")
    if labels:
        body |= {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
    return command(base_url, body)


def command(base_url: str, body: Mapping[str, object]) -> str:
    """A curl command for a POSIX shell. The key is read from the environment when the command runs.

    The body is JSON in a quoted here-document, so that nothing in a title means anything to the shell: JSON keeps
    every line break inside a text as two characters, and no line of the body can end it.

    Args:
        base_url: The endpoint with its `/v1`.
        body: The request's.
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
