"""`zsrec prompts check`: mistakes in templates, and with `--budget` or a server what they cost."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsrec.cli.prompts_shared import Folders, template_target
from zsrec.errors import ConfigError
from zsrec.prompts import Library, check, shared_prefix
from zsrec.prompts.lint.sarif import sarif
from zsrec.prompts.problems import Problem

if TYPE_CHECKING:  # imported where it is needed: counting reads the sample's histories
    from zsrec.cli.prompts_cost import Cost

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
