"""`zsrec prompts …`: list, show, check and start templates; the other commands have modules of their own."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

import zsrec
from zsrec.cli import options
from zsrec.cli.bench import OLD_NAMES
from zsrec.cli.console import echo, print_json
from zsrec.cli.options import accepting, examples, option, template_target
from zsrec.cli.prompts_compare import compare
from zsrec.cli.prompts_render import diff, render
from zsrec.core.errors import ConfigError
from zsrec.prompts import Entry, Library, check, shared_prefix
from zsrec.prompts.diagnostics import Problem, did_you_mean, raise_first
from zsrec.prompts.front_matter import Task
from zsrec.prompts.library import is_name
from zsrec.prompts.sarif import sarif
from zsrec.prompts.scaffold import scaffold, scaffold_over

if TYPE_CHECKING:  # imported only to count tokens
    from zsrec.cli.prompts_cost import Cost

TASKS: tuple[str, ...] = get_args(Task)


def list_templates(prompts: options.PromptsFolders = None) -> None:
    """List every template: name, task, version, where it comes from, and what hides it."""
    rows = [("NAME", "TASK", "VERSION", "FROM", ""), *map(_row, Library(prompts).entries())]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True))
        echo("  ".join((*cells, row[4])).rstrip())


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    front = entry.source.front
    if front is None:
        return entry.name, "?", "?", entry.origin, "(broken: see `zsrec prompts check`)"
    note = f"(hidden by {entry.shadowed_by})" if entry.shadowed_by else front.description
    return entry.name, front.task or "", str(front.version), entry.origin, note


def show(name: options.TemplateArgument, prompts: options.PromptsFolders = None) -> None:
    """Show a template's file: its path, front matter and text, and what it extends."""
    bundle = Library(prompts).open(template_target(name))
    front = bundle.front
    echo(f"{bundle.main.name}@{front.version}  {front.task or ''}  {front.description}".rstrip())
    echo(f"path: {bundle.main.path}")
    for unit in bundle.chain[1:]:
        echo(f"extends: {unit.source.name} ({unit.source.path})")
    for variable, declared in front.variables.items():
        default = "" if declared.default is None else f", default {declared.default!r}"
        echo(f"variable: {variable} ({declared.type}, shared by {declared.scope}{default})")
    echo(f"sampling: {' '.join(f'{key}={value}' for key, value in front.sampling)}")
    echo()
    echo(bundle.main.text.rstrip("\n"))


def new(
    name: Annotated[str, typer.Argument(help="The new template's name, for example books/rank.")],
    task: Annotated[str | None, option(f"One of {', '.join(TASKS)}.")] = None,
    extends: Annotated[str | None, option("Extend this template and change parts of it.")] = None,
    into: Annotated[Path, option("The folder of your templates; created if missing.")] = Path(),
    prompts: options.PromptsFolders = None,
) -> None:
    """Write a commented template that works as it is; never overwrites a file."""
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is not a template's name", hint="for example books/rank: words separated by '/'"
        )
    if task is not None and task not in TASKS:
        raise ConfigError(f"--task is {task!r}{did_you_mean(task, TASKS)}", hint=f"one of {', '.join(TASKS)}")
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
            "a new template needs a task", hint=f"give --task ({', '.join(TASKS)}) or --extends NAME"
        )
    path = into / f"{name}.j2"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists already", hint="choose another name, or remove it first") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="choose another --into") from None
    echo(f"wrote {path}")
    for command in (f"check {path}", f"render {path} --sample"):
        echo(f"next: zsrec prompts {command}")


def check_templates(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Templates, by name, path or folder; by default all.", metavar="TEMPLATE…"),
    ] = None,
    prompts: options.PromptsFolders = None,
    as_json: options.JsonToStdout = False,
    as_sarif: Annotated[bool, option("Print one SARIF 2.1.0 document.", "--sarif", panel=options.OUTPUT)] = False,
    strict: Annotated[bool, option("Exit with 1 for warnings too.", "--strict")] = False,
    budget: Annotated[bool, option("Estimate tokens by part, and what prompts share.", "--budget")] = False,
    base_url: Annotated[
        str | None, option("Count with this server's tokenizer, and try its labels.", panel=options.MODEL)
    ] = None,
    model: options.ModelName = None,
    measure: Annotated[
        bool, option("Ask the server, and read its counters of cache hits.", "--measure", panel=options.MODEL)
    ] = False,
    data: Annotated[Path | None, option("A MovieLens folder or zip to count with; by default the sample.")] = None,
    pool: Annotated[int, option("How many candidates to count with.", min=1, max=1000)] = 20,
    users: Annotated[int, option("How many users to measure with.", min=2, max=1000)] = 5,
) -> None:
    """Check templates; the exit code is 1 if one has an error.

    In a folder, files whose names begin with "_" are parts of others and are checked with these.
    """
    if measure and base_url is None:
        raise ConfigError("--measure needs a server", hint="give --base-url")
    if as_json and as_sarif:
        raise ConfigError("--json and --sarif cannot be combined", hint="choose one")
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
        print_json(rows)
    elif as_sarif:
        print_json(sarif(found, zsrec.__version__))
    if _fails(found, strict=strict):
        raise typer.Exit(1)


def _fails(problems: list[Problem], *, strict: bool) -> bool:
    return any(strict or problem.severity == "error" for problem in problems)


def _report(target: str, problems: list[Problem], cost: Cost | None, library: Library) -> None:
    for problem in problems:
        label = "" if problem.severity == "error" else "warning: "
        echo(f"{problem.place}: {label}{problem.message}")
    if _fails(problems, strict=False):
        return
    if cost is None:
        share = shared_prefix(library.load(template_target(target)))
        echo(f"{target}: ok; two users of one pool share the first {share:.0%} of the prompt")
        return
    echo(f"{target}: ok")
    for line in cost.lines():
        echo(f"  {line}".rstrip())


def _expand(name: str) -> list[str]:
    folder = Path(name)
    if not folder.is_dir():
        return [name]
    return sorted(str(path) for path in folder.rglob("*.j2") if not path.name.startswith("_"))


app = typer.Typer(help="Write, check, render and compare prompt templates.", no_args_is_help=True)
app.command("new", epilog=examples("zsrec prompts new books/rank --task rank --into prompts"))(new)
app.command("list")(list_templates)
app.command("show")(show)
app.command(
    "render",
    epilog=examples(
        'zsrec prompts render rank/default --history "Heat; Ronin" --candidates "Thief; Cats"',
        "zsrec prompts render mine.j2 --sample",
    ),
)(render)
app.command("diff")(diff)
app.command(
    "check", epilog=examples("zsrec prompts check mine.j2", "zsrec prompts check ./mine --strict --budget")
)(check_templates)
app.command(
    "compare", cls=accepting(OLD_NAMES), epilog=examples("zsrec prompts compare rank/default mine.j2 --users 100")
)(compare)
