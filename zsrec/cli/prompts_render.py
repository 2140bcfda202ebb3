"""`zsrec prompts render` and `diff`: what the model would receive, and what changes between two templates."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.text import Text

from zsrec.budget.people import with_labels
from zsrec.cli.console import out, plain
from zsrec.cli.prompts_shared import Folders, sample_person, template_target
from zsrec.cli.recommend import titles
from zsrec.errors import ConfigError
from zsrec.llm.curl import as_curl
from zsrec.prompts import FrontMatter, Library, Template, title_view
from zsrec.settings import Settings
from zsrec.types import Message

_COLOURS = {"system": "bold magenta", "user": "bold cyan"}
_CHANGES = {"+": "green", "-": "red", "@": "cyan"}

Sample = Annotated[
    bool, typer.Option("--sample", help="Render for a user of the MovieLens sample and its 20 best-known films.")
]


def render(
    name: str,
    history: Annotated[str, typer.Option(help="Titles, oldest first, parted by ';'.")] = "",
    about: Annotated[str | None, typer.Option(help="What the user says they want.")] = None,
    candidates: Annotated[str, typer.Option(help="Titles to choose from, parted by ';'.")] = "",
    k: Annotated[int, typer.Option(min=1, help="How many items to ask for.")] = 10,
    domain: Annotated[str | None, typer.Option(help='What the items are, for example "books".')] = None,
    sample: Sample = False,
    curl: Annotated[
        bool, typer.Option("--as-curl", help="A curl command that sends it; the key stays in ZSREC_API_KEY.")
    ] = False,
    base_url: Annotated[str | None, typer.Option(help="For --as-curl (ZSREC_BASE_URL).")] = None,
    model: Annotated[str | None, typer.Option(help="For --as-curl: the served model (ZSREC_MODEL).")] = None,
    prompts: Folders = None,
) -> None:
    """Render a template and print the roles exactly as they would be sent."""
    template = Library(prompts).load(template_target(name))
    if sample and (history or candidates):
        raise ConfigError("--sample brings a history and candidates", hint="leave out --history and --candidates")
    if sample:
        messages = _for_sample(template, k=k, about=about)
    else:
        views = [title_view(title) for title in titles(candidates)]
        messages = template.render(
            history=titles(history),
            candidates=with_labels(views) if template.bundle.front.needs_labels else views,
            k=k,
            about=about,
            domain=domain,
        )
    if curl:
        typer.echo(_curl(template, messages, base_url, model))
    else:
        _show(messages)


def diff(first: str, second: str, prompts: Folders = None) -> None:
    """Show what changes from one template to another: front matter, and roles for a user of the sample."""
    library = Library(prompts)
    one, other = (library.load(template_target(name)) for name in (first, second))
    changes = list(_front_changes(one.bundle.front, other.bundle.front))
    _print(["front matter:", *(changes or ["  no change"]), ""])
    before, after = (_for_sample(template) for template in (one, other))
    changed = list(
        difflib.unified_diff(_lines(before), _lines(after), str(one.ref), str(other.ref), lineterm="", n=2)
    )
    _print(changed or ["the roles are the same for a user of the sample"])


def _for_sample(template: Template, **other: Any) -> tuple[Message, ...]:  # noqa: ANN401
    given = {name: value for name, value in other.items() if value is not None}
    return sample_person(template).render(template, **given)


def _curl(template: Template, messages: tuple[Message, ...], base_url: str | None, model: str | None) -> str:
    settings = Settings.load(base_url=base_url, model=model)
    if settings.model is None:
        raise ConfigError("a request names its model", hint="give --model or set ZSREC_MODEL")
    return as_curl(
        messages,
        template.sampling,
        base_url=settings.base_url,
        model=settings.model,
        labels=template.ranking.reads_labels(template.ranker),
    )


def _show(messages: tuple[Message, ...]) -> None:
    """The roles; in colour on a terminal, where control codes are blotted out too."""
    for message in messages:
        if out.is_terminal and "NO_COLOR" not in os.environ:
            out.print(Text(f"--- {message.role}", style=_COLOURS[message.role]))
            for line in message.content.split("\n"):
                out.print(plain(line), soft_wrap=True)
        else:
            typer.echo(f"--- {message.role}")
            typer.echo(message.content)


def _print(lines: list[str]) -> None:
    for line in lines:
        if out.is_terminal:
            style = _CHANGES.get(line.strip()[:1], "")
            out.print(Text.assemble((plain(line).plain, style)), soft_wrap=True)
        else:
            typer.echo(line)


def _lines(messages: tuple[Message, ...]) -> list[str]:
    return [line for message in messages for line in (f"--- {message.role}", *message.content.split("\n"))]


def _front_changes(one: FrontMatter, other: FrontMatter) -> Iterator[str]:
    before, after = (dict(_flat(front.model_dump(mode="json"))) for front in (one, other))
    for key in dict.fromkeys([*before, *after]):
        if key not in after:
            yield f"- {key}: {before[key]}"
        elif key not in before:
            yield f"+ {key}: {after[key]}"
        elif before[key] != after[key]:
            yield f"- {key}: {before[key]}"
            yield f"+ {key}: {after[key]}"


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value)
