"""`zsrec prompts new`: a template to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from zsrec.cli.prompts_shared import Folders, template_target
from zsrec.errors import ConfigError
from zsrec.prompts import Library
from zsrec.prompts.front_matter import Task
from zsrec.prompts.library import is_name
from zsrec.prompts.problems import did_you_mean, raise_first
from zsrec.prompts.scaffold import scaffold, scaffold_over

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
            f"{name!r} is no template's name", hint="a name is like 'books/rank': words parted by '/'"
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
