"""What the `zsrec prompts` commands share: how a template and a user are named."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsrec import data as datasets
from zsrec.budget.people import Person, cast_of
from zsrec.prompts import Template

Folders = Annotated[
    list[Path] | None,
    typer.Option("--prompts", help="A folder of your own templates, looked at first. May be repeated."),
]


def template_target(name: str) -> str | Path:
    """A name stays text; whatever is on the disk or looks like a path becomes one."""
    path = Path(name)
    return path if path.suffix == ".j2" or path.is_file() else name


def sample_person(template: Template, *, pool: int = 20) -> Person:
    """A user of the MovieLens sample with as many events as the median user."""
    return cast_of(datasets.sample(), template, pool=pool).typical
