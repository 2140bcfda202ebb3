"""`zsrec prompts list|show|render|check`: see templates, what a model would receive, and mistakes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from zsrec.cli import prompts_compare
from zsrec.prompts import Entry, Library, check, shared_prefix
from zsrec.prompts.problems import Problem

Folders = Annotated[
    list[Path] | None,
    typer.Option("--prompts", help="A folder of your own templates, looked at first. May be repeated."),
]


def register(app: typer.Typer) -> None:
    """Adds the `prompts` commands to zsrec's command line."""
    prompts = typer.Typer(help="List, show, render and check prompt templates.", no_args_is_help=True)
    prompts.command("list")(list_templates)
    prompts.command("show")(show)
    prompts.command("render")(render)
    prompts.command("check")(check_templates)
    prompts.command("compare")(prompts_compare.compare)
    app.add_typer(prompts, name="prompts")


def list_templates(prompts: Folders = None) -> None:
    """List every template: name, task, version, where it comes from, and what hides it."""
    entries = list(Library(prompts).entries())
    rows = [("NAME", "TASK", "VERSION", "FROM", ""), *(_row(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True))
        typer.echo("  ".join((*cells, row[4])).rstrip())


def show(name: str, prompts: Folders = None) -> None:
    """Show a template's file: its path, front matter and text, and what it extends."""
    bundle = Library(prompts).open(_target(name))
    front = bundle.front
    typer.echo(f"{bundle.main.name}@{front.version}  {front.task or ''}  {front.description}".rstrip())
    typer.echo(f"path: {bundle.main.path}")
    for unit in bundle.chain[1:]:
        typer.echo(f"extends: {unit.source.name} ({unit.source.path})")
    for variable, declared in front.variables.items():
        default = "" if declared.default is None else f", default {declared.default!r}"
        typer.echo(f"variable: {variable} ({declared.type}, shared by {declared.scope}{default})")
    typer.echo(f"sampling: {' '.join(f'{key}={value}' for key, value in front.sampling)}")
    typer.echo("")
    typer.echo(bundle.main.text.rstrip("\n"))


def render(
    name: str,
    history: Annotated[str, typer.Option(help="Titles, oldest first, parted by ';'.")] = "",
    about: Annotated[str | None, typer.Option(help="What the user says they want.")] = None,
    candidates: Annotated[str, typer.Option(help="Titles to choose from, parted by ';'.")] = "",
    k: Annotated[int, typer.Option(min=1, help="How many items to ask for.")] = 10,
    domain: Annotated[str | None, typer.Option(help='What the items are, for example "books".')] = None,
    prompts: Folders = None,
) -> None:
    """Render a template and print the roles exactly as they would be sent."""
    template = Library(prompts).load(_target(name))
    messages = template.render(
        history=_titles(history), candidates=_titles(candidates), k=k, about=about, domain=domain
    )
    for message in messages:
        typer.echo(f"--- {message.role}")
        typer.echo(message.content)


def check_templates(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Paths, folders or names.", metavar="PATH|NAME…")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    prompts: Folders = None,
) -> None:
    """Check templates (all that can be named where none is given); exit 1 where one has an error."""
    library = Library(prompts)
    names = targets or [entry.name for entry in library.entries() if entry.shadowed_by is None]
    found: list[Problem] = []
    for target in (part for name in names for part in _expand(name)):
        problems = check(_target(target), prompts)
        found.extend(problems)
        if not as_json:
            _report(target, problems, library)
    if as_json:
        typer.echo(json.dumps([asdict(problem) for problem in found], ensure_ascii=False, indent=2))
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(1)


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    front = entry.source.front
    if front is None:
        return entry.name, "?", "?", entry.origin, "(broken: see `zsrec prompts check`)"
    note = f"(hidden by {entry.shadowed_by})" if entry.shadowed_by else front.description
    return entry.name, front.task or "", str(front.version), entry.origin, note


def _report(target: str, problems: list[Problem], library: Library) -> None:
    for problem in problems:
        typer.echo(str(problem))
    if not any(problem.severity == "error" for problem in problems):
        share = shared_prefix(library.load(_target(target)))
        typer.echo(f"{target}: ok; two users of one pool share the first {share:.0%} of the prompt")


def _target(name: str) -> str | Path:
    """A name stays text; whatever is on the disk or looks like a path becomes one."""
    path = Path(name)
    return path if path.suffix == ".j2" or path.is_file() else name


def _expand(name: str) -> list[str]:
    folder = Path(name)
    return sorted(str(path) for path in folder.rglob("*.j2")) if folder.is_dir() else [name]


def _titles(text: str) -> list[str]:
    return [title.strip() for title in text.split(";") if title.strip()]
