"""Probes of what a server can do. What it says is not enough: an unknown field is often ignored with HTTP 200.

Each probe sends one tiny request that only a server with the capability answers as expected, when a ranker first
needs it.
"""

from __future__ import annotations

import asyncio
import math
import string
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, NamedTuple

from zsrec.core.errors import BadReplyError, CapabilityError, LLMError, LLMRequestError, LLMServerError
from zsrec.llm.dialects import (
    LESS_THOUGHT,
    TOKEN_ID,
    Dialect,
    bind_fields,
    bound_answer,
    label_fields,
    opens_thought,
)
from zsrec.llm.protocol import Capability, Label, LabelsBy, LabelSet
from zsrec.llm.responses import Reply

MOST_IDS = 128  # vLLM's own bound on `logprob_token_ids`
_TOPS = (20, 15, 10, 5)  # OpenAI's and vLLM's default bound on `top_logprobs`, then what stricter servers allow
_ASK = ({"role": "user", "content": "Say hello."},)
_UNLIKELY = ("quokka-7", "axolotl-3")  # no model answers a greeting with these unless it is bound to them
_HINT = "use a template with 'ranker: generate', which needs nothing but text"
# 64 x 64 grey pixels: some models' image processors fail on smaller images.
_PIXELS = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAS0lEQVR42u3PMQ0AAAwDoEqv9ErYvQQckD4XAQEBAQEBAQEBAQEB"
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAYHLAB8+AWnmfUycAAAAAElFTkSuQmCC"
)
_SPACES = " \t\n▁ĠĊ"  # as tokenizers write a space or a line break before a word
_ONE_HOT = -50.0

Ask = Callable[[Mapping[str, Any]], Awaitable[Reply]]
Tokens = Callable[[Mapping[str, Any]], Awaitable[list[int] | None]]


class _Support(NamedTuple):
    """How a server reports labels' log-probabilities, and of how many labels at most."""

    by: LabelsBy
    most: int


