"""Models that rank in a known way: what they prefer, and how their position bias distorts it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tests.unit.fakes import FakeLLM
from zsrec.core.types import Exchange, Usage
from zsrec.llm.protocol import ChatRequest

LINE = re.compile(r"^(\w+)\. (.+)$", re.MULTILINE)


def shown(request: ChatRequest) -> dict[str, str]:
    """The titles of a prompt by label."""
    return dict(LINE.findall(request.messages[-1].content))


class LabelLLM(FakeLLM):
    """Answers with labels: logit = taste of the title + bias of the slot.

    Args:
        taste: By title; 0 for others. It speaks only where the prompt has a history other than "N/A".
        bias: By slot; 0 beyond its end.
        fame: By title, whatever the history says.
        reported: Only so many of the likeliest labels are reported.
    """

    def __init__(
        self,
        taste: Mapping[str, float],
        bias: Sequence[float] = (),
        fame: Mapping[str, float] | None = None,
        reported: int | None = None,
    ) -> None:
        super().__init__("")
        self.taste, self.bias, self.fame, self.reported = taste, bias, fame or {}, reported

    async def chat(self, request: ChatRequest) -> Exchange:
        self.requests.append(request)
        titles = shown(request)
        blank = "- N/A" in request.messages[-1].content
        logits = {
            label: (0.0 if blank else self.taste.get(title, 0.0))
            + self.fame.get(title, 0.0)
            + (self.bias[slot] if slot < len(self.bias) else 0.0)
            for slot, (label, title) in enumerate(titles.items())
        }
        usage = Usage(prompt_tokens=100, completion_tokens=1)
        best = max(logits, key=lambda label: logits[label])
        if request.choices:
            best = max(request.choices, key=lambda label: logits[label])
            return Exchange(messages=request.messages, answer=best, finish_reason="stop", usage=usage)
        total = math.log(sum(math.exp(x) for x in logits.values())) + math.log(2.0)  # half goes to other tokens
        kept = sorted(logits, key=lambda label: -logits[label])[: self.reported]
        return Exchange(
            messages=request.messages,
            answer=best,
            finish_reason="length",
            usage=usage,
            label_logprobs={label: logits[label] - total for label in kept},
        )
