"""`zsrec doctor`: checks of everything that a recommendation needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

import typer
from rich.text import Text

from zsrec.cli import options
from zsrec.cli.console import out, plain, print_line
from zsrec.cli.options import CatalogOptions, expand_groups
from zsrec.core.errors import CapabilityError, LLMError, ZsrecError
from zsrec.core.settings import Settings, shown_url
from zsrec.core.types import Exchange, Message, Sampling
from zsrec.llm.protocol import ChatRequest, LabelSet, ServerInfo
from zsrec.prompts import load_template


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
        info, chat, labels, binds, blind, lost = asyncio.run(_ask_server(settings))
    except ZsrecError as error:
        yield _failure("server", error)
        return
    yield Finding("server", fine=True, what=f"{info.base_url}, version {info.version or 'unknown'}")
    context = f"{info.context_length:,} tokens" if info.context_length else "unknown length"
    yield Finding("model", fine=True, what=f"{info.model}, context of {context}")
    counts = "counts tokens: exact fit" if info.counts_tokens else "does not count tokens: estimated fit"
    yield Finding("tokenizer", fine=True, what=f"the server {counts} of long histories")
    said = [*info.notes, *(["ignored without a word: repetition_penalty, vLLM's own"] if lost else [])]
    yield Finding("sampling", fine=True, what="; ".join(said) or "all fields, including vLLM's own, are sent")
    if isinstance(chat, LLMError):
        yield _failure("chat", chat)
        tried = "not tried: the server answered no chat"
        yield Finding("labels", fine=True, what=tried)
        yield Finding("choices", fine=True, what=tried)
        yield Finding("images", fine=True, what=tried)
        return
    yield Finding(
        "chat", fine=True, what=f"works: {chat.usage.completion_tokens or 'some'} tokens in {chat.seconds:.1f} s"
    )
    what = labels if isinstance(labels, str) else f"one token ranks up to {labels.most} candidates, by {labels.by}"
    what = f"cannot: {what}" if isinstance(labels, str) else f"works: {what}"
    yield Finding("labels", fine=True, what=f"{what} (rank/label, rank/window, rank/pairwise)")
    choices = (
        "works: answers are limited to the candidates"
        if binds
        else "cannot: the server does not limit answers to a choice"
    )
    yield Finding("choices", fine=True, what=f"{choices} (rank/choose)")
    yield Finding("images", fine=True, what=f"{f'cannot: {blind}' if blind else 'works'} (templates with images:)")


async def _ask_server(
    settings: Settings,
) -> tuple[ServerInfo, Exchange | LLMError, LabelSet | str, bool, str, bool]:
    """What the server is, one answer, its labels, choices and images (or why not), and whether it loses fields."""
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    async with OpenAIClient(settings) as client:
        info = await client.handshake()
        hello = ChatRequest(
            messages=(Message(role="user", content="Say hello."),), sampling=Sampling(max_tokens=8)
        )
        try:
            chat = await client.chat(hello)
        except LLMError as error:
            return info, error, "", False, "", False
        try:
            labels: LabelSet | str = await client.labels(2)
        except CapabilityError as error:
            labels = error.message
        binds = await client.binds_choices()
        try:
            await client.require_images()
            blind = ""
        except CapabilityError as error:
            blind = error.message
        return await client.handshake(), chat, labels, binds, blind, await client.ignores_extras()


def _look(name: str, what: Callable[[], str]) -> Finding:
    try:
        return Finding(name, fine=True, what=what())
    except ZsrecError as error:
        return _failure(name, error)


def _failure(name: str, error: ZsrecError) -> Finding:
    return Finding(name, fine=False, what=error.message, hint=error.hint)
