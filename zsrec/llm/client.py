"""The OpenAI-compatible client, through which every request of this package goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
import openai

from zsrec.core.errors import (
    BadReplyError,
    LLMConnectionError,
    LLMError,
    LLMRequestError,
    LLMServerError,
    ModelNotServedError,
)
from zsrec.core.settings import Settings, check_host, shown_url
from zsrec.core.types import Exchange, Message
from zsrec.llm.capabilities import Probes, one_hot, read_labels
from zsrec.llm.control_tokens import control_tokens, unshaped
from zsrec.llm.dialects import LESS_THOUGHT, Dialect, bound_answer, only_thought, opens_thought, request_fields
from zsrec.llm.failures import as_llm_error, error_in_reply
from zsrec.llm.model_cards import ModelCard, find_card, read_cards
from zsrec.llm.protocol import ChatRequest, LabelSet, ServerInfo, wire
from zsrec.llm.responses import CacheCounters, Reply, read_counters
from zsrec.llm.transport import BoundedClient, environment_proxy
from zsrec.llm.truncation import TruncationCheck

_LOG = logging.getLogger("zsrec")  # never texts of users
_RETRIES = "x-stainless-retry-count"  # a header that the openai package adds to each request
_RETRY_PAUSE = 1.0  # seconds
_MOST_TOKENS = 1_000_000_000
_NO_LIST = {400, 404, 405, 422, 500, 501}  # how gateways answer that list no models (Portkey: 500)
_MOST_ADAPTED = 12  # how often one request is sent again because the server named fields that it does not take


class OpenAIClient:
    """A client of the model that `settings` name.

    Retries (connection broken, 408, 409, 429, 5xx; exponential with jitter, `Retry-After` obeyed) are the
    openai package's own. Redirects are not followed, and a proxy of the environment is used only where its own
    host is allowed, so that a history reaches allowed hosts or nobody.
    """

    def __init__(self, settings: Settings) -> None:
        check_host(settings.base_url, settings.allow_hosts)
        self._settings = settings
        self._base_url = shown_url(settings.base_url.rstrip("/"))
        proxy, self._ignored_proxy = environment_proxy(settings.base_url, settings.allow_hosts)
        base_url = settings.base_url.rstrip("/")
        self._chat_url = f"{base_url}/chat/completions"  # a relative one would be joined anew for each request
        self._transport = BoundedClient(settings.timeout, proxy=proxy)
        self._openai = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=settings.api_key.get_secret_value(),
            timeout=settings.timeout,
            max_retries=settings.max_retries,
            default_headers={name: value.get_secret_value() for name, value in settings.extra_headers.items()},
            default_query=settings.extra_query,
            http_client=self._transport,
        )
        self._root = self._openai.with_options(base_url=base_url.removesuffix("/v1"))
        self._in_flight = asyncio.Semaphore(settings.concurrency)
        self._info: asyncio.Task[ServerInfo] | None = None
        self._was_up = False  # a wrong address is not waited for
        self._dialect = Dialect(settings)
        self._probes = Probes(self._create, self._token_ids, self._dialect, self._base_url)
        self._truncation = TruncationCheck()

    @property
    def unreachable(self) -> bool:
        """Whether the newest attempt found no server, so that a request under way waits to try again."""
        return self._transport.unreachable

    async def handshake(self) -> ServerInfo:
        """Return which model is served and what the server can do; asked once and kept."""
        if self._info is None or (self._info.done() and (self._info.cancelled() or self._info.exception())):
            self._info = asyncio.ensure_future(self._ask_server())
        info = await asyncio.shield(self._info)
        self._was_up = True
        found = {
            "capabilities": dict(self._probes.found),
            "field_names": dict(self._dialect.names),
            "unneeded": tuple(sorted(self._dialect.unneeded)),
            "notes": self._dialect.notes,
        }
        return info.model_copy(update=found) if any(found.values()) else info

    async def labels(self, count: int) -> LabelSet:
        """Return labels for `count` candidates; the first call probes the server."""
        await self.handshake()
        return await self._probes.labels(count)

    async def binds_choices(self) -> bool:
        """Whether `ChatRequest.choices` really binds the answer; the first call probes the server."""
        await self.handshake()
        return await self._probes.binds_choices()

    async def require_images(self) -> None:
        """Make sure that the model sees images; the first call probes the server.

        Raises:
            CapabilityError: It does not; with what the server says.
        """
        await self.handshake()
        await self._probes.require_images()

    async def ignores_extras(self) -> bool:
        """Whether vLLM's own sampling fields get lost in silence, as in gateways: a wrong value is answered."""
        info = await self.handshake()
        if "repetition_penalty" in self._dialect.names:
            return False  # renamed, or not sent and noted
        hello = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 1}
        try:
            async with self._in_flight:
                await self._post(info.model, self._dialect.body({**hello, "repetition_penalty": -1.0}), ())
        except (LLMRequestError, LLMServerError, BadReplyError):
            return False
        return True

    async def _ask_server(self) -> ServerInfo:
        cards = await self._cards()
        names = list(cards)
        model = self._settings.model or (names[0] if len(names) == 1 else None)
        # A list may be empty, in pages or with wildcards: a named model is tried, unless only others are listed.
        listed = None if model is None else find_card(cards, model)
        if model is None or (names and listed is None and not any("*" in name for name in names)):
            what = f"no model {model!r}" if model else "several models and none was named" if names else "no model"
            raise ModelNotServedError(
                f"{self._base_url} serves {what}; served: {', '.join(names) or 'none'}",
                hint=f"set ZSREC_MODEL={names[0]}"
                if names
                else "load a model into the server, or set ZSREC_MODEL",
            )
        card = listed or ModelCard()
        if card.llama_cpp:
            self._dialect.llama_cpp()
        counts_tokens = await self._tokenize(model, (Message(role="user", content="a"),)) is not None
        tokens: tuple[str, ...] = ()
        if counts_tokens or card.llama_cpp:
            tokens = await control_tokens(self._ask_root, model, llama_cpp=card.llama_cpp)
        return ServerInfo(
            base_url=self._base_url,
            model=model,
            context_length=self._settings.context_length or card.context(cards),
            version=await self._version(),
            vllm=card.owned_by == "vllm",
            counts_tokens=counts_tokens,
            control_tokens=unshaped(tokens),
        )

    async def _cards(self) -> Mapping[str, ModelCard]:
        try:
            return read_cards(await self._openai.get("/models", cast_to=object))
        except (openai.OpenAIError, ValueError) as error:
            status = error.status_code if isinstance(error, openai.APIStatusError) else None
            if status in _NO_LIST and self._settings.model is not None:
                return {}  # a gateway without a list; the first chat tells whether the model is there
            raise self._typed(error) from error

    async def _ask_root(self, path: str, body: Mapping[str, Any] | None = None) -> object:
        """What the server says beside the OpenAI API; None where it says nothing."""
        once = self._root.with_options(max_retries=0)
        try:
            if body is None:
                return await once.get(path, cast_to=object)
            fields = self._dialect.template_fields() if "messages" in body else {}
            return await once.post(path, cast_to=object, body={**body, **fields})
        except (openai.OpenAIError, ValueError):
            return None

    async def _version(self) -> str | None:
        answer = await self._ask_root("/version")
        found = answer.get("version") if isinstance(answer, dict) else None
        return "".join(filter(str.isprintable, str(found)))[:60] if found else None

    async def chat(self, request: ChatRequest) -> Exchange:
        """Send a request and return it together with its answer.

        With `Settings.restart_wait`, a server that went away is asked again until it is back.
        """
        until: float | None = None
        while True:
            try:
                return await self._chat(request)
            except LLMError as error:
                now, is_first = time.monotonic(), until is None
                until = now + self._settings.restart_wait if until is None else until
                if not (self._was_up and _is_gone(error) and now < until):
                    raise
                if is_first:
                    _LOG.warning("the server is gone (%s): waiting %.0f s", type(error).__name__, until - now)
            await asyncio.sleep(min(_RETRY_PAUSE, until - now))

    async def _chat(self, request: ChatRequest) -> Exchange:
        info = await self.handshake()
        pictured = any(message.images for message in request.messages)
        if pictured:
            await self._probes.require_images()
        binding = self._dialect.binding
        fields = request_fields(request, binding=binding)
        salt = request.cache_salt or self._settings.cache_salt
        if salt is not None:
            fields["cache_salt"] = salt
        async with self._in_flight:
            started = time.perf_counter()
            try:
                response, reply = await self._complete(info.model, fields, request.messages)
                if reply.timings and self._dialect.llama_cpp() and fields["repetition_penalty"] != 1.0:
                    response, reply = await self._complete(info.model, fields, request.messages)
                thought = _thought_only(reply, request)
                if thought and self._dialect.turn_thinking_off():
                    response, reply = await self._complete(info.model, fields, request.messages)
                    thought = _thought_only(reply, request)
            except LLMError as failure:
                if isinstance(failure, ModelNotServedError | LLMConnectionError):
                    self._info = None  # it may come back with another model or context: the next call asks anew
                raise
            seconds = time.perf_counter() - started
        retries = int(response.request.headers.get(_RETRIES, 0))
        if retries:
            _LOG.info("a request was answered after %d retries in %.1f s", retries, seconds)
        labels = request.labels.labels if request.labels is not None else None
        answer = self._answer(reply, request, response.headers.get("x-request-id"), thought=thought)
        logprobs = None if labels is None else read_labels(reply, labels, self._base_url)
        notes = [*self._dialect.notes]
        if labels is not None and one_hot(reply):
            notes.append("the server reports one label as certain and all others as impossible")
        if pictured:
            notes += self._probes.image_doubts
        elif not info.counts_tokens:
            notes += self._truncation.note(request.messages, reply.tokens().prompt_tokens)
        return Exchange(
            messages=request.messages,
            answer=bound_answer(binding, answer) if request.choices or request.pattern else answer,
            finish_reason=reply.finish_reason,
            model=reply.model,
            usage=reply.tokens(),
            seconds=seconds,
            retries=retries,
            request_id=reply.id,
            label_logprobs=logprobs,
            notes=tuple(notes),
        )

    async def _create(self, fields: Mapping[str, Any]) -> Reply:
        """A chat completion for a probe."""
        info = await self.handshake()
        async with self._in_flight:
            return (await self._complete(info.model, fields))[1]

    async def _complete(
        self, model: str, fields: Mapping[str, Any], prompt: tuple[Message, ...] = ()
    ) -> tuple[httpx2.Response, Reply]:
        """Post a chat and read the reply; fields that the server refuses by name are renamed or left out.

        `post` instead of `chat.completions.create`: validating the fields and building a `ChatCompletion` would
        take one or two milliseconds of processor time.
        """
        for _ in range(_MOST_ADAPTED):
            body = self._dialect.body(fields)
            try:
                return await self._post(model, body, prompt)
            except LLMRequestError as error:
                self._dialect.learn(error, body)
                if self._dialect.body(fields) == body:
                    raise
        return await self._post(model, self._dialect.body(fields), prompt)

    async def _post(
        self, model: str, body: Mapping[str, Any], prompt: tuple[Message, ...]
    ) -> tuple[httpx2.Response, Reply]:
        try:
            response = await self._openai.post(
                self._chat_url, cast_to=httpx2.Response, body={"model": model, **body}
            )
            reply = Reply.model_validate_json(response.content)
        except (openai.OpenAIError, ValueError) as error:
            raise self._typed(error, prompt) from error
        if reply.error and not reply.choices:
            raise error_in_reply(reply.error, self._base_url, prompt, reply.id)
        return response, reply

    def _answer(self, reply: Reply, request: ChatRequest, request_id: str | None, *, thought: bool) -> str:
        """The answer's text; one without text is an error, unless only its log-probabilities are wanted."""
        hint = "see the server's log"
        if not reply.choices:
            what = "without choices"
        elif thought:
            what = f"with the model's thoughts and no answer (finish reason {reply.finish_reason!r})"
            hint = f"{LESS_THOUGHT}, or raise max_tokens in the template so that thoughts and answer fit"
        elif (text := reply.answer) is not None:
            return text
        elif request.labels is not None:
            return ""
        else:
            what = f"without text (finish reason {reply.finish_reason!r})"
            hint = f"see the server's log; for a model that thinks {LESS_THOUGHT}, or raise max_tokens"
        raise BadReplyError(f"{self._base_url} answered {what}", hint=hint, request_id=request_id)

    def _typed(self, error: Exception, prompt: tuple[Message, ...] = ()) -> LLMError:
        typed = as_llm_error(error, self._base_url, prompt)
        if isinstance(typed, LLMConnectionError) and self._ignored_proxy is not None:
            typed.hint = (
                f"{typed.hint}; the environment's proxy {self._ignored_proxy} is not used, since it could read "
                "prompts: ZSREC_ALLOW_HOSTS can allow it"
            )
        return typed

    async def count_tokens(self, messages: tuple[Message, ...]) -> int | None:
        """The tokens of a prompt, chat template included; None where the server cannot count."""
        info = await self.handshake()
        return await self._tokenize(info.model, messages) if info.counts_tokens else None

    async def token_ids(self, prompt: tuple[Message, ...] | str) -> list[int] | None:
        """The token ids of a prompt, chat template included, or of a bare text; None where the server cannot."""
        if isinstance(prompt, str):
            return await self._token_ids({"prompt": prompt, "add_special_tokens": False})
        return await self._token_ids({"messages": [wire(message) for message in prompt]})

    async def cache_counters(self) -> CacheCounters | None:
        """The counters of the server's prefix cache; None where it reports none."""
        try:
            page = await self._root.get("/metrics", cast_to=str)
        except openai.APIStatusError:
            return None
        except openai.OpenAIError as error:
            raise self._typed(error) from error
        return read_counters(page)

    async def _tokenize(self, model: str, messages: tuple[Message, ...]) -> int | None:
        try:
            answer = await self._post_tokenize(model, {"messages": [wire(message) for message in messages]})
        except (openai.OpenAIError, ValueError):
            return None
        count = answer.get("count")
        return count if isinstance(count, int) and 0 <= count <= _MOST_TOKENS else None

    async def _token_ids(self, fields: Mapping[str, Any]) -> list[int] | None:
        try:
            answer = await self._post_tokenize((await self.handshake()).model, fields)
        except openai.APIStatusError as error:
            if error.status_code < 500:
                return None  # there is no such endpoint
            raise self._typed(error) from error
        except (openai.OpenAIError, ValueError) as error:
            raise self._typed(error) from error
        tokens = answer.get("tokens")
        usable = isinstance(tokens, list) and tokens and all(isinstance(one, int) for one in tokens)
        return tokens if usable else None

    async def _post_tokenize(self, model: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of vLLM's /tokenize; empty where it is not an object."""
        body = {"model": model, **fields, **(self._dialect.template_fields() if "messages" in fields else {})}
        async with self._in_flight:
            answer = await self._root.post("/tokenize", cast_to=object, body=body)
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


def _thought_only(reply: Reply, request: ChatRequest) -> bool:
    if request.labels is not None:
        return reply.thought or opens_thought(reply.first_token) or opens_thought(reply.answer)
    return bool(reply.choices) and only_thought(reply.answer, thought=reply.thought)


def _is_gone(error: LLMError) -> bool:
    """Whether no server answers: no connection, or a proxy without one."""
    return isinstance(error, LLMConnectionError) or error.status in {502, 503}
