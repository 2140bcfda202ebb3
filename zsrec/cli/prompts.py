"""`zsrec prompts …`: list and show templates; the further commands have modules of their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsrec.cli.options import Folders, template_target
from zsrec.core.errors import ConfigError
from zsrec.prompts import Library, check, shared_prefix
from zsrec.prompts.diagnostics import Problem
from zsrec.prompts.sarif import sarif

if TYPE_CHECKING:  # imported where it is needed: counting reads the sample's histories
    from zsrec.cli.prompts_cost import Cost
from typing import cast, get_args

from zsrec.cli import prompts_compare
from zsrec.cli.prompts_render import diff, render
from zsrec.prompts import Entry
from zsrec.prompts.diagnostics import did_you_mean, raise_first
from zsrec.prompts.front_matter import Task
from zsrec.prompts.library import is_name
from zsrec.prompts.scaffold import scaffold, scaffold_over

_TARGETS = typer.Argument(help="Paths, folders or names.", metavar="PATH|NAME…")


def check_templates(
    targets: Annotated[list[str] | None, _TARGETS] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="One SARIF 2.1.0 document instead.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too.")] = False,
    budget: Annotated[
        bool, typer.Option("--budget", help="Count tokens by part, and what prompts share (an estimate).")
    ] = False,
    base_url: Annotated[
        str | None, typer.Option(help="Count with this server's tokenizer, and try its labels.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The served model's name (ZSREC_MODEL).")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Ask the server, and read from its counters what its cache shared.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="A MovieLens folder or zip to count on; without it the sample.")
    ] = None,
    pool: Annotated[int, typer.Option(help="How many candidates to count with.", min=1, max=1000)] = 20,
    users: Annotated[int, typer.Option(help="How many users to measure with.", min=2, max=1000)] = 5,
    prompts: Folders = None,
) -> None:
    """Check templates (all that can be named where none is given); exit 1 where one has an error.

    Files whose names begin with "_" are parts of others: in a folder they are checked through these.
    """
    if measure and base_url is None:
        raise ConfigError("--measure needs a server", hint="give --base-url")
    if as_json and as_sarif:
        raise ConfigError("--json and --sarif are two forms of one document", hint="choose one")
    library = Library(prompts)
    names = targets or [entry.name for entry in library.entries() if entry.shadowed_by is None]
    found: list[Problem] = []
    costs: dict[str, Any] = {}
    for target in (part for name in names for part in _expand(name)):
        problems = check(template_target(target), library=library)
        cost = None
        if (budget or base_url is not None or data is not None) and not _fails(problems, strict=False):
            from zsrec.cli.prompts_cost import cost_of

            template = library.load(template_target(target))
            cost = asyncio.run(
                cost_of(template, data, base_url=base_url, model=model, pool=pool, users=users if measure else 0)
            )
            problems += cost.problems
            costs[target] = cost.as_json()
        found.extend(problems)
        if not as_json and not as_sarif:
            _report(target, problems, cost, library)
    if as_json:
        rows = {"problems": [asdict(problem) for problem in found], "costs": costs}
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    elif as_sarif:
        typer.echo(json.dumps(sarif(found, version("zsrec")), ensure_ascii=False, indent=2))
    if _fails(found, strict=strict):
        raise typer.Exit(1)


def _fails(problems: list[Problem], *, strict: bool) -> bool:
    return any(strict or problem.severity == "error" for problem in problems)


def _report(target: str, problems: list[Problem], cost: Cost | None, library: Library) -> None:
    for problem in problems:
        label = "" if problem.severity == "error" else "warning: "
        typer.echo(f"{problem.place}: {label}{problem.message}")
    if _fails(problems, strict=False):
        return
    if cost is None:
        share = shared_prefix(library.load(template_target(target)))
        typer.echo(f"{target}: ok; two users of one pool share the first {share:.0%} of the prompt")
        return
    typer.echo(f"{target}: ok")
    for line in cost.lines():
        typer.echo(f"  {line}".rstrip())


def _expand(name: str) -> list[str]:
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    return sorted(str(path) for path in folder.rglob("*.j2") if not path.name.startswith("_"))


_TASKS: tuple[str, ...] = get_args(Task)


def new(
    name: Annotated[str, typer.Argument(help='Its name, for example "books/rank".')],
    task: Annotated[str | None, typer.Option(help=f"One of {', '.join(_TASKS)}.")] = None,
    extends: Annotated[str | None, typer.Option(help="Take over this template and change parts of it.")] = None,
    into: Annotated[
        Path, typer.Option(help="The folder of your templates; it is made where it is missing.")
    ] = Path(),
    prompts: Folders = None,
) -> None:
    """Write a commented template that works as it is; a file that is there is never overwritten."""
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is not a valid template name", hint="a name is like 'books/rank': words parted by '/'"
        )
    if task is not None and task not in _TASKS:
        raise ConfigError(f"--task is {task!r}{did_you_mean(task, _TASKS)}", hint=f"one of {', '.join(_TASKS)}")
    if extends is not None:
        parent = Library(prompts).open(template_target(extends))
        raise_first(parent.problems)
        if isinstance(template_target(extends), Path):
            raise ConfigError("--extends takes a template's name", hint="`zsrec prompts list` shows all")
        if task not in (None, parent.front.task):
            raise ConfigError(f"{extends} is for the task {parent.front.task!r}", hint="leave out --task")
        text = scaffold_over(parent)
    elif task is not None:
        text = scaffold(cast("Task", task))
    else:
        raise ConfigError(
            "a new template needs a task", hint=f"give --task ({', '.join(_TASKS)}) or --extends NAME"
        )
    path = into / f"{name}.j2"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", hint="choose another name, or remove it first") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="choose another --into") from None
    typer.echo(f"wrote {path}")
    for command in (f"check {path}", f"render {path} --sample"):
        typer.echo(f"next: zsrec prompts {command}")


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
