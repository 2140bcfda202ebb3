"""Probes of what a server can do. What it says is not enough: an unknown field is often ignored with HTTP 200.

Each probe sends one tiny request that only a server with the capability answers as expected, when a ranker first
needs it.
"""

from __future__ import annotations

import asyncio
import string
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import islice, product
from typing import Any, NamedTuple

from zsrec.core.errors import CapabilityError, LLMError, LLMRequestError, LLMServerError
from zsrec.llm.protocol import Capability, Label, LabelsBy, LabelSet
from zsrec.llm.responses import Reply, label_fields

MOST_IDS = 128  # vLLM's own bound on `logprob_token_ids`
_TOPS = (20, 5)  # OpenAI's and vLLM's default bounds on `top_logprobs`, then what stricter servers allow
_ASK = ({"role": "user", "content": "Say hello."},)
_UNLIKELY = ("quokka-7", "axolotl-3")  # no model answers a greeting with these unless it is bound to them
_HINT = "use a template with 'ranker: generate', which needs nothing but text"

Ask = Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[Reply]]
Tokens = Callable[[Mapping[str, Any]], Awaitable[list[int] | None]]


class _Support(NamedTuple):
    """How a server reports labels' log-probabilities, and of how many labels at most."""

    by: LabelsBy
    most: int


class Probes:
    """The probes of one server, and what they found."""

    def __init__(self, ask: Ask, tokens: Tokens, base_url: str) -> None:
        self.found: dict[Capability, bool] = {}
        self._ask = ask
        self._tokens = tokens
        self._base_url = base_url
        self._one_at_a_time = asyncio.Lock()
        self._support: _Support | None = None
        self._labels: list[Label] = []
        self._untried = _texts()
        self._start: list[int] | None = None

    async def labels(self, count: int) -> LabelSet:
        """See `zsrec.llm.protocol.LLM.labels`."""
        async with self._one_at_a_time:
            if self._support is None:
                self._support = await self._find_support()
            by, most = self._support
            if count > most:
                raise CapabilityError(
                    f"{self._base_url} reports the log-probabilities of at most {most} labels in one request, "
                    f"and {count} candidates need one each",
                    hint="rank fewer candidates, or use a template with 'ranker: window'",
                )
            while len(self._labels) < count:
                wanted = list(islice(self._untried, count - len(self._labels)))
                if not wanted:
                    raise CapabilityError(
                        f"the model's tokenizer has only {len(self._labels)} of the labels as one token each, "
                        f"and {count} candidates need one each",
                        hint="rank fewer candidates, or use a template with 'ranker: window'",
                    )
                self._labels += await self._single_tokens(wanted)
            return LabelSet(labels=tuple(self._labels[:count]), by=by, most=most)

    async def binds_choices(self) -> bool:
        """See `zsrec.llm.protocol.LLM.binds_choices`."""
        async with self._one_at_a_time:
            if "structured_outputs" not in self.found:
                reply = await self._try({"max_tokens": 16}, {"structured_outputs": {"choice": list(_UNLIKELY)}})
                answer = None if reply is None else reply.answer
                self.found["structured_outputs"] = isinstance(answer, str) and answer.strip() in _UNLIKELY
            return self.found["structured_outputs"]

    async def _find_support(self) -> _Support:
        self._start = await self._tokens({"messages": _ASK, "add_generation_prompt": True})
        self.found["tokenize"] = self._start is not None
        if self._start is not None:  # without the tokenizer there are no ids to ask for
            ids = [Label(text=str(token), token=token) for token in range(MOST_IDS)]
            reply = await self._try({"max_tokens": 1}, {}, ids, "logprob_token_ids")
            first = None if reply is None else reply.first_logprobs
            wanted = {f"token_id:{token}" for token in range(MOST_IDS)}
            self.found["logprob_token_ids"] = first is not None and wanted <= set(first)
            if self.found["logprob_token_ids"]:
                return _Support("logprob_token_ids", MOST_IDS)
        for top in _TOPS:
            reply = await self._try({"max_tokens": 1, "logprobs": True, "top_logprobs": top}, {})
            first = None if reply is None else reply.first_logprobs
            self.found["top_logprobs"] = first is not None and len(first) >= top
            if self.found["top_logprobs"]:
                return _Support("top_logprobs", top)
        raise CapabilityError(f"{self._base_url} reports no log-probabilities, which labels need", hint=_HINT)

    async def _try(
        self,
        fields: Mapping[str, Any],
        further: Mapping[str, Any],
        labels: list[Label] | None = None,
        by: LabelsBy = "top_logprobs",
    ) -> Reply | None:
        """The reply; None where the server refuses the request. A server that does not answer is an error."""
        more, beyond = ({}, {}) if labels is None else label_fields(labels, by, 0)
        try:
            return await self._ask(
                {"messages": list(_ASK), "temperature": 0, "seed": 7, **fields, **more}, {**further, **beyond}
            )
        except (LLMRequestError, LLMServerError) as error:
            if isinstance(error, LLMRequestError) and error.status not in {401, 403}:
                return None
            raise

    async def _single_tokens(self, texts: list[str]) -> list[Label]:
        """The texts that are one token at the start of an answer, where the server's chat template puts it."""
        if self._start is None:
            return [Label(text=text) for text in texts]
        found: list[Label] = []
        known = {label.token for label in self._labels}
        bodies = [
            {
                "messages": [*_ASK, {"role": "assistant", "content": text}],
                "add_generation_prompt": False,
                "continue_final_message": True,
            }
            for text in texts
        ]
        for text, tokens in zip(texts, await asyncio.gather(*map(self._tokens, bodies)), strict=True):
            if tokens is None:
                raise LLMError(f"{self._base_url} no longer tokenizes", retryable=True, hint="try again")
            if tokens[:-1] == self._start and tokens[-1] not in known:
                known.add(tokens[-1])
                found.append(Label(text=text, token=tokens[-1]))
        return found


def _texts() -> Iterator[str]:
    """Label texts in the order of trial: letters first, which models know from quizzes."""
    yield from string.ascii_uppercase
    yield from string.ascii_lowercase
    yield from (a + b for a, b in product(string.ascii_uppercase, repeat=2))
