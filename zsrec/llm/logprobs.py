"""Labels' log-probabilities: how they are asked for, and how they are read from a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zsrec.errors import BadReplyError
from zsrec.llm.chat import Label, LabelsBy
from zsrec.llm.reply import Reply

_ID = "token_id:"


def label_fields(labels: Sequence[Label], by: LabelsBy, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request's fields, and those of vLLM's that the openai package does not know.

    Tokens come back as ids where ids are known: two tokens may have one text.

    Args:
        labels: The labels.
        by: How the server reports them.
        most: For "top_logprobs", how many tokens it reports.
    """
    further: dict[str, Any] = {}
    if any(label.token is not None for label in labels):
        further["return_tokens_as_token_ids"] = True
    if by == "logprob_token_ids":
        return {"logprobs": True}, further | {"logprob_token_ids": [label.token for label in labels]}
    return {"logprobs": True, "top_logprobs": most}, further


def read_labels(reply: Reply, labels: Sequence[Label], base_url: str) -> Mapping[str, float]:
    """The natural log-probability of each label as the answer's first token; those not reported are absent.

    Raises:
        BadReplyError: The reply has no log-probabilities.
    """
    first = reply.first_logprobs
    if first is None:
        raise BadReplyError(
            f"{base_url} answered without the log-probabilities that it was asked for",
            hint="does a proxy stand between that removes them? Otherwise use a template without labels",
            request_id=reply.id,
        )
    names = {label.text if label.token is None else f"{_ID}{label.token}": label.text for label in labels}
    return {names[token]: logprob for token, logprob in first.items() if token in names}
