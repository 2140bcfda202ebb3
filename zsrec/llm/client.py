"""The OpenAI-compatible client, through which every request of this package goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import openai

from zsrec.core.errors import BadReplyError, LLMConnectionError, LLMError, ModelNotServedError
from zsrec.core.settings import Settings, check_host, is_loopback
from zsrec.core.types import Exchange, Message, Sampling
from zsrec.llm.capabilities import Probes
from zsrec.llm.protocol import ChatRequest, LabelSet, ServerInfo
from zsrec.llm.responses import CacheCounters, Reply, as_llm_error, label_fields, read_counters, read_labels

_RETRIES = "x-stainless-retry-count"  # a header that the openai package adds to each request
_RETRY_PAUSE = 1.0  # seconds


class OpenAIClient:
    """A client of the model that `settings` name.

    Retries (connection broken, 408, 409, 429, 5xx; exponential with jitter, `Retry-After` obeyed) are the
    openai package's own. Redirects are not followed, and proxies of the environment are not used for loopback
    hosts, so that a history reaches the allowed host or nobody.
    """

    def __init__(self, settings: Settings) -> None:
        check_host(settings.base_url, settings.allow_hosts)
        self._settings = settings
        self._base_url = settings.base_url.rstrip("/")
        self._openai = openai.AsyncOpenAI(
            base_url=self._base_url,
            api_key=settings.api_key.get_secret_value(),
            timeout=settings.timeout,
            max_retries=settings.max_retries,
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=not is_loopback(urlsplit(self._base_url).hostname or "")
            ),
        )
        self._root = self._openai.with_options(base_url=self._base_url.removesuffix("/v1"))
        self._in_flight = asyncio.Semaphore(settings.concurrency)
        self._info: asyncio.Task[ServerInfo] | None = None
        self._was_up = False  # a wrong address is not waited for
        self._probes = Probes(self._create, self._token_ids, self._base_url)

    async def handshake(self) -> ServerInfo:
        """Return which model is served and what the server can do; asked once and kept."""
        if self._info is None or (self._info.done() and (self._info.cancelled() or self._info.exception())):
            self._info = asyncio.ensure_future(self._ask_server())
        info = await asyncio.shield(self._info)
        self._was_up = True
        return info.model_copy(update={"capabilities": dict(self._probes.found)}) if self._probes.found else info

    async def labels(self, count: int) -> LabelSet:
        """Return labels for `count` candidates; the first call probes the server."""
        await self.handshake()
        return await self._probes.labels(count)

    async def binds_choices(self) -> bool:
        """Whether `ChatRequest.choices` really binds the answer; the first call probes the server."""
        await self.handshake()
        return await self._probes.binds_choices()

    async def _ask_server(self) -> ServerInfo:
        try:
            served = (await self._openai.models.list()).data
            names = [card.id for card in served]
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:
            raise as_llm_error(error, self._base_url) from error
        model = self._settings.model or (names[0] if len(names) == 1 else None)
        if model not in names:
            what = f"no model {model!r}" if model else "several models and none was named"
            raise ModelNotServedError(
                f"{self._base_url} serves {what}; served: {', '.join(names) or 'none'}",
                hint=f"set ZSREC_MODEL={names[0]}" if names else "load a model into the server",
            )
        card = served[names.index(model)].model_dump()
        version = await self._version()
        return ServerInfo(
            base_url=self._base_url,
            model=model,
            context_length=card.get("max_model_len"),
            version=version,
            vllm=card.get("owned_by") == "vllm",
            counts_tokens=await self._tokenize(model, (Message(role="user", content="a"),)) is not None,
        )

    async def _version(self) -> str | None:
        try:
            answer = await self._root.with_options(max_retries=0).get("/version", cast_to=object)
        except openai.OpenAIError:
            return None
        return str(answer["version"]) if isinstance(answer, dict) and "version" in answer else None

    async def chat(self, request: ChatRequest) -> Exchange:
        """Send a request and return it together with its answer.

        With `Settings.restart_wait`, a server that went away is asked again until it is back.
        """
        until: float | None = None
        while True:
            try:
                return await self._chat(request)
            except LLMError as error:
                now = time.monotonic()
                until = now + self._settings.restart_wait if until is None else until
                if not (self._was_up and _is_gone(error) and now < until):
                    raise
            await asyncio.sleep(min(_RETRY_PAUSE, until - now))

    async def _chat(self, request: ChatRequest) -> Exchange:
        info = await self.handshake()
        fields, further = request_fields(request, vllm=info.vllm)
        salt = request.cache_salt or self._settings.cache_salt
        if info.vllm and salt is not None:
            further["cache_salt"] = salt
        async with self._in_flight:
            started = time.perf_counter()
            try:
                response, reply = await self._complete(info.model, {**fields, **further})
            except LLMError as failure:
                if isinstance(failure, ModelNotServedError | LLMConnectionError):
                    self._info = None  # it may come back with another model or context: the next call asks anew
                raise
            seconds = time.perf_counter() - started
        labels = request.labels.labels if request.labels is not None else None
        return Exchange(
            messages=request.messages,
            answer=_answer(
                reply, self._base_url, response.headers.get("x-request-id"), may_be_empty=labels is not None
            ),
            finish_reason=reply.finish_reason,
            model=reply.model,
            usage=reply.tokens(),
            seconds=seconds,
            retries=int(response.request.headers.get(_RETRIES, 0)),
            request_id=reply.id,
            label_logprobs=None if labels is None else read_labels(reply, labels, self._base_url),
        )

    async def _create(self, fields: Mapping[str, Any], further: Mapping[str, Any]) -> Reply:
        """A chat completion for a probe."""
        info = await self.handshake()
        async with self._in_flight:
            return (await self._complete(info.model, {**fields, **further}))[1]

    async def _complete(self, model: str, fields: Mapping[str, Any]) -> tuple[httpx2.Response, Reply]:
        """Post a chat and read the reply."""
        try:
            response = await self._openai.post(
                "/chat/completions", cast_to=httpx2.Response, body={"model": model, **fields}
            )
            return response, Reply.model_validate_json(response.content)
        except (openai.OpenAIError, ValueError) as error:
            raise as_llm_error(error, self._base_url) from error

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """The tokens of a prompt, chat template included; None where the server cannot count."""
        info = await self.handshake()
        return await self._tokenize(info.model, messages) if info.counts_tokens else None

    async def token_ids(self, prompt: tuple[Message, ...] | str) -> list[int] | None:
        """The token ids of a prompt, chat template included, or of a bare text; None where the server cannot."""
        if isinstance(prompt, str):
            return await self._token_ids({"prompt": prompt, "add_special_tokens": False})
        return await self._token_ids({"messages": [message.model_dump() for message in prompt]})

    async def cache_counters(self) -> CacheCounters | None:
        """The counters of the server's prefix cache; None where it reports none."""
        try:
            page = await self._root.get("/metrics", cast_to=str)
        except openai.APIStatusError:
            return None
        except openai.OpenAIError as error:
            raise as_llm_error(error, self._base_url) from error
        return read_counters(page)

    async def _tokenize(self, model: str, messages: tuple[Message, ...]) -> int | None:
        try:
            answer = await self._post_tokenize(model, {"messages": [message.model_dump() for message in messages]})
        except openai.OpenAIError:
            return None
        count = answer.get("count")
        return count if isinstance(count, int) else None

    async def _token_ids(self, fields: Mapping[str, Any]) -> list[int] | None:
        try:
            answer = await self._post_tokenize((await self.handshake()).model, fields)
        except openai.APIStatusError as error:
            if error.status_code < 500:
                return None  # there is no such endpoint
            raise as_llm_error(error, self._base_url) from error
        except (openai.OpenAIError, ValueError) as error:
            raise as_llm_error(error, self._base_url) from error
        tokens = answer.get("tokens")
        return tokens if isinstance(tokens, list) and all(isinstance(one, int) for one in tokens) else None

    async def _post_tokenize(self, model: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of vLLM's /tokenize; empty where it is not an object."""
        async with self._in_flight:
            answer = await self._root.post("/tokenize", cast_to=object, body={"model": model, **fields})
        return answer if isinstance(answer, dict) else {}

    async def aclose(self) -> None:
        """Close the connections. Call it in the event loop that used the client."""
        await self._openai.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _is_gone(error: LLMError) -> bool:
    """Whether no server answers: no connection, or a proxy without one."""
    return isinstance(error, LLMConnectionError) or error.status in {502, 503}


def request_fields(request: ChatRequest, *, vllm: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A chat completion's standard fields and vLLM's own, without the model's name.

    `vllm` says whether the server takes vLLM's further sampling fields.
    """
    fields, further = _sampling_fields(request.sampling, vllm=vllm)
    fields["messages"] = [message.model_dump() for message in request.messages]
    if request.labels is not None:
        more, beyond = label_fields(request.labels.labels, request.labels.by, request.labels.most)
        fields |= more
        further |= beyond
    if request.choices:
        further["structured_outputs"] = {"choice": list(request.choices)}
    elif request.pattern:
        further["structured_outputs"] = {"regex": request.pattern}
    return fields, further


def _sampling_fields(sampling: Sampling, *, vllm: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    fields = sampling.model_dump()
    beyond = {name: fields.pop(name) for name in ("top_k", "min_p", "repetition_penalty")}
    fields["stop"] = list(sampling.stop) or None
    return fields, beyond if vllm else {}


def _answer(reply: Reply, base_url: str, request_id: str | None, *, may_be_empty: bool) -> str:
    """The answer's text; one without text is an error, unless only its log-probabilities are wanted."""
    if not reply.choices:
        what = "without choices"
    elif isinstance(reply.answer, str):
        return reply.answer
    elif may_be_empty:
        return ""
    else:
        what = f"without text (finish reason {reply.finish_reason!r})"
    raise BadReplyError(
        f"{base_url} answered {what}",
        hint="see the server's log; a thinking model needs its thinking turned off",
        request_id=request_id,
    )