class Probes:
    """The probes of one server, and what they found."""

    def __init__(self, ask: Ask, tokens: Tokens, dialect: Dialect, base_url: str) -> None:
        self.found: dict[Capability, bool] = {}
        self._ask = ask
        self._tokens = tokens
        self._dialect = dialect
        self._base_url = base_url
        self._one_at_a_time = asyncio.Lock()
        self._support: _Support | None = None
        self._labels: list[Label] = []
        self._untried = _texts()
        self._start: list[int] | None = None
        self._refusal = ""
        self._no_images = ""
        self._no_choices: CapabilityError | None = None
        self.image_doubts: tuple[str, ...] = ()

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
                self.found["structured_outputs"] = await self._find_binding()
        if self._no_choices is not None:
            raise self._no_choices
        return self.found["structured_outputs"]

    async def require_images(self) -> None:
        """Raises `CapabilityError` unless the model sees images: a prompt with one must cost more tokens."""
        async with self._one_at_a_time:
            if "images" not in self.found:
                self._no_images = await self._find_images()
                self.found["images"] = not self._no_images
        if self._no_images:
            raise CapabilityError(
                f"{self._base_url} shows the model no images: {self._no_images}",
                hint="serve a vision model, or use a template without 'images:'",
            )

    async def _find_images(self) -> str:
        """Why the model sees no images; empty where it does."""
        text = {"type": "text", "text": "What colour is this?"}
        tokens: list[int | None] = []
        for content in ([text], [text, {"type": "image_url", "image_url": {"url": _PIXELS}}]):
            try:
                reply = await self._ask({"messages": [{"role": "user", "content": content}], "max_tokens": 1})
            except (LLMRequestError, LLMServerError, BadReplyError) as error:
                if error.status in {401, 403, 502, 503, 504}:
                    raise
                return self._said(error)
            tokens.append(reply.tokens().prompt_tokens)
        without, with_image = tokens
        if without is None or with_image is None:
            self.image_doubts = ("the server reports no tokens: whether the model sees images is not known",)
            return ""
        return "" if with_image > without else "a prompt with one has no more tokens than the same prompt without"

    async def _find_binding(self) -> bool:
        thought = False
        for binding in self._dialect.bindings:
            reply = await self._try({"max_tokens": 48, **bind_fields(binding, _UNLIKELY)})
            answer = None if reply is None else reply.answer
            if answer is not None and bound_answer(binding, answer).strip() in _UNLIKELY:
                self._dialect.binding = binding
                return True
            thought = thought or (reply is not None and _thinks(reply))
        if thought and self._dialect.turn_thinking_off():
            return await self._find_binding()
        if thought:
            self._no_choices = CapabilityError(
                "the model thinks before it answers, and its thoughts take the few tokens that a choice has",
                hint=f"{LESS_THOUGHT} where the model can do without; otherwise {_HINT}",
            )
        return False

    async def _find_support(self) -> _Support:
        self._start = await self._tokens({"messages": _ASK, "add_generation_prompt": True})
        self.found["tokenize"] = self._start is not None
        if self._start is not None:  # without the tokenizer there are no ids to ask for
            ids = [Label(text=str(token), token=token) for token in range(MOST_IDS)]
            reply = await self._try({"max_tokens": 1, **label_fields(ids, "logprob_token_ids", 0)})
            if reply is not None and _thinks(reply):
                return await self._without_thinking()
            wanted = {f"{TOKEN_ID}{token}" for token in range(MOST_IDS)}
            self.found["logprob_token_ids"] = wanted <= {token for token, _ in self._first(reply)}
            if self.found["logprob_token_ids"]:
                return _Support("logprob_token_ids", MOST_IDS)
        for top in _TOPS:
            reply = await self._try({"max_tokens": 1, "logprobs": True, "top_logprobs": top})
            if reply is not None and _thinks(reply):
                return await self._without_thinking()
            reported = min(len(self._first(reply)), top)
            self.found["top_logprobs"] = reported >= _TOPS[-1]
            if self.found["top_logprobs"]:
                return _Support("top_logprobs", reported)
        raise CapabilityError(
            f"{self._base_url} reports no log-probabilities, which labels need{self._refusal}", hint=_HINT
        )

    async def _without_thinking(self) -> _Support:
        if self._dialect.turn_thinking_off():
            return await self._find_support()
        raise CapabilityError(
            "the model thinks before it answers, so the first token of its answers is no label",
            hint=f"{LESS_THOUGHT} where the model can do without; otherwise {_HINT}",
        )

    def _first(self, reply: Reply | None) -> tuple[tuple[str, float], ...]:
        return () if reply is None else _first_logprobs(reply, self._base_url) or ()

    async def _try(self, fields: Mapping[str, Any]) -> Reply | None:
        """The reply; None where the server refuses the request. A server that does not answer is an error."""
        self._refusal = ""
        try:
            return await self._ask({"messages": list(_ASK), "temperature": 0, "seed": 7, **fields})
        except LLMRequestError as error:
            if error.status in {401, 403} and "logprobs" not in error.message:  # OpenAI's word for them is 403
                raise
            self._refusal = f"; {self._said(error)}"
            return None
        except BadReplyError:
            return None

    def _said(self, error: LLMError) -> str:
        """An error's message as the second half of a sentence about the server."""
        what = error.message.removeprefix(f"{self._base_url} ")
        return what if what == error.message else f"it {what}"

    async def _single_tokens(self, texts: list[str]) -> list[Label]:
        """The texts that are one token at the start of an answer, where the server's chat template puts it."""
        if self._start is None:
            return [Label(text=text) for text in texts]
        bodies = [
            {
                "messages": [*_ASK, {"role": "assistant", "content": text}],
                "add_generation_prompt": False,
                "continue_final_message": True,
            }
            for text in texts
        ]
        tokens = await self._all_tokens(bodies)
        if not self._labels and not any(one[:-1] == self._start for one in tokens):
            # The template writes an answer elsewhere than it asks for one, as after an empty <think></think>.
            bare = await self._all_tokens([{"prompt": text, "add_special_tokens": False} for text in texts])
            tokens = [[*self._start, *one] for one in bare]
        found: list[Label] = []
        known = {label.token for label in self._labels}
        for text, one in zip(texts, tokens, strict=True):
            if one[:-1] == self._start and one[-1] not in known:
                known.add(one[-1])
                found.append(Label(text=text, token=one[-1]))
        return found

    async def _all_tokens(self, bodies: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        found = await asyncio.gather(*map(self._tokens, bodies))
        if any(one is None for one in found):
            raise LLMError(f"{self._base_url} no longer tokenizes", retryable=True, hint="try again")
        return [one or [] for one in found]


def _thinks(reply: Reply) -> bool:
    return reply.thought or opens_thought(reply.first_token) or opens_thought(reply.answer)


def _texts() -> Iterator[str]:
    """Label texts in the order of trial: letters first, which models know from quizzes."""
    yield from string.ascii_uppercase
    yield from string.ascii_lowercase
    yield from (a + b for a, b in product(string.ascii_uppercase, repeat=2))


def read_labels(reply: Reply, labels: Sequence[Label], base_url: str) -> dict[str, float]:
    """The natural log-probability of each label as the answer's first token; those not reported are left out.

    Tokens are recognised by id, else by text, where "A", " A", "▁A" and "ĠA" are one label: probabilities add up.

    Raises:
        BadReplyError: The reply has no log-probabilities, or they are no such numbers.
    """
    first = _first_logprobs(reply, base_url)
    if first is None:
        raise BadReplyError(
            f"{base_url} answered without the log-probabilities that the request asked for",
            hint="does a proxy in between remove them? Otherwise use a template without labels",
            request_id=reply.id,
        )
    names = {label.text: label.text for label in labels}
    names |= {f"{TOKEN_ID}{label.token}": label.text for label in labels if label.token is not None}
    found: dict[str, float] = {}
    for token, logprob in first:
        name = names.get(token.strip(_SPACES))
        if name is not None:
            found[name] = _log_sum(found[name], logprob) if name in found else logprob
    return found


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return min(0.0, high + math.log1p(math.exp(low - high)))


def one_hot(reply: Reply) -> bool:
    """Whether a server reports all of the probability on one token, as after sampling with temperature 0."""
    first = reply.first_logprobs or ()
    values = sorted((logprob for _, logprob in first), reverse=True)
    return len(values) > 1 and values[0] > -1e-6 and values[1] < _ONE_HOT


def _first_logprobs(reply: Reply, base_url: str) -> tuple[tuple[str, float], ...] | None:
    try:
        return reply.first_logprobs
    except ValueError as error:
        raise BadReplyError(
            f"{base_url} reported a log-probability that is none: {error}",
            hint="see the server's log, or use a template without labels",
            request_id=reply.id,
        ) from error
