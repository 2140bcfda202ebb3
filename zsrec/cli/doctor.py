"""`zsrec doctor`: checks of everything that a recommendation needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.text import Text

from zsrec.cli import options
from zsrec.cli.console import out, plain, print_line
from zsrec.cli.options import CatalogOptions, expand_groups
from zsrec.core.errors import BadReplyError, CapabilityError, LLMError, ZsrecError
from zsrec.core.settings import Settings, shown_url
from zsrec.core.types import Message, Sampling
from zsrec.llm.protocol import ChatRequest, ServerInfo
from zsrec.prompts import load_template

if TYPE_CHECKING:
    from zsrec.llm.client import OpenAIClient


CAPABILITIES = ("labels", "choices", "images")
_FEW, _FOR_THOUGHTS = 8, 2000  # tokens of an answer


class Finding(NamedTuple):
    """One check and its result."""

    name: str
    fine: bool
    what: str
    hint: str | None = None


@expand_groups
def doctor(
    catalog: CatalogOptions,
    base_url: options.BaseUrl = None,
    model: options.ModelName = None,
    template: options.TemplateName = None,
) -> None:
    """Check the settings, the server and its capabilities, the template and the catalog.

    The exit code is 1 if one of them fails.
    """
    fine = True
    for one in _findings(catalog, base_url, model, template):
        mark = Text("ok   ", style="green") if one.fine else Text("FAIL ", style="bold red")
        out.print(mark + plain(f"{one.name:<10} {one.what}"), soft_wrap=True)
        if one.hint:
            print_line(f"     {'':<10} hint: {one.hint}", "dim")
        fine &= one.fine
    if not fine:
        raise typer.Exit(1)


def _findings(
    catalog: CatalogOptions, base_url: str | None, model: str | None, template: str | None
) -> Iterator[Finding]:
    yield _look("catalog", lambda: f"{catalog.open()!r} from {catalog.catalog or 'the sample'}")
    try:
        settings = Settings.load(base_url=base_url, model=model, template=template)
    except ZsrecError as error:
        yield _failure("settings", error)
        return
    others = ", ".join(settings.allow_hosts) or "none"
    what = f"histories go to {shown_url(settings.base_url)}; allowed besides this machine: {others}"
    yield Finding("hosts", fine=True, what=what)
    yield _look("template", lambda: repr(load_template(settings.template)))
    yield from _server(settings)


def _server(settings: Settings) -> Iterator[Finding]:
    try:
        yield from asyncio.run(_of_server(settings))
    except ZsrecError as error:
        yield _failure("server", error)


async def _of_server(settings: Settings) -> list[Finding]:
    """What the server says of itself, and one real request of every kind."""
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    async with OpenAIClient(settings) as client:
        info = await client.handshake()
        counts = "counts tokens: exact fit" if info.counts_tokens else "does not count tokens: estimated fit"
        found = [
            Finding("server", fine=True, what=f"{info.base_url}, version {info.version or 'unknown'}"),
            _context(info),
            Finding("tokenizer", fine=True, what=f"the server {counts} of long histories"),
        ]
        chat = await _tried("chat", _chat(client), "")
        if chat.fine:
            tried = [
                await _tried("labels", _labels(client), "rank/label, rank/window, rank/pairwise"),
                await _tried("choices", _choices(client), "rank/choose"),
                await _tried("images", _images(client), "templates with images:"),
            ]
            sampling = await _tried("sampling", _sampling(client), "")  # last: what it refuses is learned by then
        else:
            why = "not tried: the server answered no chat"
            sampling, *tried = (Finding(name, fine=True, what=why) for name in ("sampling", *CAPABILITIES))
        return [*found, sampling, chat, *tried]


def _context(info: ServerInfo) -> Finding:
    if info.context_length:
        return Finding("model", fine=True, what=f"{info.model}, context of {info.context_length:,} tokens")
    return Finding(
        "model",
        fine=True,
        what=f"{info.model}, context of unknown length",
        hint="ZSREC_CONTEXT_LENGTH says it; without it a prompt is shortened only after the server refused it",
    )


async def _tried(name: str, asked: Awaitable[str], used_by: str) -> Finding:
    """A kind of request that works, that the server cannot answer, or that failed."""
    where = f" ({used_by})" if used_by else ""
    try:
        return Finding(name, fine=True, what=f"{await asked}{where}")
    except CapabilityError as error:
        return Finding(name, fine=True, what=f"cannot: {error.message}{where}", hint=error.hint)
    except LLMError as error:
        return _failure(name, error)


async def _chat(client: OpenAIClient) -> str:
    hello = (Message(role="user", content="Say hello."),)
    more = ""
    try:
        chat = await client.chat(ChatRequest(messages=hello, sampling=Sampling(max_tokens=_FEW)))
    except BadReplyError:
        more = f", thoughts included; {_FEW} are not enough for them"
        chat = await client.chat(ChatRequest(messages=hello, sampling=Sampling(max_tokens=_FOR_THOUGHTS)))
    return f"works: {chat.usage.completion_tokens or 'some'} tokens in {chat.seconds:.1f} s{more}"


async def _labels(client: OpenAIClient) -> str:
    labels = await client.labels(2)
    by = "token ids" if labels.by == "logprob_token_ids" else "the text of the most likely tokens"
    return f"works: one token ranks up to {labels.most} candidates, by {by}"


async def _choices(client: OpenAIClient) -> str:
    if await client.binds_choices():
        return "works: answers are limited to the candidates"
    raise CapabilityError("the server does not limit answers to a choice")


async def _images(client: OpenAIClient) -> str:
    await client.require_images()
    return "works"


async def _sampling(client: OpenAIClient) -> str:
    lost = await client.ignores_extras()
    notes = list((await client.handshake()).notes)
    if lost:
        notes.append("repetition_penalty, a field of vLLM's own, is ignored by the server without a word")
    return "; ".join(notes) or "all fields, including vLLM's own, are sent"


def _look(name: str, what: Callable[[], str]) -> Finding:
    try:
        return Finding(name, fine=True, what=what())
    except ZsrecError as error:
        return _failure(name, error)


def _failure(name: str, error: ZsrecError) -> Finding:
    return Finding(name, fine=False, what=error.message, hint=error.hint)
