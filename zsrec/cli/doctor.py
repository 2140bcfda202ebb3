"""`zsrec doctor`: is everything there that a recommendation needs?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from zsrec.cli.console import out
from zsrec.cli.recommend import CatalogOption, DomainOption, IdOption, TitleOption, open_catalog
from zsrec.core.errors import CapabilityError, ZsrecError
from zsrec.core.settings import Settings
from zsrec.llm.protocol import LabelSet, ServerInfo
from zsrec.prompts import load_template


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    fine: bool
    what: str
    hint: str | None = None


def doctor(
    catalog: CatalogOption = None,
    id_column: IdOption = "movieId",
    title: TitleOption = "title",
    domain: DomainOption = "movies",
    base_url: Annotated[str | None, typer.Option(help="The server's address (ZSREC_BASE_URL).")] = None,
    model: Annotated[str | None, typer.Option(help="The served model's name (ZSREC_MODEL).")] = None,
    template: Annotated[str | None, typer.Option(help="A template's name or path (ZSREC_TEMPLATE).")] = None,
) -> None:
    """Looks at the settings, the server and its capabilities, the template and the catalog.

    Exit code 1 where something is missing.
    """
    findings = list(_findings(catalog, id_column, title, domain, base_url, model, template))
    for one in findings:
        mark = Text("ok   ", style="green") if one.fine else Text("FAIL ", style="bold red")
        out.print(mark + Text(f"{one.name:<10} {one.what}"), soft_wrap=True)
        if one.hint:
            out.print(Text(f"     {'':<10} hint: {one.hint}", style="dim"), soft_wrap=True)
    if not all(one.fine for one in findings):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(doctor)


def _findings(
    catalog: Path | None,
    id_column: str,
    title: str,
    domain: str,
    base_url: str | None,
    model: str | None,
    template: str | None,
) -> Iterator[Finding]:
    yield _look(
        "catalog", lambda: f"{open_catalog(catalog, id_column, title, domain)!r} from {catalog or 'the sample'}"
    )
    try:
        settings = Settings.load(base_url=base_url, model=model, template=template)
    except ZsrecError as error:
        yield _failure("settings", error)
        return
    others = ", ".join(settings.allow_hosts) or "none"
    yield Finding(
        "hosts", fine=True, what=f"histories go to {settings.base_url}; allowed beside this machine: {others}"
    )
    yield _look("template", lambda: repr(load_template(settings.template)))
    yield from _server(settings)


def _server(settings: Settings) -> Iterator[Finding]:
    try:
        info, labels, binds = asyncio.run(_ask_server(settings))
    except ZsrecError as error:
        yield _failure("server", error)
        return
    yield Finding("server", fine=True, what=f"{info.base_url}, version {info.version or 'unknown'}")
    context = f"{info.context_length:,} tokens" if info.context_length else "unknown length"
    yield Finding("model", fine=True, what=f"{info.model}, context of {context}")
    yield Finding(
        "tokenizer",
        fine=True,
        what="the server counts tokens; long histories are fitted exactly"
        if info.counts_tokens
        else "the server counts no tokens; long histories are fitted by estimate",
    )
    yield Finding(
        "sampling",
        fine=True,
        what="all fields, vLLM's own too"
        if info.vllm
        else "OpenAI's fields only; top_k, min_p and repetition_penalty are not sent",
    )
    yield from _rankers(labels, binds)


def _rankers(labels: LabelSet | str, binds: bool) -> Iterator[Finding]:
    """What rankers can use here; the server was asked, since servers ignore unknown fields with HTTP 200."""
    what = labels if isinstance(labels, str) else f"one token ranks up to {labels.most} candidates, by {labels.by}"
    yield Finding("labels", fine=True, what=f"{what} (rank/label, rank/window, rank/pairwise)")
    choices = "answers are held to the candidates" if binds else "the server does not hold answers to a choice"
    yield Finding("choices", fine=True, what=f"{choices} (rank/choose)")


async def _ask_server(settings: Settings) -> tuple[ServerInfo, LabelSet | str, bool]:
    """What the server is, its labels or why it has none, and whether choices bind."""
    from zsrec.llm.client import OpenAIClient  # the openai package takes a second to import

    async with OpenAIClient(settings) as client:
        info = await client.handshake()
        try:
            labels: LabelSet | str = await client.labels(2)
        except CapabilityError as error:
            labels = error.message
        return info, labels, await client.binds_choices()


def _look(name: str, what: Callable[[], str]) -> Finding:
    try:
        return Finding(name, fine=True, what=what())
    except ZsrecError as error:
        return _failure(name, error)


def _failure(name: str, error: ZsrecError) -> Finding:
    return Finding(name, fine=False, what=error.message, hint=error.hint)
