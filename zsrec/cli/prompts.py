"""`zsrec prompts …`: list and show templates; the further commands have modules of their own."""

from __future__ import annotations

import typer

from zsrec.cli import prompts_compare
from zsrec.cli.prompts_check import check_templates
from zsrec.cli.prompts_new import new
from zsrec.cli.prompts_render import diff, render
from zsrec.cli.prompts_shared import Folders, template_target
from zsrec.prompts import Entry, Library


def register(app: typer.Typer) -> None:
    """Adds the `prompts` commands to zsrec's command line."""
    prompts = typer.Typer(
        help="Write, list, show, render, compare and check prompt templates.", no_args_is_help=True
    )
    prompts.command("new")(new)
    prompts.command("list")(list_templates)
    prompts.command("show")(show)
    prompts.command("render")(render)
    prompts.command("diff")(diff)
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
    bundle = Library(prompts).open(template_target(name))
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


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    front = entry.source.front
    if front is None:
        return entry.name, "?", "?", entry.origin, "(broken: see `zsrec prompts check`)"
    note = f"(hidden by {entry.shadowed_by})" if entry.shadowed_by else front.description
    return entry.name, front.task or "", str(front.version), entry.origin, note
